"""Commands that segment images: ``predict``, ``batch``, ``correct``, ``update``, ``rerun``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.markup import escape

from napari_leafseg._console import out, print_error, print_note
from napari_leafseg._counts import counted
from napari_leafseg.cli.common import Command, Device, Model, app, progress_bar
from napari_leafseg.cli.metadata import DayFirst, MetadataTable, Pattern, given_pattern
from napari_leafseg.cli.parameters import (
    LEFT_OUT_CODE,
    Angle,
    Channels,
    ColorCard,
    ColorLimits,
    MarkerSize,
    MaskThreshold,
    MinArea,
    Overlap,
    OwnTraits,
    Parameters,
    PxPerMm,
    Score,
    Seeds,
    TrayFile,
    Tta,
    ZPlane,
    given_limits,
    given_values,
    read_options,
)
from napari_leafseg.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.run import BatchEvent, Gather


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
    channels: Channels = None,
    z: ZPlane = "max",
) -> None:
    """Segment the leaves of images."""
    from napari_leafseg.io import label_path
    from napari_leafseg.pipelines.batch.config import BatchSettings

    values = given_values(model, param, seed_threshold=seed_threshold, angle=angle, score_threshold=score_threshold,
                    mask_threshold=mask_threshold, overlap=overlap, min_area=min_area)  # fmt: skip
    reading = read_options(channels, z)
    settings = BatchSettings(
        model=model, values=values, scale=scale, channels=reading.channels, z=reading.z, device=device, tta=tta,
        measure=False, plant_masks=None if plant_masks is None else str(plant_masks.resolve()), full_masks=full_masks,
    )  # fmt: skip

    def tell(found: dict[str, Any]) -> None:
        notes = "".join(f" [yellow]{escape(note)}[/]" for note in found["notes"])
        where = escape(str(label_path(output, found["name"])))
        out.print(
            f"{where}: {counted(found['count'], 'leaf')}, scale {found['scale']:.2f}.{notes}",
            highlight=False,
            soft_wrap=True,
        )

    _exit(_run_batch(images, output, settings, 0, tell=tell))


class _Outcome(NamedTuple):
    """How a run over many images ended."""

    total: int
    failed: int
    skipped: int
    left_out: bool
    report: Path | None


def _exit(outcome: _Outcome) -> None:
    """End with the code that tells whether something failed, or was left out."""
    if outcome.failed or outcome.left_out:
        raise typer.Exit(2 if outcome.failed else LEFT_OUT_CODE)


def _run_batch(
    images: Sequence[str | Path], output: Path, settings: BatchSettings, workers: int | None,
    scheduler: str | None = None, tell: Callable[[dict[str, Any]], None] | None = None, known: Gather | None = None,
    setups: Any = None,
) -> _Outcome:  # fmt: skip
    """Run many images under a progress bar; errors and what is left out are printed as they come.

    `tell` takes the result of each image that could be done.
    """
    from napari_leafseg.pipelines.batch.run import run_batch

    return _follow(run_batch(images, output, settings, workers, scheduler, known, None, setups), tell)


def _follow(events: Iterator[BatchEvent], tell: Callable[[dict[str, Any]], None] | None = None) -> _Outcome:
    """Show a run's progress; errors and what is left out are printed as they come."""
    failed, skipped, left_out = 0, 0, False
    with progress_bar() as bar:
        task = bar.add_task("Starting", total=None)
        for event in events:
            bar.update(task, description=event.message[:60], completed=event.done, total=event.total)
            if event.left_out:
                left_out = True
                print_note(event.left_out)
            if event.note:
                print_note(event.note)
            skipped += event.skipped
            if event.result is None:
                continue
            if "error" in event.result:
                failed += 1
                print_error(UserError(event.result["error"]))
            elif tell is not None:
                tell(event.result)
    return _Outcome(event.total, failed, skipped, left_out, event.report)


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
    px_per_mm: PxPerMm = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; one a core or graphics card if left out.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:8786.")] = None,
    device: Device = "auto",
    tta: Tta = "standard",
    scale_from_file: Annotated[bool, typer.Option(help="Take the pixels a millimeter that each file states.")] = False,
    export: Annotated[list[str] | None, typer.Option(help="Also write labels in this format: {formats}.")] = None,
    channels: Channels = None,
    z: ZPlane = "max",
    trait: OwnTraits = None,
    pattern: Pattern = None,
    metadata: MetadataTable = None,
    day_first: DayFirst = None,
    tray: TrayFile = None,
    marker_size: MarkerSize = None,
    color_card: ColorCard = False,
    color_limits: ColorLimits = None,
) -> None:
    """Segment, measure and report a whole experiment; called again, it goes on where it was."""
    from napari_leafseg.experiment.gather import gather
    from napari_leafseg.experiment.positions import Positions
    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.setups import read_tray

    values = given_values(model, param, seed_threshold=seed_threshold, angle=angle, score_threshold=score_threshold,
                    mask_threshold=mask_threshold, overlap=overlap, min_area=min_area)  # fmt: skip
    reading = read_options(channels, z)
    settings = BatchSettings(
        model=model, values=values, scale=scale, channels=reading.channels, z=reading.z,
        device=device, tta=tta, px_per_mm=px_per_mm, scale_from_file=scale_from_file, exports=tuple(export or ()),
        traits=tuple(trait or ()), marker_mm=marker_size, color_card=color_card,
        color_limits=given_limits(color_limits),
    )  # fmt: skip
    told = pattern is not None or metadata is not None
    setups = None if tray is None else read_tray(tray)
    held = setups if isinstance(setups, Positions) else Positions({} if setups is None else {Path(): setups})
    pots = held.pot_names()
    ask = partial(gather, pattern=given_pattern(pattern), table=metadata, day_first=day_first, pots=pots)
    done = _run_batch(images, output, settings, workers, scheduler or None, known=ask if told else None, setups=setups)
    out.print(
        f"{counted(done.total - done.failed, 'image')} done, {done.failed} not. Report: {escape(str(done.report))}",
        soft_wrap=True,
    )
    _exit(done)


@app.command(cls=Command)
def correct(
    experiment: Annotated[Path, typer.Argument(help="Folder that batch wrote.")],
) -> None:
    """Make the project in which an experiment is corrected; open it in the window."""
    from napari_leafseg.pipelines.batch.correcting import make_project
    from napari_leafseg.pipelines.batch.places import own_project

    with progress_bar() as bar:
        task = bar.add_task("Starting", total=None)
        for event in make_project(experiment):
            bar.update(task, description=event.name[:60], completed=event.done, total=event.total)
    images = counted(event.total, "image")
    out.print(
        f"{images} in the project {escape(str(own_project(experiment)))}. Open it in the window, correct, then: "
        f"napari-leafseg update {escape(str(experiment))}",
        soft_wrap=True,
    )


@app.command(cls=Command)
def update(
    experiment: Annotated[Path, typer.Argument(help="Folder that batch wrote.")],
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; one a core or graphics card if left out.")
    ] = None,
) -> None:
    """Measure and report an experiment again where its labels were corrected."""
    from napari_leafseg.pipelines.batch.correcting import update_experiment

    done = _follow(update_experiment(experiment, None, workers))
    fresh = counted(done.total - done.failed - done.skipped, "image")
    out.print(f"{fresh} measured again. Report: {escape(str(done.report))}", soft_wrap=True)
    _exit(done)


@app.command()
def rerun(
    record: Annotated[Path, typer.Argument(help="NAME_label.json, or a session saved from the window.")],
    output: Annotated[Path | None, typer.Option(help="Folder to write the labels to.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images, when they were moved.")] = None,
    device: Device = "auto",
) -> None:
    """Make the same labels again from their record."""
    from napari_leafseg.io import write_labels
    from napari_leafseg.pipelines.batch.rerun import read_records, rerun_all

    differ = failed = 0
    for event in rerun_all(read_records(record), images, device):
        if event.error is not None:
            failed += 1
            print_error(event.error)
        item, result = event.item, event.result
        if item is None or result is None:
            continue
        said = {True: "the same labels", False: "OTHER labels than those beside the record", None: "done"}[result.same]
        differ += result.same is False
        out.print(f"{item.path.name}: {counted(int(result.labels.max(initial=0)), 'leaf')}, {said}.", soft_wrap=True)
        for sentence in result.differs:
            print_note(sentence)
        if output is not None:
            write_labels(output / item.path.with_suffix(".tif").name, result.labels, result.record)
    if differ or failed:
        raise typer.Exit(2 if failed else 1)
