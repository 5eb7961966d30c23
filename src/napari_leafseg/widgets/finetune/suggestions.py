"""What to correct next: the images that a model is least sure of, as a list to click on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_leafseg._counts import counted
from napari_leafseg.io import ReadOptions
from napari_leafseg.project.review import image_order
from napari_leafseg.widgets.common.controls import allow, listen, push_button, wrapped_label
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session

_SHOWN = 6


class ImageSuggestions(QWidget):
    """Looks at the images that nobody reviewed, in the background, and lists the least certain ones.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("suggested_images")
        self.session = session
        self.model = ""
        self.job = JobRunner(self)
        self.job.progress.connect(self._looked)
        self.job.failed.connect(self._failed)
        self.job.finished.connect(self._ended)
        self._ranked: dict[str, Any] = {}  # `Ranked` by path
        self.words = wrapped_label("next_words", "<b>Correct next</b>")
        tip = "Find the leaves of all images that nobody reviewed; the least certain come first"
        text = "Look through the other images"
        self.rank_button = push_button("rank", text, lambda: self.rank(self.model), tip)
        self.stop_button = push_button("stop_looking", "Stop", self.stop)
        self.list = QListWidget()
        self.list.setObjectName("next_list")
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setToolTip("Confidence of the image’s least certain leaf, 0 to 1; a click shows the image")
        self.list.itemClicked.connect(self._clicked)
        row = QHBoxLayout()
        row.addWidget(self.rank_button, 2)
        row.addWidget(self.stop_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addLayout(row)
        column.addWidget(self.list)
        listen(session.images_changed, self._count)
        self._count()

    @property
    def remaining(self) -> list[ListedImage]:
        """Images of the list that nobody reviewed."""
        return [entry for entry in self.session.images if entry.waits]

    def _count(self) -> None:
        """Show what there is to do; nothing while the list has no image left."""
        self.setVisible(bool(self.remaining) or bool(self._ranked))
        left = "" if self.remaining else "All images of the list are reviewed."
        allow(
            self.rank_button,
            "It looks already." if self.job.running else left or ("" if self.model else "Choose a model."),
        )
        self.stop_button.setVisible(self.job.running)
        self.list.setVisible(bool(self._ranked))

    def offer(self, model: str) -> None:
        """Look with this model when the button is pressed."""
        self.model = model
        self._count()

    def rank(self, model: str) -> None:
        """Find the leaves of the remaining images with a model."""
        if self.job.running or not self.remaining:
            return
        self.model, self._ranked = model, {}
        paths = [entry.path for entry in self.remaining]
        self.words.setText(f"<b>Correct next</b>: “{model}” looks at {counted(len(paths), 'image')} …")
        self.job.start(rank_job, model, preferences.device, paths, self.session.read_options)
        self._count()

    def stop(self) -> None:
        """Stop after the image that is being looked at; the list so far stays."""
        self.job.stop()

    def _looked(self, ranked: Any) -> None:
        entry = self.session.entry_at(ranked.path)
        if entry is not None and not ranked.trouble:
            entry.confidence = ranked.confidence
            self._ranked[str(ranked.path)] = ranked
        self.words.setText(f"<b>Correct next</b>: {ranked.done} of {counted(ranked.total, 'image')} looked at")
        self._show()

    def _show(self) -> None:
        self.list.clear()
        for path in image_order({path: ranked.confidence for path, ranked in self._ranked.items()})[:_SHOWN]:
            ranked, name = self._ranked[path], Path(path).name
            found = (
                f"{counted(ranked.leaves, 'leaf')}, confidence {ranked.confidence:.2f}"
                if ranked.leaves
                else "no leaves"
            )
            words = f"{name}: {found}"
            item = QListWidgetItem(words)
            item.setData(Qt.ItemDataRole.UserRole, path)
            self.list.addItem(item)
        self.list.setFixedHeight(self.list.sizeHintForRow(0) * max(1, self.list.count()) + 8)
        self._count()

    def _clicked(self, item: QListWidgetItem) -> None:
        entry = self.session.entry_at(Path(item.data(Qt.ItemDataRole.UserRole)))
        if entry is not None:
            self.session.image_wanted.emit(entry)

    def _failed(self, error: Exception) -> None:
        show_error(str(error))

    def _ended(self) -> None:
        looked_at = counted(len(self._ranked), "image")
        found = f"the least certain of {looked_at}" if self._ranked else "nothing could be looked at"
        self.words.setText(f"<b>Correct next</b>: {found}, as “{self.model}” sees them")
        self._count()
        self.session.images_changed.emit()


def rank_job(model: str, device: str, paths: list[Path], options: ReadOptions) -> Iterator[Any]:
    """Load a model and look at images; yields `Ranked`."""
    from napari_leafseg.pipelines.predictors import get_predictor
    from napari_leafseg.pipelines.rank import rank_images

    yield from rank_images(get_predictor(model, device), paths, options)
