"""The projects of this computer, and which models made their leaves."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from napari_leafseg._files import data_folder, read_json, write_atomically
from napari_leafseg.errors import UserError

_LOG = logging.getLogger(__name__)
_MOST = 200
_LOG = logging.getLogger(__name__)


def _list_file() -> Path:
    return data_folder() / "projects.json"


def recent_projects() -> list[Path]:
    """List folders of the projects that were opened on this computer and are still there, the last one first."""
    file = _list_file()
    if not file.exists():
        return []
    try:
        listed = read_json(_list_file())
    except FileNotFoundError:
        _LOG.debug("No project was opened on this computer yet.")
        return []
    except (OSError, UserError) as error:
        _LOG.warning("The list of projects cannot be read: %s", error)
        return []
    folders = [folder for folder in listed if isinstance(folder, str)] if isinstance(listed, list) else []
    return [Path(folder) for folder in folders if _holds_project(folder)]


def _holds_project(folder: str) -> bool:
    try:
        return (Path(folder) / "project.json").is_file()
    except (OSError, ValueError) as error:  # too long, or characters that no name has
        _LOG.warning("The list of projects names what is no folder: %s", error)
        return False


def remember_project(folder: Path) -> None:
    """Put a project at the head of the list; a list that cannot be written is no reason to stop."""
    known = recent_projects()
    if known[:1] == [folder]:
        return
    others = [other for other in known if other != folder]
    content = json.dumps([str(item) for item in (folder, *others)][:_MOST], indent=1)
    try:
        write_atomically(_list_file(), content.encode())
    except UserError as error:
        _LOG.warning("The project %s is not put on the list: %s", folder, error)


def projects_using(model: str) -> dict[Path, int]:
    """Find recent projects with images whose leaves a model found, and how many images."""
    found = {}
    for folder in recent_projects():
        count = sum(_model_of(record) == model for record in sorted((folder / "records").glob("*.json")))
        if count:
            found[folder] = count
    return found


def _model_of(record: Path) -> str:
    try:
        return str(read_json(record)["model"]["name"])
    except (OSError, UserError, KeyError, TypeError) as error:
        _LOG.warning("The record %s does not say which model found its leaves: %r", record, error)
        return ""
