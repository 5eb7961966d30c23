"""From a row of the table to its leaf on the canvas."""

from __future__ import annotations

from typing import Any

from napari_leafseg.widgets.common import leaf_finder
from napari_leafseg.widgets.measure.frames import image_names


class LeafFinder(leaf_finder.LeafFinder):
    """Show the leaf of a row of a table whose rows name their images."""

    def go_to(self, leaf: Any) -> None:
        """Go to the leaf of a row."""
        names = image_names(self.session)
        entry = next((item for item in self.session.images if names[item.path] == leaf["image"]), None)
        self.go_to_leaf(entry, int(leaf["leaf"]), str(leaf["image"]))
