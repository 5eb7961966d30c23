"""Docks of ours: where they are, what they are called, and the list of images in one."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state.napari_private import layer_controls_dock, layer_list_dock, main_window, name_dock
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session

AREAS = {
    "left": Qt.DockWidgetArea.LeftDockWidgetArea,
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "top": Qt.DockWidgetArea.TopDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}
# pixels of the window's height: below the first, napari's controls, its list of layers and the list of images share one
# place; below the second, the controls and the list of layers do, so that the list of images shows more than two rows
_ROOM_FOR_TWO, _ROOM_FOR_THREE = 900, 1250
_LAYERS = 360  # pixels: what napari's controls of labels need
_IMAGES = "Images (Leaf segmentation)"  # as napari's menu calls it, which then shows and hides it


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Find the dock that holds a widget itself; None where it is in none."""
    parent = widget.parent()
    return parent if isinstance(parent, QDockWidget) else None


def area_of(area: Any) -> str | None:
    """Name of a side of the window; None for a dock that floats."""
    return next((name for name, known in AREAS.items() if known == area), None)


def keep_title(dock: QDockWidget, title: str) -> None:
    """Give a dock a short title; napari makes the title's bar anew when the dock floats."""
    name_dock(dock, title)
    dock.topLevelChanged.connect(lambda _floats: name_dock(dock, title))


def show_dock(dock: QDockWidget) -> None:
    """Bring a dock into view."""
    dock.show()
    dock.raise_()


def images_dock(session: Session) -> QDockWidget:
    """Show the list of images, under napari's list of layers or where people put it."""
    window, viewer = main_window(session.viewer), session.viewer
    images = window.findChild(ImagesWidget)
    dock = None if images is None else dock_of(images)
    if dock is None:
        area = preferences.images_area if preferences.images_area in AREAS else "left"
        dock = viewer.window.add_dock_widget(ImagesWidget(viewer), name=_IMAGES, area=area)
        dock.dockLocationChanged.connect(_remember)
        keep_title(dock, "Images")
        if area == "left":
            controls, layers = layer_controls_dock(viewer), layer_list_dock(viewer)
            for first, second, room in ((controls, layers, _ROOM_FOR_THREE), (layers, dock, _ROOM_FOR_TWO)):
                if first is not None and second is not None and window.height() < room:
                    window.tabifyDockWidget(first, second)
            if layers is not None and _ROOM_FOR_TWO <= window.height() < _ROOM_FOR_THREE:
                window.resizeDocks([layers, dock], [_LAYERS, window.height() - _LAYERS], Qt.Orientation.Vertical)
    assert isinstance(dock, QDockWidget)
    show_dock(dock)
    return dock


def _remember(area: Any) -> None:
    preferences.images_area = area_of(area) or preferences.images_area
