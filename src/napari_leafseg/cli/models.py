"""The command ``napari-leafseg models``: list models, import published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from napari_leafseg._console import out, print_error
from napari_leafseg._counts import counted
from napari_leafseg.errors import UserError
from napari_leafseg.models.parameters import describe_parameters
from napari_leafseg.models.registry import importers, load_importer

app = typer.Typer(invoke_without_command=True)
Name = Annotated[str, typer.Argument(help="Name of one of your own models.")]


@app.callback()
def models(context: typer.Context) -> None:
    """List the models that there are, or import a published one."""
    if context.invoked_subcommand is not None:
        return
    from napari_leafseg.models.store.zoo import describe_model, list_models, user_folder

    table = Table(Column("name", no_wrap=True), "version", "license", "size", "SBD", "what it is good at")
    lacking: list[str] = []
    for name, path in list_models().items():
        try:
            card = describe_model(name)
        except UserError as error:
            print_error(error)
            continue
        quality = card.quality
        lacking += [f"{name}: {card.lacks}"] if card.lacks else []
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        table.add_row(name, card.version, card.license, size, quality, card.description)
    out.print(table)
    for line in lacking:
        out.print(escape(line), soft_wrap=True, highlight=False)
    out.print(f"Your own models: {user_folder()}", soft_wrap=True)


@app.command("import")
def import_model(
    file: Annotated[
        Path,
        typer.Argument(help="A .pth or .pkl of AdelaiDet, SOTR, mmdetection or detectron2, or a Hugging Face folder."),
    ],
    kind: Annotated[
        str | None,
        typer.Option("--as", help=f"Which model it is: {', '.join(importers())}; found by its weights if left out."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name in the list of models; the file's if left out.")] = None,
    leaf_head: Annotated[
        bool, typer.Option(help="Replace the head for COCO's classes by a fresh one for leaves, to be trained.")
    ] = False,
) -> None:
    """Make a published checkpoint one of your models: key by key, every shape checked, no code of it run."""
    from napari_leafseg.models.store.checkpoint import save_checkpoint
    from napari_leafseg.models.store.zoo import ENDING, list_models, user_folder

    name = name or file.stem
    target = user_folder() / f"{name}{ENDING}"
    if name in list_models():
        raise UserError(f"There is a model “{name}” already. Choose another name with --name.")
    importer = load_importer(kind or next(iter(importers())))
    network, card = importer(file, kind, leaf_head, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(target, network, card)
    count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    out.print(f"{target}: {count:.1f} million weights. Use it as --model {name}.", soft_wrap=True, highlight=False)


@app.command()
def parameters(model: Annotated[str, typer.Argument(help="A model.")] = "leaf") -> None:
    """List what a model can be tuned by: “predict” and “batch” take -p NAME=VALUE."""
    from napari_leafseg.models.store.zoo import describe_model

    card = describe_model(model)
    for line in describe_parameters(card.family.tuned(card.defaults)):
        out.print(line, soft_wrap=True, highlight=False)


@app.command()
def rename(name: Name, new: Annotated[str, typer.Argument(help="Its new name.")]) -> None:
    """Give one of your models another name."""
    from napari_leafseg.models.store.user_models import rename_model

    out.print(str(rename_model(name, new)), soft_wrap=True, highlight=False)


@app.command()
def delete(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also when projects use it, without asking.")] = False,
) -> None:
    """Delete one of your models from the list; its file is kept, “models restore” undoes it."""
    from napari_leafseg.models.store.user_models import delete_model, own_model
    from napari_leafseg.project.recent_projects import projects_using

    own_model(name)
    used = {} if force else projects_using(name)
    for folder, count in used.items():
        out.print(f"{folder}: “{name}” found the leaves of {counted(count, 'image')}.", soft_wrap=True, highlight=False)
    if used and not typer.confirm("Delete it all the same?"):
        raise typer.Exit(1)
    kept = delete_model(name)
    out.print(f"It lies in {kept} now; “napari-leafseg models restore {kept.stem}” brings it back.", soft_wrap=True)


@app.command()
def restore(name: Name) -> None:
    """Restore a model that was deleted."""
    from napari_leafseg.models.store.user_models import restore_model

    out.print(str(restore_model(name)), soft_wrap=True, highlight=False)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A .safetensors file of this program, from another computer say.")],
    name: Annotated[str | None, typer.Option(help="Name in the list; the file's own if left out.")] = None,
) -> None:
    """Put a model file into the list."""
    from napari_leafseg.models.store.user_models import add_model

    out.print(str(add_model(file, name)), soft_wrap=True, highlight=False)


@app.command()
def export(name: Name, file: Annotated[Path, typer.Argument(help="Where to; “models add” reads it.")]) -> None:
    """Write one of your models to a single file, with all that is known of it."""
    from napari_leafseg.models.store.user_models import export_model

    out.print(str(export_model(name, file)), soft_wrap=True, highlight=False)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A model.")], second: Annotated[str, typer.Argument(help="Another one.")]
) -> None:
    """Show what two models' cards say, side by side."""
    from napari_leafseg.models.store.user_models import describe_difference

    table = Table("", first, second)
    for row in describe_difference(first, second):
        table.add_row(*row)
    out.print(table)
