"""The command line, ``napari-leafseg``: one function for each command."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from napari_leafseg import cli_models
from napari_leafseg._console import err, out, print_error, print_note
from napari_leafseg._files import resource_folder
from napari_leafseg.cli_parameters import (
    LEFT_OUT_CODE,
    Angle,
    Channels,
    MaskThreshold,
    MinArea,
    Overlap,
    Parameters,
    PxPerMm,
    Score,
    Seeds,
    Tta,
    ZPlane,
    given_values,
    read_options,
    write_value,
)
from napari_leafseg.errors import ParameterError, UserError

if TYPE_CHECKING:
    from napari_leafseg.inference.parameter_search import ParameterSearch
    from napari_leafseg.io import ReadOptions

_PAPER = resource_folder() / "training" / "paper.yaml"

_RENAMED = {"--looks": "--tta", "--whole-masks": "--full-masks", "--framework": "--instance-unique"}


class _Command(typer.core.TyperCommand):
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
app.add_typer(cli_models.app, name="models", help="List the models that there are, or import a published one.")

Model = Annotated[str, typer.Option(help="Name of a model (see “models”) or path of a .safetensors checkpoint.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def main() -> None:
    """Run the command line; mistakes of the user end with a sentence and exit code 2."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        print_error(error)
        sys.exit(2)


def progress_bar() -> Progress:
    """The progress bar of all commands, on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=err,
    )


@app.command(cls=_Command)
def predict(
    images: Annotated[list[Path], typer.Argument(help="Images or folders of images.")],
    output: Annotated[Path, typer.Option(help="Folder for <stem>_label.tif and <stem>_label.json.")],
    model: Model = "leaf",
    seed_threshold: Seeds = None,
    angle: Angle = None,
    score_threshold: Score = None,
    mask_threshold: MaskThreshold = None,
    overlap: Overlap = None,
    min_area: MinArea = None,
    param: Parameters = None,
    scale: Annotated[float | None, typer.Option(help="Working scale, 0.02 to 8; found by itself if left out.")] = None,
    device: Device = "auto",
    tta: Tta = "standard",
    plant_masks: Annotated[Path | None, typer.Option(help="Folder of plant masks, <stem>_fg.png.")] = None,
    full_masks: Annotated[
        bool, typer.Option(help="query-based models: also write the full masks, also where they overlap, as COCO.")
    ] = False,
    channels: Channels = None,
    z: ZPlane = "max",
) -> None:
    """Segment the leaves of images."""
    from napari_leafseg.pipelines.predict import predict_files

    values = given_values(model, param, seed_threshold=seed_threshold, angle=angle, score_threshold=score_threshold,
                    mask_threshold=mask_threshold, overlap=overlap, min_area=min_area)  # fmt: skip
    reading = read_options(channels, z)
    failed, left_out = 0, False
    with progress_bar() as bar:
        task = bar.add_task("Predicting", total=None)
        for event in predict_files(images, output, model, values, scale, device, tta, plant_masks, full_masks, reading):
            bar.update(task, description=event.message, completed=event.done, total=event.total)
            if event.error is not None:
                failed += 1
                print_error(event.error)
            elif event.left_out:
                left_out = True
                print_note(event.left_out)
            elif event.written is not None:
                notes = "".join(f" [yellow]{escape(note)}[/]" for note in event.notes)
                out.print(
                    f"{escape(str(event.written))}: {event.count} leaves, scale {event.scale:.2f}.{notes}",
                    highlight=False,
                    soft_wrap=True,
                )
    _exit(failed, left_out)


def _exit(failed: int, left_out: bool) -> None:
    """End with the code that tells whether something failed, or was left out."""
    if failed or left_out:
        raise typer.Exit(2 if failed else LEFT_OUT_CODE)


@app.command(cls=_Command)
def batch(
    images: Annotated[list[str], typer.Argument(help="Images, folders, or patterns like “plants/**/*.jpg”.")],
    output: Annotated[
        Path, typer.Option(help="Folder of the experiment; what is done there already is not done again.")
    ],
    model: Model = "leaf",
    seed_threshold: Seeds = None,
    angle: Angle = None,
    score_threshold: Score = None,
    mask_threshold: MaskThreshold = None,
    overlap: Overlap = None,
    min_area: MinArea = None,
    param: Parameters = None,
    scale: Annotated[float | None, typer.Option(help="Working scale, 0.02 to 8; found by itself if left out.")] = None,
    px_per_mm: PxPerMm = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; one a core or graphics card if left out.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:8786.")] = None,
    device: Device = "auto",
    tta: Tta = "standard",
    scale_from_file: Annotated[bool, typer.Option(help="Take the pixels a millimeter that each file states.")] = False,
    export: Annotated[list[str] | None, typer.Option(help="Also write labels in this format: {formats}.")] = None,
    channels: Channels = None,
    z: ZPlane = "max",
) -> None:
    """Segment, measure and report a whole experiment; called again, it goes on where it was."""
    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.run import run_batch

    values = given_values(model, param, seed_threshold=seed_threshold, angle=angle, score_threshold=score_threshold,
                    mask_threshold=mask_threshold, overlap=overlap, min_area=min_area)  # fmt: skip
    reading = read_options(channels, z)
    settings = BatchSettings(
        model=model, values=values, scale=scale, channels=reading.channels, z=reading.z,
        device=device, tta=tta, px_per_mm=px_per_mm, scale_from_file=scale_from_file, exports=tuple(export or ()),
    )  # fmt: skip
    failed, left_out = 0, False
    with progress_bar() as bar:
        task = bar.add_task("Starting", total=None)
        for event in run_batch(images, output, settings, workers, scheduler):
            bar.update(task, description=event.message[:60], completed=event.done, total=event.total)
            if event.result is not None and "error" in event.result:
                failed += 1
                print_error(UserError(event.result["error"]))
            elif event.left_out:
                left_out = True
                print_note(event.left_out)
    out.print(f"{event.total - failed} images done, {failed} not. Report: {escape(str(event.report))}", soft_wrap=True)
    _exit(failed, left_out)


@app.command()
def rerun(
    record: Annotated[Path, typer.Argument(help="NAME_label.json, or a session saved from the window.")],
    output: Annotated[Path | None, typer.Option(help="Folder to write the labels to.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images, when they were moved.")] = None,
    device: Device = "auto",
) -> None:
    """Make the same labels again from their record."""
    from napari_leafseg.io import write_labels
    from napari_leafseg.pipelines.batch.rerun import read_records
    from napari_leafseg.pipelines.batch.rerun import rerun as run_again

    differ = 0
    for item in read_records(record):
        result = run_again(item, images, device)
        said = {True: "the same labels", False: "OTHER labels than those beside the record", None: "done"}[result.same]
        differ += result.same is False
        out.print(f"{item.path.name}: {int(result.labels.max(initial=0))} leaves, {said}.", soft_wrap=True)
        if output is not None:
            write_labels(output / item.path.with_suffix(".tif").name, result.labels, result.record)
    if differ:
        raise typer.Exit(1)


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Option(help="Folder of label images.")],
    truth: Annotated[Path, typer.Option(help="Folder of true label images with the same stems.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    challenge: Annotated[bool, typer.Option(help="Follow the challenge's scorer in its corner cases.")] = False,
) -> None:
    """Compare label images: SBD, BestDice, FBD, DiC, |DiC|."""
    from napari_leafseg._files import write_atomically
    from napari_leafseg.pipelines.evaluate import evaluate_folders

    result = evaluate_folders(prediction, truth, challenge)
    table = Table("image", "SBD", "BestDice", "FBD", "DiC", "|DiC|", title=f"{len(result['images'])} images")
    for name, row in [*result["images"].items(), ("mean", result["mean"])]:
        sign = f"{row['DiC']:+.2f}" if name == "mean" else f"{row['DiC']:+.0f}"
        table.add_row(
            name, f"{row['SBD']:.4f}", f"{row['BestDice']:.4f}", f"{row['FBD']:.4f}", sign, f"{row['absDiC']:.2f}"
        )
    out.print(table)
    for message in result["unmatched"]:
        err.print(f"[yellow]{message}[/]", soft_wrap=True)
    if json_file is not None:
        write_atomically(json_file, (json.dumps(result, indent=2) + "\n").encode())


@app.command()
def tune(
    source: Annotated[Path, typer.Argument(help="A project, or a folder of images with label images beside them.")],
    truth: Annotated[Path | None, typer.Option(help="Folder of the label images where they lie elsewhere.")] = None,
    model: Model = "leaf",
    device: Device = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole sweep to this file.")] = None,
) -> None:
    """Find the values of the parameters that suit labeled images best."""
    from napari_leafseg import load_model
    from napari_leafseg._files import write_atomically
    from napari_leafseg.models.parameters import MIN_AREA_WORKING
    from napari_leafseg.pipelines.tune import labeled_files, reviewed_images
    from napari_leafseg.pipelines.tune import tune as run_tuning
    from napari_leafseg.project import Project

    search = None
    with contextlib.ExitStack() as stack:
        if (source / "project.json").exists():
            project = stack.enter_context(Project.open(source))
            project.catch_up()
            images = reviewed_images(project)
        else:
            images = labeled_files(source, truth)
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("Tuning", total=1000)
        for event in run_tuning(load_model(model, device), images):
            bar.update(task, description=event.message, completed=event.done)
            search = event.search
    assert search is not None
    out.print(_heat_map(search))
    best = search.best
    options = [write_value(part.name, best[part.name]) for part in (search.row, search.column, MIN_AREA_WORKING)]
    out.print(
        f"{search.images} images, {search.leaves} leaves. SBD {search.current_sbd:.3f} with the model's values, "
        f"{max(search.best_sbd, search.current_sbd):.3f} with {' '.join(options)} (predict, batch).",
        highlight=False,
        soft_wrap=True,
    )
    if json_file is not None:
        write_atomically(json_file, (json.dumps(search.as_dict(), indent=1) + "\n").encode())


def _heat_map(search: ParameterSearch) -> Table:
    """SBD for the two tunables that matter most at the best smallest leaf; the best cell is marked."""
    row_at, column_at, layer = search.best_index
    plane = search.sbd[:, :, layer]
    title = f"SBD in % by {search.row.label.lower()} and {search.column.label.lower()}"
    names = [f"{value:g}{search.column.unit}" for value in search.columns]
    table = Table("", *names, title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    low, high = float(plane.min()), float(plane.max())
    for row, threshold in enumerate(search.rows):
        cells = []
        for column, value in enumerate(plane[row]):
            share = (value - low) / max(high - low, 1e-9)
            mark = "[bold]*" if (row, column) == (row_at, column_at) else " "
            cells.append(f"[rgb({int(255 * (1 - share))},{int(200 * share)},60)]{mark}{100 * value:.1f}")
        table.add_row(f"{threshold:g}", *cells)
    return table


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file; resources/training/leaf.yaml is the bundled model's.")],
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
            elif event.kind == "validation":
                out.print(f"step {event.step}: {values}", highlight=False)
    out.print(f"Weights: {output / (settings.name + '.safetensors')}", soft_wrap=True)


@app.command()
def challenge(
    sources: Annotated[list[Path], typer.Argument(help="Folders (A1/plant001_rgb.png …) or HDF5 files, with truth.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; a run that is there already goes on.")],
    config: Annotated[Path, typer.Option(help="Training configuration; the paper's if left out.")] = _PAPER,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often to see each image; 600 in the paper.")] = None,
    model: Annotated[str | None, typer.Option(help="Score this model instead of training one.")] = None,
    share: Annotated[float, typer.Option(min=0, max=0.5, help="Share held out of each subset for scoring.")] = 0.2,
    test: Annotated[list[Path] | None, typer.Option(help="Test images to predict into submission.h5.")] = None,
    own_foreground: Annotated[bool, typer.Option(help="Do not use the given plant masks.")] = False,
    device: Device = "auto",
) -> None:
    """Leaf Segmentation Challenge (CVPPP): train on A1 to A4, score each subset, write the file to hand in."""
    from napari_leafseg import load_model
    from napari_leafseg.inference.device import choose_device
    from napari_leafseg.io.exchange.challenge import read_challenge
    from napari_leafseg.pipelines.challenge import predict_submission, score_challenge, split, train_on_challenge
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
        predictor = load_model(model or str(output / f"{settings.name}.safetensors"), device)
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


@app.command("export", cls=_Command)
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


@app.command(cls=_Command)
def finetune(
    project: Annotated[Path, typer.Argument(help="A project with corrected images.")],
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
    from napari_leafseg.training.config import InstanceUniqueConfig
    from napari_leafseg.training.distributed import process_group_of

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
    if processes.is_main:
        with Project.open(project) as opened:
            opened.catch_up()
            found = load_corrections(opened)
            others = [opened.path_of(ref) for ref in opened.images if ref.state == "new"]
            reading = opened.read_options
    images, notes = processes.broadcast(found) or ([], [])
    for note in notes:
        err.print(f"[yellow]{note}[/]", soft_wrap=True, highlight=False)
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


def _suggest(model: str, device: str, paths: list[Path], count: int, reading: ReadOptions) -> None:
    """Name the images that a model is least sure of."""
    from napari_leafseg import load_model
    from napari_leafseg.finetuning.active_learning import rank_images
    from napari_leafseg.project.review import image_order

    confidence = {}
    with progress_bar() as bar:
        task = bar.add_task("Looking at the other images", total=len(paths))
        for item in rank_images(load_model(model, device), paths, reading):
            bar.update(task, completed=item.done)
            if item.trouble:
                print_error(UserError(item.trouble))
            else:
                confidence[str(item.path)] = item.confidence
    out.print("Correct next (the least certain leaf of each image):")
    for path in image_order(confidence)[:count]:
        out.print(f"  {confidence[path]:.2f}  {path}", soft_wrap=True, highlight=False)


@app.command()
def demo(
    output: Annotated[
        Path | None,
        typer.Option(help="Run the main job by itself, leave a screenshot, labels and traits here, and end."),
    ] = None,
) -> None:
    """Open napari on the sample plants, segment the first one."""
    from napari_leafseg.widgets.demo import run_demo

    run_demo(output)


if __name__ == "__main__":
    main()
