"""Tables of a whole experiment, and a report in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import datetime
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from napari_leafseg._counts import counted
from napari_leafseg._files import resource_folder, write_atomically
from napari_leafseg.experiment import Experiment, add_metadata
from napari_leafseg.io import ReadOptions, label_path
from napari_leafseg.io.exchange.formats import Labeled, write_format
from napari_leafseg.io.exchange.names import relative_names
from napari_leafseg.io.tables import harmless
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.growth import follow
from napari_leafseg.pipelines.batch.parts import TABLES, keep_tracks, read_parts, read_tracks
from napari_leafseg.traits import area_column

_SHOWN = 400  # images in the report; all are in the tables


def write_tables(
    place: Path, results: list[dict[str, Any]], experiment: Experiment, px_per_mm: float | None = None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Write ``leaves.csv``, ``plants.csv``, ``growth.csv``, ``tracks.csv``, ``images.csv`` and ``errors.csv``.

    Returns
    -------
    leaves : pandas.DataFrame
        For the report.
    notes : tuple of str
        What is to be said of plants and dates.
    """
    tables = {kind: read_parts(place, results, kind) for kind in TABLES}
    paths = {item["name"]: Path(item["path"]) for item in results if "error" not in item}
    described = experiment.describe(list(paths.values()))
    known = {name: described[path] for name, path in paths.items()}
    scales = {item["name"]: item.get("px_per_mm", px_per_mm) for item in results}
    if "verified" in tables["leaves"]:  # of images that people corrected
        tables["leaves"]["verified"] = tables["leaves"]["verified"].eq(True)
    memory = read_tracks(place)
    followed = follow(tables["leaves"], tables["plants"], known, scales, memory)
    keep_tracks(place, memory)
    _csv(place / "leaves.csv", followed.leaves)
    _csv(place / "plants.csv", followed.plants)
    for kind, table in (("growth", followed.growth), ("tracks", followed.tracks)):
        if len(table):
            _csv(place / f"{kind}.csv", table)
        else:
            (place / f"{kind}.csv").unlink(missing_ok=True)  # of an earlier run
    done = [item for item in results if "error" not in item]
    columns = ["name", "path", "count", "plants", "area", "scale", "seconds", "notes"]
    images = pd.DataFrame(done, columns=columns)
    images["notes"] = [" ".join(notes) for notes in images["notes"]]
    days = {list(known)[place]: day for place, day in followed.grouping.day_of().items()}
    _csv(place / "images.csv", add_metadata(images, "name", {name: known[name].metadata for name in known}, days))
    failed = [item for item in results if "error" in item]
    _csv(place / "errors.csv", pd.DataFrame(failed, columns=["name", "path", "error"]))
    return followed.leaves, followed.grouping.notes


def write_exports(
    place: Path, results: list[dict[str, Any]], forms: tuple[str, ...], reading: ReadOptions | None = None
) -> Iterator[str]:
    """Write all labels in other programs' formats, ``exports/FORMAT/``; yields the name of each image."""
    done = [item for item in results if "error" not in item]
    paths = [Path(item["path"]) for item in done]
    items = [
        Labeled(
            item["name"], image, partial(tifffile.imread, label_path(place / "labels", item["name"])), path, reading
        )
        for item, image, path in zip(done, relative_names(paths), paths, strict=True)
    ]
    for fmt in forms:
        yield from write_format(place / "exports" / fmt, items, fmt)


def _csv(path: Path, table: pd.DataFrame) -> None:
    write_atomically(path, harmless(table).to_csv(index=False, float_format="%.7g").encode())


def write_report(place: Path, results: list[dict[str, Any]], leaves: pd.DataFrame, settings: BatchSettings) -> Path:
    """Write ``report.html``: overlays, counts, plots, parameters, versions; images are inside the file."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    from napari_leafseg.models.store.zoo import describe_model
    from napari_leafseg.versions import __version__

    done = [item for item in results if "error" not in item]
    card = describe_model(settings.model)
    unit = "mm²" if settings.metric or area_column(leaves) == "area_mm2" else "px²"
    environment = Environment(
        loader=FileSystemLoader(resource_folder() / "templates"), autoescape=select_autoescape(["html", "j2"])
    )
    environment.filters["counted"] = counted
    text = environment.get_template("report.html.j2").render(
        title=place.resolve().name,
        created=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        version=__version__,
        model={"name": card.name, "version": card.version},
        settings=settings.model_dump(exclude={"threads"}),
        defaults=card.defaults,
        unit=unit,
        done=[{**item, "image": _image(place, item)} for item in done[:_SHOWN]],
        left_out=max(0, len(done) - _SHOWN),
        failed=[item for item in results if "error" in item],
        leaves=sum(item["count"] for item in done),
        plants=sum(item["plants"] for item in done),
        images=len(done),
        plots=_plots(done, leaves, unit) if done else [],
    )
    target = place / "report.html"
    write_atomically(target, text.encode())
    return target


def _image(place: Path, item: dict[str, Any]) -> str:
    path = place / "overlays" / f"{item['name']}.jpg"
    return _data_url(path.read_bytes(), "image/jpeg") if path.is_file() else ""


def _data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _plots(done: list[dict[str, Any]], leaves: pd.DataFrame, unit: str) -> list[str]:
    """Counts, areas and leaf sizes, as SVG."""
    from matplotlib.figure import Figure  # no pyplot: its state is not for threads

    counts = np.array([item["count"] for item in done])
    areas = [item["area"] for item in done]
    sizes = leaves[area_column(leaves)].tolist() if len(leaves) else []
    found = []
    for draw in ("count", "area", "leaf"):
        figure = Figure(figsize=(4.6, 3), layout="constrained")
        axes = figure.subplots()
        if draw == "count":
            axes.hist(counts, bins=(np.arange(counts.min(), counts.max() + 2) - 0.5).tolist(), color="#3a7d44")
            axes.set(xlabel="leaves in an image", ylabel="images")
        elif draw == "area":
            axes.plot(np.arange(1, len(areas) + 1), areas, color="#3a7d44", marker="." if len(areas) < 100 else "")
            axes.set(xlabel="image, in order", ylabel=f"leaf area ({unit})", ylim=(0, None))
        else:
            axes.hist(sizes, bins=40, color="#3a7d44")
            axes.set(xlabel=f"area of a leaf ({unit})", ylabel="leaves")
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg")
        found.append(_data_url(buffer.getvalue(), "image/svg+xml"))
    return found
