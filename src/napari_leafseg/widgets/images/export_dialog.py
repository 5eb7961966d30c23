"""The dialog that exports labels: formats, images and a folder, then how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QWidget

from napari_leafseg._counts import counted
from napari_leafseg.io import ReadOptions
from napari_leafseg.io.exchange.formats import FORMATS
from napari_leafseg.project import Project
from napari_leafseg.project.export import Exportable, ExportEvent, Scope, export_images, exportables
from napari_leafseg.widgets.common.controls import thin_progress
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.common.settings_dialog import SettingsDialog
from napari_leafseg.widgets.common.settings_form import CheckBoxes, FolderEdit
from napari_leafseg.widgets.state.image_record import ReviewState
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session

_FOLDER = "Made where it does not exist; files of the same names in it are replaced"


@dataclass(frozen=True)
class ExportSettings:
    """What the dialog asks for."""

    formats: Annotated[
        tuple[str, ...],
        {
            "widget_type": CheckBoxes,
            "label": "Formats",
            "choices": [(fmt.title, fmt.name) for fmt in FORMATS.values()],
        },
    ] = ("tiff",)
    images: Annotated[
        Scope,
        {
            "widget_type": "RadioButtons",
            "label": "Images",
            "orientation": "horizontal",
            "choices": [("All", "all"), ("Reviewed only", "reviewed"), ("This image", "this")],
        },
    ] = "all"
    folder: Annotated[str, {"widget_type": FolderEdit, "label": "Folder", "tooltip": _FOLDER}] = ""


def export_job(
    project: Project | None, loose: list[Exportable], only: str | None, settings: ExportSettings, reading: ReadOptions
) -> Iterator[ExportEvent]:
    """Export in a worker; `only` names the one image that is wanted."""
    images = [*(exportables(project) if project is not None else ()), *loose]
    if only is not None:
        images = [item for item in images if item.name == only]
    reviewed = settings.images == "reviewed"
    yield from export_images(images, Path(settings.folder), settings.formats, reviewed, reading)


class ExportDialog(SettingsDialog[ExportSettings]):
    """Asks what to export, exports it in a worker, and says what was left out.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        self.session, self.controller = session, ProjectController.of(session)
        kept = preferences.filled("export", ExportSettings())
        if not kept.folder or preferences.export_of != self._place:  # another experiment's must not be replaced
            kept = replace(kept, folder=str(self._default_folder()))
        super().__init__("Export labels", kept, "Export", parent)
        self.setObjectName("export_dialog")
        self.job = JobRunner(self)
        self.job.progress.connect(self._progress)
        self.job.failed.connect(self._failed)
        self.job.finished.connect(self._ended)
        self.progress = thin_progress()
        self.column.insertWidget(1, self.progress)
        self._event: ExportEvent | None = None
        self._told = ""
        self._show_running(False)

    @property
    def _place(self) -> str:
        return "" if self.controller.project is None else str(self.controller.project.folder)

    def _default_folder(self) -> Path:
        """In a project that somebody made, else beside the images' folder."""
        project = self.controller.project
        if project is not None and not self.controller.is_scratch:
            return project.folder / "export"
        folder = next((entry.path.parent for entry in self.session.images), None)
        return Path.home() / "leaves" if folder is None else folder.with_name(f"{folder.name} leaves")

    def problem(self, settings: ExportSettings) -> str:
        """Say what is missing."""
        if not settings.formats:
            return "Tick a format."
        if not settings.folder:
            return "Choose a folder."
        if settings.images == "this" and self.session.focused_binding() is None:
            return "The image that is shown has no leaves yet."
        return ""

    def hint(self, settings: ExportSettings) -> str:
        """Say where the files go."""
        return "Each format gets a folder of its own." if len(settings.formats) > 1 else ""

    # -- exporting ---------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """Export; the dialog stays until that is done."""
        settings = self.form.settings()
        preferences.keep("export", settings)
        preferences.export_of = self._place
        self.controller.autosave()
        loose = [self._loose(item) for item in self.session.bindings() if item.ref is None]
        binding = self.session.focused_binding()
        only = self._name(binding) if settings.images == "this" and binding is not None else None
        self._event, self._told = None, ""
        self._show_running(True)
        self.message.setText("Writing what is not on the disk yet …")
        self.job.start(export_job, self.controller.project, loose, only, settings, self.session.read_options)

    def _name(self, binding: LabelsBinding) -> str:
        return binding.image.name if binding.ref is None else binding.ref.id

    def _loose(self, binding: LabelsBinding) -> Exportable:
        """Return labels that no project keeps."""
        entry, record = self.session.entry_of(binding.image), self.session.record(binding.image)
        path = Path(binding.image.name) if entry is None else entry.path
        return Exportable(self._name(binding), path, binding.document.labels.copy, record.review is ReviewState.DONE)

    def reject(self) -> None:
        """Stop what runs; close the dialog where nothing does."""
        if self.job.running:
            self.job.stop()
            self.message.setText("Stopping …")
        else:
            super().reject()

    def _progress(self, event: ExportEvent) -> None:
        self._event = event
        self.progress.setRange(0, event.total)
        self.progress.setValue(event.done)
        self.message.setText(f"{event.done} of {event.total}: {event.name}")

    def _failed(self, error: Exception) -> None:
        self._told = str(error)

    def _ended(self) -> None:
        self._show_running(False)
        event, settings = self._event, self.form.settings()
        if self._told:
            self.message.setText(self._told)
        elif event is None or event.done < event.total:
            self.message.setText(f"Stopped. Files that were written are in {settings.folder}.")
        else:
            left_out = f"\nLeft out: {'; '.join(event.left_out)}." if event.left_out else ""
            many = counted(event.written, "image")
            show_info(f"Labels of {many} written to {settings.folder}.{left_out}")
            super().accept()

    def _show_running(self, running: bool) -> None:
        self.form.setEnabled(not running)
        self.accept_button.setEnabled(not running)
        self.progress.setVisible(running)
        self.cancel_button.setText("Stop" if running else "Cancel")
        if not running:
            self.refresh()
