"""Where the command line writes: results, and complaints."""

from __future__ import annotations

import os

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_quiet = os.environ.get("RANK", "0") != "0"  # of several processes that train together, the first one speaks
out, err = Console(quiet=_quiet), Console(stderr=True, quiet=_quiet)


def print_error(error: Exception) -> None:
    """Print an error for the user."""
    err.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """The progress bar of all commands, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=err,
    )
