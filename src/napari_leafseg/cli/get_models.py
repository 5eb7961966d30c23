"""The command ``napari-leafseg models get``: models that others published, by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from napari_leafseg._console import out
from napari_leafseg.cli.common import progress_bar
from napari_leafseg.cli.models import app
from napari_leafseg.errors import UserError
from napari_leafseg.models.registry import importers

if TYPE_CHECKING:
    from napari_leafseg.models.store.get import GetEvent
    from napari_leafseg.published.hub import Offer


@app.command()
def get(
    name: Annotated[
        str | None,
        typer.Argument(help="A name of the catalog, hf:owner/repository or an https:// address; lists it if left out."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--from", help="A folder or file that was fetched already: nothing is fetched.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--as", help=f"Which model it is: {', '.join(importers())}; found by its weights if left out."),
    ] = None,
    own_name: Annotated[str | None, typer.Option("--name", help="Name in the list; the catalog's if left out.")] = None,
    file: Annotated[str | None, typer.Option(help="The file that is meant, where there are several.")] = None,
    leaf_head: Annotated[
        bool | None,
        typer.Option(help="Replace the head for COCO's classes by a fresh one for leaves; as the catalog says."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to its terms without being asked.")] = False,
    catalog: Annotated[Path | None, typer.Option(help="Another catalog than the bundled one.")] = None,
) -> None:
    """Fetch a published model, after showing its license and source, and make it one of yours."""
    from napari_leafseg.models.store.get import Wish, get_from_folder, get_model, offer_folder, offer_model
    from napari_leafseg.models.store.user_models import free_place

    if name is None and folder is None:
        list_catalog(catalog)
        return
    offer = offer_model(name or "", catalog, file) if folder is None else offer_folder(folder, name, catalog, file)
    wish = Wish(own_name, kind, leaf_head)
    free_place(wish.name or offer.name)
    show_terms(offer)
    if not yes and not typer.confirm("Do you agree to its terms?" if folder else "Fetch it under these terms?"):
        raise typer.Exit(1)
    model = _follow(get_model(offer, wish) if folder is None else get_from_folder(offer, wish))
    out.print(f"{model}", soft_wrap=True, highlight=False, markup=False)
    fresh = offer.entry.leaf_head if leaf_head is None else leaf_head
    todo = "Its head for leaves is new: fine-tune it, or train with “init_from: {0}”." if fresh else (
        "Use it as --model {0}."
    )  # fmt: skip
    out.print(todo.format(model.stem), soft_wrap=True, highlight=False)


def list_catalog(catalog: Path | None) -> None:
    """Print what there is by name."""
    from napari_leafseg.models.store.get import published_models

    table = Table(Column("name", no_wrap=True), "what", "license")
    for name, entry in published_models(catalog).items():
        table.add_row(name, escape(entry.title), escape(entry.license))
    out.print(table)
    out.print("Also hf:owner/repository of the Hugging Face hub, and https:// addresses.", soft_wrap=True)


def show_terms(offer: Offer) -> None:
    """Print an offer's terms and its files."""
    for head, words in offer.entry.terms:
        out.print(f"{head}: {words}", soft_wrap=True, highlight=False, markup=False)
    for file in offer.files:
        size = f"{file.size / 1e6:,.1f} MB" if file.size is not None else "size not known"
        known = file.known or "hash not known beforehand"
        out.print(f"file: {file.name}, {size}, {known}", soft_wrap=True, highlight=False, markup=False)


def _follow(events: Iterator[GetEvent]) -> Path:
    """Show the progress until the model is there."""
    model: Path | None = None
    with progress_bar() as bar:
        task = bar.add_task("Asking for it", total=None)
        for event in events:
            bar.update(task, completed=event.done, total=event.total, description=event.message)
            model = event.model or model
    if model is None:
        raise UserError("Nothing was fetched. Begin again.")
    return model
