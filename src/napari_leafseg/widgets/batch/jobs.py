"""The jobs of the *Batch* widget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_leafseg.errors import ProjectError
from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.positions import Positions
from napari_leafseg.project import Project


def batch_job(
    patterns: list[str], output: str, options: dict[str, Any], workers: int | None,
    experiment: Experiment | None = None, project: Project | None = None, positions: Positions | None = None,
) -> Iterator[Any]:  # fmt: skip
    """Run an experiment; yields `BatchEvent`.

    What the list says of plants and trays holds, else what the experiment knows already; what was corrected in the
    project counts.
    """
    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.run import run_batch

    def said(_paths: Any) -> tuple[Experiment, list[str]]:
        assert experiment is not None
        return experiment, []

    known = None if experiment is None else said
    place = None if project is None else _written(project)
    yield from run_batch(
        patterns, output, BatchSettings(**options), workers, known=known, project=place, setups=positions or None
    )


def correct_job(experiment: Path) -> Iterator[Any]:
    """Make the project in which an experiment is corrected; yields `TransferEvent`."""
    from napari_leafseg.pipelines.batch.correcting import make_project

    yield from make_project(experiment)


def update_job(
    experiment: Path, project: Project, known: Experiment, positions: Positions, workers: int | None = None
) -> Iterator[Any]:
    """Measure again what was corrected in an experiment's project; yields `BatchEvent`."""
    from napari_leafseg.pipelines.batch.correcting import update_experiment

    _written(project)
    yield from update_experiment(experiment, known, workers, positions)


def experiment_in(text: str) -> Path | None:
    """Return the folder of an experiment that was measured, None where a text names none."""
    from napari_leafseg.pipelines.batch.correcting import is_experiment

    return Path(text) if text and is_experiment(text) else None


def project_in(experiment: Path) -> Path:
    """Return the folder of the project in which an experiment is corrected."""
    from napari_leafseg.pipelines.batch.places import own_project

    return own_project(experiment.absolute())


def experiment_of_project(project: Project | None) -> Path | None:
    """Return the experiment that is corrected in a project, None where it is of none."""
    from napari_leafseg.pipelines.batch.correcting import experiment_of

    return None if project is None else experiment_of(project.folder)


def _written(project: Project) -> Path:
    """The folder of a project of which everything is on the disk."""
    if not project.writer.flush():
        raise ProjectError(f"The project {project.folder} cannot be written. {project.writer.error}")
    return project.folder
