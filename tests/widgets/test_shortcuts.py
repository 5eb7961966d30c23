"""Keys that are chosen in napari's preferences."""

from __future__ import annotations

import numpy as np
import pytest
from napari._qt.dialogs.preferences_dialog import PreferencesDialog
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor
from napari.settings import get_settings
from napari.utils.interactions import Shortcut
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_leafseg.widgets.correct.keys import key_table
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.state.shortcuts import ACTIONS, Keys, keys_of, shown_keys
from tests.widgets.conftest import *  # noqa: F403

pytestmark = pytest.mark.gui
NEW = Shortcut("Shift-G").platform


class Hearer:
    """Remembers which keys were pressed."""

    def __init__(self):
        self.pressed = []

    def press(self, name):
        self.pressed.append(name)


@pytest.fixture
def desk(make_napari_viewer, qtbot):
    """A shown viewer with *Correct*; napari's own keys are back at the end."""
    viewer = make_napari_viewer(show=True)
    widget = CorrectWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Correct")
    yield viewer, widget
    get_settings().shortcuts.reset()


@pytest.fixture
def table(desk, qtbot):
    """The table of keys in napari's preferences, as a user sees it."""
    viewer, _widget = desk
    viewer.window._open_preferences_dialog()
    dialog = next(item for item in QApplication.topLevelWidgets() if isinstance(item, PreferencesDialog))
    (editor,) = dialog.findChildren(ShortcutEditor)
    yield editor
    dialog.close()


def _row_of(editor, name):
    words = f"Leaf segmentation: {ACTIONS[name].words}"
    return next(row for row in range(editor._table.rowCount()) if editor._table.item(row, 0).text() == words)


def _canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def test_napari_lists_every_key(table):
    texts = {editor_row: table._table.item(editor_row, 0).text() for editor_row in range(table._table.rowCount())}
    for name, action in ACTIONS.items():
        row = next(row for row, text in texts.items() if text == f"Leaf segmentation: {action.words}")
        assert table._table.item(row, table._shortcut_col).text(), name


def test_a_key_that_is_chosen_there_works_and_is_shown(desk, table, qtbot):
    viewer, widget = desk
    button = widget.tool_buttons["merge"]
    assert button.text() == "Merge  (G)"
    table._table.item(_row_of(table, "tool_merge"), table._shortcut_col).setText(NEW)
    assert keys_of("tool_merge") == ["Shift+G"]
    assert button.text() == f"Merge  ({NEW})"
    assert [key for key, what in key_table() if what.startswith("Merge")] == [NEW]
    hearer = Hearer()
    Keys.of(widget.session).bind("tool_merge", hearer.press)
    qtbot.keyClick(_canvas(viewer), Qt.Key.Key_G)
    assert not hearer.pressed
    qtbot.keyClick(_canvas(viewer), Qt.Key.Key_G, Qt.KeyboardModifier.ShiftModifier)
    assert hearer.pressed == ["tool_merge"]


def test_a_key_that_is_taken_away_is_shown_nowhere(desk, table):
    _viewer, widget = desk
    table._table.item(_row_of(table, "tool_merge"), table._shortcut_col).setText("")
    assert keys_of("tool_merge") == []
    assert widget.tool_buttons["merge"].text() == "Merge"
    assert not any(what.startswith("Merge") for _key, what in key_table())


def test_the_defaults_come_back(desk, table, qtbot):
    viewer, widget = desk
    table._table.item(_row_of(table, "tool_merge"), table._shortcut_col).setText(NEW)
    table._reset_shortcuts()
    assert shown_keys("tool_merge") == "G"
    assert widget.tool_buttons["merge"].text() == "Merge  (G)"
    hearer = Hearer()
    Keys.of(widget.session).bind("tool_merge", hearer.press)
    qtbot.keyClick(_canvas(viewer), Qt.Key.Key_G, Qt.KeyboardModifier.ShiftModifier)
    assert not hearer.pressed
    qtbot.keyClick(_canvas(viewer), Qt.Key.Key_G)
    assert hearer.pressed == ["tool_merge"]


def test_each_viewer_does_its_own(make_napari_viewer, qtbot):
    one, other = make_napari_viewer(show=True), make_napari_viewer(show=True)
    hearers = [Hearer(), Hearer()]
    for viewer, hearer in zip((one, other), hearers, strict=True):
        widget = CorrectWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Correct")
        Keys.of(widget.session).bind("tool_merge", hearer.press)
    viewer = make_napari_viewer(show=True)  # none of our widgets is there
    viewer.add_image(np.zeros((4, 4)))
    for shown, told in ((viewer, [0, 0]), (other, [0, 1]), (one, [1, 1])):
        qtbot.keyClick(_canvas(shown), Qt.Key.Key_G)
        assert [len(hearer.pressed) for hearer in hearers] == told
