"""Print what the command line says: results, and errors."""

from __future__ import annotations

import os

from rich.console import Console
from rich.markup import escape

from napari_leafseg._log import log_error

_quiet = os.environ.get("RANK", "0") != "0"  # of several processes that train together, the first one speaks
out, err = Console(quiet=_quiet), Console(stderr=True, quiet=_quiet)


def print_error(error: Exception) -> None:
    """Print an error for the user, and log it."""
    log_error(error)
    err.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)


def print_note(text: str) -> None:
    """Print what the user should know."""
    err.print(f"[yellow]{escape(text)}[/]", highlight=False, soft_wrap=True)
