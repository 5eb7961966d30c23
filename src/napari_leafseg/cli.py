"""The command line, ``napari-leafseg``: one function for each command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_leafseg import cli_models, cli_training
from napari_leafseg._console import err, out, print_error, progress_bar
from napari_leafseg.cli_parameters import (
    Angle,
    Command,
    Device,
    MaskThreshold,
    MinArea,
    Model,
    Overlap,
    Parameters,
    Score,
    Seeds,
    Tta,
    given_values,
)
from napari_leafseg.errors import UserError

app = typer.Typer(
    help="Outline, count and measure every leaf of a plant.", no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(cli_models.app, name="models", help="List the models that there are, or import a published one.")


def main() -> None:
    """Run the command line; mistakes of the user end with a sentence and exit code 2."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        print_error(error)
        sys.exit(2)


@app.command(cls=Command)
def predict(
    images: Annotated[list[Path], typer.Argument(help="Images or folders of images.")],
    output: Annotated[Path, typer.Option(help="Folder for <stem>_label.tif and <stem>_label.json.")],
    model: Model = "leaf",
    seed_threshold: Seeds = None,
    angle: Angle = None,
    score_threshold: Score = None,
    mask_threshold: MaskThreshold = None,
    overlap: Overlap = None,
    min_area: MinArea = None,
    param: Parameters = None,
    scale: Annotated[float | None, typer.Option(help="Working scale, 0.02 to 8; found by itself if left out.")] = None,
    device: Device = "auto",
    tta: Tta = "standard",
    plant_masks: Annotated[Path | None, typer.Option(help="Folder of plant masks, <stem>_fg.png.")] = None,
    full_masks: Annotated[
        bool, typer.Option(help="query-based models: also write the full masks, also where they overlap, as COCO.")
    ] = False,
) -> None:
    """Segment the leaves of images."""
    from napari_leafseg.pipelines.predict import predict_files

    values = given_values(model, param, seed_threshold=seed_threshold, angle=angle, score_threshold=score_threshold,
                    mask_threshold=mask_threshold, overlap=overlap, min_area=min_area)  # fmt: skip
    failed = 0
    with progress_bar() as bar:
        task = bar.add_task("Predicting", total=None)
        for event in predict_files(images, output, model, values, scale, device, tta, plant_masks, full_masks):
            bar.update(task, description=event.message, completed=event.done, total=event.total)
            if event.error is not None:
                failed += 1
                print_error(event.error)
            elif event.written is not None:
                notes = "".join(f" [yellow]{note}[/]" for note in event.notes)
                out.print(
                    f"{event.written}: {event.count} leaves, scale {event.scale:.2f}.{notes}",
                    highlight=False,
                    soft_wrap=True,
                )
    if failed:
        raise typer.Exit(2)


@app.command(cls=Command)
def batch(
    images: Annotated[list[str], typer.Argument(help="Images, folders, or patterns like “plants/**/*.jpg”.")],
    output: Annotated[
        Path, typer.Option(help="Folder of the experiment; what is done there already is not done again.")
    ],
    model: Model = "leaf",
    seed_threshold: Seeds = None,
    angle: Angle = None,
    score_threshold: Score = None,
    mask_threshold: MaskThreshold = None,
    overlap: Overlap = None,
    min_area: MinArea = None,
    param: Parameters = None,
    scale: Annotated[float | None, typer.Option(help="Working scale, 0.02 to 8; found by itself if left out.")] = None,
    px_per_mm: Annotated[
        float | None, typer.Option(help="Pixels a millimeter; traits are in pixels if left out.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; one a core or graphics card if left out.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:8786.")] = None,
    device: Device = "auto",
    tta: Tta = "standard",
    scale_from_file: Annotated[bool, typer.Option(help="Take the pixels a millimeter that each file states.")] = False,
    export: Annotated[list[str] | None, typer.Option(help="Also write labels in this format: {formats}.")] = None,
) -> None:
    """Segment, measure and report a whole experiment; called again, it goes on where it was."""
    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.run import run_batch

    values = given_values(model, param, seed_threshold=seed_threshold, angle=angle, score_threshold=score_threshold,
                    mask_threshold=mask_threshold, overlap=overlap, min_area=min_area)  # fmt: skip
    settings = BatchSettings(
        model=model, values=values, scale=scale,
        device=device, tta=tta, px_per_mm=px_per_mm, scale_from_file=scale_from_file, exports=tuple(export or ()),
    )  # fmt: skip
    failed = 0
    with progress_bar() as bar:
        task = bar.add_task("Starting", total=None)
        for event in run_batch(images, output, settings, workers, scheduler):
            bar.update(task, description=event.message[:60], completed=event.done, total=event.total)
            if event.result is not None and "error" in event.result:
                failed += 1
                print_error(UserError(event.result["error"]))
    out.print(f"{event.total - failed} images done, {failed} not. Report: {event.report}", soft_wrap=True)
    if failed:
        raise typer.Exit(2)


@app.command()
def rerun(
    record: Annotated[Path, typer.Argument(help="NAME_label.json, or a session saved from the window.")],
    output: Annotated[Path | None, typer.Option(help="Folder to write the labels to.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images, when they were moved.")] = None,
    device: Device = "auto",
) -> None:
    """Make the same labels again from their record."""
    from napari_leafseg.io import write_labels
    from napari_leafseg.pipelines.batch.rerun import read_records
    from napari_leafseg.pipelines.batch.rerun import rerun as run_again

    differ = 0
    for item in read_records(record):
        result = run_again(item, images, device)
        said = {True: "the same labels", False: "OTHER labels than those beside the record", None: "done"}[result.same]
        differ += result.same is False
        out.print(f"{item.path.name}: {int(result.labels.max(initial=0))} leaves, {said}.", soft_wrap=True)
        if output is not None:
            write_labels(output / item.path.with_suffix(".tif").name, result.labels, result.record)
    if differ:
        raise typer.Exit(1)


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Option(help="Folder of label images.")],
    truth: Annotated[Path, typer.Option(help="Folder of true label images with the same stems.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    challenge: Annotated[bool, typer.Option(help="Follow the challenge's scorer in its corner cases.")] = False,
) -> None:
    """Compare label images: SBD, BestDice, FBD, DiC, |DiC|."""
    from napari_leafseg._files import write_atomically
    from napari_leafseg.pipelines.evaluate import evaluate_folders

    result = evaluate_folders(prediction, truth, challenge)
    table = Table("image", "SBD", "BestDice", "FBD", "DiC", "|DiC|", title=f"{len(result['images'])} images")
    for name, row in [*result["images"].items(), ("mean", result["mean"])]:
        sign = f"{row['DiC']:+.2f}" if name == "mean" else f"{row['DiC']:+.0f}"
        table.add_row(
            name, f"{row['SBD']:.4f}", f"{row['BestDice']:.4f}", f"{row['FBD']:.4f}", sign, f"{row['absDiC']:.2f}"
        )
    out.print(table)
    for message in result["unmatched"]:
        err.print(f"[yellow]{message}[/]", soft_wrap=True)
    if json_file is not None:
        write_atomically(json_file, (json.dumps(result, indent=2) + "\n").encode())


app.command()(cli_training.tune)
app.command()(cli_training.train)
app.command()(cli_training.challenge)


@app.command()
def synthesize(
    output: Annotated[Path, typer.Option(help="Folder for the images and labels.")],
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 10,
    seed: Annotated[int, typer.Option(help="The first image's seed.")] = 0,
    size: Annotated[int, typer.Option(min=16, help="Height and width, pixels.")] = 288,
    plants: Annotated[int, typer.Option(min=0, help="Plants in an image.")] = 1,
    samples: Annotated[bool, typer.Option(help="Make the files of sample_data/ instead.")] = False,
) -> None:
    """Draw synthetic plants with the label of every leaf."""
    from napari_leafseg.pipelines.synthesize import synthesize_files

    with progress_bar() as bar:
        task = bar.add_task("Drawing plants", total=None)
        for done, total in synthesize_files(output, count, seed, size, plants, samples):
            bar.update(task, completed=done, total=total)
    out.print(f"Written to {output}", soft_wrap=True)


@app.command("export", cls=Command)
def export_project(
    project: Annotated[Path, typer.Argument(help="A project's folder.")],
    output: Annotated[Path, typer.Option(help="Folder for the labels.")],
    fmt: Annotated[str, typer.Option("--format", help="One of: {formats}.")] = "coco",
) -> None:
    """Write a project's labels in another program's format."""
    from napari_leafseg.project import Project
    from napari_leafseg.project.transfer import export_labels

    with Project.open(project) as opened, progress_bar() as bar:
        task = bar.add_task("Exporting", total=None)
        for event in export_labels(opened, output, fmt):
            bar.update(task, completed=event.done, total=event.total)
    out.print(f"{event.total} images’ labels are in {output}.", highlight=False, soft_wrap=True)


app.command(cls=Command)(cli_training.finetune)


@app.command()
def demo(
    output: Annotated[
        Path | None,
        typer.Option(help="Run the main job by itself, leave a screenshot, labels and traits here, and end."),
    ] = None,
) -> None:
    """Open napari on the sample plants, segment the first one."""
    from napari_leafseg.widgets.demo import run_demo

    run_demo(output)


if __name__ == "__main__":
    main()
