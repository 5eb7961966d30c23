"""The command line, ``napari-leafseg``: a module for each group of commands."""

from __future__ import annotations

import sys

from napari_leafseg._console import print_error
from napari_leafseg._log import log_error, start_log
from napari_leafseg.cli.common import app
from napari_leafseg.errors import UserError, in_words

# isort: off
from napari_leafseg.cli import predict, tables, evaluate, train, data, metadata, program, models, get_models, data_sets  # noqa: F401 (help lists them so)
# isort: on

app.add_typer(models.app, name="models", help="List the models that there are, or import a published one.")

app.add_typer(data_sets.app, name="data", help="Data sets that others published: get, convert, score.")

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; mistakes of the user end with a sentence and exit code 2."""
    start_log("command line")
    try:
        app(standalone_mode=True)
    except UserError as error:
        print_error(error)
        sys.exit(2)
    except Exception as error:  # Typer puts a hook of its own over the log's
        log_error(error)
        told = in_words(error)
        if told is None:
            raise
        print_error(told)
        sys.exit(2)
