"""Fine-tuning from corrections: a generator of events, the same in the window and on the command line."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.inference.advisor import sweep_parameters
from napari_leafseg.inference.device import choose_device
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.inference.predictor import Predictor
from napari_leafseg.models.card import read_card
from napari_leafseg.models.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.zoo import ENDING, find_model, list_models, user_folder
from napari_leafseg.training.config import DataConfig, TrainingConfig
from napari_leafseg.training.corrections import CorrectedPicture, CorrectionPool
from napari_leafseg.training.evidence import HeldOut, clear_gain, figures, held_out_precision, held_out_score, judge
from napari_leafseg.training.loop import TrainingEvent, read_curves, train
from napari_leafseg.training.sessions import FinetuneSettings, discard, session_folder
from napari_leafseg.training.snapshot import as_begun, begin
from napari_leafseg.training.team import team_of
from napari_leafseg.versions import software_versions, timestamp

_LOOKS = 4  # how often the held-out pictures are looked at in a run
_PATIENCE = 2  # looks without a gain, then a run ends
_FOLDS = 3
_SPLIT = 6  # from so many pictures on, a fifth is held out once


@dataclass(frozen=True)
class Preview:
    """A held-out picture with the leaves found in it before and now.

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
        Losses of a step, or the mean score of held-out pictures ("score", "before").
    fold : int
        Which run; the last one, where there are several, is on all pictures.
    result : pathlib.Path or None
        The new model's file, with the last event.
    verdict : str
    preview : Preview or None
        A held-out picture before and now, with the event of a look.
    figures : list of (str, float, float)
        Mean SBD, AP and |DiC| of the held-out pictures before and after, with the last event.
    """

    kind: str
    done: int
    total: int
    message: str = ""
    values: dict[str, float] = field(default_factory=dict)
    fold: int = 0
    result: Path | None = None
    verdict: str = ""
    preview: Preview | None = None
    figures: list[tuple[str, float, float]] = field(default_factory=list)


def split(count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Which pictures are trained on and which are held out, run by run.

    From six pictures on a fifth is held out once; of two to five, each is held out in one of at most three runs; a
    single one cannot be held out.
    """
    order = [int(number) for number in np.random.default_rng([seed, 99]).permutation(count)]
    if count < 2:
        return [(order, [])]
    if count >= _SPLIT:
        held = order[: max(2, round(count / 5))]
        return [([number for number in order if number not in held], held)]
    folds = [order[start :: min(_FOLDS, count)] for start in range(min(_FOLDS, count))]
    return [([number for number in order if number not in held], held) for held in folds]


def finetune(
    settings: FinetuneSettings, pictures: list[CorrectedPicture], folder: Path, device: str = "cpu"
) -> Iterator[FinetuneEvent]:
    """Fine-tune a model; may be stopped after any event, and called again with the same folder goes on.

    The base model is never changed. The best weights on held-out pictures are kept; the new model is written, whole or
    not at all, into the folder of the user's models. Started by ``accelerate launch``, several processes share each
    batch; the first one looks at held-out pictures and writes the files.

    Parameters
    ----------
    settings : FinetuneSettings
    pictures : list of CorrectedPicture
    folder : pathlib.Path
        Of the session.
    device : str

    Yields
    ------
    FinetuneEvent

    Raises
    ------
    UserError
        When there is nothing to learn from, the name is taken, or the folder holds another session.
    """
    session = _Session(settings, pictures, folder, device)
    yield FinetuneEvent("start", 0, session.total, session.describe())
    if session.outdated:
        yield FinetuneEvent("announce", 0, session.total, "Going on with the corrections as they were when this "
                            "fine-tuning began; what was corrected since is for the next one.")  # fmt: skip
    held_out: list[HeldOut] = []
    predictions: list[tuple[Prediction, np.ndarray]] = []
    best_steps: list[int] = []
    for number, (train_on, held) in enumerate(session.folds):
        run = _FoldRun(session, number, train_on, held)
        yield from run.events()
        held_out += run.held_out()
        predictions += run.predictions
        best_steps.append(run.best_step)
    result = session.folder / "run0" / f"best{ENDING}"
    if len(session.folds) > 1:
        steps = max(1, int(np.median(best_steps)))
        everything = _FoldRun(session, len(session.folds), list(range(len(session.pictures))), [], steps)
        yield from everything.events()
        result = session.folder / f"run{len(session.folds)}" / f"best{ENDING}"
    verdict, words = judge(held_out)
    yield FinetuneEvent("verdict", session.total, session.total, words, verdict=verdict)
    if session.team.first:
        session.publish(result, held_out, verdict, words, _better_values(predictions))
    session.team.wait()
    yield session.finished(held_out, verdict, words)


def finetune_and_tidy(
    settings: FinetuneSettings, pictures: list[CorrectedPicture], device: str = "auto"
) -> Iterator[FinetuneEvent]:
    """Fine-tune in the folder that sessions of this name have, which goes when the new model is there.

    Parameters and errors are those of `finetune`; `device` may be "auto".
    """
    folder, device = session_folder(settings.name), str(choose_device(device))
    for event in finetune(settings, pictures, folder, device):
        if event.kind == "finished" and team_of(device).first:
            discard(folder)
        yield event


class _Session:
    """What all runs of a fine-tuning share, and its folder."""

    def __init__(self, settings: FinetuneSettings, pictures: list[CorrectedPicture], folder: Path, device: str) -> None:
        usable, kept = [item for item in pictures if item.leaves], as_begun(folder, settings, pictures)
        self.settings, self.folder, self.team = settings, folder, team_of(device)
        self.pictures, self.outdated = kept or (usable, False)
        if not self.pictures:
            raise UserError(
                "There is nothing to learn from yet. Correct a picture in the Correct widget, and verify its leaves or "
                "mark it as reviewed."
            )
        self.base = find_model(settings.base)
        self.card = read_card(self.base)
        self.target = user_folder() / f"{settings.name}{ENDING}"
        if settings.name in list_models():
            raise UserError(f"There is a model “{settings.name}” already. Choose another name.")
        self.folds = split(len(self.pictures), settings.seed)
        runs = len(self.folds) + (len(self.folds) > 1)
        self.total = runs * settings.run_steps
        self.team.wait()
        if self.team.first and kept is None:
            begin(folder, settings, self.pictures)

    @property
    def base_share(self) -> float:
        """Share of the base model's weights in the new ones."""
        wanted, judged = self.settings.base_share, len(self.pictures) > 1
        return wanted if wanted is not None else 0.15 if judged else 0.3

    def describe(self) -> str:
        """What is trained on, in words."""
        whole = sum(item.whole for item in self.pictures)
        leaves = sum(item.leaves for item in self.pictures)
        held = "none can be held out" if len(self.pictures) < 2 else "some are held out to see what is gained"
        return f"{len(self.pictures)} pictures ({whole} reviewed as a whole), {leaves} leaves; {held}."

    def config(self, steps: int, seed: int) -> TrainingConfig:
        """The training of one run."""
        settings = self.settings
        framework = settings.framework if self.card.config.kind != "distance_embedding" else None
        if framework is not None:  # whole for most of a short run
            framework = framework.model_copy(update={"warm_up": min(framework.warm_up, settings.run_steps // 5)})
        return TrainingConfig(
            name="run", description=self.card.description, diameter=self.card.diameter, views=self.card.views,
            defaults=self.card.defaults, model=self.card.config, begin_with=str(self.base), framework=framework,
            data=DataConfig(count=1), seed=seed, steps=steps, batch=settings.crops, crop=settings.crop,
            learning_rate=settings.learning_rate, backbone_rate=settings.backbone_rate, warm_up=min(20, steps),
            decay=0.7, average=0.98, validation_count=0, frozen_statistics=True,
            save_every=max(1, settings.run_steps // _LOOKS),
        )  # fmt: skip

    def finished(self, held_out: list[HeldOut], verdict: str, words: str) -> FinetuneEvent:
        """The last event."""
        return FinetuneEvent(
            "finished", self.total, self.total, words, result=self.target, verdict=verdict, figures=figures(held_out)
        )

    def publish(
        self, weights: Path, held_out: list[HeldOut], verdict: str, words: str, defaults: dict[str, float]
    ) -> None:
        """Write the new model with a card that says where it comes from."""
        network, card = load_checkpoint(weights)
        curves = read_curves(weights.parent)
        metrics: dict[str, float] = {}
        for name, before, after in figures(held_out):
            what = {"AP": "_ap", "|DiC|": "_abs_dic"}.get(name, "")
            metrics |= {f"held_out{what}_before": before, f"held_out{what}_after": after}
        card = replace(
            card, name=self.settings.name, version=f"{datetime.date.today():%Y.%m.%d}",
            description=f"{self.settings.base}, fine-tuned on {len(self.pictures)} of your pictures.",
            defaults={**self.card.defaults, **defaults}, licence=self.card.licence,
            metrics=metrics,
            provenance={
                "source": "your corrections",
                "parent": {"name": self.settings.base, "sha256": hashlib.sha256(self.base.read_bytes()).hexdigest()},
                "pictures": [
                    {"name": item.name, "sha256": item.sha256, "leaves": item.leaves, "whole": item.whole}
                    for item in self.pictures
                ],
                "settings": self.settings.model_dump(mode="json"),
                "held_out": [item.__dict__ for item in held_out],
                "verdict": verdict,
                "verdict_in_words": words,
                "curves": curves[:: max(1, len(curves) // 200)],
                "date": timestamp(),
                "software": software_versions(),
            },
        )  # fmt: skip
        self.target.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self.target, network, card, half=True)


class _FoldRun:
    """One run: trained on some pictures, looked at on others; its best weights are kept."""

    def __init__(
        self, session: _Session, number: int, train_on: list[int], held: list[int], steps: int | None = None
    ) -> None:
        self.session, self.number = session, number
        self.folder = session.folder / f"run{number}"
        self.held = [session.pictures[index] for index in held]
        self.train_on = [session.pictures[index] for index in train_on]
        self.steps = steps or session.settings.run_steps
        self.best_file, self.state_file = self.folder / f"best{ENDING}", self.folder / "looks.json"
        self.looks: list[dict[str, Any]] = []
        self.first: np.ndarray | None = None
        self.predictions: list[tuple[Prediction, np.ndarray]] = []

    @property
    def best_step(self) -> int:
        """At which step the held-out pictures were best; 0 = before training."""
        return int(self._best()["step"]) if self.looks else self.steps

    def _best(self) -> dict[str, Any]:
        return max(self.looks, key=lambda look: look["mean"])

    def events(self) -> Iterator[FinetuneEvent]:
        """Train, or go on with, the run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.state_file.exists():
            self.looks = json.loads(self.state_file.read_text(encoding="utf-8"))
        self.session.team.wait()
        if self.held and not self.looks:
            yield self._look(0)
            if not self.looks:
                raise UserError(f"Nothing can be written in {self.folder}. Free some space on the disk, then go on.")
        config = self.session.config(self.steps, self.session.settings.seed + self.number)
        while not self._finished():
            try:
                yield from self._train(config)
                break
            except torch.OutOfMemoryError:
                if config.batch == 1 and config.crop <= 96:
                    raise UserError("There is too little memory to train, even one small crop at a time.") from None
                smaller = {"batch": config.batch // 2} if config.batch > 1 else {"crop": config.crop // 2}
                config = config.model_copy(update=smaller)
                yield self._event("announce", 0, f"Out of memory: going on with {next(iter(smaller))} "
                                                 f"{next(iter(smaller.values()))}.")  # fmt: skip
            except FloatingPointError:
                config = config.model_copy(update={"learning_rate": config.learning_rate / 2})
                if config.learning_rate < self.session.settings.learning_rate / 64:
                    raise UserError(
                        "Training does not settle even at a low rate. Check the corrected labels."
                    ) from None
                yield self._event("announce", 0, "The losses ran away: one step back, at half the rate.")
        self._keep_predictions()

    def _finished(self) -> bool:
        return (self.folder / "done").exists()

    def _train(self, config: TrainingConfig) -> Iterator[FinetuneEvent]:
        settings = self.session.settings
        pool = CorrectionPool(self.train_on, settings.synthetic_share, settings.paste, self.session.card.diameter)
        kept = True
        for event in train(config, self.folder, str(self.session.team.device), pool):
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
                    yield self._event("announce", event.step, "No gain on held-out pictures any more: stopped early.")
                    break
            elif event.kind == "finished" and kept:  # again, in case that a kill came between saving and looking
                kept = yield from self._saved(event)
        if not kept or not self.best_file.exists():
            raise UserError(f"The last steps could not be saved in {self.folder}. Free some space, then go on.")
        self.session.team.wait()
        if self.session.team.first:
            (self.folder / "done").touch()

    def _saved(self, event: TrainingEvent) -> Generator[FinetuneEvent, None, bool]:
        """Look at the held-out pictures; where there are none, the last weights are the best. Whether they are kept."""
        if self.held:
            if event.step > max(look["step"] for look in self.looks):
                yield self._look(event.step)
            return True
        trouble = self.session.team.attempt(lambda: write_atomically(self.best_file, self._blended().read_bytes()))
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

    def _look(self, step: int) -> FinetuneEvent:
        """Score the held-out pictures; keep the weights where they are the best yet."""
        team = self.session.team
        look, shown, trouble = team.same(self._score(step) if team.first else ({}, None, ""))
        if trouble:
            return self._event("announce", step, trouble)
        self.looks.append(look)
        before, mean = float(self.looks[0]["mean"]), float(look["mean"])
        message = f"Held-out pictures: {mean:.3f} ({before:.3f} before)"
        event = self._event("held_out", step, message, {"score": mean, "before": before, "step": float(step)})
        return replace(event, preview=shown)

    def _score(self, step: int) -> tuple[dict[str, Any], Preview | None, str]:
        """A look, what to show of it, and what went wrong with keeping it."""
        try:
            weights = self._blended() if step else self.session.base
        except UserError as error:  # training goes on; the next look may be kept
            return {}, None, str(error)
        predictions = self._predict(weights, self.held)
        scores = [
            (*held_out_score(prediction, item), held_out_precision(prediction, item))
            for prediction, item in zip(predictions, self.held, strict=True)
        ]
        look = {"step": step, "mean": float(np.mean([values[0] for values in scores])), "scores": scores}
        shown = predictions[0].labels()
        if self.first is None:  # a session that goes on has lost it
            self.first = shown if step == 0 else self._predict(self.session.base, self.held[:1])[0].labels()
        try:
            if not self.looks or look["mean"] > self._best()["mean"]:
                write_atomically(self.best_file, weights.read_bytes())
            write_atomically(self.state_file, json.dumps([*self.looks, look]).encode())
        except UserError as error:  # training goes on; the next look may be kept
            return {}, None, str(error)
        return look, Preview(self.held[0].name, self.held[0].image, self.first, shown), ""

    def _stalled(self) -> bool:
        return bool(self.held) and len(self.looks) - 1 - self.looks.index(self._best()) >= _PATIENCE

    def _event(self, kind: str, step: int, message: str, values: dict[str, float] | None = None) -> FinetuneEvent:
        done = self.number * self.session.settings.run_steps + step
        return FinetuneEvent(kind, done, self.session.total, message, values or {}, self.number)

    def _keep_predictions(self) -> None:
        """Predictions of the best weights, to choose the sliders' values by; of whole pictures alone."""
        whole = [item for item in self.held if item.whole]
        if whole and self.session.team.first:
            found = self._predict(self.best_file, whole)
            self.predictions = [(prediction, item.labels) for prediction, item in zip(found, whole, strict=True)]

    def _predict(self, weights: Path, pictures: list[CorrectedPicture]) -> list[Prediction]:
        """What some weights say of pictures."""
        network, card = load_checkpoint(weights)
        predictor = Predictor(network, card, str(self.session.team.device))
        return [predictor.predict(item.image, name=item.name) for item in pictures]

    def held_out(self) -> list[HeldOut]:
        """Each held-out picture before training and with the best weights."""
        if not self.looks:
            return []
        first, best = self.looks[0]["scores"], self._best()["scores"]
        return [
            HeldOut(item.name, *(value for pair in zip(before, after, strict=True) for value in pair))
            for item, before, after in zip(self.held, first, best, strict=True)
        ]


def keep_best(settings: FinetuneSettings, pictures: list[CorrectedPicture], folder: Path) -> FinetuneEvent:
    """End a session that was stopped: its best weights so far become the new model.

    The run with the largest gain on its held-out pictures is taken, and only these are the evidence.

    Raises
    ------
    UserError
        When nothing was saved yet.
    """
    session = _Session(settings, pictures, folder, "cpu")
    found = []
    for number in range(len(session.folds) + 1):
        held = session.folds[number][1] if number < len(session.folds) else []
        run = _FoldRun(session, number, [], held)
        if run.state_file.exists():
            run.looks = json.loads(run.state_file.read_text(encoding="utf-8"))
        trained = (run.folder / "curves.jsonl").exists()
        if run.best_file.exists() and trained and (not run.looks or run.best_step > 0):
            gain = run.looks[0]["mean"] if run.looks else 0.0
            found.append((run._best()["mean"] - gain if run.looks else 0.0, number, run))
    if not found:
        raise UserError("There are no weights yet that are better than those it began with.")
    _, _, best = max(found, key=lambda item: item[:2])
    held_out = best.held_out()
    verdict, words = judge(held_out)
    session.publish(best.best_file, held_out, verdict, words, {})
    return session.finished(held_out, verdict, words)


def _better_values(predictions: list[tuple[Prediction, np.ndarray]]) -> dict[str, float]:
    """Values of the tunables that suit the held-out pictures clearly better than the model's own; else none.

    Values that are merely the best on three pictures cost other plants more than they bring.
    """
    if not predictions:
        return {}
    sweep = None
    for event in sweep_parameters([item for item, _ in predictions], [truth for _, truth in predictions]):
        sweep = event.sweep
    assert sweep is not None
    return sweep.best if np.mean(sweep.gains) > clear_gain(sweep.gains) else {}
