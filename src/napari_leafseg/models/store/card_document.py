"""Model cards to read: Markdown made from the JSON cards beside the bundled weights (``make cards``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_leafseg._files import resource_folder, write_atomically

_SECTIONS = ("summary", "for", "learned_from", "measured", "notes", "fails")


def bundled_cards() -> Iterator[Path]:
    """List the JSON cards of all weights that come with the program."""
    for weights in sorted(resource_folder().glob("*/*.safetensors")):
        yield weights.with_suffix(".json")


def card_document(card: dict[str, Any]) -> str:
    """Write a JSON card as Markdown: its words, its defaults, its calibration and its figures."""
    document = card["document"]
    parts = [f"# {card['name']}", f"{card['description']} Version {card['version']}, {card['license']}."]
    for section in _SECTIONS:
        if section == "measured":
            parts += _table(document.get(section, []))
            parts.append(_defaults(card["defaults"]))
            parts += _calibration(card.get("calibration")) + _confidence(card.get("confidence"))
        else:
            parts += ["\n".join(lines) for lines in document.get(section, [])]
    return "\n\n".join(parts) + "\n"


def _defaults(values: dict[str, float]) -> str:
    return "Defaults: " + ", ".join(f"`{name}` {value:g}" for name, value in sorted(values.items())) + "."


def _calibration(curve: list[float] | None) -> list[str]:
    if curve is None:
        return []
    slope, offset = curve
    return [
        "A leaf's confidence is calibrated: it is the chance that the leaf is right "
        f"(slope {slope:g}, offset {offset:g} over the logit of the raw confidence)."
    ]


def _confidence(weights: dict[str, Any] | None) -> list[str]:
    if weights is None:
        return []
    table = [
        {"evidence": f"`{name}`", "mean": f"{mean:g}", "deviation": f"{deviation:g}", "weight": f"{weight:g}"}
        for name, (mean, deviation, weight) in weights["evidence"].items()
    ]
    words = (
        "A leaf's confidence is the chance that it is right: a logistic curve over what the maps tell of it, "
        f"of offset {weights['offset']:g}."
    )
    return [words, *_table(table)]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([_cell(column, row[column]) for column in columns] for row in rows)]
    return ["\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("|DiC|", r"\|DiC\|")]


def _cell(column: str, value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.{2 if 'DiC' in column else 3}f}"


def write_cards() -> None:
    """Write ``NAME.md`` beside every card."""
    for path in bundled_cards():
        text = card_document(json.loads(path.read_text(encoding="utf-8")))
        write_atomically(path.with_suffix(".md"), text.encode())


if __name__ == "__main__":
    write_cards()
