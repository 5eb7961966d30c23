"""Keeps what people decided about measurements with the project that is open."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_leafseg.errors import UserError
from napari_leafseg.project.measurement_settings import MeasurementSettings, read_measurement_settings
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
        self._folder: Path | None = None
        self.notes = MeasurementSettings()
        controller.changed.connect(self._project_changed)
        self._project_changed()

    def _project_changed(self) -> None:
        project = self._controller.project
        folder = None if project is None else project.folder
        if folder is not None and folder != self._folder:
            try:
                found = read_measurement_settings(folder)
            except UserError as error:
                show_error(str(error))
                found = MeasurementSettings()
            self.notes = found if found != MeasurementSettings() else self.notes
            self._folder = folder
            self.keep()
        self.changed.emit()

    def keep(self) -> None:
        """Give the settings to the project's writer."""
        project, folder = self._controller.project, self._folder
        if project is None or folder != project.folder or self.notes == MeasurementSettings():
            return
        notes = self.notes.model_copy(deep=True)
        project.writer.put(lambda: notes.write(project.folder), key="measure")
