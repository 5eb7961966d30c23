"""Which software made a result."""

from __future__ import annotations

import platform
from importlib import metadata


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
