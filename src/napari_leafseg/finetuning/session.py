"""Fine-tuning from corrections: a generator of events, the same in the window and on the command line."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import numpy as np

from napari_leafseg._counts import counted
from napari_leafseg._files import clear_unfinished
from napari_leafseg.errors import ModelError, ProjectError
from napari_leafseg.finetuning.config import FinetuneSettings, discard, evaluations_of, session_folder, usable_runs
from napari_leafseg.finetuning.dataset import CorrectedImage
from napari_leafseg.finetuning.evaluation import HeldOutScore, give_verdict, summary
from napari_leafseg.finetuning.publish import better_values, publish, published_card, published_event
from napari_leafseg.finetuning.snapshot import load_snapshot, save_snapshot
from napari_leafseg.finetuning.trainer import FinetuneEvent, FoldRun
from napari_leafseg.inference.device import choose_device
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.models.store.zoo import ENDING, find_model, list_models, user_folder
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data_config import DataConfig
from napari_leafseg.training.distributed import process_group_of

_EVALUATIONS = 4  # how often the held-out images are looked at in a run
_FOLDS = 3
_SPLIT = 6  # from so many images on, a fifth is held out once


def split(count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Tell which images are trained on and which are held out, run by run.

    From six images on a fifth is held out once; of two to five, each is held out in one of at most three runs; a
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
    settings: FinetuneSettings, images: list[CorrectedImage], folder: Path, device: str = "cpu"
) -> Generator[FinetuneEvent, None, None]:
    """Fine-tune a model; may be stopped after any event, and called again with the same folder goes on.

    The base model is never changed. The best weights on held-out images are kept; the new model is written, whole or
    not at all, into the folder of the user's models. Started by ``accelerate launch``, several processes share each
    batch; the first one looks at held-out images and writes the files.

    Parameters
    ----------
    settings : FinetuneSettings
    images : list of CorrectedImage
    folder : pathlib.Path
        Of the session.
    device : str

    Yields
    ------
    FinetuneEvent

    Raises
    ------
    ModelError
        When there is nothing to learn from, the name is taken, or the folder holds another session.
    """
    session = Session(settings, images, folder, device)
    if session.published is not None:
        yield published_event(session)
        return
    yield FinetuneEvent("start", 0, session.total, session.describe())
    if session.outdated:
        yield FinetuneEvent("announce", 0, session.total, "Going on with the corrections as they were when this "
                            "fine-tuning began; what was corrected since is for the next one.")  # fmt: skip
    held_out: list[HeldOutScore] = []
    predictions: list[tuple[Prediction, np.ndarray]] = []
    best_steps: list[int] = []
    for number, (train_on, held) in enumerate(session.folds):
        run = FoldRun(session, number, train_on, held)
        yield from run.events()
        held_out += run.held_out()
        predictions += run.predictions
        best_steps.append(run.best_step)
    result = session.folder / "run0" / f"best{ENDING}"
    if len(session.folds) > 1:
        steps = max(1, int(np.median(best_steps)))
        everything = FoldRun(session, len(session.folds), list(range(len(session.images))), [], steps)
        yield from everything.events()
        result = session.folder / f"run{len(session.folds)}" / f"best{ENDING}"
    verdict, words = give_verdict(held_out)
    yield FinetuneEvent("verdict", session.total, session.total, words, verdict=verdict)
    if session.processes.is_main:
        publish(session, result, held_out, verdict, words, better_values(predictions))
    session.processes.barrier()
    yield session.finished(held_out, verdict, words)


def finetune_and_clean_up(
    settings: FinetuneSettings, images: list[CorrectedImage], device: str = "auto"
) -> Generator[FinetuneEvent, None, None]:
    """Fine-tune in the folder that sessions of this name have, which goes when the new model is there.

    Parameters and errors are those of `finetune`; `device` may be "auto".
    """
    folder, device = session_folder(settings.name), str(choose_device(device))
    with closing(finetune(settings, images, folder, device)) as events:
        for event in events:
            if event.kind == "finished" and process_group_of(device).is_main:
                discard(folder)
            yield event


class Session:
    """What all runs of a fine-tuning share, and its folder."""

    def __init__(self, settings: FinetuneSettings, images: list[CorrectedImage], folder: Path, device: str) -> None:
        usable, kept = [item for item in images if item.leaves], load_snapshot(folder, settings, images)
        self.settings, self.folder, self.processes = settings, folder, process_group_of(device)
        self.images, self.outdated = kept or (usable, False)
        if not self.images:
            raise ProjectError(
                "There is nothing to learn from yet. Correct an image in the Correct tab, and verify its leaves or "
                "mark it as reviewed."
            )
        self.base = find_model(settings.base)
        self.card = read_card(self.base)
        self.target = user_folder() / f"{settings.name}{ENDING}"
        self.published = published_card(self.target, settings) if kept is not None else None
        if settings.name in list_models() and self.published is None:
            raise ModelError(f"There is a model “{settings.name}” already. Choose another name.")
        self.folds = split(len(self.images), settings.seed)
        runs = len(self.folds) + (len(self.folds) > 1)
        self.total = runs * settings.run_steps
        self.processes.barrier()
        if self.processes.is_main:
            clear_unfinished(self.target.parent, self.target.name)
        if self.processes.is_main and kept is None:
            save_snapshot(folder, settings, self.images)

    @property
    def base_share(self) -> float:
        """Share of the base model's weights in the new ones."""
        wanted, judged = self.settings.base_share, len(self.images) > 1
        return wanted if wanted is not None else 0.15 if judged else 0.3

    def describe(self) -> str:
        """Tell what is trained on, in words."""
        whole = sum(item.complete for item in self.images)
        leaves = sum(item.leaves for item in self.images)
        held = "none can be held out" if len(self.images) < 2 else "some are held out to see what is gained"
        return f"{counted(len(self.images), 'image')} ({whole} reviewed as a whole), {counted(leaves, 'leaf')}; {held}."

    def config(self, steps: int, seed: int) -> TrainingConfig:
        """Return the training of one run."""
        settings = self.settings
        instance_unique = settings.instance_unique if self.card.family.instance_unique else None
        if instance_unique is not None:  # whole for most of a short run
            instance_unique = instance_unique.model_copy(
                update={"warm_up": min(instance_unique.warm_up, settings.run_steps // 5)}
            )
        return TrainingConfig(
            name="run", description=self.card.description, target_diameter=self.card.target_diameter,
            least_leaf=self.card.least_leaf, tta_views=self.card.tta_views, defaults=self.card.defaults,
            confidence=self.card.confidence,
            model=self.card.config, init_from=str(self.base), instance_unique=instance_unique,
            data=DataConfig(count=1), seed=seed, steps=steps, batch=settings.crops, crop=settings.crop,
            learning_rate=settings.learning_rate, backbone_rate=settings.backbone_rate, warm_up=min(20, steps),
            decay=0.7, average=0.98, validation_count=0, frozen_statistics=True,
            save_every=max(1, settings.run_steps // _EVALUATIONS),
        )  # fmt: skip

    def finished(self, held_out: list[HeldOutScore], verdict: str, words: str) -> FinetuneEvent:
        """Return the last event."""
        return FinetuneEvent(
            "finished", self.total, self.total, words, result=self.target, verdict=verdict, summary=summary(held_out)
        )


def keep_best(settings: FinetuneSettings, images: list[CorrectedImage], folder: Path) -> FinetuneEvent:
    """End a session that was stopped: its best weights so far become the new model.

    The run with the largest gain on its held-out images is taken, and only these are the evidence.

    Raises
    ------
    ModelError
        When nothing was saved yet.
    """
    session = Session(settings, images, folder, "cpu")
    if session.published is not None:
        return published_event(session)
    found = []
    for number in usable_runs(folder):
        held = session.folds[number][1] if number < len(session.folds) else []
        run = FoldRun(session, number, [], held)
        run.evaluations = evaluations_of(run.folder)
        gain = run.best()["mean"] - run.evaluations[0]["mean"] if run.evaluations else 0.0
        found.append((gain, number, run))
    if not found:
        raise ModelError("There are no weights yet that are better than those it began with.")
    _, _, best = max(found, key=lambda item: item[:2])
    held_out = best.held_out()
    verdict, words = give_verdict(held_out)
    publish(session, best.best_file, held_out, verdict, words, {})
    return session.finished(held_out, verdict, words)
