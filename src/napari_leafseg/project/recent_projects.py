"""The projects of this computer, and which models made their leaves."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from napari_leafseg._files import data_folder, read_json, write_atomically
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.project.journal import free_name

_LOG = logging.getLogger(__name__)
_MOST = 200


def _list_file() -> Path:
    return data_folder() / "projects.json"


def recent_projects() -> list[Path]:
    """List folders of the projects that were opened on this computer and are still there, the last one first."""
    file = _list_file()
    if not file.exists():
        return []
    try:
        listed = read_json(file)
        if not isinstance(listed, list):
            raise InputFileError(f"{file} is damaged: it holds no list.")
    except FileNotFoundError:
        _LOG.debug("No project was opened on this computer yet.")
        return []
    except (OSError, UserError) as error:
        _LOG.warning("The list of projects cannot be read: %s", error)
        return []
    return [Path(folder) for folder in listed if isinstance(folder, str) and _holds_project(folder)]


def last_project(apart_from: Path) -> Path | None:
    """Return the project that was opened last, of those that lie outside of a folder; None where there is none."""
    return next((folder for folder in recent_projects() if not folder.is_relative_to(apart_from)), None)


def _put_aside_damaged() -> None:
    """Keep a list that cannot be read beside the new one: it names every project of this computer."""
    file = _list_file()
    try:
        listed = read_json(file)
    except FileNotFoundError:
        _LOG.debug("There is no list of projects yet.")
        return
    except (OSError, UserError) as error:
        _LOG.warning("The list of projects cannot be read: %s", error)
        listed = None
    if isinstance(listed, list):
        return
    try:
        aside = file.rename(free_name(file, "damaged"))
        _LOG.warning("The damaged list of projects is kept as %s; a new one is begun.", aside)
    except OSError as error:
        _LOG.warning("The damaged list of projects cannot be put aside: %s", error)


def _holds_project(folder: str) -> bool:
    try:
        return (Path(folder) / "project.json").is_file()
    except (OSError, ValueError) as error:  # too long, or characters that no name has
        _LOG.warning("The list of projects names what is no folder: %s", error)
        return False


def remember_project(folder: Path) -> None:
    """Put a project at the head of the list; a list that cannot be written is no reason to stop."""
    _put_aside_damaged()
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
