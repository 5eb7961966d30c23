"""What a model's measured figures mean, in words that need no explanation; which model suits an image best."""

from __future__ import annotations

from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError
from napari_leafseg.models.store.model_card import ModelCard
from napari_leafseg.models.store.zoo import describe_model, list_models

SBD_MEANS = (
    "SBD, symmetric best Dice, says how well the outlines that a model draws agree with those that a person drew: "
    "1 is the same, 0.9 very good, below 0.7 much is to be corrected."
)
_FOUND = {False: "found_synthetic", True: "found_fluorescence"}  # by whether the image is gray
_SBD = {False: "sbd_real", True: "sbd_fluorescence"}
_AS_GOOD = 0.03  # SBD that nobody sees


def found_words(card: ModelCard, gray: bool = False) -> str:
    """Say how many of ten leaves a model finds in images of a kind, else how well its outlines agree with a person's.

    Returns
    -------
    str
        "" where neither was measured.
    """
    share = card.metrics.get(_FOUND[gray])
    if share is None:
        sbd = card.metrics.get(_SBD[gray])
        return "" if sbd is None else f"outlines {100 * round(sbd, 2):.0f} % right"
    found = 10 if share == 1 else min(9, round(10 * share))
    return f"finds {found} of 10 leaves"


def explain_quality(card: ModelCard) -> str:
    """Say what was measured of a model, each figure with what it means."""
    sentences = []
    where = {False: "in color (synthetic plants)", True: "in chlorophyll fluorescence"}
    measured = [gray for gray, key in _FOUND.items() if key in card.metrics]
    if measured:
        found = ", ".join(f"{found_words(card, gray).removeprefix('finds ')} {where[gray]}" for gray in measured)
        sentences.append(f"Finds {found}; none of these images was learned from.")
    if card.quality != "–":
        sentences.append(f"SBD {card.quality}. {SBD_MEANS}")
    return " ".join(sentences) or "Nothing was measured of it."


def better_model(name: str, gray: bool) -> str | None:
    """Name the model that is clearly better for color or gray images; None where there is none, or nothing is known."""
    scores: dict[str, float] = {}
    for model in list_models():
        try:
            card = describe_model(model)
        except UserError as error:
            log_error(error)
            continue
        if _SBD[gray] in card.metrics:
            scores[model] = card.metrics[_SBD[gray]]
    if name not in scores or scores[name] >= max(scores.values()) - _AS_GOOD:
        return None
    return next(model for model, score in scores.items() if score >= max(scores.values()) - _AS_GOOD)
