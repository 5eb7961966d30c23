"""Parameter search: which values of the tunables suit images whose leaves are known."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.inference.label_shapes import refine_labels
from napari_leafseg.inference.prediction import Prediction, Region
from napari_leafseg.metrics import score
from napari_leafseg.models.parameters import MIN_AREA, ParameterSpec

MIN_AREAS = (0.0, 8.0, 16.0, 32.0, 64.0)  # pixels at the working scale


@dataclass(frozen=True)
class ParameterSearch:
    """Scores of every combination of the tunables' values, in the mean over images.

    Attributes
    ----------
    row, column : ParameterSpec
        What was varied, beside the smallest leaf: seed threshold and angle, or score threshold and overlap.
    rows, columns : tuple of float
        Their values.
    smallest : tuple of float
        Smallest leaf, in pixels at the working scale, so that it means the same for images of any size.
    sbd, abs_dic : numpy.ndarray
        (rows, columns, smallest), SBD 0 to 1 and the difference in count.
    images, leaves : int
        How much it was compared with.
    current : dict
        The values that it began from, ``min_area_working`` among them.
    current_sbd, best_sbd : float
        Exact, at the images' own size; NaN until the search is finished.
    gains : tuple of float
        What the best values bring each image, exact; empty until the search is finished.
    fixed : dict
        Values that it was made with and did not vary, where they are not the model's own.
    """

    row: ParameterSpec
    column: ParameterSpec
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    smallest: tuple[float, ...]
    sbd: np.ndarray
    abs_dic: np.ndarray
    images: int
    leaves: int
    current: dict[str, float] = field(default_factory=dict)
    current_sbd: float = float("nan")
    best_sbd: float = float("nan")
    gains: tuple[float, ...] = ()
    fixed: dict[str, float] = field(default_factory=dict)

    @property
    def best_index(self) -> tuple[int, int, int]:
        """Where the best combination lies; of equally good ones (within 0.002) the one amid the best neighbors."""
        smooth = _neighborhood_mean(self.sbd)
        good = self.sbd >= self.sbd.max() - 0.002
        place = np.unravel_index(int(np.where(good, smooth, -1).argmax()), self.sbd.shape)
        return int(place[0]), int(place[1]), int(place[2])

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for a JSON file."""
        return {
            "images": self.images,
            "leaves": self.leaves,
            self.row.name: list(self.rows),
            self.column.name: list(self.columns),
            "min_area_working": list(self.smallest),
            "sbd": self.sbd.round(4).tolist(),
            "abs_dic": self.abs_dic.round(3).tolist(),
            "current": self.current,
            "current_sbd": self.current_sbd,
            "best": self.best,
            "best_sbd": max(self.best_sbd, self.current_sbd),
        }

    @property
    def best(self) -> dict[str, float]:
        """The best values; keep those that the search began from where they are as good."""
        if self.current and not np.isnan(self.best_sbd) and self.best_sbd <= self.current_sbd:
            return dict(self.current)
        return self.at(*self.best_index)

    def at(self, row: int, column: int, layer: int) -> dict[str, float]:
        """Return the values of one combination."""
        return {
            **self.fixed,
            self.row.name: self.rows[row],
            self.column.name: self.columns[column],
            "min_area_working": self.smallest[layer],
        }

    def describe(self, values: dict[str, float]) -> str:
        """Return values in words, without the smallest leaf."""
        return ", ".join(
            f"{part.label.lower()} {values[part.name]:.{part.decimals}f}{part.unit}" for part in (self.row, self.column)
        )


@dataclass(frozen=True)
class SearchEvent:
    """Progress of a search; the last event holds it."""

    done: int
    total: int
    search: ParameterSearch | None = None


def image_values(values: dict[str, float], prediction: Prediction) -> dict[str, float]:
    """Return values of a search for one image: the smallest leaf in its own pixels."""
    smallest = values["min_area_working"] / prediction.scale**2
    top = next(tunable.maximum for tunable in prediction.tunables if tunable.name == "min_area")
    others = {name: value for name, value in values.items() if name != "min_area_working"}
    return {**others, "min_area": float(min(round(smallest), top))}


def model_values(prediction: Prediction, **chosen: float) -> dict[str, float]:
    """Return an image's values as a search has them, the inverse of `image_values`."""
    values = {**prediction.defaults(), **chosen}
    smallest = values.pop("min_area") * prediction.scale**2
    return {**values, "min_area_working": smallest}


def search_parameters(
    predictions: Sequence[Prediction],
    truths: Sequence[np.ndarray],
    current: dict[str, float] | None = None,
    rows: Sequence[float] | None = None,
    columns: Sequence[float] | None = None,
    smallest: Sequence[float] = MIN_AREAS,
) -> Iterator[SearchEvent]:
    """Score every combination on kept predictions; no network runs. May be stopped after any event.

    The grid is scored at the working scale, with leaves under the smallest size taken out after grouping; the best
    combination and the current one are then scored exactly.

    Parameters
    ----------
    predictions : sequence of Prediction
    truths : sequence of numpy.ndarray
        Integer (H, W) each, all leaves of the image, 0 = background.
    current : dict, optional
        The tunables' values and ``min_area_working`` to compare with; the first model's defaults where left out.
    rows, columns : sequence of float, optional
        The grid, of the two tunables that the prediction names in `search`; its own values when None.
    smallest : sequence of float
        Smallest leaves, pixels at the working scale.

    Yields
    ------
    SearchEvent

    Raises
    ------
    InputFileError
        Without any leaf to compare with, or when labels and image differ in size.
    """
    usable = _usable(predictions, truths)
    first = usable[0][0]
    current = {**model_values(first), **(current or {})}
    if len(first.search) < 2:
        raise UserError(f"The model {first.model.name} names fewer than two parameters to search.")
    (row_name, row_values), (column_name, column_values) = first.search
    axes = (row_name, tuple(rows or row_values)), (column_name, tuple(columns or column_values))
    done = len(usable) * len(axes[0][1])
    total = done + 2 * len(usable)
    rough = yield from _search_grid(usable, current, axes, tuple(smallest), total)
    exact = []
    for chosen in (current, {**current, **rough.best}):
        scores = []
        for prediction, truth in usable:
            scores.append(score(prediction.labels(**image_values(chosen, prediction)), truth).sbd)
            done += 1
            yield SearchEvent(done, total)
        exact.append(scores)
    before, after = (float(np.mean(scores)) for scores in exact)
    gains = tuple(one - other for other, one in zip(*exact, strict=True))
    finished = replace(rough, current_sbd=before, best_sbd=after, gains=gains)
    yield SearchEvent(total, total, finished)


def _search_grid(
    usable: list[tuple[Prediction, np.ndarray]],
    current: dict[str, float],
    axes: tuple[tuple[str, tuple[float, ...]], tuple[str, tuple[float, ...]]],
    smallest: tuple[float, ...],
    total: int,
) -> Generator[SearchEvent, None, ParameterSearch]:
    """Score every combination at the working scale."""
    (row_name, rows), (column_name, columns) = axes
    named = {tunable.name: tunable for tunable in usable[0][0].tunables}
    others = [spec for spec in named.values() if spec.name not in (row_name, column_name, MIN_AREA.name)]
    fixed = {spec.name: current[spec.name] for spec in others if current[spec.name] != spec.default}
    sbd = np.zeros((len(usable), len(rows), len(columns), len(smallest)))
    count = np.zeros_like(sbd)
    done, leaves = 0, 0
    for number, (prediction, truth) in enumerate(usable):
        scorer = _WorkingScorer(prediction, truth)
        leaves += scorer.leaves
        for row, upper in enumerate(rows):
            for column, lower in enumerate(columns):
                values = {**current, row_name: upper, column_name: lower}
                sbd[number, row, column], count[number, row, column] = scorer.scores(values, smallest)
            done += 1
            yield SearchEvent(done, total)
    return ParameterSearch(
        named[row_name], named[column_name], rows, columns, smallest, sbd.mean(0), count.mean(0),
        len(usable), leaves, current, fixed=fixed,
    )  # fmt: skip


def _usable(predictions: Sequence[Prediction], truths: Sequence[np.ndarray]) -> list[tuple[Prediction, np.ndarray]]:
    """Predictions with leaves to compare with."""
    usable = [(prediction, truth) for prediction, truth in zip(predictions, truths, strict=True) if truth.any()]
    if not usable:
        raise InputFileError(
            "There are no labeled leaves to compare with. Correct an image and mark it as reviewed, or give images "
            "that have label images."
        )
    for prediction, truth in usable:
        if truth.shape != prediction.shape:
            name = prediction.source.get("name", "an image")
            raise InputFileError(f"The labels of {name} are {truth.shape}, the image is {prediction.shape}.")
    return usable


class _WorkingScorer:
    """SBD of a prediction's leaves at the working scale, where the sizes of true leaves are known in full."""

    def __init__(self, prediction: Prediction, truth: np.ndarray) -> None:
        numbers = np.unique(truth)
        numbers = numbers[numbers > 0]
        compact = np.searchsorted(numbers, truth) + 1
        compact[truth == 0] = 0
        self.leaves = len(numbers)
        self._family = prediction.family
        self._regions: list[tuple[Region, np.ndarray, float, float]] = []
        sizes = np.bincount(compact.ravel(), minlength=self.leaves + 1)[1:].astype(float)
        for region in prediction.regions:
            window = region.sample(compact[region.rows, region.columns], region.grid)
            cells, whole = float(np.prod(region.grid)), float(np.prod(region.working))
            self._regions.append((region, window.astype(np.int32), cells / np.prod(region.shape), whole / cells))
        self._sizes = sizes

    def scores(self, values: dict[str, float], smallest: Sequence[float]) -> tuple[list[float], list[int]]:
        """Return SBD and |DiC| for each smallest size."""
        tables, areas, working = [np.zeros((self.leaves, 0))], [np.zeros(0)], [np.zeros(0)]
        for region, truth, zoom, scale in self._regions:
            labels = region.working_labels({**values, "min_area": 0.0})
            labels = refine_labels(self._family, labels, values, zoom**0.5)
            count = int(labels.max(initial=0))
            table = np.bincount((truth * (count + 1) + labels).ravel(), minlength=(self.leaves + 1) * (count + 1))
            table = table.reshape(self.leaves + 1, count + 1)
            tables.append(table[1:, 1:] / zoom)
            areas.append(table[:, 1:].sum(0) / zoom)
            working.append(table[:, 1:].sum(0) * scale)
        both, found, seen = np.concatenate(tables, 1), np.concatenate(areas), np.concatenate(working)
        dice = 2 * both / np.maximum(self._sizes[:, None] + found[None], 1e-9)
        sbd, counts = [], []
        for least in smallest:
            kept = dice[:, seen >= least]
            sbd.append(float(min(kept.max(1).mean(), kept.max(0).mean())) if kept.shape[1] else 0.0)
            counts.append(abs(kept.shape[1] - self.leaves))
        return sbd, counts


def _neighborhood_mean(values: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.uniform_filter(values, size=(3, 3, 1), mode="nearest")
