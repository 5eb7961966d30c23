"""Evidence of a fine-tuning: scores of held-out images before and after, and a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_leafseg._counts import counted
from napari_leafseg.finetuning.dataset import CorrectedImage
from napari_leafseg.inference.confidence import scored_masks
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.metrics import average_precision, score

Verdict = Literal["better", "no clear difference", "worse", "not judged"]
_LEAST_GAIN = 0.005
_CLEAR_GAIN = 0.02


@dataclass(frozen=True)
class HeldOutScore:
    """A held-out image's score before and after.

    Attributes
    ----------
    name : str
    before, after : float
        SBD of an image that was reviewed as a whole; else the mean best Dice of its verified leaves.
    dic_before, dic_after : int or None
        Difference in count; None where only some leaves were verified.
    ap_before, ap_after : float or None
        Average precision of this image, 0 to 1; None where only some leaves were verified.
    """

    name: str
    before: float
    after: float
    dic_before: int | None = None
    dic_after: int | None = None
    ap_before: float | None = None
    ap_after: float | None = None


def held_out_score(prediction: Prediction, image: CorrectedImage, **values: float) -> tuple[float, int | None]:
    """Return SBD and difference in count; of a partly corrected image its verified leaves' mean best Dice, and None."""
    labels = prediction.labels(**values)
    if image.complete:
        found = score(labels, image.labels)
        return found.sbd, found.dic
    count = int(labels.max(initial=0))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    dice = []
    for leaf in np.unique(image.labels[image.labels > 0]):
        own = image.labels == leaf
        under = np.bincount(labels[own], minlength=count + 1)
        best = 2 * under[1:] / np.maximum(sizes[1:] + own.sum(), 1)
        dice.append(float(best.max(initial=0.0)))
    return float(np.mean(dice)) if dice else 0.0, None


def held_out_precision(prediction: Prediction, image: CorrectedImage) -> float | None:
    """Return COCO's average precision of an image that was reviewed as a whole; None of a partly corrected one."""
    if not image.complete:
        return None
    return average_precision([(np.maximum(image.labels, 0), scored_masks(prediction))]).ap


def summary(held_out: list[HeldOutScore]) -> list[tuple[str, float, float]]:
    """Tell what is known of held-out images, in the mean: rows of (name, before, after)."""
    whole = [item for item in held_out if item.dic_after is not None]
    name = "SBD" if len(whole) == len(held_out) else "score"
    pairs: list[tuple[str, list[Any]]] = [
        (name, [(item.before, item.after) for item in held_out]),
        ("AP", [(item.ap_before, item.ap_after) for item in whole]),
        ("|DiC|", [(abs(item.dic_before or 0), abs(item.dic_after or 0)) for item in whole]),
    ]
    rows = []
    for name, values in pairs:
        known = np.array([pair for pair in values if None not in pair], float).reshape(-1, 2)
        if len(known):
            rows.append((name, float(known[:, 0].mean()), float(known[:, 1].mean())))
    return rows


def clear_gain(gains: Sequence[float]) -> float:
    """Return the mean gain on images from which on a difference is clear.

    Twice its standard error, and 0.005 at least; or 0.02 where no image speaks against it. With fewer than three
    images there is no error to go by, and 0.02 is asked for.
    """
    values = np.asarray(gains, float)
    need = _CLEAR_GAIN if len(values) < 3 else max(_LEAST_GAIN, 2 * float(values.std(ddof=1)) / len(values) ** 0.5)
    return min(need, _CLEAR_GAIN) if (values > 0).all() or (values < 0).all() else need


def give_verdict(held_out: list[HeldOutScore]) -> tuple[Verdict, str]:
    """Return a verdict and its reason: better or worse is said where the mean difference exceeds `clear_gain`."""
    if not held_out:
        return (
            "not judged",
            "With a single image nothing can be held out. Correct a second one to see what is gained.",
        )
    gains = np.array([item.after - item.before for item in held_out])
    before, after = np.mean([item.before for item in held_out]), np.mean([item.after for item in held_out])
    summary = f"{before:.3f} before, {after:.3f} after, on {counted(len(gains), 'held-out image')}"
    need, mean = clear_gain(gains.tolist()), float(gains.mean())
    if mean > need:
        return "better", f"Better: {summary}."
    if mean < -need:
        return "worse", f"Worse: {summary}. The model that you have is kept."
    return "no clear difference", f"No clear difference: {summary} (a difference of {need:.3f} would be clear)."
