"""A simulated annotator: how many clicks and strokes from a prediction to SBD 0.95, with our tools and with a brush.

Run ``python -m benchmarks.annotator [--count 50] [--real FOLDER] [--json FILE]``.

Both annotators see prediction and truth and are greedy: they do what brings most for each click or stroke. One has the
tools of the *Correct* widget; a click, a stroke and a turn of the wheel count as one interaction each. The other has
a round brush and an eraser of any size; one drag along a line is one stroke, and choosing size and label is free.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg._opencv import cv2
from napari_leafseg.editing import operations as ops
from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import Edit
from napari_leafseg.inference.prompts import PredictionModel
from napari_leafseg.metrics import score
from napari_leafseg.project.document import Document

GOAL = 0.95
PATIENCE = 120
ANGLES = (10, 20, 30, 45, 60, 70)


class Action(NamedTuple):
    """One thing that the annotator may do."""

    name: str
    cost: int
    edits: list[Edit]


class Result(NamedTuple):
    """What an annotator needed."""

    interactions: int
    reached: bool
    sbd: float
    tools: dict[str, int]


def quality(labels: np.ndarray, truth: np.ndarray) -> float:
    """Mean of both directions of BestDice, which rises smoothly; SBD is the smaller one."""
    dice = _dices(labels, truth)
    if not dice.size:
        return 0.0
    return 0.5 * (float(dice.max(0).mean()) + float(dice.max(1).mean()))


def sbd(labels: np.ndarray, truth: np.ndarray) -> float:
    """Symmetric best Dice."""
    return score(labels, truth).sbd


def _dices(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    rows, columns = int(labels.max(initial=0)) + 1, int(truth.max(initial=0)) + 1
    pairs = np.bincount((labels.astype(np.int64) * columns + truth).ravel(), minlength=rows * columns)
    pairs = pairs.reshape(rows, columns)
    sizes = pairs.sum(1)[:, None] + pairs.sum(0)[None]
    dice = 2 * pairs / np.maximum(sizes, 1)
    present = pairs.sum(1) > 0
    present[0] = False
    return dice[present][:, 1:]


def _deepest(mask: np.ndarray) -> np.ndarray:
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.array(np.unravel_index(int(depth.argmax()), depth.shape), float)


def _contour(mask: np.ndarray) -> np.ndarray:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(contours, key=len)[:, 0, ::-1].astype(float)


def _longest_run(contour: np.ndarray, chosen: np.ndarray) -> np.ndarray | None:
    """The longest stretch of a closed contour where `chosen` holds."""
    if not chosen.any():
        return None
    if chosen.all():
        return contour
    start = int(np.flatnonzero(~chosen)[0])
    rolled = np.roll(chosen, -start)
    pieces, count = ndimage.label(rolled)
    longest = int(np.bincount(pieces)[1 : count + 1].argmax()) + 1
    return np.roll(contour, -start, axis=0)[pieces == longest]


class ToolAnnotator:
    """Uses the correction tools."""

    def __init__(self, document: Document, image: np.ndarray, model: PredictionModel, truth: np.ndarray) -> None:
        self.document, self.image, self.model, self.truth = document, image, model, truth

    def scene(self) -> tools.Scene:
        """What the tools see."""
        document = self.document
        return tools.Scene(document.labels, self.image, self.model, document.locked(), document.largest)

    def candidates(self) -> Iterator[Action]:
        """What it may sensibly do now."""
        labels, truth, scene = self.document.labels, self.truth, self.scene()
        found, counts = np.unique(np.stack([labels.ravel(), truth.ravel()], 1), axis=0, return_counts=True)
        pairs = {(int(p), int(t)): int(n) for (p, t), n in zip(found, counts, strict=True)}
        areas, sizes = np.bincount(labels.ravel()), np.bincount(truth.ravel())
        for p in range(1, len(areas)):
            like = (
                max(2 * n / (areas[q] + sizes[t]) if t else 0.0 for (q, t), n in pairs.items() if q == p)
                if areas[p]
                else 1.0
            )
            if like < 0.5:
                yield self._one("delete", ops.delete(labels, p))
        for t in range(1, len(sizes)):
            if not sizes[t]:
                continue
            mask = truth == t
            inside = [p for p in range(1, len(areas)) if pairs.get((p, t), 0) > 0.5 * max(1, areas[p])]
            if len(inside) > 1:
                stops = [_deepest(labels == p) for p in sorted(inside, key=lambda p: -areas[p])]
                yield Action("merge", 1, tools.merge(scene, np.array(stops)))
            best = max((p for p in range(1, len(areas))), key=lambda p: pairs.get((p, t), 0), default=0)
            covered = pairs.get((best, t), 0)
            dice = 2 * covered / max(1, areas[best] + sizes[t]) if best else 0.0
            if dice > 0.985:
                continue
            yield from self._grow(scene, mask)
            if best and covered:
                yield from self._part(scene, labels == best, mask)
                yield from self._border(scene, labels == best, mask)
                for other in [p for p in range(1, len(areas)) if p != best and pairs.get((p, t), 0) > 4]:
                    yield self._one("front", ops.to_front(labels, best, other))
            yield self._one("lasso", tools.lasso(scene, _contour(mask)))
            yield from self._pieces(scene, mask)
            if scene.locked:  # a neighbor that was touched is held: unlock it first
                unlocked = replace(scene, locked=frozenset())
                yield self._one("unlock, lasso", tools.lasso(unlocked, _contour(mask)), 2)
        yield self._one("smooth all", ops.smooth(labels))

    @staticmethod
    def _pieces(scene: tools.Scene, mask: np.ndarray) -> Iterator[Action]:
        """A leaf that others cut in pieces: a lasso around each, and a drag that makes them one."""
        numbers, count = ndimage.label(mask)
        sizes = np.bincount(numbers.ravel())
        pieces = sorted((k for k in range(1, count + 1) if sizes[k] > 8), key=lambda k: -sizes[k])[:3]
        if len(pieces) < 2:
            return
        labels, edits = scene.labels.copy(), []
        for piece in pieces:
            now = replace(scene, labels=labels, locked=frozenset(), largest=max(scene.largest, int(labels.max())))
            edit = tools.lasso(now, _contour(numbers == piece))
            if edit is not None:
                edit.apply(labels)
                edits.append(edit)
        edits += tools.merge(replace(scene, labels=labels), np.array([_deepest(numbers == piece) for piece in pieces]))
        yield Action("lasso pieces, merge", 2 * len(pieces) - 1 + bool(scene.locked), edits)

    @staticmethod
    def _one(name: str, edit: Edit | None, cost: int = 1) -> Action:
        return Action(name, cost, [] if edit is None else [edit])

    def _grow(self, scene: tools.Scene, mask: np.ndarray) -> Iterator[Action]:
        free = mask & ~np.isin(scene.labels, list(scene.locked))
        if free.sum() < 4:
            return
        for name, place in (("add", free), ("add", free & (scene.labels == 0))):
            if place.sum() < 4:
                continue
            adding = tools.add(scene, _deepest(place)[None], 45.0)
            yield self._one(name, adding.edit)
            if adding.growth is not None:
                for angle in ANGLES:
                    yield self._one("add + wheel", adding.at(scene, angle), 2)

    def _part(self, scene: tools.Scene, leaf: np.ndarray, mask: np.ndarray) -> Iterator[Action]:
        here, rest = leaf & mask, leaf & ~mask
        if rest.sum() < 0.1 * leaf.sum() or here.sum() < 4:
            return
        yield self._one("split by 2 clicks", tools.split_points(scene, np.stack([_deepest(here), _deepest(rest)])), 2)
        contour = _contour(mask)
        within = ndimage.binary_erosion(leaf)[tuple(contour.astype(int).T)]
        run = _longest_run(contour, within)
        if run is not None and len(run) > 2:
            yield self._one("split", tools.split(scene, run))

    def _border(self, scene: tools.Scene, leaf: np.ndarray, mask: np.ndarray) -> Iterator[Action]:
        wrong = ndimage.binary_opening(leaf ^ mask)
        pieces, count = ndimage.label(wrong if wrong.any() else leaf ^ mask)
        sizes = np.bincount(pieces.ravel())
        contour = _contour(mask)
        for piece in sorted(range(1, count + 1), key=lambda k: -sizes[k])[:2]:
            near = ndimage.binary_dilation(pieces == piece, iterations=2)[tuple(contour.astype(int).T)]
            run = _longest_run(contour, near)
            if run is not None and len(run) > 3:
                yield self._one("border", tools.border(scene, run))

    def work(self) -> Result:
        """Correct until the goal is reached, or nothing helps any more."""
        spent, used = 0, {}
        while spent < PATIENCE and sbd(self.document.labels, self.truth) < GOAL:
            now, best, gain = quality(self.document.labels, self.truth), None, 1e-5
            for action in self.candidates():
                if not action.edits:
                    continue
                trial = self.document.labels.copy()
                for edit in action.edits:
                    edit.apply(trial)
                worth = (quality(trial, self.truth) - now) / action.cost
                if worth > gain:
                    best, gain = action, worth
            if best is None:
                break
            self.document.commit_all(best.name, best.edits)
            spent += best.cost
            used[best.name] = used.get(best.name, 0) + 1
        reached = sbd(self.document.labels, self.truth)
        return Result(spent, reached >= GOAL, reached, used)


def brush_work(labels: np.ndarray, truth: np.ndarray) -> Result:
    """Correct with brush and eraser: each drag sweeps one line of an error with the widest brush that fits it."""
    labels, numbers = labels.copy(), {}
    dices = _dices(labels, truth)
    present = [int(p) for p in np.flatnonzero(np.bincount(labels.ravel())) if p]
    for row in np.argsort(-dices.max(1)) if dices.size else []:  # which number the brush gives to which true leaf
        t = int(dices[row].argmax()) + 1
        if t not in numbers and dices[row].max() > 0:
            numbers[t] = present[row]
    fresh = int(labels.max(initial=0))
    for t in range(1, int(truth.max()) + 1):
        if t not in numbers:
            fresh += 1
            numbers[t] = fresh
    wanted = np.zeros_like(labels)
    for t, number in numbers.items():
        wanted[truth == t] = number
    strokes = 0
    while strokes < 4 * PATIENCE and sbd(labels, truth) < GOAL:
        best, gain, now = None, 0.0, quality(labels, truth)
        for number in np.unique(wanted[wanted != labels]):
            wrong = (wanted == number) & (labels != number)
            pieces, count = ndimage.label(wrong)
            sizes = np.bincount(pieces.ravel())
            for piece in sorted(range(1, count + 1), key=lambda k: -sizes[k])[:2]:
                for swept in _strokes(pieces == piece):
                    mended = np.count_nonzero(wanted[swept] == number) - np.count_nonzero((wanted == labels)[swept])
                    if mended <= 0:
                        continue
                    worth = quality(np.where(swept, number, labels), truth) - now
                    if worth <= 0:  # what brings nothing at once (the first stroke of a new leaf): the larger first
                        worth = 1e-9 * mended
                    if worth > gain:
                        best, gain = (swept, number), worth
        if best is None:
            break
        labels[best[0]] = best[1]
        strokes += 1
    reached = sbd(labels, truth)
    return Result(strokes, reached >= GOAL, reached, {"stroke": strokes})


def _strokes(piece: np.ndarray) -> Iterator[np.ndarray]:
    """What one drag along the longest line of an error's skeleton covers, with a narrow, a fitting and a wide brush."""
    rows, columns = np.flatnonzero(piece.any(1)), np.flatnonzero(piece.any(0))
    reach = 12
    box = (
        slice(max(0, rows[0] - reach), rows[-1] + 1 + reach),
        slice(max(0, columns[0] - reach), columns[-1] + 1 + reach),
    )
    inner = piece[box]
    depth = cv2.distanceTransform(np.pad(inner, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    line = _longest_line(skeletonize(inner))
    if not line.any():
        line = inner
    away = ndimage.distance_transform_edt(~line)
    for radius in (0.5, *np.percentile(depth[line], (20, 50, 80))):  # a brush of one pixel spoils nothing
        result = np.zeros(piece.shape, bool)
        result[box] = away <= radius
        yield result


def _longest_line(skeleton: np.ndarray) -> np.ndarray:
    """The longest shortest path in a skeleton."""
    points = np.argwhere(skeleton)
    if len(points) < 3:
        return skeleton
    from skimage.graph import MCP

    costs = np.where(skeleton, 1.0, -1.0)

    def farthest(start: np.ndarray) -> tuple[np.ndarray, MCP]:
        walk = MCP(costs, fully_connected=True)
        spent, _ = walk.find_costs([tuple(start)])
        spent = np.where(np.isfinite(spent) & skeleton, spent, -1)
        return np.array(np.unravel_index(int(spent.argmax()), spent.shape)), walk

    one, _ = farthest(points[0])
    other, walk = farthest(one)
    line = np.zeros_like(skeleton)
    line[tuple(np.array(walk.traceback(tuple(other))).T)] = True
    return line


def cases(count: int, real: Path | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Images with truth: labeled frames, and synthetic plants that training never draws."""
    from napari_leafseg.io import read_image, read_labels, to_rgb8
    from napari_leafseg.synthetic import synthesize

    if real is not None:
        for path in sorted((real / "labels").glob("*_label.*")):
            stem = path.stem.removesuffix("_label")
            (image,) = (real / "images").glob(f"{stem}.*")
            yield f"real {stem}", to_rgb8(read_image(image).array), read_labels(path)
    for number in range(count):
        scene = synthesize(520_000 + number)
        if scene.labels.any():
            yield f"synthetic {number}", scene.image, scene.labels.astype(np.int32)


def run(count: int = 50, real: Path | None = None, say: bool = True) -> dict[str, list[Result]]:
    """Let both annotators correct all images."""
    predictor = load_model("leaf")
    results: dict[str, list[Result]] = {"tools": [], "brush": []}
    for name, image, truth in cases(count, real):
        prediction = predictor.predict(image)
        labels = prediction.labels()
        annotator = ToolAnnotator(Document(labels.copy()), image, PredictionModel(prediction), truth)
        results["tools"].append(annotator.work())
        results["brush"].append(brush_work(labels, truth))
        if say:
            last = {kind: (item[-1].interactions, round(item[-1].sbd, 3)) for kind, item in results.items()}
            print(f"{name}: from SBD {sbd(labels, truth):.3f}: {last}", flush=True)
    return results


def summary(results: dict[str, list[Result]]) -> dict[str, dict[str, float]]:
    """Median and 90th percentile of the interactions, and how many images reached the goal."""
    return {
        kind: {
            "median": float(np.median([item.interactions for item in found])),
            "p90": float(np.percentile([item.interactions for item in found], 90)),
            "reached": float(np.mean([item.reached for item in found])),
        }
        for kind, found in results.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--json", type=Path)
    add_record_option(parser, "annotator")
    arguments = parser.parse_args()
    results = run(arguments.count, arguments.real)
    for kind, line in summary(results).items():
        print(f"{kind}: median {line['median']:g}, 90 % {line['p90']:g}, reached {100 * line['reached']:.0f} %")
    used: dict[str, int] = {}
    for item in results["tools"]:
        for name, times in item.tools.items():
            used[name] = used.get(name, 0) + times
    print(f"tools used: {dict(sorted(used.items(), key=lambda entry: -entry[1]))}")
    if arguments.record:
        rows = [{"annotator": {"tools": "the tools of *Correct*", "brush": "brush and eraser"}[kind],
                 "median interactions": f"{line['median']:g}", "90 %": f"{line['p90']:g}",
                 "SBD 0.95 reached": f"{100 * line['reached']:.0f} %"}
                for kind, line in summary(results).items()]  # fmt: skip
        write_result(arguments.record, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(summary(results), indent=1))


if __name__ == "__main__":
    main()
