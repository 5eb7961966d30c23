"""Check that a tag is the version that is released, and print its notes: ``python tests/check_release.py v0.1.0``.

No package is needed. The screenshots must have been taken of the widgets that are released.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(tag: str, root: Path = ROOT) -> str:
    """Return the changelog's section of a version.

    Raises
    ------
    ValueError
        When pyproject.toml, CITATION.cff or CHANGELOG.md are of another version than the tag.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if tag != f"v{project['version']}":
        raise ValueError(f"The tag is {tag}, pyproject.toml says {project['version']}.")
    if f"\nversion: {project['version']}\n" not in (root / "CITATION.cff").read_text(encoding="utf-8"):
        raise ValueError(f"CITATION.cff is not of version {project['version']}.")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(project['version'])}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.S | re.M)
    if section is None or not section[1].strip():
        raise ValueError(f"CHANGELOG.md says nothing of version {project['version']}.")
    return section[1].strip()


def old_pictures(root: Path = ROOT) -> list[str]:
    """Name the screenshots whose widgets have changed since."""
    sys.path.insert(0, str(root))
    from benchmarks.screenshot_record import SHOWN, code_hash, read_record

    taken = read_record()
    return [name for name, widgets in SHOWN.items() if taken[name]["widgets"] != code_hash(widgets)]


def main() -> None:
    """Print the notes; exit with 1 where the tag is of another version, or a screenshot is old."""
    try:
        print(notes(sys.argv[1]))
        old = old_pictures()
        if old:
            raise ValueError(f'Screenshots are older than what they show: make pictures NAMES="{" ".join(old)}".')
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
