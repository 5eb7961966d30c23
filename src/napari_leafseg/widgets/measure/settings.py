"""Keeps what people decided about measurements with the project that is open."""

from __future__ import annotations

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_leafseg.errors import UserError
from napari_leafseg.project import Project
from napari_leafseg.project.measurement_settings import FILE, MeasurementSettings, read_measurement_settings
from napari_leafseg.project.write_job import Job
from napari_leafseg.widgets.state.project_controller import ProjectController


class MeasurementSettingsStore(QObject):
    """The notes of the open project; those made before one was opened go with it.

    Signals
    -------
    changed()
        Another project's notes are there.
    """

    changed = Signal()

    def __init__(self, controller: ProjectController) -> None:
        super().__init__(controller)
        self._controller = controller
        self._other = True  # whether the project is one of other images than those that the notes speak of
        self.notes = MeasurementSettings()
        controller.opened.connect(self._opened)
        controller.changed.connect(self._project_changed)
        self._project_changed()

    def _opened(self) -> None:
        self._other = True

    def _project_changed(self) -> None:
        project = self._controller.project
        if self._other:
            self.notes = MeasurementSettings() if project is None else self._read(project)
        else:  # a project of the same images, which the notes go with
            self.keep()
        self._other = False
        self.changed.emit()

    @staticmethod
    def _read(project: Project) -> MeasurementSettings:
        try:
            return read_measurement_settings(project.folder)
        except UserError as error:
            show_error(str(error))
            return MeasurementSettings()

    def keep(self) -> None:
        """Give the settings to the project's writer."""
        project = self._controller.project
        if project is None or (self.notes == MeasurementSettings() and not (project.folder / FILE).exists()):
            return
        notes = self.notes.model_copy(deep=True)
        project.writer.put(Job(lambda other: notes.write(other.folder), project, ""), key="measure")
