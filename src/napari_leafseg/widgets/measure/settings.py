"""Keeps what people decided about measurements with the project that is open."""

from __future__ import annotations

from napari.utils.notifications import show_error

from napari_leafseg.errors import UserError
from napari_leafseg.project import Project
from napari_leafseg.project.measurement_settings import FILE, MeasurementSettings, read_measurement_settings
from napari_leafseg.project.write_job import Job
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.project_store import ProjectStore


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

    def _empty(self) -> MeasurementSettings:
        return MeasurementSettings()

    def _load(self, project: Project) -> MeasurementSettings:
        try:
            return read_measurement_settings(project.folder)
        except UserError as error:
            show_error(str(error))
            return MeasurementSettings()

    def _job(self, project: Project) -> Job | None:
        notes = self._kept.model_copy(deep=True)
        return Job(lambda other: notes.write(other.folder), project, "")
