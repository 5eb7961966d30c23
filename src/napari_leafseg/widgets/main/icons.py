"""Icons in the color of the theme's text."""

from __future__ import annotations

from qtpy.QtCore import QByteArray, Qt
from qtpy.QtGui import QIcon, QPainter, QPixmap
from qtpy.QtSvg import QSvgRenderer

from napari_leafseg._files import resource_folder

_PIXELS = 96  # four times the size on the screen: sharp on any


def themed_icon(name: str, color: str) -> QIcon:
    """Draw an icon of ours in a color."""
    drawing = (resource_folder() / "icons" / f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", color)
    pixmap = QPixmap(_PIXELS, _PIXELS)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(drawing.encode())).render(painter)
    painter.end()
    return QIcon(pixmap)
