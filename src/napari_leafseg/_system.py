"""What a bug report should say of the computer and of this program on it."""

from __future__ import annotations

import logging
import os
import platform
from typing import Any

from napari_leafseg._extras import extras, missing
from napari_leafseg._files import data_folder, resource_folder
from napari_leafseg._log import LEVEL_VARIABLE, log_file
from napari_leafseg.errors import plain_reason
from napari_leafseg.io.image_formats import FORMATS
from napari_leafseg.models.registry import broken_families, families
from napari_leafseg.models.store.zoo import user_folder
from napari_leafseg.versions import __version__, installed_version

_LOG = logging.getLogger(__name__)
_PACKAGES = (
    "napari", "PyQt5", "PyQt6", "PySide6", "qtpy", "numpy", "torch", "transformers", "opencv-python-headless",
    "opencv-python", "scikit-image", "dask", "pydantic",
)  # fmt: skip
_VARIABLES = ("QT_API", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", LEVEL_VARIABLE)


def system_info(settings: str = "") -> dict[str, Any]:
    """Collect versions, devices and folders; imports torch and takes seconds.

    Parameters
    ----------
    settings : str
        The file of the window's settings.
    """
    return {
        "versions": {
            "napari-leafseg": __version__,
            "python": platform.python_version(),
            **{name: installed_version(name) or "–" for name in _PACKAGES},
        },
        "system": platform.platform(),
        "cores": {"all": os.cpu_count(), "usable": usable_cores()},
        **_devices(),
        "model families": {
            **{kind: f"{family.title} ({_package(family.builder)})" for kind, family in families().items()},
            **{point: f"left out: {reason}" for point, reason in broken_families().items()},
        },
        "extras": {extra: command or "installed" for extra, command in extras().items()},
        "image formats": {
            entry.name: f"needs {command}" if entry.package and (command := missing(entry.package)) else "read"
            for entry in FORMATS
        },
        "paths": {
            "data": str(data_folder()),
            "models": str(user_folder()),
            "resources": str(resource_folder()),
            "settings": settings,
            "log": str(log_file()),
        },
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def info_lines(info: dict[str, Any]) -> list[str]:
    """Write what `system_info` found as lines of text."""
    lines = []
    for name, value in info.items():
        if isinstance(value, dict):
            lines.append(f"{name}:")
            lines += [f"  {key}: {item}" for key, item in value.items()]
        elif isinstance(value, list):
            lines.append(f"{name}: {', '.join(map(str, value))}")
        else:
            lines.append(f"{name}: {value}")
    return lines


def usable_cores() -> int:
    """Count the cores that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _package(name: str) -> str:
    """The package that ``"package.module:attribute"`` lies in, with its version where it is installed."""
    package = name.partition(":")[0].partition(".")[0]
    return f"{package} {installed_version(package.replace('_', '-')) or ''}".strip()


def _devices() -> dict[str, Any]:
    """The devices, and which compute faster in bfloat16; a torch that cannot be loaded is what the report is for."""
    try:
        import torch

        from napari_leafseg.inference.device import available_devices, fast_bfloat16

        found = available_devices()
        names = [f"{name} ({torch.cuda.get_device_name(name)})" if name.startswith("cuda") else name for name in found]
        fast = {"cpu": fast_bfloat16()}
        if "cuda" in found:
            fast["cuda"] = torch.cuda.is_bf16_supported(including_emulation=False)
    except Exception as error:
        _LOG.exception("torch cannot be used.")
        return {"devices": [f"none: {plain_reason(error)}"], "bfloat16": {}}
    return {"devices": names, "bfloat16": fast}
