"""Runs checks one after the other, and writes what they found: ``gpu-check.json`` and ``gpu-check.md``."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_leafseg._files import write_atomically

_LOG = logging.getLogger(__name__)

Figures = dict[str, str | int | float]


class SkipCheck(Exception):
    """A check cannot be made here; the message says why."""


@dataclass
class Check:
    """What a check found.

    Attributes
    ----------
    name : str
    state : {"ok", "failed", "skipped"}
    seconds : float
    figures : dict
        What was measured.
    reason : str
        Why it failed or was skipped.
    """

    name: str
    state: Literal["ok", "failed", "skipped"]
    seconds: float
    figures: Figures = field(default_factory=dict)
    reason: str = ""


class Report:
    """Runs checks; what was found is on the disk after each.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    about : dict
        Machine, versions, options.
    minutes : float
        What all checks together may take.
    """

    def __init__(self, folder: Path, about: dict[str, Any], minutes: float) -> None:
        self.folder, self.about, self.checks = folder, about, list[Check]()
        self.end = time.monotonic() + 60 * minutes
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if check.state == "failed"]

    def run(self, name: str, action: Callable[[Figures], None], reserve: float = 0.0) -> None:
        """Make a check.

        Parameters
        ----------
        name : str
        action : callable
            Takes a dict for its figures; raises `SkipCheck` where it cannot be made, and anything else where it fails.
        reserve : float
            Seconds that must be left; the check is skipped where they are not.
        """
        figures: Figures = {}
        began = time.monotonic()
        state: Literal["ok", "failed", "skipped"] = "ok"
        reason = ""
        try:
            if self.left < reserve:
                raise SkipCheck("The time is used up.")
            action(figures)
        except SkipCheck as why:
            state, reason = "skipped", str(why)
        except Exception as error:  # one check must not end the others
            _LOG.exception("%s failed.", name)
            state, reason = "failed", f"{type(error).__name__}: {error}"[:2000]
        self.checks.append(Check(name, state, round(time.monotonic() - began, 2), figures, reason))
        print(line_of(self.checks[-1]), flush=True)
        self.write()

    def write(self) -> None:
        """Write both files."""
        counts = {state: sum(check.state == state for check in self.checks) for state in ("ok", "failed", "skipped")}
        found = {**self.about, **counts, "checks": [asdict(check) for check in self.checks]}
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.folder / "gpu-check.json", text.encode())
        write_atomically(self.folder / "gpu-check.md", self.table().encode())

    def table(self) -> str:
        """Return what was found as Markdown."""
        about = [f"{name}: {value}" for name, value in self.about.items()]
        rows = ["| check | | s | found |", "|---|---|---|---|"]
        for check in self.checks:
            words = (check.reason or in_words(check.figures)).replace("|", "\\|").replace("\n", " ")
            rows.append(f"| {check.name} | {check.state} | {check.seconds:.1f} | {words} |")
        return "\n".join(["# Check of the device", "", *(f"- {line}" for line in about), "", *rows, ""])


def in_words(figures: Figures) -> str:
    """Write figures as a line of text."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
    )


def line_of(check: Check) -> str:
    """Write a check as a line of text."""
    return f"{check.state:8}{check.seconds:7.1f} s  {check.name}: {check.reason or in_words(check.figures)}"
