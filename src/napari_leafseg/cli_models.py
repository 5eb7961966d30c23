"""The command ``napari-leafseg models``: list models, import published ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from napari_leafseg.errors import UserError

app = typer.Typer(invoke_without_command=True)
out, err = Console(), Console(stderr=True)


class Kind(StrEnum):
    """The query-based models."""

    condinst = "condinst"
    solov2 = "solov2"
    sotr = "sotr"
    mask2former = "mask2former"


@app.callback()
def models(context: typer.Context) -> None:
    """List the models that there are, or import a published one."""
    if context.invoked_subcommand is not None:
        return
    from napari_leafseg.models.zoo import describe_model, list_models, user_folder

    table = Table(Column("name", no_wrap=True), "version", "licence", "size", "SBD", "what it is good at")
    for name, path in list_models().items():
        try:
            card = describe_model(name)
        except UserError as error:
            err.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
            continue
        quality = card.quality
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        table.add_row(name, card.version, card.licence, size, quality, card.description)
    out.print(table)
    out.print(f"Your own models: {user_folder()}", soft_wrap=True)


@app.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="A .pth or .pkl of AdelaiDet or SOTR, or a Hugging Face folder.")],
    kind: Annotated[Kind, typer.Option("--as", help="Which model it is.")],
    name: Annotated[str | None, typer.Option(help="Name in the list of models; the file's if left out.")] = None,
    leaf_head: Annotated[
        bool, typer.Option(help="Replace the head for COCO's classes by a fresh one for leaves, to be trained.")
    ] = False,
) -> None:
    """Make a published checkpoint one of your models: key by key, every shape checked, no code of it run."""
    from napari_leafseg.models.checkpoint import save_checkpoint
    from napari_leafseg.models.published.convert import import_published
    from napari_leafseg.models.zoo import ENDING, list_models, user_folder

    name = name or file.stem
    target = user_folder() / f"{name}{ENDING}"
    if name in list_models():
        raise UserError(f"There is a model “{name}” already. Choose another name with --name.")
    network, card = import_published(file, kind.value, leaf_head, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(target, network, card)
    count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    out.print(f"{target}: {count:.1f} million weights. Use it as --model {name}.", soft_wrap=True, highlight=False)
