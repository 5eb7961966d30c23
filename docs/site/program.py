"""Print, as JSON, the parts of the documentation that the program says itself: its commands and its keys."""

from __future__ import annotations

import json
import os
import re


def commands() -> str:
    """Describe every command and option, in Markdown."""
    import typer
    from typer.cli import get_docs_for_click

    from napari_leafseg.cli import app
    from napari_leafseg.io.exchange.formats import FORMATS

    command = typer.main.get_command(app)
    text = get_docs_for_click(
        obj=command, ctx=typer.Context(command, info_name="napari-leafseg"), name="napari-leafseg"
    )
    text = text.partition("\n")[2].replace("{formats}", ", ".join(FORMATS))
    text = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+", "", text)  # they follow, with all that they say
    return "\n".join(_escaped(line) for line in text.splitlines())


def _escaped(line: str) -> str:
    """Keep the words of an option's help from being read as Markdown or HTML."""
    name, between, words = line.partition("`: ")
    if not (line.startswith("* `") and between):
        return line
    return name + between + re.sub(r"([*_<\[])", r"\\\1", words)


def keys() -> str:
    """List the keys and clicks on the canvas as a table in Markdown."""
    from napari_leafseg.widgets.correct.keys import key_table

    rows = [f"| **{_cell(key)}** | {_cell(what)} |" for key, what in key_table()]
    return "\n".join(["| key | what it does |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return re.sub(r"([*_<|])", r"\\\1", text)


def main() -> None:
    """Print all parts."""
    os.environ["NAPARI_CONFIG"] = ""  # the keys as they come, not as somebody chose them
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    print(json.dumps({"commands": commands(), "keys": keys()}))


if __name__ == "__main__":
    main()
