"""One precision for all that work on an experiment, whichever of them does an image."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari_leafseg._files import read_json
from napari_leafseg.errors import UserError
from napari_leafseg.pipelines.processes import connect

_LOG = logging.getLogger(__name__)


def agree_on_precision(wanted: str, device: str, scheduler: str | None, earlier: Path, digest: str) -> str:
    """Choose the precision of an experiment.

    Parameters
    ----------
    wanted : str
        "auto", or a precision.
    device : str
    scheduler : str, optional
        Address of a Dask scheduler: where its workers do not all have the same precision, it is "float32".
    earlier : path
        ``batch.json``: an experiment that goes on keeps its precision.
    digest : str
        Of the settings.

    Raises
    ------
    ParameterError
        When no scheduler answers.
    """
    if wanted != "auto":
        return wanted
    known = _earlier(earlier, digest)
    if known:
        return known
    if scheduler is None:
        return own_precision(device)
    with connect(scheduler) as client:
        found = set(client.run(own_precision, device).values())
    return found.pop() if len(found) == 1 else "float32"


def own_precision(device: str) -> str:
    """Return the precision in which this machine computes on a device."""
    from napari_leafseg.inference.device import choose_device, choose_precision

    return choose_precision(choose_device(device))


def _earlier(path: Path, digest: str) -> str:
    try:
        content: Any = read_json(path) if path.exists() else {}
        if isinstance(content, dict) and content.get("digest") == digest:
            return str(content["settings"]["precision"])
    except (UserError, OSError, KeyError, TypeError) as error:
        _LOG.info("%s does not say in which precision the experiment began: %r", path, error)
    return ""
