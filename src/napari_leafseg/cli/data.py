"""Commands that make or hand on data: ``synthesize``, ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_leafseg._console import out, print_note
from napari_leafseg._counts import counted
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
    from napari_leafseg.io.exchange.formats import find_format
    from napari_leafseg.project import Project
    from napari_leafseg.project.transfer import export_labels

    with Project.open(project) as opened, progress_bar() as bar:
        task = bar.add_task("Exporting", total=None)
        for event in export_labels(opened, output, fmt):
            bar.update(task, completed=event.done, total=event.total)
    out.print(
        f"{event.total} images’ labels are in {output}. {find_format(fmt).loses}", highlight=False, soft_wrap=True
    )


@app.command("import", cls=Command)
def import_into_project(
    project: Annotated[Path, typer.Argument(help="A project's folder.")],
    labels: Annotated[list[Path], typer.Argument(help="Files of labels, or folders of them.")],
    verified: Annotated[bool, typer.Option(help="The leaves are right: no model may change them.")] = False,
    leaf_class: Annotated[
        list[str] | None, typer.Option(help="A class that is a leaf, may be given again; by their names if left out.")
    ] = None,
    replace: Annotated[
        bool, typer.Option(help="Also where there are fewer leaves than before, or verified ones change.")
    ] = False,
    image: Annotated[str, typer.Option(help="The image of the project for files that are named after none.")] = "",
) -> None:
    """Take labels of other programs into a project."""
    from napari_leafseg.project import Project
    from napari_leafseg.project.transfer import ImportIncomplete, import_labels

    with Project.open(project) as opened, progress_bar() as bar:
        task = bar.add_task("Importing", total=None)
        try:
            for event in import_labels(opened, labels, verified, leaf_class, replace, image):
                bar.update(task, completed=event.done, total=event.total)
                for note in event.notes:
                    print_note(note)
        except ImportIncomplete as error:
            for note in error.notes:
                print_note(note)
            raise
    out.print(f"Labels of {counted(event.total, 'file')} are in {project}.", highlight=False, soft_wrap=True)
