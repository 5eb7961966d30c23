"""Make ``docs/results.md`` of ``docs/results/page.yaml`` (titles, words, order) and the JSON files beside it.

Run ``make results``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from benchmarks.record import FIELDS, REPOSITORY, RESULTS

PAGE = REPOSITORY / "docs" / "results.md"
HEAD = "<!-- Made by `make results` from docs/results/; edit those files, not this one. -->"


def decimals(values: list[Any]) -> int:
    """Count the decimals that a column needs."""
    return max((len(repr(value).partition(".")[2]) for value in values if isinstance(value, float)), default=0)


def cell(value: Any, places: int) -> str:
    """Write a value as a cell of a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        value = f"{value:.{places}f}"
    return re.sub(r"^-(?=\d)", "−", str(value)).replace("|", "\\|")


def table(rows: list[dict[str, Any]], columns: list[str] | None = None) -> str:
    """Write rows as a Markdown table, of all columns of the first row or of some."""
    columns = columns or list(rows[0])
    places = {name: decimals([row[name] for row in rows]) for name in columns}
    lines = [[name.replace("|", "\\|") for name in columns], ["---"] * len(columns)]
    lines += [[cell(row[name], places[name]) for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def source(entry: dict[str, Any]) -> str:
    """Say how, when and where a table was measured."""
    command = "command unknown" if entry["command"] == "unknown" else f"`{entry['command']}`"
    return f"{command} · commit {entry['commit']} · {entry['date']} · {entry['machine']} · PyTorch {entry['torch']}"


def read_result(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """Read a result that has all fields."""
    entry = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    if missing := [field for field in FIELDS if not entry.get(field)]:
        raise ValueError(f"docs/results/{name}.json lacks {', '.join(missing)}.")
    return entry


def page(folder: Path = RESULTS) -> str:
    """Write the page."""
    spec = yaml.safe_load((folder / "page.yaml").read_text(encoding="utf-8"))
    parts = [HEAD, f"# {spec['title']}", spec["text"].strip()]
    for section in spec["sections"]:
        parts += [f"## {section['title']}", *([section["text"].strip()] if "text" in section else [])]
        for item in section["tables"]:
            entry = read_result(item["result"], folder)
            parts += [item["text"].strip(), table(entry["rows"], item.get("columns")), source(entry)]
            if "image" in item:
                parts.append(f"![{item['alt']}]({item['image']})")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write docs/results.md."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
