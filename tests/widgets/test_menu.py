"""The widgets as napari's Plugins menu opens them."""

import pytest
from npe2 import PluginManager, PluginManifest

from napari_leafseg.widgets.state.session import Session

WIDGETS = ("Images", "Segment", "Correct", "Measure", "Batch", "Parameter search", "Fine-tune", "Models")


@pytest.mark.parametrize("name", WIDGETS)
def test_the_plugins_menu_opens_it(name, viewer):
    manager = PluginManager.instance()
    if "napari-leafseg" not in manager:
        manager.register(PluginManifest.from_distribution("napari-leafseg"))
    _, widget = viewer.window.add_plugin_dock_widget("napari-leafseg", name)
    assert widget.session is Session.of(viewer)
    assert widget.session.viewer is viewer


def test_every_widget_of_the_manifest_is_tested_here():
    manifest = PluginManifest.from_distribution("napari-leafseg")
    assert {item.display_name for item in manifest.contributions.widgets} == set(WIDGETS)
