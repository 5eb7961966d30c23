"""The command ``metadata``, and the options that say which plant an image shows, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_leafseg._console import out, print_note
from napari_leafseg._counts import counted
from napari_leafseg.cli.common import app

Pattern = Annotated[
    str | None,
    typer.Option(help="How file names are made: “{plant}_{date}”, or “none”; found by itself if left out."),
]
MetadataTable = Annotated[
    Path | None,
    typer.Option("--metadata", help="A CSV: a row an image (column “image”), a plant (“plant”) or a pot (“pot”)."),
]
DayFirst = Annotated[
    bool | None, typer.Option("--day-first/--month-first", help="What dates like 03/04/2021 in the CSV begin with.")
]
_SHOWN = 40


def given_pattern(text: str | None) -> str | None:
    """Return the pattern as it is used: "" for none, None for the one that is guessed."""
    return "" if text is not None and text.strip().lower() in ("none", "") else text


@app.command()
def metadata(
    images: Annotated[list[str], typer.Argument(help="Images, folders, or patterns like “plants/**/*.jpg”.")],
    pattern: Pattern = None,
    table: MetadataTable = None,
    day_first: DayFirst = None,
    save: Annotated[Path | None, typer.Option(help="Write all of it as CSV, to be completed and given again.")] = None,
) -> None:
    """Show which plants images show, and when: from their names, a table and EXIF."""
    from napari_leafseg._files import write_atomically
    from napari_leafseg.experiment import group_series
    from napari_leafseg.experiment.gather import as_table, gather
    from napari_leafseg.io.tables import harmless
    from napari_leafseg.pipelines.batch.find import find_tasks

    found = find_tasks(images)
    paths = [Path(task.path) for task in found.tasks]
    experiment, notes = gather(paths, given_pattern(pattern), table, day_first)
    known = experiment.describe(paths)
    content = as_table(known)
    out.print(f"Pattern: {experiment.pattern or 'none that is known'}", markup=False, highlight=False, soft_wrap=True)
    shown = Table(*map(str, content.columns))
    for row in content.head(_SHOWN).itertuples(index=False, name=None):
        shown.add_row(*map(str, row))
    out.print(shown)
    if len(content) > _SHOWN:
        out.print(f"… and {len(content) - _SHOWN:,} more.")
    grouping = group_series(list(known.values()), [path.name for path in paths])
    several = [one for one in grouping.series if len(one.places) > 1]
    if several and several[0].name:
        most = max(len(one.places) for one in several)
        out.print(f"{counted(len(several), 'plant')} seen several times, up to {most}.", highlight=False)
    for note in (*([found.left_out] if found.left_out else []), *notes, *grouping.notes):
        print_note(note)
    if save is not None:
        write_atomically(save, harmless(content).to_csv(index=False).encode())
        out.print(f"Written to {save}", soft_wrap=True)
