"""Walks our widgets in a window and names each text that is cut and each main button that is out of sight.

``python -m tests.widgets.layout_check WIDTH HEIGHT`` does so in a window of its own, for a screen of another scale.
"""

from __future__ import annotations

import os
import sys

import napari
import numpy as np
from qtpy.QtCore import QCoreApplication, QEvent, QPoint, QSettings
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QScrollArea, QToolButton

from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.main.dialogs import DIALOGS, open_dialog
from napari_leafseg.widgets.main.panel import STEPS, open_panel
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.napari_private import main_window
from napari_leafseg.widgets.state.session import Session

MAIN_BUTTONS = {
    "segment": ("run_button",), "correct": ("done_button",), "measure": ("table_button",),
    "finetune": ("start_button",), "batch": ("run_button",),
}  # fmt: skip


def settle() -> None:
    """Let layouts come to rest."""
    for _ in range(4):
        QApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)


def in_scroll_area(widget) -> bool:
    """Whether a widget can be scrolled to."""
    while widget is not None:
        if isinstance(widget, QScrollArea):
            return True
        widget = widget.parentWidget()
    return False


def is_cut(widget) -> bool:
    """Whether a label, button or empty line edit has less room than its text needs."""
    if isinstance(widget, QLabel):
        if not widget.text() or (widget.pixmap() is not None and not widget.pixmap().isNull()):
            return False
        if widget.wordWrap():
            return widget.heightForWidth(widget.width()) > widget.height() + 1
    elif isinstance(widget, QAbstractButton):
        if not widget.text():
            return False
        if isinstance(widget, QToolButton) and widget.menu() is not None:
            return False
    elif isinstance(widget, QLineEdit):
        return widget.fontMetrics().horizontalAdvance(widget.placeholderText()) > widget.width() - 8
    else:
        return False
    hint = widget.sizeHint()
    return hint.width() > widget.width() + 1 or hint.height() > widget.height() + 1


def troubles(root, where: str) -> list[str]:
    """Name the texts below a widget that are cut, and what reaches out of its window."""
    found, window = [], root.window()
    for kind in (QLabel, QAbstractButton, QLineEdit):
        for widget in root.findChildren(kind):
            if not widget.isVisible():
                continue
            text = getattr(widget, "text", str)() or getattr(widget, "placeholderText", str)()
            said = f"{where}: {type(widget).__name__} {widget.objectName()} “{text[:40]}”"
            if is_cut(widget):
                size, hint = widget.size(), widget.sizeHint()
                found.append(f"{said} is {size.width()} × {size.height()}, needs {hint.width()} × {hint.height()}")
            corner = widget.mapTo(window, QPoint(widget.width(), widget.height()))
            if corner.x() > window.width() or (corner.y() > window.height() and not in_scroll_area(widget)):
                found.append(f"{said} ends at {corner.x()}, {corner.y()}, outside of the window")
    return found


def check(viewer, width: int, height: int) -> list[str]:
    """Walk all tabs, the list of images and the dialogs, in both themes."""
    window = main_window(viewer)
    window.setGeometry(0, 0, width, height)
    settle()
    panel = open_panel(viewer)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    image = viewer.add_image(pixels, rgb=True, name="plant 2026-11-28")
    labels = np.zeros((40, 40), np.uint16)
    labels[5:20, 5:20], labels[22:38, 22:38] = 1, 2
    layers.show_new_labels(Session.of(viewer), image, labels, "segment with leaf")
    segment, found = panel.step("segment"), []
    specs = tuple(spec for spec in describe_model("leaf").family.parameters)
    segment.panel.show_tunables(specs, {})
    for part in (segment.panel, segment.parameter_search_button):
        part.setVisible(True)
    for theme in ("dark", "light"):
        viewer.theme = theme
        for name in STEPS:
            panel.choose(name)
            settle()
            where = f"{width} × {height}, {theme}, {name}"
            found += troubles(panel, where)
            for button in (getattr(panel.step(name), title) for title in MAIN_BUTTONS[name]):
                if button.visibleRegion().boundingRect() != button.rect():
                    found.append(f"{where}: the main button “{button.text()}” is not in view")
        found += troubles(window.findChild(ImagesWidget), f"{width} × {height}, {theme}, images")
        for name in DIALOGS:
            dialog = open_dialog(viewer, name)
            settle()
            found += troubles(dialog, f"{width} × {height}, {theme}, {name}")
            dialog.close()
        panel.step("segment").advanced.button.setChecked(True)
    if (window.width(), window.height()) != (width, height):
        found.append(f"The window grew to {window.width()} × {window.height()}")
    return found


def main() -> None:
    """Check a window of a size; print what is wrong, and end with 1 where anything is."""
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, os.environ["XDG_CONFIG_HOME"])
    viewer = napari.Viewer()
    found = check(viewer, int(sys.argv[1]), int(sys.argv[2]))
    print("\n".join(["Checked.", *found]), flush=True)
    os._exit(len(found) > 0)


if __name__ == "__main__":
    main()
