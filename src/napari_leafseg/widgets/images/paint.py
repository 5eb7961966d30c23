"""How an image looks in the list and on the contact sheet."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from napari.utils.theme import get_theme
from qtpy.QtCore import QModelIndex, QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPen
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_leafseg._counts import counted
from napari_leafseg.widgets.images.rows import ENTRY, FAIR, SURE, RowState, confidence_of, row_state, warnings
from napari_leafseg.widgets.state.image_record import ListedImage, describe

THUMBNAIL = 60
CELL = 168
_PAD = 6
_GOOD, _FAIR, _POOR = "#2ca58d", "#e6a23c", "#e4572e"  # told apart with any color vision
_BUSY = "#4aa3df"
Thumbnail = Callable[[ListedImage], QImage | None]


class ThemeColors(NamedTuple):
    """Colors of a theme of napari's."""

    text: QColor
    selected: QColor
    hovered: QColor


@lru_cache(maxsize=8)
def theme_colors(name: str) -> ThemeColors:
    """Return the colors of a theme; napari copies a theme whenever it is asked for."""
    theme = get_theme(name)
    return ThemeColors(*(QColor(*color.as_rgb_tuple()[:3]) for color in (theme.text, theme.current, theme.foreground)))


class RowDelegate(QStyledItemDelegate):
    """Paint a row: thumbnail, name, what is known, confidence, state.

    Parameters
    ----------
    thumbnail : callable
        Gives an image's thumbnail, None while there is none.
    theme : callable
        Gives the name of napari's theme.
    """

    def __init__(self, thumbnail: Thumbnail, theme: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.thumbnail, self.theme = thumbnail, theme

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """Return the same size for every row."""
        return QSize(160, THUMBNAIL + 2 * 4)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Paint a row."""
        entry, colors = index.data(ENTRY), theme_colors(self.theme())
        if entry is None or painter is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        text = _ground(painter, option, colors)
        box = option.rect.adjusted(_PAD, 4, -_PAD, -4)
        _draw_image(painter, QRect(box.left(), box.top(), THUMBNAIL, THUMBNAIL), self.thumbnail(entry), colors)
        left, right = box.left() + THUMBNAIL + 8, box.right() - 20
        middle = box.center().y()
        _icon(painter, QPointF(box.right() - 7, middle - 10), entry, text)
        name = QRect(left, middle - 21, right - left, 20)
        _words(painter, name, entry.path.name, text, option.font, Qt.TextElideMode.ElideMiddle)
        state = QRect(left, middle, box.right() - left, 18)
        sure = confidence_of(entry)
        bar = 44 if entry.has_leaves and sure is not None and not entry.task else 0
        _words(painter, state.adjusted(0, 0, -bar - (8 if bar else 0), 0), describe(entry), _dim(text), option.font)
        if bar:
            _bar(painter, QRectF(box.right() - bar, middle + 7, bar, 5), sure or 0.0, text)
        elif entry.task and entry.share:
            _line(painter, QRectF(left, middle + 21, box.right() - left, 3), entry.share, _BUSY, text)
        painter.restore()


class CellDelegate(QStyledItemDelegate):
    """Paint a cell of the contact sheet: the plant with its outlines, and below it what makes it worth a look."""

    def __init__(self, thumbnail: Thumbnail, theme: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.thumbnail, self.theme = thumbnail, theme

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:
        """Return the same size for every cell."""
        return QSize(CELL, CELL + 44)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw a cell."""
        entry, colors = index.data(ENTRY), theme_colors(self.theme())
        if entry is None or painter is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        text = _ground(painter, option, colors)
        box = option.rect.adjusted(5, 5, -5, -5)
        place = QRect(box.left(), box.top(), box.width(), box.width())
        _draw_image(painter, place, self.thumbnail(entry), colors)
        _flags(painter, place, entry, option.font)
        row = QRect(box.left(), place.bottom() + 4, box.width(), 17)
        _icon(painter, QPointF(row.right() - 7, row.center().y() + 1), entry, text)
        _words(painter, row.adjusted(0, 0, -20, 0), entry.path.name, text, option.font, Qt.TextElideMode.ElideMiddle)
        row = row.translated(0, 17)
        sure = confidence_of(entry)
        words = counted(entry.count, "leaf")
        words += "" if sure is None else f" · {sure:.2f}"
        _words(painter, row.adjusted(0, 0, -50, 0), words, _dim(text), option.font)
        if sure is not None:
            _bar(painter, QRectF(row.right() - 44, row.center().y() - 1, 44, 5), sure, text)
        painter.restore()


def _ground(painter: QPainter, option: QStyleOptionViewItem, colors: ThemeColors) -> QColor:
    """Fill the background, and return the color of the text on it."""
    state = option.state
    if state & QStyle.StateFlag.State_Selected:
        painter.fillRect(option.rect, colors.selected)
    elif state & QStyle.StateFlag.State_MouseOver:
        painter.fillRect(option.rect, colors.hovered)
    return colors.text


def _dim(color: QColor) -> QColor:
    dim = QColor(color)
    dim.setAlpha(185)
    return dim


def _draw_image(painter: QPainter, place: QRect, image: QImage | None, colors: ThemeColors) -> None:
    """Draw an image in the middle of a place, as large as fits; the place alone while there is none."""
    if image is None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.hovered)
        painter.drawRoundedRect(place, 4, 4)
        return
    size = image.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
    target = QRect(0, 0, size.width(), size.height())
    target.moveCenter(place.center())
    painter.drawImage(target, image)


def _words(
    painter: QPainter, place: QRect, words: str, color: QColor, font: QFont,
    elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
) -> None:  # fmt: skip
    painter.setPen(color)
    painter.setFont(font)
    shown = QFontMetrics(font).elidedText(words, elide, place.width())
    painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)


def _bar(painter: QPainter, place: QRectF, value: float, text: QColor) -> None:
    """Draw a confidence as a bar; its color tells how good it is."""
    _line(painter, place, value, _GOOD if value >= SURE else _FAIR if value >= FAIR else _POOR, text)


def _line(painter: QPainter, place: QRectF, value: float, color: str, text: QColor) -> None:
    ground = QColor(text)
    ground.setAlpha(50)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(place, 2, 2)
    painter.setBrush(QColor(color))
    painter.drawRoundedRect(QRectF(place.left(), place.top(), max(4.0, place.width() * value), place.height()), 2, 2)


def _icon(painter: QPainter, middle: QPointF, entry: ListedImage, text: QColor) -> None:
    """Draw the state: an empty circle, a growing one, a half, a tick, or an exclamation mark."""
    state, radius = row_state(entry), 6.5
    circle = QRectF(middle.x() - radius, middle.y() - radius, 2 * radius, 2 * radius)
    color = {
        RowState.RUNNING: QColor(_BUSY), RowState.IN_PROGRESS: QColor(_FAIR), RowState.REVIEWED: QColor(_GOOD),
        RowState.TROUBLE: QColor(_POOR),
    }.get(state, _dim(text))  # fmt: skip
    painter.setPen(QPen(color, 1.6, Qt.PenStyle.DotLine if state is RowState.WAITING else Qt.PenStyle.SolidLine))
    painter.setBrush(color if state in (RowState.REVIEWED, RowState.TROUBLE) else Qt.BrushStyle.NoBrush)
    painter.drawEllipse(circle)
    painter.setBrush(color)
    if state is RowState.RUNNING:
        painter.drawPie(circle, 90 * 16, -round(360 * 16 * max(0.08, entry.share)))
    elif state is RowState.IN_PROGRESS:
        painter.drawPie(circle, 90 * 16, -180 * 16)
    elif state is RowState.SEGMENTED:
        painter.drawEllipse(middle, 2.4, 2.4)
    painter.setPen(QPen(QColor("white"), 1.8))
    if state is RowState.REVIEWED:
        x, y = middle.x(), middle.y()
        painter.drawPolyline(QPointF(x - 3, y), QPointF(x - 0.8, y + 2.4), QPointF(x + 3.2, y - 2.4))
    elif state is RowState.TROUBLE:
        painter.drawLine(middle + QPointF(0, -3.4), middle + QPointF(0, 0.8))
        painter.drawPoint(middle + QPointF(0, 3.4))


def _flags(painter: QPainter, place: QRect, entry: ListedImage, font: QFont) -> None:
    """Draw what is odd about an image in its corner."""
    short = []
    if entry.jumped is not None:
        short.append(f"{entry.count}, not {entry.jumped}?")
    if entry.facts is not None and entry.facts.at_border:
        short.append("at border")
    metrics, top = QFontMetrics(font), place.top() + 4
    for words in short if warnings(entry) else []:
        box = QRect(place.left() + 4, top, metrics.horizontalAdvance(words) + 10, metrics.height() + 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(_FAIR))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(QColor("#1c1c1c"))
        painter.setFont(font)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
        top += box.height() + 3
