"""Keeps what people decided about measurements with the project that is open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from napari.utils.notifications import show_error

from napari_leafseg.errors import UserError
from napari_leafseg.io.exchange.names import short_names
from napari_leafseg.project import Project
from napari_leafseg.project.measurement_settings import (
    FILE,
    ImageMeasurementSettings,
    MeasurementSettings,
    read_measurement_settings,
)
from napari_leafseg.project.write_job import Job
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.project_store import ProjectStore


class Asked(NamedTuple):
    """Decisions as they were when tables were asked for: their name, the names of the frames, and they themselves."""

    name: str = ""
    images: Sequence[Sequence[str]] = ()
    notes: ImageMeasurementSettings = ImageMeasurementSettings()


class MeasurementSettingsStore(ProjectStore[MeasurementSettings]):
    """The notes of the open project; those made before one was opened go with it."""

    file = FILE

    def __init__(self, controller: ProjectController) -> None:
        super().__init__(controller)
        self._project_changed()

    @property
    def notes(self) -> MeasurementSettings:
        """What was decided; may be changed, and is to be kept then."""
        return self._kept

    def names_of(self, paths: Iterable[Path | None]) -> list[list[str]]:
        """Return the names by which images of a list are kept: that in the project where there is one, and the path."""
        project, found = self._controller.project, []
        for path in paths:
            ref = None if project is None or path is None else project.find(path)
            found.append([str(path)] if ref is None else [ref.id, str(path)])
        return found

    def take_found(self, asked: Asked, found: ImageMeasurementSettings) -> None:
        """Keep decisions by the numbers that their leaves have now, unless others were made meanwhile."""
        name, images, before = asked
        now = self._kept.images.get(name)
        if now is not None and found != before and now.of_frames(images) == before:
            self._kept.images[name] = found
            self.keep()

    def of_frames(self, name: str, images: Sequence[Sequence[str]]) -> ImageMeasurementSettings:
        """Return the notes of an image or series, which may be changed, their frames numbered as these images."""
        found = self._kept.images[name] = self._kept.of(name).of_frames(images)
        return found

    def _empty(self) -> MeasurementSettings:
        return MeasurementSettings()

    def _load(self, project: Project) -> MeasurementSettings:
        try:
            found = read_measurement_settings(project.folder)
            names = short_names([project.path_of(ref) for ref in project.images])
            if found.images:
                found.fold_single({names[project.path_of(ref)]: ref.id for ref in project.images})
            return found
        except UserError as error:
            show_error(str(error))
            return MeasurementSettings()

    def _job(self, project: Project) -> Job | None:
        notes = self._kept.with_frames_called({str(project.path_of(ref)): ref.id for ref in project.images})
        return Job(lambda other: notes.write(other.folder), project, "")
