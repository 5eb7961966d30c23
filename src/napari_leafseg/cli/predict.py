"""Commands that segment images: ``predict``, ``batch``, ``rerun``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_leafseg._console import out, print_error
from napari_leafseg.cli.common import Command, Device, Model, app, progress_bar
from napari_leafseg.cli.parameters import (
    Angle,
    MaskThreshold,
    MinArea,
    Overlap,
    Parameters,
    Score,
    Seeds,
    Tta,
    given_values,
)
from napari_leafseg.errors import UserError


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
