"""Keeps the canvas from crashing when a layer goes.

napari deletes a removed layer's textures and buffers at once, in whichever OpenGL context happens to be current: Qt's
own after it composed the window. Deleting there what is another context's ends the application now and then, at the
next frame. Making the canvas's context current before a layer goes costs microseconds.
"""

from __future__ import annotations

import weakref
from typing import Any

from qtpy.compat import isalive

from napari_leafseg.widgets.state.napari_private import native_canvas

_guarded: weakref.WeakSet[Any] = weakref.WeakSet()


def guard_canvas(viewer: Any) -> None:
    """Do so for a viewer's canvas; nothing for a viewer without a window."""
    native = native_canvas(viewer)
    if native is None or not hasattr(native, "makeCurrent") or viewer in _guarded:
        return
    _guarded.add(viewer)
    viewer.layers.events.removing.connect(lambda _event: native.makeCurrent() if isalive(native) else None)
