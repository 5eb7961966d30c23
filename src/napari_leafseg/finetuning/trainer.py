"""One run of a fine-tuning: trained on some images, looked at on others."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import NotEnoughMemory, UserError, short_of_memory
from napari_leafseg.finetuning.config import evaluations_of
from napari_leafseg.finetuning.dataset import CorrectedImage, CorrectionDataset
from napari_leafseg.finetuning.evaluation import HeldOutScore, held_out_precision, held_out_score
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.inference.predictor import Predictor
from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.store.model_card import holds_card
from napari_leafseg.models.store.zoo import ENDING
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.loop import TrainingEvent, train

if TYPE_CHECKING:
    from napari_leafseg.finetuning.session import Session

_LOG = logging.getLogger(__name__)

_SHOWN = 3  # held-out images in a preview
_PATIENCE = 2  # evaluations without a gain, then a run ends


@dataclass(frozen=True)
class Preview:
    """A held-out image with the leaves found in it before and now.

    Attributes
    ----------
    name : str
    image : numpy.ndarray
        uint8 (H, W, 3).
    before, after : numpy.ndarray
        uint16 (H, W).
    """

    name: str
    image: np.ndarray
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class FinetuneEvent:
    """One thing that happened.

    Attributes
    ----------
    kind : {"start", "step", "held_out", "announce", "verdict", "finished"}
    done, total : int
        Steps of all runs.
    message : str
    values : dict
        Losses of a step, or the mean score of held-out images ("score", "before").
    fold : int
        Which run; the last one, where there are several, is on all images.
    result : pathlib.Path or None
        The new model's file, with the last event.
    verdict : str
    previews : tuple of Preview
        Up to three held-out images before and now, with the event of an evaluation.
    summary : list of (str, float, float)
        Mean SBD, AP and |DiC| of the held-out images before and after, with the last event.
    """

    kind: str
    done: int
    total: int
    message: str = ""
    values: dict[str, float] = field(default_factory=dict)
    fold: int = 0
    result: Path | None = None
    verdict: str = ""
    previews: tuple[Preview, ...] = ()
    summary: list[tuple[str, float, float]] = field(default_factory=list)


class FoldRun:
    """One run: trained on some images, looked at on others; its best weights are kept."""

    def __init__(
        self, session: Session, number: int, train_on: list[int], held: list[int], steps: int | None = None
    ) -> None:
        self.session, self.number = session, number
        self.folder = session.folder / f"run{number}"
        self.held = [session.images[index] for index in held]
        self.train_on = [session.images[index] for index in train_on]
        self.steps = steps or session.settings.run_steps
        self.best_file, self.state_file = self.folder / f"best{ENDING}", self.folder / "looks.json"
        self.evaluations: list[dict[str, Any]] = []
        self.first: list[np.ndarray] | None = None
        self.predictions: list[tuple[Prediction, np.ndarray]] = []

    @property
    def best_step(self) -> int:
        """At which step the held-out images were best; 0 = before training."""
        return int(self.best()["step"]) if self.evaluations else self.steps

    def best(self) -> dict[str, Any]:
        """Return the evaluation at which the held-out images were best."""
        return max(self.evaluations, key=lambda evaluation: evaluation["mean"])

    def events(self) -> Iterator[FinetuneEvent]:
        """Train, or go on with, the run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.evaluations = evaluations_of(self.folder)
        self.session.processes.barrier()
        if self.held and not self.evaluations:
            yield self._evaluate(0)
            if not self.evaluations:
                raise UserError(f"Nothing can be written in {self.folder}. Free some space on the disk, then go on.")
        config = self.session.config(self.steps, self.session.settings.seed + self.number)
        while not self._finished():
            try:
                yield from self._train(config)
                break
            except FloatingPointError:
                config = config.model_copy(update={"learning_rate": config.learning_rate / 2})
                if config.learning_rate < self.session.settings.learning_rate / 64:
                    raise UserError(
                        "Training does not settle even at a low rate. Check the corrected labels."
                    ) from None
                _LOG.warning("The losses ran away: going on at the rate %g", config.learning_rate)
                yield self._event("announce", 0, "The losses ran away: one step back, at half the rate.")
            except Exception as error:
                if not short_of_memory(error):
                    raise
                if config.batch == 1 and config.crop <= 96:
                    raise NotEnoughMemory(
                        "There is too little memory to train, even one small crop at a time. Close other programs, "
                        "then go on."
                    ) from None
                smaller = {"batch": config.batch // 2} if config.batch > 1 else {"crop": config.crop // 2}
                config = config.model_copy(update=smaller)
                _LOG.warning("Out of memory: going on with %s", smaller, exc_info=True)
                yield self._event("announce", 0, f"Out of memory: going on with {next(iter(smaller))} "
                                                 f"{next(iter(smaller.values()))}.")  # fmt: skip
        self._keep_predictions()

    def _finished(self) -> bool:
        return (self.folder / "done").exists()

    def _train(self, config: TrainingConfig) -> Iterator[FinetuneEvent]:
        settings = self.session.settings
        pool = CorrectionDataset(
            self.train_on, settings.synthetic_share, settings.paste, self.session.card.target_diameter
        )
        kept = True
        with closing(train(config, self.folder, str(self.session.processes.device), pool)) as events:
            for event in events:
                if event.kind == "step":
                    if not np.isfinite(event.values["total"]):
                        raise FloatingPointError
                    yield self._event("step", event.step, f"Run {self.number + 1}: step {event.step} of {self.steps}",
                                      event.values)  # fmt: skip
                elif event.kind == "unsaved":
                    kept = False
                    yield self._event("announce", event.step, event.message)
                elif event.kind == "saved":
                    kept = yield from self._saved(event)
                    if self._stalled():
                        yield self._event("announce", event.step, "No gain on held-out images any more: stopped early.")
                        break
                elif event.kind == "finished" and kept:  # again, in case that a kill came between saving and looking
                    kept = yield from self._saved(event)
        if not kept or not self.best_file.exists():
            raise UserError(f"The last steps could not be saved in {self.folder}. Free some space, then go on.")
        self.session.processes.barrier()
        if self.session.processes.is_main:
            (self.folder / "done").touch()

    def _saved(self, event: TrainingEvent) -> Generator[FinetuneEvent, None, bool]:
        """Look at the held-out images; where there are none, the last weights are the best. Whether they are kept."""
        if self.held:
            if event.step > max(evaluation["step"] for evaluation in self.evaluations):
                yield self._evaluate(event.step)
            return True
        trouble = self.session.processes.run_on_main(
            lambda: write_atomically(self.best_file, self._blended().read_bytes())
        )
        if trouble:
            yield self._event("announce", event.step, trouble)
        return not trouble

    def _blended(self) -> Path:
        """The weights so far, with the base model's share."""
        network, card = load_checkpoint(self.folder / f"run{ENDING}")
        base, _ = load_checkpoint(self.session.base)
        share, own = self.session.base_share, base.state_dict()
        mixed = {
            key: torch.lerp(value, own[key], share) if value.is_floating_point() else value
            for key, value in network.state_dict().items()
        }
        network.load_state_dict(mixed)
        path = self.folder / f"blend{ENDING}"
        save_checkpoint(path, network, card, half=True)
        return path

    def _base(self) -> Path:
        """The base model's weights with their card: a bundled model's lies beside them."""
        if holds_card(self.session.base):
            return self.session.base
        path = self.folder / f"base{ENDING}"
        save_checkpoint(path, *load_checkpoint(self.session.base), half=True)
        return path

    def _evaluate(self, step: int) -> FinetuneEvent:
        """Score the held-out images; keep the weights where they are the best yet."""
        processes = self.session.processes
        evaluation, shown, trouble = processes.broadcast(
            self._evaluation_of(step) if processes.is_main else ({}, (), "")
        )
        if trouble:
            return self._event("announce", step, trouble)
        self.evaluations.append(evaluation)
        before, mean = float(self.evaluations[0]["mean"]), float(evaluation["mean"])
        message = f"SBD of the held-out images: {mean:.3f} ({before:.3f} before)"
        event = self._event("held_out", step, message, {"score": mean, "before": before, "step": float(step)})
        return replace(event, previews=shown)

    def _evaluation_of(self, step: int) -> tuple[dict[str, Any], tuple[Preview, ...], str]:
        """An evaluation, what to show of it, and what went wrong with keeping it."""
        try:
            weights = self._blended() if step else self._base()
        except UserError as error:  # training goes on; the next evaluation may be kept
            return {}, (), str(error)
        predictions = self._predict(weights, self.held)
        scores = [
            (*held_out_score(prediction, item), held_out_precision(prediction, item))
            for prediction, item in zip(predictions, self.held, strict=True)
        ]
        evaluation = {"step": step, "mean": float(np.mean([values[0] for values in scores])), "scores": scores}
        shown, held = [prediction.labels() for prediction in predictions[:_SHOWN]], self.held[:_SHOWN]
        if self.first is None:  # a session that goes on has lost it
            before = predictions if step == 0 else self._predict(self.session.base, held)
            self.first = [prediction.labels() for prediction in before[:_SHOWN]]
        try:
            if not self.evaluations or evaluation["mean"] > self.best()["mean"]:
                write_atomically(self.best_file, weights.read_bytes())
            write_atomically(self.state_file, json.dumps([*self.evaluations, evaluation]).encode())
        except UserError as error:  # training goes on; the next evaluation may be kept
            return {}, (), str(error)
        seen = zip(held, self.first, shown, strict=True)
        return evaluation, tuple(Preview(item.name, item.image, old, new) for item, old, new in seen), ""

    def _stalled(self) -> bool:
        return bool(self.held) and len(self.evaluations) - 1 - self.evaluations.index(self.best()) >= _PATIENCE

    def _event(self, kind: str, step: int, message: str, values: dict[str, float] | None = None) -> FinetuneEvent:
        done = self.number * self.session.settings.run_steps + step
        return FinetuneEvent(kind, done, self.session.total, message, values or {}, self.number)

    def _keep_predictions(self) -> None:
        """Predictions of the best weights, to choose the sliders' values by; of whole images alone."""
        whole = [item for item in self.held if item.complete]
        if whole and self.session.processes.is_main:
            found = self._predict(self.best_file, whole)
            self.predictions = [(prediction, item.labels) for prediction, item in zip(found, whole, strict=True)]

    def _predict(self, weights: Path, images: list[CorrectedImage]) -> list[Prediction]:
        """What some weights say of images."""
        network, card = load_checkpoint(weights)
        predictor = Predictor(network, card, str(self.session.processes.device))
        return [predictor.predict(item.image, name=item.name) for item in images]

    def held_out(self) -> list[HeldOutScore]:
        """Return each held-out image before training and with the best weights."""
        if not self.evaluations:
            return []
        first, best = self.evaluations[0]["scores"], self.best()["scores"]
        return [
            HeldOutScore(item.name, *(value for pair in zip(before, after, strict=True) for value in pair))
            for item, before, after in zip(self.held, first, best, strict=True)
        ]
