"""Walks our widgets in a window.

It names each text that is cut, each main button that is out of sight, and each gray button that does not say why.

``python -m tests.widgets.layout_check WIDTH HEIGHT FOLDER`` does so in a window of its own, for a screen of another
scale, and keeps what it makes in an empty folder.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from PIL import Image as Pillow
from qtpy.QtCore import QCoreApplication, QEvent, QPoint, QSettings
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollArea,
    QStyle,
    QStyleOptionComboBox,
    QToolButton,
)

from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.project.recent_projects import remember_project
from napari_leafseg.widgets.common.controls import present
from napari_leafseg.widgets.common.elided import ElidedButton, ElidedComboBox, ElidedLabel
from napari_leafseg.widgets.images.triage import ContactSheet
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.main.dialogs import DIALOGS, open_dialog
from napari_leafseg.widgets.main.panel import STEPS, open_panel
from napari_leafseg.widgets.state import layers, project_controller
from napari_leafseg.widgets.state.napari_private import main_window
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session

MAIN_BUTTONS = {
    "segment": ("run_button",), "correct": ("done_button",), "measure": ("save_button",),
    "finetune": ("start_button",), "batch": ("run_button",),
}  # fmt: skip
_TEXTS = ("text", "currentText", "placeholderText")


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
    if isinstance(widget, (ElidedButton, ElidedComboBox, ElidedLabel)):
        return widget.width() < 60
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
    elif isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        room = present(widget.style()).subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, widget
        )
        return widget.fontMetrics().horizontalAdvance(widget.currentText()) > room.width() + 1
    elif isinstance(widget, QLineEdit):
        return widget.fontMetrics().horizontalAdvance(widget.placeholderText()) > widget.width() - 8
    else:
        return False
    hint = widget.sizeHint()
    return hint.width() > widget.width() + 1 or hint.height() > widget.height() + 1


def troubles(root, where: str) -> list[str]:
    """Name the texts below a widget that are cut, gray buttons without a reason, and what is outside of its window."""
    found, window = [], root.window()
    for kind in (QLabel, QAbstractButton, QComboBox, QLineEdit):
        for widget in root.findChildren(kind):
            if not widget.isVisible():
                continue
            text = (
                getattr(widget, "text", getattr(widget, "currentText", str))()
                or getattr(widget, "placeholderText", str)()
            )
            said = f"{where}: {type(widget).__name__} {widget.objectName()} “{text[:40]}”"
            if is_cut(widget):
                size, hint = widget.size(), widget.sizeHint()
                found.append(f"{said} is {size.width()} × {size.height()}, needs {hint.width()} × {hint.height()}")
            gray = isinstance(widget, QAbstractButton) and not widget.isEnabled()
            if gray and widget.parentWidget().isEnabled() and not widget.property("reason"):
                found.append(f"{said} is gray and does not say why")
            corner = widget.mapTo(window, QPoint(widget.width(), widget.height()))
            if corner.x() > window.width() or (corner.y() > window.height() and not in_scroll_area(widget)):
                found.append(f"{said} ends at {corner.x()}, {corner.y()}, outside of the window")
    return found


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait for something that a worker does."""
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, what
        QApplication.processEvents()
        time.sleep(0.01)
    settle()


def walk(viewer, size: tuple[int, int], state: str, dialogs: bool = False) -> list[str]:
    """Walk all tabs, all else that is open, and the dialogs where they are asked for, in both themes."""
    window, panel, found = main_window(viewer), open_panel(viewer), []
    where = f"{size[0]} × {size[1]}, {state}"
    others = [theme for theme in ("dark", "light") if theme != viewer.theme]
    for theme in (viewer.theme, *others):  # another theme takes napari a second
        viewer.theme = theme
        for name in STEPS:
            panel.choose(name)
            settle()
            if name == "measure" and len(viewer.layers):
                until(lambda: panel.step("measure").measured is not None, "the leaves are measured")
            here = f"{where}, {theme}, {name}"
            found += troubles(panel, here)
            for button in (getattr(panel.step(name), title) for title in MAIN_BUTTONS[name]):
                if button.visibleRegion().boundingRect() != button.rect():
                    found.append(f"{here}: the main button “{button.text()}” is not in view")
        for kind in (ImagesWidget, ContactSheet):
            for other in window.findChildren(kind):
                found += troubles(other, f"{where}, {theme}, {kind.__name__}")
        for name in DIALOGS if dialogs else ():
            dialog = open_dialog(viewer, name)
            settle()
            found += troubles(dialog, f"{where}, {theme}, {name}")
            dialog.close()
    if (window.width(), window.height()) != size:
        found.append(f"{where}: the window of {size[0]} × {size[1]} grew to {window.width()} × {window.height()}")
    return found


def earlier_work(folder: Path) -> None:
    """Have folders and a project to go on with, with long names."""
    for number in range(2):
        recent = folder / f"growth of Arabidopsis thaliana Col-0 in tray {number}, side by side"
        recent.mkdir(parents=True)
        preferences.recent_folders = [str(recent), *preferences.recent_folders]
    kept = project_controller.unsaved_folder() / "2026-11-27 13.20.00"
    for project in (folder / "project of drought and control, 2026, second repetition", kept):
        (project / "journal").mkdir(parents=True)
        (project / "journal" / "begun.json").write_text("{}", encoding="utf-8")
        (project / "project.json").write_text("{}", encoding="utf-8")
    remember_project(folder / "project of drought and control, 2026, second repetition")


def check(viewer, width: int, height: int, folder: Path) -> list[str]:
    """Walk all widgets while the list is empty, with an image, with the contact sheet, and with all that folds open."""
    earlier_work(folder / "earlier")
    window = main_window(viewer)
    window.setGeometry(0, 0, width, height)
    settle()
    panel = open_panel(viewer)
    until(lambda: window.findChild(ImagesWidget) is not None, "the list of images is there")
    images = window.findChild(ImagesWidget)
    until(lambda: len(images.empty.buttons("folders")) == 2, "the recent folders are listed")
    assert images.empty.buttons("continue")
    size = width, height
    found = walk(viewer, size, "empty")
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    for day in range(3):
        Pillow.fromarray(pixels).save(folder / f"plant_2026-11-{day + 10}-11-05_tray_3_of_the_second_repetition.png")
    images.add(sorted(folder.glob("*.png")))
    until(lambda: len(viewer.layers) > 0, "the first image is read")
    labels = np.zeros((40, 40), np.uint16)
    labels[5:20, 5:20], labels[22:38, 22:38] = 1, 2
    layers.show_new_labels(Session.of(viewer), viewer.layers[0], labels, "segment with leaf")
    segment = panel.step("segment")
    segment.panel.show_tunables(describe_model("leaf").family.parameters, {})
    for part in (segment.panel, segment.parameter_search_button):
        part.setVisible(True)
    settle()
    found += walk(viewer, size, "images")
    images.show_sheet()
    settle()
    found += walk(viewer, size, "contact sheet")
    images.show_sheet()
    segment.advanced.button.setChecked(True)
    found += walk(viewer, size, "all open", dialogs=True)
    return found


def main() -> None:
    """Check a window of a size; print what is wrong, and end with 1 where anything is."""
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, os.environ["XDG_CONFIG_HOME"])
    gc.collect()
    gc.freeze()  # napari collects garbage after each layer that goes
    viewer = napari.Viewer()
    found = check(viewer, int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    print("\n".join(["Checked.", *found]), flush=True)
    os._exit(len(found) > 0)


if __name__ == "__main__":
    main()
