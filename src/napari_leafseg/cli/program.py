"""Commands about the program itself: ``demo``, ``info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_leafseg._console import out
from napari_leafseg._log import log_error
from napari_leafseg.cli.common import app
from napari_leafseg.errors import UserError, install_command, plain_reason
from napari_leafseg.versions import __version__


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"napari-leafseg {__version__}", highlight=False)
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """Outline, count and measure every leaf of a plant."""


@app.command()
def demo(
    output: Annotated[
        Path | None,
        typer.Option(help="Run the main job by itself, leave a screenshot, labels and traits here, and end."),
    ] = None,
) -> None:
    """Open napari on a growth series, segment it, show its growth."""
    try:
        import qtpy.QtWidgets  # noqa: F401 (raises where there is no binding)
    except ImportError as error:
        raise UserError(
            f"The window needs Qt, and no binding of it can be loaded ({error}). "
            f"Install one: {install_command('pyqt6')}, or {install_command('pyqt5')}"
        ) from error
    from napari_leafseg.widgets.main.demo import run_demo

    run_demo(output)


@app.command()
def info(as_json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False) -> None:
    """Print versions, devices and folders, as a bug report needs them."""
    from napari_leafseg._system import info_lines, system_info

    found = system_info(_settings_file())
    out.print(
        json.dumps(found, indent=1) if as_json else "\n".join(info_lines(found)),
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def _settings_file() -> str:
    """The file of the window's settings; Qt decides where it lies."""
    try:
        from napari_leafseg.widgets.state.preferences import preferences
    except Exception as error:  # a broken Qt is what the report is for
        log_error(error)
        return f"unknown: {plain_reason(error)}"
    return preferences.file
