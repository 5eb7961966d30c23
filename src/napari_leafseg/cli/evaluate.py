"""Commands that compare with ground truth: ``evaluate``, ``tune``."""

from __future__ import annotations

import contextlib
import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from napari_leafseg._console import out, print_note
from napari_leafseg._counts import counted
from napari_leafseg.cli.common import Device, Model, app, progress_bar
from napari_leafseg.cli.parameters import Parameters, given_values, write_value
from napari_leafseg.errors import ParameterError

if TYPE_CHECKING:
    from napari_leafseg.inference.parameter_search import ParameterSearch

_LISTED = 100  # classes that the table has a row for


class Metric(StrEnum):
    """What `evaluate` compares by."""

    sbd = "sbd"
    coco = "coco"
    lvis = "lvis"


@app.command()
def evaluate(
    prediction: Annotated[
        Path, typer.Option(help="Folder of label images; for coco and lvis also a COCO file of masks with scores.")
    ],
    truth: Annotated[
        Path, typer.Option(help="Folder of true label images with the same stems; for coco and lvis also a COCO file.")
    ],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    challenge: Annotated[bool, typer.Option(help="Follow the challenge's scorer in its corner cases.")] = False,
    metric: Annotated[
        Metric, typer.Option(help="sbd: SBD, BestDice, FBD, DiC. coco, lvis: average precision, classes apart.")
    ] = Metric.sbd,
    most: Annotated[
        int | None,
        typer.Option("--max-masks", min=1, help="So many masks of an image count; 100 for coco, 300 for lvis."),
    ] = None,
) -> None:
    """Compare label images or masks with the truth: SBD, BestDice, FBD, DiC, |DiC|; or average precision."""
    from napari_leafseg._files import write_atomically
    from napari_leafseg.pipelines.evaluate import evaluate_folders
    from napari_leafseg.pipelines.evaluate_coco import evaluate_coco

    if metric is Metric.sbd:
        if most is not None:
            raise ParameterError("--max-masks belongs to --metric coco and lvis.")
        result = evaluate_folders(prediction, truth, challenge)
        out.print(_leaf_table(result))
    else:
        if challenge:
            raise ParameterError("--challenge belongs to --metric sbd.")
        result = evaluate_coco(prediction, truth, metric is Metric.lvis, most)
        out.print(_precision_table(result))
    for message in result.get("unmatched", []) + result.get("notes", []):
        print_note(message)
    if json_file is not None:
        write_atomically(json_file, (json.dumps(without_nan(result), indent=2) + "\n").encode())


def _leaf_table(result: dict[str, Any]) -> Table:
    table = Table("image", "SBD", "BestDice", "FBD", "DiC", "|DiC|", title=counted(len(result["images"]), "image"))
    for name, row in [*result["images"].items(), ("mean", result["mean"])]:
        sign = f"{row['DiC']:+.2f}" if name == "mean" else f"{row['DiC']:+.0f}"
        table.add_row(
            name, f"{row['SBD']:.4f}", f"{row['BestDice']:.4f}", f"{row['FBD']:.4f}", sign, f"{row['absDiC']:.2f}"
        )
    return table


def _precision_table(result: dict[str, Any]) -> Table:
    """AP over all classes, and of each class where there are a few."""
    figures, classes = result["figures"], result["classes"]
    table = Table("", *figures, title=f"{counted(result['images'], 'image')}, {len(classes)} classes")
    table.add_row("all", *(_percent(value) for value in figures.values()))
    if 1 < len(classes) <= _LISTED:
        for name, value in classes.items():
            table.add_row(name, _percent(value))
    return table


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def without_nan(content: Any) -> Any:
    """Put null for what is not a number, which JSON does not know."""
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    return None if isinstance(content, float) and math.isnan(content) else content


@app.command()
def tune(
    source: Annotated[Path, typer.Argument(help="A project, or a folder of images with label images beside them.")],
    truth: Annotated[Path | None, typer.Option(help="Folder of the label images where they lie elsewhere.")] = None,
    model: Model = "leaf",
    device: Device = "auto",
    param: Parameters = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all scores to this file.")] = None,
) -> None:
    """Find the values of the parameters that suit labeled images best; `--param` sets what it begins from."""
    from napari_leafseg._files import write_atomically
    from napari_leafseg.models.parameters import MIN_AREA_WORKING
    from napari_leafseg.models.store.zoo import describe_model
    from napari_leafseg.pipelines.predictors import get_predictor
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
        for event in run_tuning(get_predictor(model, device), images, given_values(model, param)):
            bar.update(task, description=event.message, completed=event.done)
            search = event.search
    assert search is not None
    out.print(_heat_map(search))
    best = search.best
    specs = describe_model(model).family.settable
    names = (*search.fixed, *(part.name for part in (search.row, search.column, MIN_AREA_WORKING)))
    options = [write_value(name, best[name], specs) for name in names]
    out.print(
        f"{counted(search.images, 'image')}, {counted(search.leaves, 'leaf')}. SBD {search.current_sbd:.3f} "
        f"with the model's values, {max(search.best_sbd, search.current_sbd):.3f} with {' '.join(options)} "
        "(predict, batch).",
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
