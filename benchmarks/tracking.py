"""Tracks of synthetic growth series, with true and with predicted masks; leaf counts of real plants over days.

Run ``python -m benchmarks.tracking [--series 10] [--real FOLDER] [--plot FILE]``. FOLDER holds ``DATE_PLANT.jpg``.
A link is right when both of its ends are the same leaf; a predicted leaf is the true one that it overlaps by more than
half of both together.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.io import list_images, read_image
from napari_leafseg.synthetic import Scene, SceneConfig, growth_series
from napari_leafseg.traits import measure
from napari_leafseg.traits.tracking import growth, track_leaves

CONFIG = SceneConfig(size=(360, 360), diameter=(300, 320), border=0.0, blank=0.0)


def identities(labels: np.ndarray, scene: Scene) -> dict[int, int]:
    """Which true leaf each leaf is; leaves that are none are left out."""
    both = np.zeros((int(labels.max()) + 1, int(scene.labels.max()) + 1))
    np.add.at(both, (labels.ravel(), scene.labels.ravel()), 1)
    union = both.sum(1)[:, None] + both.sum(0)[None] - both
    overlap = (both / np.maximum(union, 1))[1:, 1:]
    found = {}
    for leaf in range(1, len(both)):
        if overlap.shape[1] and overlap[leaf - 1].max() > 0.5:
            found[leaf] = int(scene.identities[int(overlap[leaf - 1].argmax()) + 1])
    return found


def links(nodes: dict[int, list[tuple[int, int]]]) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of consecutive appearances."""
    return {pair for track in nodes.values() for pair in pairwise(sorted(track))}


def score_series(scenes: list[Scene], masks: list[np.ndarray]) -> tuple[int, int, int]:
    """Links that are right, that were made, and that there are, among leaves that were found."""
    tracks = track_leaves([measure(labels.astype(np.int32)) for labels in masks])
    known = [identities(labels, scene) for labels, scene in zip(masks, scenes, strict=True)]
    ours, truth = defaultdict(list), defaultdict(list)
    for frame, leaf, track in zip(tracks["frame"], tracks["leaf"], tracks["track"], strict=True):
        if leaf in known[frame]:
            ours[track].append((frame, leaf))
            truth[known[frame][leaf]].append((frame, leaf))
    made, wanted = links(ours), links(truth)
    return len(made & wanted), len(made), len(wanted)


def real_counts(folder: Path) -> dict[str, list[tuple[str, int, int]]]:
    """For each plant: date, leaves found, and tracks that are seen so far."""
    predictor = load_model("leaf", "cpu")
    plants: dict[str, list[Path]] = defaultdict(list)
    for path in list_images([folder]):
        plants[path.stem.split("_")[-1]].append(path)
    found = {}
    for plant, paths in plants.items():
        frames = [measure(predictor.predict(read_image(path).array).labels().astype(np.int32)) for path in paths]
        tracks = track_leaves(frames)
        table = growth(tracks, frames)
        seen = [table.loc[table["frame"] <= number, "track"].nunique() for number in range(len(paths))]
        long = table.groupby("track").size()
        print(f"plant {plant}: {len(long)} tracks, {int((long >= 3).sum())} of three days or more")
        found[plant] = [(path.stem[5:10], len(item.leaves), count) for path, item, count in
                        zip(paths, frames, seen, strict=True)]  # fmt: skip
    return found


def plot(counts: dict[str, list[tuple[str, int, int]]], path: Path) -> None:
    """Leaf count over days."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    for (plant, rows), color in zip(counts.items(), ("#44AA99", "#E69F00"), strict=False):
        axes.plot(
            [day for day, _, _ in rows], [count for _, count, _ in rows], "o-", color=color, label=f"plant {plant}"
        )
    axes.set(xlabel="day (month-day)", ylabel="leaves found", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=10)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--plot", type=Path, default=Path("docs/images/growth_counts.png"))
    add_record_option(parser, "tracking")
    args = parser.parse_args()
    predictor = load_model("leaf", "cpu")
    totals = {"true": np.zeros(3), "predicted": np.zeros(3)}
    for seed in range(300, 300 + args.series):
        scenes = growth_series(seed, 8, CONFIG)
        totals["true"] += score_series(scenes, [scene.labels for scene in scenes])
        masks = [predictor.predict(scene.image).labels() for scene in scenes]
        totals["predicted"] += score_series(scenes, masks)
    rows = []
    for name, (right, made, wanted) in totals.items():
        print(f"{name} masks: {right / wanted:.3f} of {wanted:.0f} links found, {right / made:.3f} of those made right")
        rows.append({"masks": name, "true links": int(wanted), "links found": round(right / wanted, 3),
                     "of those made, right": round(right / made, 3)})  # fmt: skip
    if args.record:
        write_result(args.record, rows)
    if args.real:
        counts = real_counts(args.real)
        for plant, rows in counts.items():
            print(plant, " ".join(f"{day}:{count}" for day, count, _ in rows))
        plot(counts, args.plot)


if __name__ == "__main__":
    main()
