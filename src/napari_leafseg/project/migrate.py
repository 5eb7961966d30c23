"""From the formats of earlier versions to this one's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_leafseg.errors import ProjectError

FORMAT = 1


def _from_0(entries: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Format 0, of the previews: a list of paths and no names."""
    images: list[dict[str, str]] = []
    taken: set[str] = set()
    listed = entries.get("images", [])
    if not isinstance(listed, list):
        raise ProjectError(f"{folder / 'project.json'} has an entry that does not fit: images is no list.")
    for path in listed:
        identity = stem = Path(str(path)).stem
        number = 2
        while identity in taken:
            identity, number = f"{stem}_{number}", number + 1
        taken.add(identity)
        images.append({"id": identity, "path": str(path)})
    return {
        "format": 1,
        "name": entries.get("name", folder.name),
        "created": entries.get("created", ""),
        "images": images,
    }


STEPS: dict[int, Callable[[dict[str, Any], Path], dict[str, Any]]] = {0: _from_0}


def migrate(entries: Any, folder: Path) -> dict[str, Any]:
    """Bring what ``project.json`` holds to this version's format, one version at a time.

    Raises
    ------
    ProjectError
        When a newer version made it, or it is nothing of the kind.
    """
    known = isinstance(entries, dict) and type(entries.get("format", 0)) is int and entries.get("format", 0) >= 0
    if not known:
        raise ProjectError(f"{folder / 'project.json'} is no project of napari-leafseg.")
    found = entries.get("format", 0)
    if found > FORMAT:
        raise ProjectError(
            f"The project {folder} was made by a newer version of napari-leafseg (format {found}; this version knows "
            f"{FORMAT}). Update napari-leafseg to open it."
        )
    while entries.get("format", 0) < FORMAT:
        entries = STEPS[entries.get("format", 0)](entries, folder)
    return entries
