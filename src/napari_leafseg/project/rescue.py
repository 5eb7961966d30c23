"""Projects that are closed while their disk cannot be written: all of them is kept in another folder."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_leafseg._files import read_json, write_atomically
from napari_leafseg.errors import ProjectError, UserError, plain_reason
from napari_leafseg.project.document import Document
from napari_leafseg.project.elsewhere import copy_elsewhere

if TYPE_CHECKING:
    from napari_leafseg.project.store import Project

_LOG = logging.getLogger(__name__)
_NOTE = "kept_from.json"  # of which project a folder holds what could not be written there
_PATIENCE = 5.0  # seconds until a disk counts as one that does not answer


def close_or_keep(project: Project, documents: Mapping[str, Document], place: Path) -> Path | None:
    """Close a project; where not all of it can be written, keep the whole project in another folder.

    Parameters
    ----------
    project : Project
    documents : dict
        Open documents by the images' names.
    place : pathlib.Path
        The other folder, which is not there yet.

    Returns
    -------
    pathlib.Path or None
        `place` where it was needed.

    Raises
    ------
    ProjectError
        When the project can be written neither where it is nor there; it stays open.
    """
    if project.writer.flush(_PATIENCE):
        project.close()
        return None
    reason = project.writer.error or "Its disk does not answer."
    try:
        for event in copy_elsewhere(project, place, documents, predictions=False):
            if event.project is not None:
                event.project.close()
        write_atomically(place / _NOTE, json.dumps({"folder": str(project.folder), "reason": reason}).encode())
    except (OSError, UserError) as error:
        raise ProjectError(f"{reason} Nor can your work be kept elsewhere: {plain_reason(error)}.") from error
    _LOG.error("The project %s cannot be written, and is kept in %s: %s", project.folder, place, reason)
    project.writer.drop()
    closing = threading.Thread(target=project.close, name="napari-leafseg closing", daemon=True)
    closing.start()  # which a disk that does not answer may hold up for ever
    closing.join(_PATIENCE)
    return place


def kept_from(folder: Path) -> Path | None:
    """Return which project's work a folder keeps because it could not be written there; None for other folders."""
    try:
        return Path(read_json(folder / _NOTE)["folder"])
    except FileNotFoundError:
        _LOG.debug("%s keeps the work of no other project.", folder)
        return None
    except (OSError, UserError, KeyError, TypeError) as error:
        _LOG.warning("%s does not say whose work it is: %r", folder / _NOTE, error)
        return None
