"""Which software made a result, and when."""

from __future__ import annotations

import datetime
import platform
from importlib import metadata


def timestamp() -> str:
    """This moment, UTC, ISO 8601, to the second."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    packages = ("napari-leafseg", "torch", "numpy", "opencv-python-headless", "scikit-image")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
