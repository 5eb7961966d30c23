"""Commands that make or hand on data: ``synthesize``, ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_leafseg._console import out
from napari_leafseg.cli.common import Command, app, progress_bar


@app.command()
def synthesize(
    output: Annotated[Path, typer.Option(help="Folder for the images and labels.")],
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 10,
    seed: Annotated[int, typer.Option(help="The first image's seed.")] = 0,
    size: Annotated[int, typer.Option(min=16, help="Height and width, pixels.")] = 288,
    plants: Annotated[int, typer.Option(min=0, help="Plants in an image.")] = 1,
    samples: Annotated[bool, typer.Option(help="Make the files of sample_data/ instead.")] = False,
) -> None:
    """Draw synthetic plants with the label of every leaf."""
    from napari_leafseg.pipelines.synthesize import synthesize_files

    with progress_bar() as bar:
        task = bar.add_task("Drawing plants", total=None)
        for done, total in synthesize_files(output, count, seed, size, plants, samples):
            bar.update(task, completed=done, total=total)
    out.print(f"Written to {output}", soft_wrap=True)


@app.command("export", cls=Command)
def export_project(
    project: Annotated[Path, typer.Argument(help="A project's folder.")],
    output: Annotated[Path, typer.Option(help="Folder for the labels.")],
    fmt: Annotated[str, typer.Option("--format", help="One of: {formats}.")] = "coco",
) -> None:
    """Write a project's labels in another program's format."""
    from napari_leafseg.project import Project
    from napari_leafseg.project.transfer import export_labels

    with Project.open(project) as opened, progress_bar() as bar:
        task = bar.add_task("Exporting", total=None)
        for event in export_labels(opened, output, fmt):
            bar.update(task, completed=event.done, total=event.total)
    out.print(f"{event.total} images’ labels are in {output}.", highlight=False, soft_wrap=True)
