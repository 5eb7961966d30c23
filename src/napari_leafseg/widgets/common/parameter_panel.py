"""Sliders for whatever a prediction can be tuned by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QSlider, QToolButton, QWidget

from napari_leafseg.widgets.common.controls import allow

if TYPE_CHECKING:
    from napari_leafseg.models.parameters import ParameterSpec


_DEFAULT = "This is the default already."
BOX_WIDTH = 118  # room for napari's − and + beside five digits and a unit


class TunableRow:
    """Label, slider, number box with unit, and reset button of one tunable, placed into a grid's row."""

    def __init__(
        self, panel: ParameterPanel, grid: QGridLayout, row: int, tunable: ParameterSpec, value: float
    ) -> None:
        self.tunable = tunable
        self._panel = panel
        name = QLabel(tunable.label)
        name.setToolTip(tunable.help)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setObjectName(f"{tunable.name}_slider")
        self.slider.setRange(0, round((tunable.maximum - tunable.minimum) / tunable.step))
        self.slider.setPageStep(max(1, self.slider.maximum() // 10))
        self.slider.setToolTip(tunable.help)
        self.slider.setMinimumWidth(80)
        name.setBuddy(self.slider)
        self.box = QDoubleSpinBox()
        self.box.setObjectName(f"{tunable.name}_box")
        self.box.setDecimals(tunable.decimals)
        self.box.setRange(tunable.minimum, tunable.maximum)
        self.box.setSingleStep(tunable.step)
        self.box.setKeyboardTracking(False)
        self.box.setToolTip(tunable.help)
        self.box.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.box.setMinimumWidth(BOX_WIDTH)
        if tunable.unit:
            separator = "" if tunable.unit == "°" else " "
            self.box.setSuffix(f"{separator}{tunable.unit}")
        self.reset = QToolButton()
        self.reset.setObjectName(f"{tunable.name}_reset")
        self.reset.setText("↺")
        self.reset.setToolTip(f"Back to the default, {tunable.default:.{tunable.decimals}f}{tunable.unit}")
        for column, widget in enumerate((name, self.slider, self.box, self.reset)):
            grid.addWidget(widget, row, column)
        self.widgets = (name, self.slider, self.box, self.reset)
        self.set(value, tell=False)
        self.slider.valueChanged.connect(self._slid)
        self.box.valueChanged.connect(self._typed)
        self.reset.clicked.connect(lambda: self.set(tunable.default))

    @property
    def value(self) -> float:
        """The value in the number box."""
        return float(self.box.value())

    def set(self, value: float, tell: bool = True) -> None:
        """Show a value; `tell` says so to the panel's listeners."""
        self.slider.blockSignals(True)
        self.box.blockSignals(True)
        self.box.setValue(value)
        self.slider.setValue(round((value - self.tunable.minimum) / self.tunable.step))
        self.slider.blockSignals(False)
        self.box.blockSignals(False)
        default = round(self.tunable.default, self.tunable.decimals)
        allow(self.reset, "" if abs(self.value - default) > self.tunable.step / 2 else _DEFAULT)
        if tell:
            self._panel.changed.emit()

    def _slid(self, position: int) -> None:
        self.set(self.tunable.minimum + position * self.tunable.step)

    def _typed(self, value: float) -> None:
        self.set(value)


class ChoiceRow:
    """Label, list of choices and reset button of a tunable that is one; otherwise as `TunableRow`."""

    def __init__(
        self, panel: ParameterPanel, grid: QGridLayout, row: int, tunable: ParameterSpec, value: float
    ) -> None:
        self.tunable = tunable
        self._panel = panel
        name = QLabel(tunable.label)
        name.setToolTip(tunable.help)
        self.box = QComboBox()
        self.box.setObjectName(f"{tunable.name}_box")
        self.box.addItems(tunable.choices)
        self.box.setToolTip(tunable.help)
        name.setBuddy(self.box)
        self.reset = QToolButton()
        self.reset.setObjectName(f"{tunable.name}_reset")
        self.reset.setText("↺")
        self.reset.setToolTip(f"Back to the default, {tunable.text(tunable.default)}")
        grid.addWidget(name, row, 0)
        grid.addWidget(self.box, row, 1, 1, 2)
        grid.addWidget(self.reset, row, 3)
        self.widgets: tuple[QWidget, ...] = (name, self.box, self.reset)
        self.set(value, tell=False)
        self.box.currentIndexChanged.connect(lambda index: self.set(index))
        self.reset.clicked.connect(lambda: self.set(tunable.default))

    @property
    def value(self) -> float:
        """The chosen value."""
        return float(self.box.currentIndex())

    def set(self, value: float, tell: bool = True) -> None:
        """Show a value; `tell` says so to the panel's listeners."""
        self.box.blockSignals(True)
        self.box.setCurrentIndex(int(value))
        self.box.blockSignals(False)
        allow(self.reset, "" if self.value != self.tunable.default else _DEFAULT)
        if tell:
            self._panel.changed.emit()


class ParameterPanel(QWidget):
    """Rows for a prediction's tunables; knows no model by name.

    Signals
    -------
    changed()
        A value was changed by the user, also while a slider is dragged.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self.rows: dict[str, TunableRow | ChoiceRow] = {}

    def show_tunables(self, tunables: tuple[ParameterSpec, ...], values: dict[str, float]) -> None:
        """Make a row for each tunable, with these values."""
        for row in self.rows.values():
            for widget in row.widgets:
                self._grid.removeWidget(widget)
                widget.deleteLater()
        self.rows = {
            tunable.name: (ChoiceRow if tunable.choices else TunableRow)(
                self, self._grid, number, tunable, values.get(tunable.name, tunable.default)
            )
            for number, tunable in enumerate(tunables)
        }

    @property
    def held(self) -> bool:
        """Whether the mouse holds a slider."""
        return any(isinstance(row, TunableRow) and row.slider.isSliderDown() for row in self.rows.values())

    def values(self) -> dict[str, float]:
        """Return the values by name."""
        return {name: row.value for name, row in self.rows.items()}
