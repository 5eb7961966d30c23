"""Which software made a result, and when."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any


def installed_version(package: str) -> str:
    """Return the version of a package; empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


__version__ = installed_version("napari-leafseg") or "0.0.0"  # a checkout that was never installed


def timestamp() -> str:
    """Return this moment, UTC, ISO 8601, to the second."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def software_versions() -> dict[str, str]:
    """Return versions of Python and of the packages that decide a result."""
    packages = ("napari-leafseg", "torch", "numpy", "opencv-python-headless", "scikit-image")
    versions = {package: installed_version(package) for package in packages}
    return {"python": platform.python_version(), **{package: found for package, found in versions.items() if found}}


def with_new_names(entries: Any, names: Mapping[str, str]) -> Any:
    """Give the entries of a file that an earlier version wrote today's names.

    Parameters
    ----------
    entries : object
        What was read; returned as it is where it is no dict.
    names : mapping of str to str
        From old names to new ones.
    """
    return {names.get(key, key): value for key, value in entries.items()} if isinstance(entries, dict) else entries
