"""What each screenshot was taken of: ``docs/images/taken.json`` has hashes of the widgets' texts and of their code."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def texts_of(viewer: Any) -> dict[str, list[str]]:
    """List what is written on the buttons, boxes and labels of each widget, while no image is open."""
    from qtpy.QtWidgets import QAbstractButton, QApplication, QGroupBox, QLabel

    from napari_leafseg.widgets.images.widget import ImagesWidget
    from napari_leafseg.widgets.main.panel import STEPS, open_panel
    from napari_leafseg.widgets.state.napari_private import main_window

    panel = open_panel(viewer)
    for name in STEPS:
        panel.choose(name)
        QApplication.processEvents()
    panel.choose("segment")
    roots = {name: panel.step(name) for name in STEPS}
    roots["images"] = main_window(viewer).findChild(ImagesWidget)
    found = {}
    for name, root in roots.items():
        texts = [box.title() for box in root.findChildren(QGroupBox)]
        texts += [part.text() for kind in (QAbstractButton, QLabel) for part in root.findChildren(kind)]
        found[name] = sorted(text for text in texts if text)
    return found


def look_hash(name: str, texts: Mapping[str, list[str]]) -> str:
    """Hash what is written on the widgets that a screenshot shows."""
    shown = {widget: texts[widget] for widget in SHOWN[name] if widget in texts}
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Hash a picture."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read_record() -> dict[str, dict[str, str]]:
    """Return what is recorded, by screenshot."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def record(name: str, texts: Mapping[str, list[str]]) -> None:
    """Record that a screenshot was just taken of the widgets as they are."""
    from napari_leafseg._files import write_atomically

    found = {
        "image": file_hash(IMAGES / f"{name}.png"),
        "look": look_hash(name, texts),
        "widgets": code_hash(SHOWN[name]),
    }
    write_atomically(RECORD, (json.dumps({**read_record(), name: found}, indent=1, sort_keys=True) + "\n").encode())


def outdated(looks: Mapping[str, str]) -> list[str]:
    """Name the screenshots whose widgets say something else by now."""
    return [name for name, taken in sorted(read_record().items()) if taken.get("look") != looks[name]]
