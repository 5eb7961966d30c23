"""Score folders of label images against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.errors import InputFileError
from napari_leafseg.io import LABEL_SUFFIX, read_labels
from napari_leafseg.metrics import LeafScore, score
from napari_leafseg.pipelines.engine import run_over

LABEL_ENDINGS = (".png", ".tif", ".tiff")


def evaluate_folders(prediction: Path, truth: Path, challenge: bool = False) -> dict[str, Any]:
    """Score a folder of label images against another.

    Files are matched by stem, ``_label`` at its end or not, PNG or TIFF. Each image of a time series counts as one.

    Returns
    -------
    dict
        ``images`` (scores by stem; of a time series by ``stem [1]``, ``stem [2]`` …), ``mean`` and ``unmatched``
        (sentences).

    Raises
    ------
    InputFileError
        When a folder is missing, a file cannot be read, sizes differ, or nothing matches.
    """
    found, wanted = label_files(prediction), label_files(truth)
    common = sorted(found.keys() & wanted.keys())
    if not common:
        raise InputFileError(
            f"No label image in {prediction} has the name of one in {truth}. Names must agree up to “_label”."
        )
    pairs = [(found[stem], wanted[stem]) for stem in common]
    events = run_over(pairs, partial(_score_files, challenge=challenge), name=lambda pair: pair[0].name)
    scored = zip(common, (event.result for event in events if event.result is not None), strict=True)
    images = {stem + frame: row for stem, rows in scored for frame, row in rows.items()}
    mean = mean_scores(list(images.values()))
    unmatched = [f"{found[stem]} has no truth and is left out." for stem in sorted(found.keys() - wanted.keys())]
    unmatched += [f"{wanted[stem]} has no prediction and is left out." for stem in sorted(wanted.keys() - found.keys())]
    return {"images": images, "mean": mean, "unmatched": unmatched}


def mean_scores(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each score over rows of `as_row`."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _score_files(pair: tuple[Path, Path], challenge: bool) -> dict[str, dict[str, float]]:
    """Score each image of two files, by what is added to the stem."""
    ours, theirs = (read_labels(path, series=True) for path in pair)
    if ours.ndim != theirs.ndim or (ours.ndim == 3 and len(ours) != len(theirs)):
        kinds = [f"a series of {len(labels)}" if labels.ndim == 3 else "one image" for labels in (ours, theirs)]
        raise InputFileError(f"{pair[0]} holds labels of {kinds[0]}, {pair[1]} of {kinds[1]}.")
    if ours.shape != theirs.shape and not challenge:
        raise InputFileError(
            f"{pair[0]} is {ours.shape[-1]} × {ours.shape[-2]} pixels, "
            f"{pair[1]} {theirs.shape[-1]} × {theirs.shape[-2]}. They must be of one size."
        )
    if ours.ndim == 2:
        return {"": as_row(score(ours, theirs, challenge))}
    frames = enumerate(zip(ours, theirs, strict=True), 1)
    return {f" [{number}]": as_row(score(*frame, challenge)) for number, frame in frames}


def as_row(result: LeafScore) -> dict[str, float]:
    """Return scores by the names that tables and files have."""
    return {
        "SBD": result.sbd,
        "BestDice": result.best_dice,
        "FBD": result.fbd,
        "DiC": result.dic,
        "absDiC": result.abs_dic,
    }


def label_files(folder: Path) -> dict[str, Path]:
    """Find a folder's label images by their stems, without ``_label``.

    Raises
    ------
    InputFileError
        When there is no such folder.
    """
    if not folder.is_dir():
        raise InputFileError(f"There is no folder {folder}.")
    found: dict[str, Path] = {}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in LABEL_ENDINGS)
    marked = [path for path in files if path.stem.endswith(LABEL_SUFFIX)]
    for path in marked or files:  # images may lie beside their labels
        found[path.stem.removesuffix(LABEL_SUFFIX)] = path
    return found
