"""What the *Measure* widget looks like: its controls; no steering here."""

from __future__ import annotations

import math

import pandas as pd
from napari.viewer import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg.traits import area_column
from napari_leafseg.widgets.common.base import JobWidget
from napari_leafseg.widgets.common.controls import allow, present, push_button, thin_progress, wrapped_label
from napari_leafseg.widgets.common.tables import FrameView, heading
from napari_leafseg.widgets.measure.growth_plots import SmallMultiples
from napari_leafseg.widgets.measure.plots import OF_TRAITS, OVER_TIME, PLOTS, MeasurePlot
from napari_leafseg.widgets.measure.scale_panel import ScalePanel
from napari_leafseg.widgets.measure.timeline import TimelinePanel
from napari_leafseg.widgets.measure.tray_panel import TrayPanel
from napari_leafseg.widgets.state.camera_positions import PositionStore

_TRAY_FIRST = "The tray is open: take it, or close it, first."
_STEP_BUTTONS = 52  # pixels that a number box needs beside its text


class MeasureForm(JobWidget):
    """Controls of the *Measure* widget."""

    object_name = "napari-leafseg-measure"

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        column = self.column(scrolled=True)
        column.setSpacing(6)
        self.hint = wrapped_label("hint")
        self.summary = wrapped_label("summary")
        column.addLayout(self._scale_row())
        column.addLayout(self._scale_sources())
        self.scale_source = wrapped_label("scale_source")
        self.scale_source.hide()
        self.scale_panel, self.color_panel = ScalePanel(), ScalePanel()
        column.addWidget(self.scale_source)
        column.addWidget(self.scale_panel)
        column.addWidget(self.color_panel)
        self.series_box = QCheckBox("Follow all images over time")
        self.series_box.setObjectName("series")
        self.series_box.setToolTip("Follow the leaves of each plant through the images of the list, in order of time")
        self.known_button = push_button(
            "plants_and_dates", "Plants and dates …", tip="Which plant each image of the list shows, and when"
        )
        column.addWidget(self.series_box)
        several = QHBoxLayout()
        several.addWidget(self.known_button, 1)
        tip = "Traits of your own, and which colors count as green, yellow and brown"
        self.traits_button = push_button("own_traits", "Traits …", tip=tip)
        several.addWidget(self.traits_button, 1)
        column.addLayout(several)
        column.addWidget(self.summary)
        column.addWidget(self.hint)
        self.progress = thin_progress()
        column.addWidget(self.progress)
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.tables = self._tables()
        self.parts.addWidget(self.tables)
        self.parts.addWidget(self._plots())
        self.parts.setChildrenCollapsible(False)
        self.parts.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)  # as high as there is room
        self.parts.setStretchFactor(0, 3)
        self.parts.setStretchFactor(1, 2)
        column.addWidget(self.parts, 1)
        self.tray_panel = TrayPanel(self.session, PositionStore.of(self.session))
        column.addWidget(self.tray_panel, 1)
        self.pin_below(self._saving())
        self.show_state("", False, False)
        self.progress.hide()

    def _scale_row(self) -> QHBoxLayout:
        self.scale_box = QDoubleSpinBox()
        self.scale_box.setObjectName("px_per_mm")
        self.scale_box.setRange(0, 10_000)
        self.scale_box.setDecimals(3)
        self.scale_box.setSpecialValueText("Scale not set")
        self.scale_box.setSuffix(" px/mm")
        self.scale_box.setKeyboardTracking(False)
        self.scale_box.setAccessibleName("Scale")
        text = self.scale_box.fontMetrics().horizontalAdvance("123.456 px/mm")
        self.scale_box.setMinimumWidth(text + _STEP_BUTTONS)
        self.scale_box.setToolTip("Pixels a millimeter; measurements are in pixels where it is not set")
        self.every_box = QCheckBox("For all images")
        self.every_box.setObjectName("every")
        self.every_box.setChecked(True)
        self.every_box.setToolTip("The scale holds for all images; untick to set that of this image alone")
        row = QHBoxLayout()
        row.addWidget(self.scale_box, 1)
        row.addWidget(self.every_box)
        return row

    def _scale_sources(self) -> QHBoxLayout:
        tip = "Draw a line along something whose length you know"
        self.ruler_button = push_button("ruler", "Ruler …", tip=tip)
        tip = "Find ArUco markers or AprilTags in the image, whose size you know"
        self.marker_button = push_button("marker", "Marker …", tip=tip)
        tip = "What the file itself states; a camera's files state how to print, which is no scale"
        self.file_button = push_button("scale_from_file", "From file", tip=tip)
        row = QHBoxLayout()
        tip = "Correct colors by a card of 24 patches (ColorChecker Classic) in the image"
        self.card_button = push_button("color_card", "Color card …", tip=tip)
        for button in (self.ruler_button, self.marker_button, self.file_button, self.card_button):
            row.addWidget(button, 1)
        return row

    def _tables(self) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        self.filter_box = QLineEdit()
        self.filter_box.setObjectName("filter")
        self.filter_box.setClearButtonEnabled(True)
        self.filter_box.setPlaceholderText("Filter")
        self.filter_hint = QLabel()
        self.filter_hint.setWordWrap(True)
        self.filter_hint.hide()
        self.tabs = QTabWidget()
        self.leaves = FrameView()
        self.plants = FrameView(editable=("name",))
        self.growth, self.followed, self.groups = FrameView(), FrameView(), FrameView()
        for name, view in (("Leaves", self.leaves), ("Plants", self.plants), ("Growth", self.growth),
                           ("Tracks", self.followed), ("Groups", self.groups)):  # fmt: skip
            view.setObjectName(name.lower())
            view.setMinimumHeight(110)
            self.tabs.addTab(view, name)
        self.leaves.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.plants.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        column.addWidget(self.filter_box)
        column.addWidget(self.filter_hint)
        column.addWidget(self.tabs, 1)
        return box

    def show_example(self) -> None:
        """Show in the empty filter what can be written there: a condition that some rows of the shown table meet."""
        table = self.view.table
        known = [name for name in (area_column(table), "leaves", "images", "plants") if name in table]
        value = _rounded(table[known[0]].median()) if known and len(table) else 1
        example = f"{known[0] if known else 'plant'} >= {value}"
        self.filter_box.setPlaceholderText(f"Filter: {example}")

    def _plots(self) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        self.plot_box = QComboBox()
        self.plot_box.setObjectName("plot")
        for kind, title in PLOTS.items():
            self.plot_box.addItem(title, kind)
        self.plot = MeasurePlot()
        self.plot.setMinimumHeight(150)
        self.trait_box = QComboBox()
        self.trait_box.setObjectName("plot_trait")
        self.trait_box.setToolTip("The trait that the plot shows: of a plant, or the mean of its leaves")
        self.trait_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.trait_box.hide()
        choices = QHBoxLayout()
        choices.addWidget(self.plot_box, 1)
        choices.addWidget(self.trait_box, 1)
        column.addLayout(choices)
        self.multiples = SmallMultiples()
        self.multiples.setMinimumHeight(150)
        self.multiples.hide()
        self.timeline = TimelinePanel()
        self.timeline.setMinimumHeight(230)
        self.timeline.hide()
        column.addWidget(self.plot, 1)
        column.addWidget(self.multiples, 1)
        column.addWidget(self.timeline, 1)
        return box

    def _saving(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy the table that is shown, for a spreadsheet")
        self.save_button = QPushButton("Save …")
        self.save_button.setToolTip("This table, all tables, or the figure")
        menu = QMenu(self.save_button)
        self.save_table = present(menu.addAction("This table …"))
        self.save_tables = present(menu.addAction("All tables …"))
        self.save_figure = present(menu.addAction("This figure …"))
        self.save_button.setMenu(menu)
        self.tray_button = QPushButton("Tray …")
        self.tray_button.setToolTip(
            "Lay a grid over a tray: leaves belong to its pots, which have names and are the same over days"
        )
        for button, name in (
            (self.copy_button, "copy"), (self.save_button, "save"), (self.tray_button, "tray"),
        ):  # fmt: skip
            button.setObjectName(name)
            row.addWidget(button, 1)
        return row

    @property
    def view(self) -> FrameView:
        """The table that is shown."""
        return self.tabs.currentWidget()  # type: ignore[return-value]

    def views(self) -> dict[str, pd.DataFrame]:
        """Return all tables that there are, by their names, with the rows that are shown."""
        tabs = [self.tabs.widget(number) for number in range(self.tabs.count()) if self.tabs.isTabVisible(number)]
        return {view.objectName(): view.shown() for view in tabs if isinstance(view, FrameView) and len(view.table)}

    def show_traits(self, names: list[str], area: str) -> None:
        """Show which traits can be drawn; the one that was chosen stays."""
        before = self.trait_box.currentData() or area
        self.trait_box.blockSignals(True)
        self.trait_box.clear()
        for name in names:
            self.trait_box.addItem(heading(name), name)
        self.trait_box.setCurrentIndex(max(0, self.trait_box.findData(before if before in names else area)))
        self.trait_box.blockSignals(False)

    def show_plot(self, kind: str) -> QWidget:
        """Show what draws a kind of plot, and return it; the timeline has the room of the tables as well."""
        figures: dict[str, QWidget] = {"multiples": self.multiples, "timeline": self.timeline}
        wanted: QWidget = figures.get(kind, self.plot)
        self.trait_box.setVisible(kind in OF_TRAITS)
        self.plot.trait = self.trait_box.currentData() or ""
        all_of_them: list[QWidget] = [self.plot, *figures.values()]
        for one in all_of_them:
            one.setVisible(one is wanted)
        self.tables.setVisible(wanted is not self.timeline)
        return wanted

    @property
    def figure(self) -> QWidget:
        """What is saved as the figure."""
        if not self.multiples.isHidden():
            return self.multiples.grid
        return self.plot if self.timeline.isHidden() else self.timeline.plot

    def show_state(self, hint: str, measured: bool, series: bool) -> None:
        """Show what there is to see; while a tray is edited, its panel instead."""
        tray = self.tray_panel.grid is not None
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint) and not tray)
        self.parts.setVisible(measured and not tray)
        self.summary.setVisible(measured and not tray)
        for button in (self.copy_button, self.save_button):
            allow(button, _TRAY_FIRST if tray else "" if measured else "Nothing is measured yet.")
        image = "" if self.session.focus() is not None else "Open an image first."
        allow(self.tray_button, "The tray is open." if tray else image)
        for tab in (2, 3, 4):
            self.tabs.setTabVisible(tab, series)
        for row, kind in enumerate(PLOTS):
            if kind in OVER_TIME:
                entries = self.plot_box.model()
                assert isinstance(entries, QStandardItemModel)
                present(entries.item(row)).setEnabled(series)


def _rounded(value: float) -> str:
    """Write a number with one digit that counts, rounded down."""
    if not value > 0:
        return "0"
    unit = 10.0 ** math.floor(math.log10(value))
    return f"{math.floor(value / unit) * unit:g}"
