"""What each screenshot was taken of: ``docs/images/taken.json`` has the hash of the widgets' code."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

from napari_leafseg._files import write_atomically

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
RECORD = IMAGES / "taken.json"
WIDGETS = ROOT / "src" / "napari_leafseg" / "widgets"
UNSEEN = {"main/demo.py"}
SHOWN = {  # by screenshot: the widgets in it, beside the window's own
    "tutorial_start": ("images", "segment"),
    "tutorial_slider": ("images", "segment"),
    "tutorial_growth": ("images", "measure"),
    "window": ("images", "segment"),
    "contact_sheet": ("images",),
    "correct_review": ("images", "correct"),
    "correct_split": ("correct",),
    "finetune": ("images", "finetune"),
    "measure": ("images", "measure"),
    "query": ("images", "segment"),
    "models": ("models",),
}


def code_hash(packages: tuple[str, ...], widgets: Path = WIDGETS) -> str:
    """Hash the code of widgets, without comments and docstrings, which nobody sees."""
    parts = hashlib.sha256()
    for package in ("main", *packages):
        for path in sorted((widgets / package).rglob("*.py")):
            if path.relative_to(widgets).as_posix() in UNSEEN:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                    and ast.get_docstring(node) is not None
                ):
                    node.body = node.body[1:]
            parts.update(f"{path.relative_to(widgets).as_posix()}\n{ast.dump(tree)}".encode())
    return parts.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Hash a picture."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read_record() -> dict[str, dict[str, str]]:
    """Return what is recorded, by screenshot."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def record(name: str) -> None:
    """Record that a screenshot was just taken of the widgets as they are."""
    taken = {**read_record(), name: {"image": file_hash(IMAGES / f"{name}.png"), "widgets": code_hash(SHOWN[name])}}
    write_atomically(RECORD, (json.dumps(taken, indent=1, sort_keys=True) + "\n").encode())
