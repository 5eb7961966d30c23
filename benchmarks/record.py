"""Write what a benchmark measured to ``docs/results/NAME.json``; ``make results`` makes ``docs/results.md`` of it.

Every benchmark takes ``--record [NAME]``. ``python -m benchmarks.record REPORT.json`` takes what pytest-benchmark
wrote.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_leafseg._files import write_atomically

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "docs" / "results"
FIELDS = ("command", "commit", "date", "machine", "torch", "rows")
MEASURED = ("src", "benchmarks", "resources")  # what a figure depends on

Cell = str | int | float | None
Row = Mapping[str, Cell]


def git_commit() -> str:
    """Name the commit that is checked out, with ``+`` where what is measured differs from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", *MEASURED)
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def machine() -> str:
    """Name the processor, the cores that this process may use, and bfloat16 where it is fast."""
    lines: list[str] = []
    if (info := Path("/proc/cpuinfo")).is_file():
        lines = info.read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    fast = any("avx512_bf16" in line or "amx_bf16" in line for line in lines if line.startswith("flags"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.processor() or platform.machine()}, {cores} cores" + ", bfloat16" * fast


def write_result(name: str, rows: Sequence[Row], command: str | None = None, folder: Path = RESULTS) -> Path:
    """Write rows of one table, with command, commit, date and machine.

    Parameters
    ----------
    name
        Of the file, without ``.json``.
    rows
        Each a mapping of the same columns, in their order, to text or numbers; None where nothing was measured.
    command
        What was run; by default the command line of this process.
    """
    if not rows or any(list(row) != list(rows[0]) for row in rows):
        raise ValueError(f"{name}: rows must be there and have the same columns in the same order.")
    import torch

    entry = {
        "command": command or command_line(),
        "commit": git_commit(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "torch": torch.__version__,
        "rows": [dict(row) for row in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    write_atomically(path, (json.dumps(entry, indent=1, ensure_ascii=False) + "\n").encode())
    print(f"written: {path}")
    return path


def command_line() -> str:
    """Tell how this process was started, without what only names the output."""
    file = Path(sys.argv[0])
    module = ".".join(file.resolve().relative_to(REPOSITORY).with_suffix("").parts) if file.suffix == ".py" else ""
    words = sys.argv[1:]
    if "--record" in words:
        at = words.index("--record")
        words = words[:at] + words[at + (2 if words[at + 1 : at + 2] and words[at + 1][0] != "-" else 1) :]
    return " ".join(["python -m", module or file.name, *words])


def add_record_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Add ``--record [NAME]`` to a benchmark's options."""
    parser.add_argument(
        "--record", nargs="?", const=name, metavar="NAME", help=f"write docs/results/NAME.json (without NAME: {name})"
    )


def pytest_rows(report: Path) -> list[dict[str, Cell]]:
    """Read the medians of a report of pytest-benchmark."""
    rows: list[dict[str, Cell]] = []
    for item in json.loads(report.read_text(encoding="utf-8"))["benchmarks"]:
        if "ratio" in item.get("extra_info", {}):
            what = "published region growing against an angle change, 512 × 512"
            rows.append({"what": what, "median": f"{item['extra_info']['ratio']:.0f} ×"})
        else:
            what = item["name"].removeprefix("test_").replace("_", " ")
            rows.append({"what": what, "median": f"{1000 * item['stats']['median']:.3g} ms"})
    return rows


def main() -> None:
    """Write the figures of pytest-benchmark's report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    options = parser.parse_args()
    write_result("operations", pytest_rows(options.report), "python -m pytest benchmarks --benchmark-only")


if __name__ == "__main__":
    main()
