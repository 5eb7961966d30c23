"""What the commands share: the application, options, the progress bar."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from napari_leafseg._console import err
from napari_leafseg._files import resource_folder

WU_CODE = resource_folder() / "training" / "wu-code.yaml"

_RENAMED = {"--looks": "--tta", "--whole-masks": "--full-masks", "--framework": "--instance-unique"}


class Command(typer.core.TyperCommand):
    """A command that still understands the options of earlier versions."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        return super().parse_args(ctx, [_today(argument) for argument in args])

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Print the help, with the names of the exchange formats that there are."""
        options = [option for option in self.params if isinstance(option, typer.core.TyperOption)]
        texts = [(option, option.help) for option in options if option.help and "{formats}" in option.help]
        if texts:
            from napari_leafseg.io.exchange.formats import FORMATS

            for option, text in texts:
                option.help = text.replace("{formats}", ", ".join(FORMATS))
        try:
            super().format_help(ctx, formatter)
        finally:
            for option, text in texts:
                option.help = text


def _today(argument: str) -> str:
    """An option's name of today, with a notice."""
    name, equals, value = argument.partition("=")
    if name not in _RENAMED:
        return argument
    err.print(f"[yellow]{name} is called {_RENAMED[name]} now.[/]", highlight=False)
    return f"{_RENAMED[name]}{equals}{value}"


app = typer.Typer(
    help="Outline, count and measure every leaf of a plant.", no_args_is_help=True, pretty_exceptions_enable=False
)

Model = Annotated[str, typer.Option(help="Name of a model (see “models”) or path of a .safetensors checkpoint.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def progress_bar() -> Progress:
    """Make the progress bar of all commands, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=err,
    )
