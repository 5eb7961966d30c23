"""*Models* and *Parameter search* as dialogs beside the window; what runs in one runs on while it is closed."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QDialog, QVBoxLayout, QWidget

from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import present
from napari_leafseg.widgets.models.widget import ModelsWidget
from napari_leafseg.widgets.parameter_search.widget import ParameterSearchWidget
from napari_leafseg.widgets.state.napari_private import main_window

DIALOGS: dict[str, tuple[str, type[LeafsegWidget], tuple[int, int]]] = {
    "models": ("Models", ModelsWidget, (760, 600)),
    "parameter_search": ("Parameter search", ParameterSearchWidget, (560, 640)),
}


class WidgetDialog(QDialog):
    """One widget of ours in a window of its own."""

    def __init__(self, viewer: Any, name: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        title, kind, size = DIALOGS[name]
        self.setObjectName(f"dialog_{name}")
        self.setWindowTitle(title)
        self.inner = kind(viewer)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.inner)
        room = present(self.screen()).availableSize()
        self.resize(min(size[0], room.width() - 40), min(size[1], room.height() - 80))


def open_dialog(viewer: Any, name: str) -> WidgetDialog:
    """Open a dialog of a viewer, or bring it to the front."""
    window = main_window(viewer)
    dialog = window.findChild(WidgetDialog, f"dialog_{name}") or WidgetDialog(viewer, name, window)
    dialog.show()
    dialog.raise_()
    dialog.activateWindow()
    return dialog
