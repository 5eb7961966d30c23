"""The tabs *Segment*, *Correct*, *Measure*, *Fine-tune* and *Batch* in one dock, the list of images beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.utils.theme import get_theme
from napari.viewer import ViewerModel
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QButtonGroup, QDockWidget, QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import burst_timer
from napari_leafseg.widgets.main.docks import AREAS, area_of, dock_of, images_dock, keep_title, show_dock
from napari_leafseg.widgets.main.icons import themed_icon
from napari_leafseg.widgets.state.garbage import spare_libraries
from napari_leafseg.widgets.state.napari_private import main_window
from napari_leafseg.widgets.state.preferences import preferences

TITLE = "Leaf segmentation"
_ICON = 22


@dataclass(frozen=True)
class Step:
    """One tab: its title, what it is for, and how its widget is made, which loads what that needs."""

    title: str
    tip: str
    make: Callable[[ViewerModel], LeafsegWidget]


def _segment(viewer: ViewerModel) -> LeafsegWidget:
    from napari_leafseg.widgets.segment.widget import SegmentWidget

    return SegmentWidget(viewer)


def _correct(viewer: ViewerModel) -> LeafsegWidget:
    from napari_leafseg.widgets.correct.widget import CorrectWidget

    return CorrectWidget(viewer)


def _measure(viewer: ViewerModel) -> LeafsegWidget:
    from napari_leafseg.widgets.measure.widget import MeasureWidget

    return MeasureWidget(viewer)


def _finetune(viewer: ViewerModel) -> LeafsegWidget:
    from napari_leafseg.widgets.finetune.widget import FinetuneWidget

    return FinetuneWidget(viewer)


def _batch(viewer: ViewerModel) -> LeafsegWidget:
    from napari_leafseg.widgets.batch.widget import BatchWidget

    return BatchWidget(viewer)


STEPS = {
    "segment": Step("Segment", "Find the leaves of an image, and tune what was found", _segment),
    "correct": Step("Correct", "Split, merge, add and redraw leaves, and review them", _correct),
    "measure": Step("Measure", "Leaves, plants and their growth as tables and plots", _measure),
    "finetune": Step("Fine-tune", "Teach a model what you corrected", _finetune),
    "batch": Step("Batch", "Segment and measure a whole folder in the background", _batch),
}
_MAIN_BUTTONS = ("run", "start", "run_batch")


class MainPanel(LeafsegWidget):
    """Shows one step at a time; each is made when it is first needed, or once the window is idle.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    object_name = "napari-leafseg-main"
    most_minimum_height = 300

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        earlier = find_panel(self.viewer)
        self.steps: dict[str, LeafsegWidget] = {}
        self._build()
        self._place = burst_timer(self, self._remember_width, 500)
        self._rest = burst_timer(self, self._make_next, 0)
        self.listen(self.viewer.events.theme, self._take_theme)
        self._take_theme()
        if earlier is not None:
            self._take_over(earlier)
        self.choose(preferences.panel_tab)
        self._rest.start()

    def _build(self) -> None:
        self.stack = QStackedWidget()
        self.stack.setObjectName("steps")
        self.buttons: dict[str, QToolButton] = {}
        self.group = QButtonGroup(self)
        bar = QHBoxLayout()
        bar.setContentsMargins(4, 2, 4, 2)
        bar.setSpacing(2)
        for name, step in STEPS.items():
            button = QToolButton()
            button.setObjectName(f"tab_{name}")
            button.setText(step.title)
            button.setToolTip(step.tip)
            button.setCheckable(True)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(_ICON, _ICON))
            button.setSizePolicy(button.sizePolicy().Policy.Expanding, button.sizePolicy().Policy.Fixed)
            button.clicked.connect(partial(self._clicked, name))
            self.group.addButton(button)
            self.buttons[name] = button
            bar.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(bar)
        column.addWidget(self.stack, 1)

    # -- steps -------------------------------------------------------------------------------------------------------

    def step(self, name: str) -> LeafsegWidget:
        """Return the widget of a step, made when there is none yet."""
        if name not in self.steps:
            self.steps[name] = STEPS[name].make(self.viewer)
            self.stack.addWidget(self.steps[name])
        return self.steps[name]

    def choose(self, name: str) -> LeafsegWidget:
        """Show a step, now and at the next start."""
        name = name if name in STEPS else "segment"
        widget = self.step(name)
        self.stack.setCurrentWidget(widget)
        self.buttons[name].setChecked(True)
        preferences.panel_tab = name
        return widget

    def _clicked(self, name: str, _on: bool = False) -> None:
        self.choose(name)

    @property
    def chosen(self) -> str:
        """Name of the step that is shown."""
        return next(name for name, button in self.buttons.items() if button.isChecked())

    def _make_next(self) -> None:
        missing = next((name for name in STEPS if name not in self.steps), None)
        if missing is not None:
            self.step(missing)
            self._rest.start()
        else:
            spare_libraries()

    def _take_over(self, earlier: MainPanel) -> None:
        """Go on with the steps of a panel whose dock was closed: what runs there runs on."""
        for name, widget in earlier.steps.items():
            self.steps[name] = widget
            self.stack.addWidget(widget)
        earlier.steps = {}
        earlier.setObjectName("")
        earlier.setParent(None)
        earlier.deleteLater()

    def _take_theme(self, _event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        for name, button in self.buttons.items():
            button.setIcon(themed_icon(name, theme.text.as_hex()))
        tab, main = f"#{self.object_name} > QToolButton", theme.current.as_hex()
        tinted = f"background: {theme.foreground.as_hex()}"
        buttons = ", ".join(f"QPushButton#{name}:enabled" for name in _MAIN_BUTTONS)
        self.setStyleSheet(
            f"{tab} {{ border: 0; border-bottom: 3px solid transparent; padding: 4px 2px; }}"
            f"{tab}:hover, {tab}:focus {{ {tinted}; }}"
            f"{tab}:checked {{ {tinted}; border-bottom: 3px solid {main}; }}"
            f"{buttons} {{ background: {main}; font-weight: bold; }}"
        )

    # -- place -------------------------------------------------------------------------------------------------------

    def event(self, event: Any) -> bool:
        """Take the place in the window that people gave it, and outlive a dock that is closed."""
        if event.type() == event.Type.ParentChange:
            QTimer.singleShot(0, self._settle)
        return bool(super().event(event))

    def _settle(self) -> None:
        dock, window = dock_of(self), main_window(self.viewer)
        if window is None:
            return
        if dock is None:
            if self.parent() is None and self.objectName():
                self.setParent(window)
                self.hide()
            return
        keep_title(dock, TITLE)
        wanted = AREAS.get(preferences.panel_area)
        if wanted is not None and window.dockWidgetArea(dock) != wanted and not dock.isFloating():
            window.addDockWidget(wanted, dock)
        if preferences.panel_width:
            window.resizeDocks([dock], [preferences.panel_width], Qt.Orientation.Horizontal)
        dock.dockLocationChanged.connect(self._remember_area)
        images_dock(self.session)

    def _remember_area(self, area: Any) -> None:
        preferences.panel_area = area_of(area) or preferences.panel_area

    def _remember_width(self) -> None:
        dock = dock_of(self)
        if dock is not None and not dock.isFloating() and dock.isVisible():
            preferences.panel_width = dock.width()

    def resizeEvent(self, event: Any) -> None:
        """Remember the width."""
        super().resizeEvent(event)
        self._place.start()


def find_panel(viewer: Any) -> MainPanel | None:
    """Find the tabs of a viewer, also where their dock was closed; None where nobody opened them."""
    window = main_window(viewer)
    return None if window is None else window.findChild(MainPanel, MainPanel.object_name)


def open_panel(viewer: Any, step: str = "") -> MainPanel:
    """Show the tabs of a viewer, at a step where one is named."""
    panel = find_panel(viewer)
    dock = None if panel is None else dock_of(panel)
    if panel is None or dock is None:
        panel = MainPanel(viewer)
        area = preferences.panel_area if preferences.panel_area in AREAS else "right"
        viewer.window.add_dock_widget(panel, name=f"{TITLE} ({TITLE})", area=area)
        dock = dock_of(panel)
    assert isinstance(dock, QDockWidget)
    if step:
        panel.choose(step)
    show_dock(dock)
    return panel
