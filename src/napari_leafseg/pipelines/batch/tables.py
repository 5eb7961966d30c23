"""Tables of a whole experiment, and its labels in other programs' formats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import tifffile

from napari_leafseg._files import write_atomically
from napari_leafseg.experiment import Experiment, add_metadata
from napari_leafseg.experiment.growth import group_table
from napari_leafseg.io import LABEL_SUFFIX, ReadOptions, label_path
from napari_leafseg.io.exchange.formats import Labeled, write_format
from napari_leafseg.io.exchange.names import relative_names
from napari_leafseg.io.tables import as_csv
from napari_leafseg.pipelines.batch.decisions import NOTHING_DECIDED, Decisions
from napari_leafseg.pipelines.batch.growth import Followed, follow
from napari_leafseg.pipelines.batch.parts import TABLES, keep_tracks, read_parts, read_tracks


class Tables(NamedTuple):
    """What was written.

    Attributes
    ----------
    images : pandas.DataFrame
        A row an image that was done: ``name``, what is known of it, ``count``, ``area`` and so on, ``record``.
    followed : Followed
        Leaves, plants and growth.
    """

    images: pd.DataFrame
    followed: Followed


def write_tables(
    place: Path, results: list[dict[str, Any]], experiment: Experiment, px_per_mm: float | None = None,
    decisions: Decisions = NOTHING_DECIDED,
) -> Tables:  # fmt: skip
    """Write the tables of leaves, plants, growth, tracks, groups, images and errors as CSV."""
    tables = {kind: read_parts(place, results, kind) for kind in TABLES}
    paths = {item["name"]: Path(item["path"]) for item in results if "error" not in item}
    described = experiment.describe(list(paths.values()))
    known = {name: described[path] for name, path in paths.items()}
    scales = {item["name"]: item.get("px_per_mm", px_per_mm) for item in results}
    if "verified" in tables["leaves"]:  # of images that people corrected
        tables["leaves"]["verified"] = tables["leaves"]["verified"].eq(True)
    memory = read_tracks(place)
    followed = follow(tables["leaves"], tables["plants"], known, scales, memory, decisions)
    keep_tracks(place, memory)
    _csv(place / "leaves.csv", followed.leaves)
    _csv(place / "plants.csv", followed.plants)
    groups = group_table(followed.by_plant)
    for kind, table in (("growth", followed.growth), ("tracks", followed.tracks), ("groups", groups)):
        if len(table):
            _csv(place / f"{kind}.csv", table)
        else:
            (place / f"{kind}.csv").unlink(missing_ok=True)  # of an earlier run
    done = [item for item in results if "error" not in item]
    columns = ["name", "path", "count", "plants", "area", "scale", "seconds", "at_border", "notes"]
    images = pd.DataFrame(done, columns=columns)
    images["notes"] = [" ".join(notes) for notes in images["notes"]]
    images["at_border"] = images["at_border"].astype("Int64")  # not known of images that an earlier version did
    images["record"] = [f"labels/{name}{LABEL_SUFFIX}.json" for name in images["name"]]
    if any("correction" in item for item in done):
        images["corrected"] = [item.get("corrected", "corrected" if "correction" in item else "") for item in done]
    days = {list(known)[place]: day for place, day in followed.grouping.day_of().items()}
    images = add_metadata(images, "name", {name: known[name].metadata for name in known}, days)
    _csv(place / "images.csv", images)
    failed = [item for item in results if "error" in item]
    _csv(place / "errors.csv", pd.DataFrame(failed, columns=["name", "path", "error"]))
    return Tables(images, followed)


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
    write_atomically(path, as_csv(table).encode())
