"""Many images predicted, and measured and reported where that is asked for.

Written into the folder: ``labels/NAME_label.tif`` and ``.json`` (the record that `rerun` takes), ``overlays/NAME.jpg``,
``leaves.csv``, ``plants.csv``, ``growth.csv``, ``tracks.csv``, ``images.csv``, ``errors.csv``, ``report.html`` and
``batch.json``; ``parts/`` holds what a restart needs. Without ``settings.measure``, the labels and their records alone,
straight into the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from napari_leafseg._counts import counted
from napari_leafseg._extras import require
from napari_leafseg._files import clear_unfinished, write_atomically
from napari_leafseg.errors import InputFileError, ParameterError
from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.gather import gather
from napari_leafseg.experiment.positions import Positions
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.inference.tta import find_preset
from napari_leafseg.io.exchange.formats import find_format
from napari_leafseg.models.parameters import check_values
from napari_leafseg.models.store.zoo import describe_model, find_model
from napari_leafseg.pipelines.batch.before import Before, own_traits_of, with_own_traits
from napari_leafseg.pipelines.batch.config import BatchSettings, file_hash
from napari_leafseg.pipelines.batch.decisions import NOTHING_DECIDED, Decisions, read_decisions, tell_tasks
from napari_leafseg.pipelines.batch.find import FoundTasks, Task, find_tasks
from napari_leafseg.pipelines.batch.image_task import process_image
from napari_leafseg.pipelines.batch.marker import cached_result
from napari_leafseg.pipelines.batch.places import own_project
from napari_leafseg.pipelines.batch.setups import set_up, unknown_pots
from napari_leafseg.pipelines.batch.tables import write_exports, write_tables
from napari_leafseg.pipelines.engine import RunEvent, run_over
from napari_leafseg.pipelines.precision import agree_on_precision
from napari_leafseg.pipelines.report.write import Source, write_report
from napari_leafseg.project.corrections import correction_of, find_corrections
from napari_leafseg.traits.extra import all_traits
from napari_leafseg.versions import software_versions, timestamp


@dataclass(frozen=True)
class BatchEvent:
    """Progress of an experiment.

    Attributes
    ----------
    done, total : float
        Images.
    message : str
    result : dict or None
        Of the image that was just done (or skipped, as it had been done before), see `process_image`.
    report : pathlib.Path or None
        With the last event.
    skipped : bool
        The image had been done before.
    left_out : str
        Which files of folders were not taken for images, and why.
    note : str
        What a person should know of plants and dates.
    """

    done: float
    total: int
    message: str
    result: dict[str, Any] | None = None
    report: Path | None = None
    skipped: bool = False
    left_out: str = ""
    note: str = ""


Gather = Callable[[Sequence[Path]], tuple[Experiment, list[str]]]
"""Says what is known of images, and what a person should know; see `napari_leafseg.experiment.gather`."""


def run_batch(
    patterns: Iterable[str | Path] | FoundTasks,
    output: str | Path,
    settings: BatchSettings,
    workers: int | None = None,
    scheduler: str | None = None,
    known: Gather | None = None,
    project: str | Path | None = None,
    setups: Tray | Positions | None = None,
) -> Iterator[BatchEvent]:
    """Predict images, measure and report them; may be stopped after any event, and goes on where it was.

    What is written into `output`, the module says. What people corrected in a project is measured as they left it.

    Parameters
    ----------
    patterns : iterable of path or str, or FoundTasks
        Files, folders, patterns; or what was found of them.
    output : path
    settings : BatchSettings
    workers : int, optional
        Processes on this machine; 0 works in this one. `default_workers` when None.
    scheduler : str, optional
        Address of a Dask scheduler: the work is done by its workers, which see the same files.
    known : callable, optional
        Says what is known of the images; what the experiment knows already, else their names and EXIF, when None.
    project : path, optional
        Whose corrections count; those of the experiment's own project, where there is one, when None.
    setups : Tray or Positions, optional
        See `set_up`; what held in the experiment before when None.

    Raises
    ------
    UserError
        When nothing can be done at all: no image, no such model, a folder that cannot be written, no scheduler.
    """
    place, project = Path(output), _project_of(Path(output), settings, project)
    before = Before.of(place) if settings.measure else None
    settings = with_own_traits(settings, project) if settings.measure else settings
    settings, said = (settings, []) if before is None else before.scale_for_all(settings)
    tasks, errors, left_out = _found(patterns, place, settings.measure, project)
    digest = _check(settings, place, scheduler is None)
    precision = agree_on_precision(settings.precision, settings.device, scheduler, place / "batch.json", digest)
    settings = settings.model_copy(update={"precision": precision})
    paths = [Path(task.path) for task in tasks if settings.measure]
    experiment, setups, notes = _known(paths, known, setups, before)
    decisions = NOTHING_DECIDED if project is None else read_decisions(project, tasks)
    notes = [*([] if before is None else before.other_settings(settings)), *said, *notes]
    if settings.measure:
        tasks = tell_tasks(set_up(tasks, experiment, settings, setups, decisions.scales), decisions)
        notes = [*notes, *unknown_pots(experiment, tasks)]
        typed = settings.px_per_mm if before is None or before.project is None else before.typed()
        _write_about(place, settings, digest, tasks, experiment, typed, own_traits_of(settings, project))
    total, results = len(tasks) + len(errors), list(errors)
    yield from _first_events(left_out, [*_told(tasks), *notes], errors, total)
    yield from _work(place, tasks, settings, digest, results, workers, scheduler)
    _sort(results, tasks)
    yield from _report(place, results, settings, total, experiment, decisions)


def _work(
    place: Path, tasks: Sequence[Task], settings: BatchSettings, digest: str, results: list[dict[str, Any]],
    workers: int | None, scheduler: str | None,
) -> Iterator[BatchEvent]:  # fmt: skip
    """Do the images; what each gave is added to the results, which hold the errors already."""
    errors, total = len(results), len(tasks) + len(results)
    events = run_over(
        tasks, partial(process_image, output=str(place.resolve()), settings=settings, digest=digest),
        name=lambda task: task.name, cached=lambda task: cached_result(place, task, digest),
        collect=True, workers=workers, scheduler=scheduler, device=settings.device,
    )  # fmt: skip
    with contextlib.closing(events):
        for event in events:
            if (result := _result_of(event)) is not None:
                results.append(result)
            yield BatchEvent(errors + event.done, total, event.message, result, skipped=event.skipped)


def _known(
    paths: Sequence[Path], known: Gather | None, setups: Tray | Positions | None, before: Before | None
) -> tuple[Experiment, Tray | Positions | None, list[str]]:
    """What is known of the images, which trays and scales hold, and what is to be said: what was given, or is there."""
    experiment, notes = (known or (gather if before is None else before.plants))(paths)
    if setups is not None or before is None:
        return experiment, setups, notes
    held, more = before.positions(paths, experiment)
    return experiment, held, [*notes, *more]


def _unfit(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was decided about pots that are not there."""
    return [sentence for item in results for sentence in item.get("unfit", ())]


def _project_of(place: Path, settings: BatchSettings, project: str | Path | None) -> str | Path | None:
    """The project whose corrections and decisions count: that which is given, or the experiment's own."""
    if project is None and settings.measure and (own_project(place) / "project.json").exists():
        return own_project(place)
    return project


def _found(
    patterns: Iterable[str | Path] | FoundTasks, place: Path, measure: bool, project: str | Path | None
) -> FoundTasks:
    """The images, and what people corrected of them in a project."""
    if not isinstance(patterns, FoundTasks):
        patterns = find_tasks(patterns, place if measure else None, [place])
    if project is None:
        return patterns
    corrections = find_corrections(project, [task.path for task in patterns.tasks])
    tasks = [task._replace(correction=correction_of(corrections, task.path)) for task in patterns.tasks]
    return patterns._replace(tasks=tasks)


def _told(tasks: Sequence[Task]) -> Iterator[str]:
    corrected = [task.correction for task in tasks if task.correction is not None]
    if corrected:
        yield f"{counted(len(corrected), 'image')} measured as corrected or reviewed in {corrected[0].folder}."


def _sort(results: list[dict[str, Any]], tasks: Sequence[Task]) -> None:
    """Sort results as their images are; what is not there comes first."""
    order = {task.name: number for number, task in enumerate(tasks)}
    results.sort(key=lambda result: order.get(result["name"], -1))


def _result_of(event: RunEvent[Task, dict[str, Any]]) -> dict[str, Any] | None:
    """What an image gave, or its error."""
    if event.error is not None and event.item is not None:
        return {"name": event.item.name, "path": event.item.path, "error": str(event.error)}
    return event.result


def _first_events(
    left_out: str, notes: Iterable[str], errors: list[dict[str, Any]], total: int
) -> Iterator[BatchEvent]:
    """What is to be said before any image is done."""
    if left_out:
        yield BatchEvent(0, total, left_out, left_out=left_out)
    yield from (BatchEvent(0, total, note, note=note) for note in notes)
    yield from (BatchEvent(number, total, item["error"], item) for number, item in enumerate(errors, start=1))


def _clear(place: Path) -> None:
    """Delete what processes that were killed left half-written."""
    for folder in (place, *(place / name for name in ("labels", "parts", "overlays", "overlays/closer"))):
        clear_unfinished(folder)


def _report(
    place: Path, results: list[dict[str, Any]], settings: BatchSettings, total: int, experiment: Experiment,
    decisions: Decisions,
) -> Iterator[BatchEvent]:  # fmt: skip
    """Write tables, exports and the report, where images are measured."""
    _clear(place)  # of workers that died
    if not settings.measure:
        yield BatchEvent(total, total, "Done")
        return
    yield BatchEvent(total, total, "Writing tables and report")
    images, followed = write_tables(place, results, experiment, settings.px_per_mm, decisions)
    notes = (*followed.grouping.notes, *followed.notes, *_unfit(results))
    yield from (BatchEvent(total, total, note, note=note) for note in notes)
    for name in write_exports(place, results, settings.exports, settings.reading):
        yield BatchEvent(total, total, f"Exporting {name}")
    failed = [item for item in results if "error" in item]
    yield BatchEvent(total, total, "Done", report=write_report(Source(place, images, followed, failed, settings)))


def _check(settings: BatchSettings, place: Path, here: bool) -> str:
    """Refuse what no image can be done with; returns the digest of the settings.

    Parameters
    ----------
    settings : BatchSettings
    place : path
        Made, and tried to write to.
    here : bool
        Whether the work is done on this machine, so that its device must be there.
    """
    if settings.measure:
        require("pyarrow", "Measuring a batch")
        require("matplotlib", "The report of a batch")
    for fmt in settings.exports:
        find_format(fmt)
    digest = settings.digest()
    card = describe_model(settings.model)
    check_values(card.family.settable, settings.values)
    find_preset(settings.tta)
    all_traits(settings.traits)
    if settings.full_masks and not card.family.overlapping_masks:
        raise ParameterError(
            f"{settings.model} gives no overlapping masks; a query-based model does, see “napari-leafseg models”."
        )
    if here:
        from napari_leafseg.inference.device import choose_device

        choose_device(settings.device)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputFileError(f"Cannot write to the folder {place}: {error.strerror}. Choose another.") from error
    _clear(place)
    return digest


def _write_about(
    place: Path, settings: BatchSettings, digest: str, tasks: Sequence[Task], experiment: Experiment,
    typed: float | None, own_traits: Mapping[str, Any],
) -> None:  # fmt: skip
    """``batch.json``: what is done, with which model and software, and what is known of the images."""
    card = describe_model(settings.model)
    known = dict[str, dict[str, Any]]()
    for task in tasks:
        path = Path(task.path)
        said = {name: layer[path] for name, layer in experiment.layers.items() if path in layer}
        if said:
            known[task.name] = said
    content = {
        "settings": settings.model_dump(),
        "digest": digest,
        "typed_scale": typed,
        "own_traits": own_traits,
        "images": len(tasks),
        "place": str(place.absolute()),
        "files": {task.name: os.path.abspath(task.path) for task in tasks},
        "pattern": experiment.pattern,
        "known": known,
        "pots": experiment.pots,
        "setups": {task.name: json.loads(task.setup) for task in tasks if task.setup},
        "model": {"name": card.name, "version": card.version, "sha256": file_hash(find_model(settings.model))},
        "software": software_versions(),
        "created": timestamp(),
    }
    write_atomically(place / "batch.json", (json.dumps(content, indent=1) + "\n").encode())
