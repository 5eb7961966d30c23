"""Copying a project to another folder while the window shows how far it is, and can stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QProgressDialog, QWidget

from napari_leafseg.project import Project
from napari_leafseg.project.elsewhere import CopyEvent
from napari_leafseg.widgets.common.job_runner import JobRunner


def _copy_job(events: Iterator[CopyEvent], done: list[Project]) -> Iterator[CopyEvent]:
    """Copy in a worker; once the new project is there, it is too late to stop."""
    for event in events:
        if event.project is None:
            yield event
        else:
            done.append(event.project)


class ProjectCopier(QObject):
    """Run one copy at a time, behind a dialog that keeps others from editing meanwhile.

    Parameters
    ----------
    parent : QWidget
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.job = JobRunner(self)
        self.job.progress.connect(self._progress)
        self.job.failed.connect(lambda error: show_error(str(error)))
        self.job.finished.connect(self._ended)
        self._then: Callable[[Project], None] | None = None
        self._done: list[Project] = []
        self.dialog = QProgressDialog(parent)
        self.dialog.setObjectName("copying")
        self.dialog.setWindowTitle("Save elsewhere")
        self.dialog.setCancelButtonText("Stop")
        self.dialog.setWindowModality(Qt.WindowModality.ApplicationModal)
        self.dialog.setAutoClose(False)
        self.dialog.setAutoReset(False)
        self.dialog.reset()
        self.dialog.canceled.connect(self._stop)

    def start(self, events: Iterator[CopyEvent], folder: Path, then: Callable[[Project], None]) -> None:
        """Copy; `then` takes the new project, and is not called where the copy failed or was stopped."""
        self._then, self._done = then, []
        self.dialog.setLabelText(f"Writing the project to {folder} …")
        self.dialog.setRange(0, 0)
        self.dialog.show()
        self.job.start(_copy_job, events, self._done)

    def _progress(self, event: CopyEvent) -> None:
        self.dialog.setRange(0, max(1, event.total))
        self.dialog.setValue(event.done)

    def _stop(self) -> None:
        self.dialog.setLabelText("Stopping …")
        self.dialog.show()
        self.job.stop()

    def _ended(self) -> None:
        self.dialog.reset()
        self.dialog.hide()
        then, self._then = self._then, None
        if then is not None and self._done:
            then(self._done[0])
