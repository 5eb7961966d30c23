"""Commands that train: ``train``, ``challenge``, ``finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_leafseg._console import out, print_error, print_note
from napari_leafseg.cli.common import WU_CODE, Command, Device, app, progress_bar
from napari_leafseg.errors import ParameterError, UserError

if TYPE_CHECKING:
    from napari_leafseg.finetuning.dataset import CorrectedImage
    from napari_leafseg.io import ReadOptions


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file; resources/training/leaf-small.yaml is a bundled model's.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; a run that is there already goes on.")],
    device: Device = "auto",
) -> None:
    """Train a model; killed and called again, it goes on where it was."""
    from napari_leafseg.inference.device import choose_device
    from napari_leafseg.training.config import read_training_config
    from napari_leafseg.training.loop import train as run_training

    settings = read_training_config(config)
    with progress_bar() as bar:
        task = bar.add_task("Starting", total=settings.steps)
        for event in run_training(settings, output, str(choose_device(device))):
            values = " ".join(f"{name} {value:.3f}" for name, value in event.values.items())
            if event.kind == "data":
                bar.update(task, description="Drawing plants", completed=event.step, total=event.total)
            elif event.kind == "step":
                bar.update(
                    task, description=f"total loss {event.values['total']:.3f}", completed=event.step, total=event.total
                )
            elif event.kind == "unsaved":
                print_error(UserError(event.message))
            elif event.kind == "note":
                print_note(event.message)
            elif event.kind == "validation":
                out.print(f"step {event.step}: {values}", highlight=False)
    out.print(f"Weights: {output / (settings.name + '.safetensors')}", soft_wrap=True)


@app.command()
def challenge(
    sources: Annotated[list[Path], typer.Argument(help="Folders (A1/plant001_rgb.png …) or HDF5 files, with truth.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; a run that is there already goes on.")],
    config: Annotated[Path, typer.Option(help="Training configuration; the first author's if left out.")] = WU_CODE,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often to see each image; 600 in the paper.")] = None,
    model: Annotated[str | None, typer.Option(help="Score this model instead of training one.")] = None,
    share: Annotated[float, typer.Option(min=0, max=0.5, help="Share held out of each subset for scoring.")] = 0.2,
    test: Annotated[list[Path] | None, typer.Option(help="Test images to predict into submission.h5.")] = None,
    own_foreground: Annotated[bool, typer.Option(help="Do not use the given plant masks.")] = False,
    device: Device = "auto",
) -> None:
    """Run the Leaf Segmentation Challenge (CVPPP): train on A1 to A4, score each subset, write the file to hand in."""
    from napari_leafseg.inference.device import choose_device
    from napari_leafseg.io.exchange.challenge import read_challenge
    from napari_leafseg.pipelines.challenge import predict_submission, score_challenge, split, train_on_challenge
    from napari_leafseg.pipelines.predictors import get_predictor
    from napari_leafseg.training.config import read_training_config

    learned, held_out = split(read_challenge(*sources), share)
    tested = read_challenge(*test) if test else []
    rows: dict[str, dict[str, float]] = {}
    with progress_bar() as bar:
        task = bar.add_task("Starting", total=None)
        if model is None:
            settings = read_training_config(config)
            for event in train_on_challenge(learned, output, settings, str(choose_device(device)), epochs):
                bar.update(task, description=event.message, completed=event.done, total=event.total)
        predictor = get_predictor(model or str(output / f"{settings.name}.safetensors"), device)
        for event in score_challenge(predictor, held_out, not own_foreground, output):
            bar.update(task, description=event.message, completed=event.done, total=event.total)
            rows = event.table or rows
        if tested:
            for event in predict_submission(predictor, tested, not own_foreground, output / "submission.h5"):
                bar.update(task, description=event.message, completed=event.done, total=event.total)
    table = Table("subset", "images", "SBD", "BestDice", "FBD", "DiC", "|DiC|")
    for name, row in rows.items():
        figures = [f"{row[key]:.4f}" for key in ("SBD", "BestDice", "FBD")]
        table.add_row(name, f"{row['images']:.0f}", *figures, f"{row['DiC']:+.2f}", f"{row['absDiC']:.2f}")
    out.print(table)
    if tested:
        out.print(f"To hand in: {output / 'submission.h5'}", soft_wrap=True)


@app.command(cls=Command)
def finetune(
    project: Annotated[Path, typer.Argument(help="A project with corrected images, or a folder of “data convert”.")],
    base: Annotated[str, typer.Option(help="Model to begin with: a name (see “models”) or a path.")] = "leaf",
    name: Annotated[
        str | None, typer.Option(help="Name of the new model; the base's with the day if left out.")
    ] = None,
    effort: Annotated[str, typer.Option(help="quick (150 steps of 4 crops a run) or thorough (300 of 8).")] = "quick",
    instance_unique: Annotated[
        bool, typer.Option(help="query-based models: train for uniqueness and equivariance over your images as well.")
    ] = False,
    device: Device = "auto",
    suggest: Annotated[
        int, typer.Option(help="Name so many of the other images, those that the new model is least sure of.")
    ] = 5,
) -> None:
    """Fine-tune a model on a project's corrections; killed and called again with the same name, it goes on.

    On several graphics cards: accelerate launch --num_processes 4 -m napari_leafseg.cli finetune PROJECT
    """
    from napari_leafseg.finetuning.config import FinetuneSettings, new_name
    from napari_leafseg.finetuning.dataset import load_corrections
    from napari_leafseg.finetuning.session import finetune_and_clean_up
    from napari_leafseg.inference.device import choose_device
    from napari_leafseg.project import Project
    from napari_leafseg.training.distributed import process_group_of
    from napari_leafseg.training.unique_config import InstanceUniqueConfig

    if effort not in {"quick", "thorough"}:
        raise ParameterError(f"There is no effort “{effort}”. Choose quick or thorough.")
    settings = FinetuneSettings(
        base=base,
        name=name or new_name(base),
        effort=effort,
        instance_unique=InstanceUniqueConfig() if instance_unique else None,
    )
    processes = process_group_of(choose_device(device))
    found, others = None, []
    if processes.is_main and (project / "data.json").exists():
        found = _converted(project)
    elif processes.is_main:
        with Project.open(project) as opened:
            opened.catch_up()
            found = load_corrections(opened)
            others = [opened.path_of(ref) for ref in opened.images if ref.state == "new"]
            reading = opened.read_options
    images, notes = processes.broadcast(found) or ([], [])
    for note in notes:
        print_note(note)
    with progress_bar() as bar:
        task = bar.add_task("Fine-tuning", total=None)
        for event in finetune_and_clean_up(settings, images, device):
            bar.update(task, description=event.message[:60], completed=event.done, total=event.total)
            if event.kind in {"start", "held_out", "announce", "verdict"}:
                out.print(event.message, soft_wrap=True, highlight=False)
    for name, before, after in event.summary:
        out.print(f"  {name}: {before:.3f} → {after:.3f}", soft_wrap=True, highlight=False)
    out.print(f"The new model: {event.result}. Use it as --model {settings.name}.", soft_wrap=True, highlight=False)
    if processes.is_main and others and suggest:
        _suggest(settings.name, device, others, suggest, reading)


def _converted(folder: Path) -> tuple[list[CorrectedImage], list[str]]:
    """What a folder of a converted data set has to learn from."""
    from napari_leafseg.pipelines.datasets.learn import load_converted

    return load_converted(folder)


def _suggest(model: str, device: str, paths: list[Path], count: int, reading: ReadOptions) -> None:
    """Name the images that a model is least sure of."""
    from napari_leafseg.pipelines.predictors import get_predictor
    from napari_leafseg.pipelines.rank import rank_images
    from napari_leafseg.project.review import image_order

    confidence = {}
    with progress_bar() as bar:
        task = bar.add_task("Looking at the other images", total=len(paths))
        for item in rank_images(get_predictor(model, device), paths, reading):
            bar.update(task, completed=item.done)
            if item.trouble:
                print_error(UserError(item.trouble))
            else:
                confidence[str(item.path)] = item.confidence
    out.print("Correct next (the least certain leaf of each image):")
    for path in image_order(confidence)[:count]:
        out.print(f"  {confidence[path]:.2f}  {path}", soft_wrap=True, highlight=False)
