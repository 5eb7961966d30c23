"""Exporting labels and masks beside the image, or where the user chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_leafseg._files import safe_name
from napari_leafseg.io import unique_names
from napari_leafseg.widgets.segment.jobs import save_job, save_masks_job
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.workers import start_worker


class LabelSaver(QObject):
    """Write the labels of an image, with model and parameters beside them, in the background.

    Parameters
    ----------
    session : Session
    parent : QWidget
        Of the question where to save.

    Signals
    -------
    told(str)
        What was written.
    folder_chosen(pathlib.Path)
        Where labels are saved from now on.
    """

    told = Signal(str)
    folder_chosen = Signal(object)

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session, self._window = session, parent
        self.folder: Path | None = None

    def save(self, image: Image | None) -> None:
        """Save the labels of an image."""
        layer = self.session.labels_layer(image) if image is not None else None
        if image is None or layer is None:
            show_info("There are no leaves to export yet: press Run first.")
            return
        folder = self._target_folder(image)
        if folder is None:
            return
        item = self.session.record(image)
        record: dict[str, Any] = {} if item.prediction is None else item.prediction.record(**item.parameters)
        record |= {"count": item.count, "verified": item.verified}
        start_worker(
            save_job, folder, self._stem(image), layer.data.copy(), record,
            on_result=lambda path: self._saved(image, path), on_error=self._failed, owner=self,
        )  # fmt: skip

    def save_masks(self, image: Image | None) -> None:
        """Save the full masks of a query-based model, also where they overlap."""
        item = self.session.record(image) if image is not None else None
        if image is None or item is None or item.prediction is None:
            return
        folder = self._target_folder(image)
        if folder is not None:
            start_worker(
                save_masks_job, folder, self._stem(image), item.prediction, dict(item.parameters),
                on_result=self._written, on_error=self._failed, owner=self,
            )  # fmt: skip

    def _stem(self, image: Image) -> str:
        entry = self.session.entry_of(image)
        if entry is None:
            return safe_name(image.name)
        files = [other.path for other in self.session.images]
        if self.folder is None:  # each beside its image
            files = [path for path in files if path.parent == entry.path.parent]
        return unique_names(files)[entry.path]

    def _target_folder(self, image: Image) -> Path | None:
        """The chosen folder; else a folder beside the image; else the user is asked."""
        if self.folder is not None:
            return self.folder
        entry = self.session.entry_of(image)
        path = entry.path if entry else (Path(image.source.path) if image.source.path else None)
        if path is not None:
            return path.parent / "leaves"
        self.choose_folder()
        return self.folder

    def choose_folder(self) -> None:
        """Ask for the folder."""
        chosen = QFileDialog.getExistingDirectory(self._window, "Export labels to", str(self.folder or Path.home()))
        if chosen:
            self.folder = Path(chosen)
            self.folder_chosen.emit(self.folder)

    def _written(self, path: Path) -> None:
        self.told.emit(f"Exported {path.name} to {path.parent}")

    def _saved(self, image: Image, path: Path) -> None:
        self.session.record(image).exported = True
        self.session.images_changed.emit()
        self.session.layer_state_changed.emit(image)
        self._written(path)
        show_info(f"Exported {path}")

    def _failed(self, error: Exception) -> None:
        show_error(str(error))
