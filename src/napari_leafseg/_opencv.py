"""The one place that imports OpenCV.

The GUI wheel ``opencv-python`` points Qt at its own plug-ins through two environment variables when it is
imported, and a ``QApplication`` made afterwards aborts. We depend on the headless wheel, but a user may have
the other one: both variables are put back after the import.
"""

import os
from typing import Any

_QT_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
_before = {name: os.environ.get(name) for name in _QT_VARIABLES}

import cv2 as _cv2  # noqa: E402

cv2: Any = _cv2  # its stubs name no concrete array types

for _name, _value in _before.items():
    if _value is None:
        os.environ.pop(_name, None)
    else:
        os.environ[_name] = _value

__all__ = ["cv2"]
