"""The widgets as napari's Plugins menu opens them: one window of tabs, whatever is opened first."""

import pytest
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.main.dialogs import DIALOGS, WidgetDialog
from napari_leafseg.widgets.main.docks import dock_of
from napari_leafseg.widgets.main.panel import STEPS, MainPanel, find_panel, open_panel
from napari_leafseg.widgets.state.napari_private import layer_controls_dock, layer_list_dock, main_window
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session

TABS = {step.title: name for name, step in STEPS.items()}
WIDGETS = ("Leaf segmentation", "Images", *TABS, "Parameter search", "Models")
OURS = ("napari-leafseg-main", "napari-leafseg-images")


def menu(viewer, name):
    manager = PluginManager.instance()
    if "napari-leafseg" not in manager:
        manager.register(PluginManifest.from_distribution("napari-leafseg"))
    return viewer.window.add_plugin_dock_widget("napari-leafseg", name)[1]


def docks(viewer):
    found = main_window(viewer).findChildren(QDockWidget)
    return [dock for dock in found if dock.widget() is not None and dock.widget().objectName() in OURS]


@pytest.mark.parametrize("name", WIDGETS)
def test_the_plugins_menu_opens_it(name, viewer, qtbot):
    widget = menu(viewer, name)
    assert widget.session is Session.of(viewer)
    assert widget.session.viewer is viewer
    window = main_window(viewer)
    if name in TABS:
        qtbot.waitUntil(lambda: find_panel(viewer) is not None and dock_of(find_panel(viewer)) is not None)
        assert find_panel(viewer).chosen == TABS[name]
    elif name in {title for title, *_ in DIALOGS.values()}:
        qtbot.waitUntil(lambda: any(dialog.windowTitle() == name for dialog in window.findChildren(WidgetDialog)))
        assert docks(viewer) == []


def test_every_widget_of_the_manifest_is_tested_here_and_the_one_for_all_is_first():
    manifest = PluginManifest.from_distribution("napari-leafseg")
    assert {item.display_name for item in manifest.contributions.widgets} == set(WIDGETS)
    assert manifest.contributions.widgets[0].display_name == "Leaf segmentation"


def test_one_by_one_they_join_the_same_tabs_with_short_titles(viewer, qtbot):
    for title, name in TABS.items():
        menu(viewer, title)
        qtbot.waitUntil(lambda name=name: find_panel(viewer) is not None and find_panel(viewer).chosen == name)
    qtbot.waitUntil(lambda: sorted(dock.windowTitle() for dock in docks(viewer)) == ["Images", "Leaf segmentation"])
    assert len(main_window(viewer).findChildren(MainPanel)) == 1
    for dock in docks(viewer):
        assert dock.widget().minimumSizeHint().height() <= 300


@pytest.mark.parametrize(("height", "shares"), [(768, True), (1000, False)])
def test_the_list_of_images_has_more_of_the_left_side_than_the_layers(height, shares, make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    window = main_window(viewer)
    window.setGeometry(0, 0, 1366, height)
    open_panel(viewer)
    qtbot.waitUntil(lambda: window.findChild(ImagesWidget) is not None)
    dock, layers = dock_of(window.findChild(ImagesWidget)), layer_list_dock(viewer)
    qtbot.waitUntil(lambda: dock.height() > height / 2)
    assert dock.isVisible()
    assert layer_controls_dock(viewer) in window.tabifiedDockWidgets(layers)
    assert (dock in window.tabifiedDockWidgets(layers)) == shares


def test_a_click_on_a_tab_opens_it_and_the_next_window_remembers_tab_and_side(make_napari_viewer, qtbot):
    first = make_napari_viewer(show=True)
    panel = open_panel(first)
    assert panel.chosen == "segment"
    qtbot.waitUntil(lambda: dock_of(panel).windowTitle() == "Leaf segmentation")
    qtbot.mouseClick(panel.buttons["batch"], Qt.MouseButton.LeftButton)
    assert panel.stack.currentWidget() is panel.step("batch")
    main_window(first).addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock_of(panel))
    assert (preferences.panel_tab, preferences.panel_area) == ("batch", "left")
    second = make_napari_viewer()
    again = menu(second, "Leaf segmentation")
    side = Qt.DockWidgetArea.LeftDockWidgetArea
    qtbot.waitUntil(lambda: main_window(second).dockWidgetArea(dock_of(again)) == side)
    assert again.chosen == "batch"


def test_a_dock_that_is_closed_and_opened_again_goes_on_with_the_same_steps(viewer, qtbot):
    panel = open_panel(viewer)
    segment = panel.step("segment")
    segment.scale_box.setValue(77)
    viewer.window.remove_dock_widget(dock_of(panel))
    qtbot.waitUntil(lambda: panel.parent() is main_window(viewer))
    again = menu(viewer, "Leaf segmentation")
    assert again is not panel
    assert again.step("segment") is segment
    assert segment.scale_box.value() == 77


def test_the_list_of_images_is_in_one_dock_only(viewer, qtbot):
    open_panel(viewer)
    qtbot.waitUntil(lambda: main_window(viewer).findChild(ImagesWidget) is not None)
    open_panel(viewer, "measure")
    qtbot.wait(50)
    assert len(main_window(viewer).findChildren(ImagesWidget)) == 1


def test_segment_opens_models_and_the_parameter_search_as_dialogs(viewer, qtbot):
    menu(viewer, "Leaf segmentation")
    segment = find_panel(viewer).step("segment")
    segment.panel.setVisible(True)
    segment.parameter_search_button.setVisible(True)
    for button, name in ((segment.models_button, "models"), (segment.parameter_search_button, "parameter_search")):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda name=name: main_window(viewer).findChild(WidgetDialog, f"dialog_{name}") is not None)
        assert main_window(viewer).findChild(WidgetDialog, f"dialog_{name}").inner.session is Session.of(viewer)
