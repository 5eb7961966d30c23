"""The command ``napari-leafseg data``: data sets that others published, from their files to a scored table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from napari_leafseg._console import out, print_note
from napari_leafseg._counts import counted
from napari_leafseg.cli.common import Device, Model, progress_bar
from napari_leafseg.cli.get_models import show_terms
from napari_leafseg.errors import UserError

if TYPE_CHECKING:
    from napari_leafseg.pipelines.datasets.convert import Summary

app = typer.Typer(invoke_without_command=True)
_SHOWN = 5


@app.callback()
def data(context: typer.Context) -> None:
    """List the data sets that can be had by name, fetch, convert and score on them."""
    if context.invoked_subcommand is not None:
        return
    from napari_leafseg.pipelines.datasets.convert import published_data

    table = Table(Column("name", no_wrap=True), "what", "license")
    for name, entry in published_data().items():
        table.add_row(name, escape(entry.title), escape(entry.license))
    out.print(table)


@app.command("get")
def get_data(
    name: Annotated[str, typer.Argument(help="A name of the list, hf:owner/repository, or an https:// address.")],
    folder: Annotated[Path, typer.Argument(help="Where its files go, and are unpacked.")],
    archive: Annotated[
        Path | None, typer.Option("--from", help="A zip file that was fetched already: nothing is fetched.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to its terms without being asked.")] = False,
) -> None:
    """Fetch a data set, after showing its terms, and unpack it; goes on where it was stopped."""
    from napari_leafseg.pipelines.datasets.convert import published_data
    from napari_leafseg.published.archive import unpack
    from napari_leafseg.published.catalog import find_entry
    from napari_leafseg.published.download import fetch_files
    from napari_leafseg.published.hub import is_address, make_offer

    catalog = published_data()
    if archive is None:
        offer = make_offer(name, catalog, "data set")
        show_terms(offer)
        files = [folder / file.name for file in offer.files]
    else:
        entry = find_entry(catalog, name, "data set")
        for head, words in entry.terms:
            out.print(f"{head}: {words}", soft_wrap=True, highlight=False, markup=False)
        files = [archive]
    if not yes and not typer.confirm("Do you agree to its terms?" if archive else "Fetch it under these terms?"):
        raise typer.Exit(1)
    with progress_bar() as bar:
        task = bar.add_task("Asking for it", total=None)
        if archive is None:
            for event in fetch_files(offer.files, folder):
                bar.update(task, completed=event.done, total=event.total, description=event.message)
        for file in files:
            if file.suffix.lower() == ".zip":
                for event in unpack(file, folder):
                    bar.update(task, completed=event.done, total=event.total, description=event.message[:60])
    reader = "NAME" if is_address(name) else name
    out.print(f"It lies in {folder}. Next:", soft_wrap=True, highlight=False, markup=False)
    _print_command("data", "convert", reader, str(folder), f"{folder}-converted")


@app.command("convert")
def convert(
    name: Annotated[str, typer.Argument(help="Which data set it is: a name of the list.")],
    source: Annotated[Path, typer.Argument(help="The folder, or the HDF5 or JSON file, as it was downloaded.")],
    output: Annotated[Path, typer.Argument(help="Folder for images, labels and all that is known of them.")],
) -> None:
    """Convert a downloaded data set to a labeled folder; goes on where it was stopped."""
    from napari_leafseg.pipelines.datasets.convert import convert_data, published_data
    from napari_leafseg.published.catalog import find_entry

    for head, words in find_entry(published_data(), name, "data set").terms:
        if head in ("what", "license", "cite", "page"):
            out.print(f"{head}: {words}", soft_wrap=True, highlight=False, markup=False)
    summary = None
    with progress_bar() as bar:
        task = bar.add_task("Looking at the files", total=None)
        for event in convert_data(name, source, output):
            bar.update(task, completed=event.done, total=event.total or None, description="Converting")
            summary = event.summary or summary
    if summary is None:
        raise UserError("Nothing was converted.")
    _tell(summary, output)
    if summary.failed:
        raise typer.Exit(1)


def _tell(summary: Summary, output: Path) -> None:
    """Print what came of a conversion, and what can be done with it."""
    for note in summary.notes:
        print_note(note)
    for place, why in list(summary.failed.items())[:_SHOWN]:
        print_note(f"{place}: {why}")
    if summary.failed:
        print_note(f"{counted(len(summary.failed), 'image')} could not be converted; data.json names all of them.")
    what = f"{counted(summary.images, 'image')} of {counted(summary.plants, 'plant')}"
    out.print(
        f"{output}: {what}; {counted(summary.held_out, 'image')} held out for scoring.",
        soft_wrap=True, highlight=False, markup=False,
    )  # fmt: skip
    _print_command("train", str(output / "train.yaml"), "--output", str(output / "run"))
    _print_command("finetune", str(output))
    _print_command("data", "score", str(output), "--model", "leaf")


def _print_command(*words: str) -> None:
    out.print(f"napari-leafseg {shlex.join(words)}", soft_wrap=True, highlight=False, markup=False)


@app.command("score")
def score(
    folder: Annotated[Path, typer.Argument(help="A folder that “data convert” made.")],
    model: Model = "leaf",
    device: Device = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to this file; into the folder if left out.")
    ] = None,
) -> None:
    """Score a model on the images of a converted data set that are held out."""
    from napari_leafseg._files import safe_name
    from napari_leafseg.pipelines.datasets.score import score_data
    from napari_leafseg.pipelines.predictors import get_predictor

    predictor = get_predictor(model, device)
    target = json_file or folder / f"scores-{safe_name(predictor.card.name)}.json"
    rows: dict[str, dict[str, float]] = {}
    failed: tuple[str, ...] = ()
    with progress_bar() as bar:
        task = bar.add_task("Scoring", total=None)
        for event in score_data(predictor, folder, target):
            bar.update(task, description=event.message[:60], completed=event.done, total=event.total)
            rows, failed = event.table or rows, event.failed or failed
    table = Table("group", "images", "SBD", "BestDice", "FBD", "DiC", "|DiC|")
    for name, row in rows.items():
        figures = [f"{row[key]:.4f}" for key in ("SBD", "BestDice", "FBD")]
        table.add_row(escape(name), f"{row['images']:.0f}", *figures, f"{row['DiC']:+.2f}", f"{row['absDiC']:.2f}")
    out.print(table)
    for words in failed:
        print_note(words)
    out.print(f"Written to {target}", soft_wrap=True, highlight=False, markup=False)
    if failed:
        raise typer.Exit(1)
