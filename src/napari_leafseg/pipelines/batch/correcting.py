"""The project in which an experiment is corrected, and the experiment brought up to date with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_leafseg._files import read_json
from napari_leafseg.errors import InputFileError, ParameterError, ProjectError, UserError, plain_reason
from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.positions import Positions
from napari_leafseg.io import label_path, read_labels
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.pipelines.batch.about import known_before, positions_before, read_about
from napari_leafseg.pipelines.batch.before import Before, without_earlier_traits
from napari_leafseg.pipelines.batch.config import file_hash
from napari_leafseg.pipelines.batch.find import FoundTasks, Task
from napari_leafseg.pipelines.batch.places import find_files, own_project
from napari_leafseg.pipelines.batch.run import BatchEvent, run_batch
from napari_leafseg.project import Project
from napari_leafseg.project.background import store_labels
from napari_leafseg.project.corrections import read_list
from napari_leafseg.project.experiment_file import (
    FILE,
    KeptExperiment,
    experiment_content,
    load_experiment,
    write_experiment,
)
from napari_leafseg.project.files import ImageRef
from napari_leafseg.project.measurement_settings import MeasurementSettings
from napari_leafseg.project.positions_file import KeptPositions, positions_content, read_positions, write_positions
from napari_leafseg.project.transfer import TransferEvent

_LOG = logging.getLogger(__name__)
_OF_BATCH = {"batch", "count", "px_per_mm", "corrections"}  # what a batch's record says beside that of a prediction


def is_experiment(folder: str | Path) -> bool:
    """Tell whether a folder holds what a batch measured."""
    folder = Path(folder)
    return (folder / "batch.json").is_file() and (folder / "parts").is_dir()


def experiment_of(project: str | Path) -> Path | None:
    """Return the experiment that is corrected in a project, None where it is of none."""
    folder = Path(project)
    return folder.parent if own_project(folder.parent) == folder and is_experiment(folder.parent) else None


def make_project(experiment: str | Path) -> Iterator[TransferEvent]:
    """Make the project in which an experiment is corrected, or bring the one that is there up to date.

    It lies in the experiment's folder, ``project/``. What people corrected in it stays as it is; all other images get
    the labels that the experiment has.

    Raises
    ------
    UserError
        When the folder holds no experiment, or the project cannot be written or is open elsewhere.
    """
    place = Path(experiment).absolute()
    about, settings = read_about(place)
    folder = own_project(place)
    images = _done_images(place, find_files(place, about))
    if not images:
        raise InputFileError(
            f"{place} holds no image that was done; errors.csv says why. Run the batch to its end first."
        )
    new = not (folder / "project.json").exists()
    with Project.create(folder, place.name) if new else Project.open(folder) as project:
        if new:
            project.read_options = settings.reading
            MeasurementSettings(
                px_per_mm=settings.px_per_mm, traits=settings.traits, color_limits=settings.color_limits
            ).write(folder)
        if project.missing():
            project.relink_to([image.path for image in images])
        project.add_all([(image.path, image.sha256) for image in images])
        if not (folder / FILE).exists():
            files = {image.name: image.path for image in images}
            known = known_before(about, files)
            write_experiment(folder, experiment_content(KeptExperiment(known), project))
            positions = positions_before(about, files, known)
            if positions:
                write_positions(folder, positions_content(KeptPositions(positions), project))
        for number, image in enumerate(images):
            yield TransferEvent(number, len(images), image.path.name)
            ref = project.find(image.path)
            assert ref is not None
            if ref.state == "new":
                _take(project, ref, image.labels, image.record)
        if not project.writer.flush():
            raise ProjectError(f"The project {folder} cannot be written. {project.writer.error}")
    yield TransferEvent(len(images), len(images), "")


def _take(project: Project, ref: ImageRef, path: Path, record: dict[str, Any]) -> None:
    """Give an image the labels of the experiment, unless it has them."""
    labels = read_labels(path, series=True).astype(np.uint16)
    if project.labels_path(ref).exists() and np.array_equal(project.read_labels(ref), labels):
        return
    told = {key: value for key, value in record.items() if key not in _OF_BATCH}
    model = record.get("model", {}).get("name", "a model")
    store_labels(project, ref, labels, f"segment with {model}", lambda _after: told)


class _Done(NamedTuple):
    """An image that was done."""

    name: str
    path: Path
    sha256: str
    labels: Path
    record: dict[str, Any]


def _done_images(place: Path, files: Mapping[str, Path]) -> list[_Done]:
    """The images that were done, by name."""
    found = []
    for marker in sorted((place / "parts").glob("*.json")):
        labels = label_path(place / "labels", marker.stem)
        try:
            record = read_json(labels.with_suffix(".json"))
            path, sha256 = record["image"]["path"], str(record["image"].get("sha256", ""))
        except (OSError, UserError, KeyError, TypeError) as error:
            _LOG.warning(
                "%s is left out of the project: its record cannot be read (%s).", marker.stem, plain_reason(error)
            )
            continue
        if labels.exists():
            found.append(_Done(marker.stem, files.get(marker.stem, Path(path)), sha256, labels, record))
    return found


def update_experiment(
    experiment: str | Path, known: Experiment | None = None, workers: int | None = None,
    positions: Positions | None = None,
) -> Iterator[BatchEvent]:  # fmt: skip
    """Measure the images again whose labels were corrected in the experiment's project, and write tables and report.

    Parameters
    ----------
    experiment : path
    known : Experiment, optional
        What is known of the plants; what the project says when None.
    workers : int, optional
        See `run_batch`.
    positions : Positions, optional
        Trays, scales and colors; what the project says when None.

    Raises
    ------
    UserError
        When the folder holds no experiment.
    """
    place = Path(experiment).absolute()
    about, settings = read_about(place)
    if about.get("digest") != settings.digest():
        same = about.get("model", {}).get("sha256") == file_hash(find_model(settings.model)) and settings.traits
        what = "A trait of yours" if same else f"The model “{settings.model}”"
        raise ParameterError(
            f"{what} is another one than when {place.name} was measured. Run the batch again; what was corrected stays "
            "as it is."
        )
    files = find_files(place, about)
    if not files:  # of an earlier version
        files = {image.name: image.path for image in _done_images(place, {})}
    folder = own_project(place)
    if known is None:
        kept = load_experiment(read_list(folder, files.values())) if (folder / FILE).exists() else None
        if kept is not None and kept.problem:
            raise ProjectError(kept.problem)
        known = known_before(about, files) if kept is None else kept.experiment
    if positions is None:
        there = (folder / "positions.json").exists()
        positions = read_positions(folder, files.values()) if there else positions_before(about, files, known)
    said, before = known, Before.of(place)
    if before is not None and before.typed() != about.get("typed_scale", settings.px_per_mm):
        settings = settings.model_copy(update={"px_per_mm": None})  # so that what was typed since is asked for

    settings = without_earlier_traits(settings, about, folder)

    def gather(_paths: Sequence[Path]) -> tuple[Experiment, list[str]]:
        return said, []

    tasks = [Task(str(path), name) for name, path in files.items()]
    yield from run_batch(FoundTasks(tasks, []), place, settings, workers, known=gather, setups=positions)
