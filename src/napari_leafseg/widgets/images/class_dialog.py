"""Asks which classes of other programs' files are leaves."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_leafseg.errors import InputFileError
from napari_leafseg.io.exchange.reading import leaf_classes
from napari_leafseg.widgets.common.controls import allow


class ClassDialog(QDialog):
    """A list of classes; those that seem to be leaves are ticked.

    Parameters
    ----------
    counts : mapping of str to int
        Shapes by class, see `list_classes`.
    """

    def __init__(self, counts: Mapping[str, int], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Which of these are leaves?")
        try:
            chosen = leaf_classes(counts)
        except InputFileError:  # nothing is named after leaves: the user knows
            chosen = set()
        self.list = QListWidget()
        self.list.setObjectName("classes")
        for name in sorted(counts, key=lambda name: -counts[name]):
            item = QListWidgetItem(f"{name}  ({counts[name]:,})")
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setCheckState(Qt.CheckState.Checked if name in chosen else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok)
        self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.list.itemChanged.connect(self._refresh)
        column = QVBoxLayout(self)
        column.addWidget(QLabel("The files name several classes. Shapes of those that are not ticked are left out."))
        column.addWidget(self.list)
        column.addWidget(self.buttons)
        self._refresh()

    def classes(self) -> set[str]:
        """Return the classes that are ticked."""
        items = [self.list.item(row) for row in range(self.list.count())]
        return {
            str(item.data(Qt.ItemDataRole.UserRole))
            for item in items
            if item is not None and item.checkState() == Qt.CheckState.Checked
        }

    def _refresh(self) -> None:
        button = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert button is not None
        allow(button, "" if self.classes() else "Tick at least one class that is a leaf.")
