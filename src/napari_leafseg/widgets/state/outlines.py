"""Leaves as outlines, as wide on the screen at any zoom: the graphics card finds them, nothing is recomputed."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels

from napari_leafseg.widgets.state.napari_private import (
    device_pixel_ratio,
    label_maximum,
    label_node,
    redraw_node,
    replace_lookup,
)

WIDTH = 2.0  # pixels on the screen
_REVIEWED = 4.0  # of the leaf under review
_PLAIN = 2  # data pixels, where the graphics card is not ours
_RING = [(np.cos(turn), np.sin(turn)) for turn in np.arange(8) * np.pi / 4]
_DIFFERS = "\n    ".join(
    f"differs = differs || other(texcoord + {share} * reach * (({x:.4f}) * right + ({y:.4f}) * down), here.r);"
    for share in ("1.0", "0.5")
    for x, y in _RING
)
_LOOKUP = f"""
bool other(vec2 place, float leaf) {{
    if (place.x < 0.0 || place.x > 1.0 || place.y < 0.0 || place.y > 1.0) {{
        return true;
    }}
    return abs(texture2D($texture, place).r - leaf) > 1e-7;
}}

vec4 outlined(vec2 texcoord) {{
    vec2 right = dFdx(texcoord);
    vec2 down = dFdy(texcoord);
    if (texcoord.x < 0.0 || texcoord.x > 1.0 || texcoord.y < 0.0 || texcoord.y > 1.0) {{
        discard;
    }}
    vec4 here = texture2D($texture, texcoord);
    bool reviewed = $reviewed > 0.0 && abs(here.r - $reviewed) < 1e-7;
    float reach = reviewed ? $wide : $width;
    if (here.r == 0.0 || reach <= 0.0) {{
        return here;
    }}
    bool differs = false;
    {_DIFFERS}
    if (differs) {{
        here.r = reviewed ? $white : here.r;
    }} else if ($width > 0.0) {{
        here.r = 0.0;
    }}
    return here;
}}
"""


class Outlines:
    """Draw a labels layer's leaves as outlines, and one of them in white.

    Without a window, the layer's own contour is used.

    Parameters
    ----------
    viewer : ViewerModel
    layer : napari.layers.Labels
    """

    def __init__(self, viewer: Any, layer: Labels) -> None:
        self._viewer, self._layer = viewer, layer
        self.on, self.reviewed, self.white = False, 0, 0
        self._node = label_node(viewer, layer)
        self._lookup: Any = None
        if self._node is not None:
            self._lookup = replace_lookup(self._node, _LOOKUP)

    def show(self, on: bool | None = None, reviewed: int | None = None, white: int | None = None) -> None:
        """Draw outlines or filled leaves; `reviewed` is the leaf in white, `white` the number that has this color."""
        self.on = self.on if on is None else on
        self.reviewed = self.reviewed if reviewed is None else reviewed
        self.white = self.white if white is None else white
        self._layer.opacity = 1.0 if self.on else 0.5
        if self._lookup is None:
            self._layer.contour = _PLAIN if self.on else 0
            return
        pixels, most = device_pixel_ratio(self._viewer), label_maximum(self._layer)
        self._lookup["width"] = WIDTH * pixels if self.on else 0.0
        self._lookup["wide"] = _REVIEWED * pixels
        self._lookup["reviewed"] = float(self.reviewed / most)
        self._lookup["white"] = float((self.white or self.reviewed) / most)
        redraw_node(self._node)
