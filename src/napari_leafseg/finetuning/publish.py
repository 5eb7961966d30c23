"""What a fine-tuning makes: the new model's file, with a card that says where it comes from."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg.finetuning.config import FinetuneSettings
from napari_leafseg.finetuning.evaluation import HeldOutScore, clear_gain, summary
from napari_leafseg.inference.parameter_search import search_parameters
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard, read_card
from napari_leafseg.training.loop import read_curves
from napari_leafseg.versions import software_versions, timestamp

if TYPE_CHECKING:
    from napari_leafseg.finetuning.session import Session
    from napari_leafseg.finetuning.trainer import FinetuneEvent


def publish(
    session: Session, weights: Path, held_out: list[HeldOutScore], verdict: str, words: str, defaults: dict[str, float]
) -> None:
    """Write the new model with a card that says where it comes from."""
    network, card = load_checkpoint(weights)
    curves = read_curves(weights.parent)
    metrics: dict[str, float] = {}
    for name, before, after in summary(held_out):
        what = {"AP": "_ap", "|DiC|": "_abs_dic"}.get(name, "")
        metrics |= {f"held_out{what}_before": before, f"held_out{what}_after": after}
    card = replace(
        card, name=session.settings.name, version=f"{datetime.date.today():%Y.%m.%d}",
        description=f"{session.settings.base}, fine-tuned on {len(session.images)} of your images.",
        defaults={**session.card.defaults, **defaults}, license=session.card.license,
        metrics=metrics,
        provenance={
            "source": "your corrections",
            "parent": {"name": session.settings.base, "sha256": hashlib.sha256(session.base.read_bytes()).hexdigest()},
            "images": [
                {"name": item.name, "sha256": item.sha256, "leaves": item.leaves, "complete": item.complete}
                for item in session.images
            ],
            "settings": session.settings.model_dump(mode="json"),
            "held_out": [item.__dict__ for item in held_out],
            "verdict": verdict,
            "verdict_in_words": words,
            "curves": curves[:: max(1, len(curves) // 200)],
            "date": timestamp(),
            "software": software_versions(),
        },
    )  # fmt: skip
    session.target.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(session.target, network, card, half=True)


def published_card(path: Path, settings: FinetuneSettings) -> ModelCard | None:
    """Return the card of the model that these settings made already: the session ended, but its folder stayed.

    That is what a kill between the last write and the end leaves. None where there is no such model, or another one.
    """
    if not path.exists():
        return None
    card = read_card(path)
    return card if card.provenance.get("settings") == settings.model_dump(mode="json") else None


def published_event(session: Session) -> FinetuneEvent:
    """Return the last event of a session whose model was written before."""
    card = session.published
    assert card is not None
    held_out = [HeldOutScore(**item) for item in card.provenance["held_out"]]
    verdict, words = card.provenance["verdict"], card.provenance["verdict_in_words"]
    return session.finished(held_out, verdict, words)


def better_values(predictions: list[tuple[Prediction, np.ndarray]]) -> dict[str, float]:
    """Return values of the tunables that suit the held-out images clearly better than the model's own; else none.

    Values that are merely the best on three images cost other plants more than they bring.
    """
    if not predictions:
        return {}
    search = None
    for event in search_parameters([item for item, _ in predictions], [truth for _, truth in predictions]):
        search = event.search
    assert search is not None
    return search.best if np.mean(search.gains) > clear_gain(search.gains) else {}
