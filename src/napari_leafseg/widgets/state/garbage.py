"""Keeps collections of garbage short: napari makes a full one whenever a layer goes, and the window waits for it.

Half a million objects of libraries take some tenths of a second to look through, and none of them is ever garbage.
"""

from __future__ import annotations

import gc
import sys

_MANY = 100  # modules that make it worth while
_spared = 0  # modules that were there the last time


def spare_libraries() -> None:
    """Make collections pass over all that there is, where many modules were loaded since the last time."""
    global _spared
    if len(sys.modules) > _spared + _MANY:
        _spared = len(sys.modules)
        gc.freeze()


def look_at_all() -> None:
    """Make the next collections look at everything again: a window was closed, and what it had is garbage."""
    global _spared
    _spared = 0
    gc.unfreeze()
