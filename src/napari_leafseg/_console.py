"""Where the command line writes: results, and complaints."""

from __future__ import annotations

from rich.console import Console

out, err = Console(), Console(stderr=True)


def complain(error: Exception) -> None:
    """Print an error for the user."""
    err.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
