"""The training loop: a generator of events that a consumer may stop after any of them."""

from __future__ import annotations

import datetime
import io
import json
import logging
import math
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError, ModelError
from napari_leafseg.inference.device import device_lock, training_autocast
from napari_leafseg.models.build import build_network, load_imagenet
from napari_leafseg.models.store.checkpoint import load_partial, save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.training.coco import CocoImages
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data import SampleSource, SyntheticDataset, draw_batch
from napari_leafseg.training.distributed import ProcessGroup, process_group_of
from napari_leafseg.training.instance_unique import InstanceUniqueLoss
from napari_leafseg.training.losses import compute_losses, instance_unique_losses
from napari_leafseg.training.schedule import build_optimizer, learning_rate
from napari_leafseg.versions import software_versions, timestamp

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingEvent:
    """One thing that happened.

    Attributes
    ----------
    kind : str
        "data" (images drawn so far), "note" (what is not trained on), "step", "validation", "saved", "unsaved" (the
        disk is full: training goes on) or "finished".
    step, total : int
    values : dict
        Losses or metrics by name.
    """

    kind: str
    step: int
    total: int
    values: dict[str, float] = field(default_factory=dict)
    message: str = ""


class _Run:
    """State of one run in its folder: network, average, optimizer, step; saved and restored."""

    def __init__(
        self, config: TrainingConfig, folder: Path, processes: ProcessGroup, coco: CocoImages | None = None
    ) -> None:
        self.coco = coco
        self.config, self.folder, self.processes, self.device = config, folder, processes, processes.device
        torch.manual_seed(config.seed)
        self.network = build_network(config.network())
        if coco is None:  # whose images are padded to fit
            config = self.config = config.fitted(self.network.stride)
        if config.init_from:
            load_partial(self.network, find_model(config.init_from))
        elif config.imagenet:
            load_imagenet(self.network)
        self._load_backbone()
        self.network.place(processes.device)
        self.average = deepcopy(self.network)
        self.optimizer = build_optimizer(config, self.network)
        self.instance_unique = (
            InstanceUniqueLoss(config.instance_unique, config.seed) if config.instance_unique else None
        )
        self.step = 0
        self.metrics: dict[str, float] = {}

    def _load_backbone(self) -> None:
        """A query-based model's backbone may begin with published weights."""
        from napari_leafseg.models.query.backbones import TransformersBackbone

        backbone = getattr(self.network, "backbone", None)
        if isinstance(backbone, TransformersBackbone) and self.network.config.backbone.pretrained:
            backbone.load_pretrained(self.network.config.backbone.pretrained)

    @property
    def state_file(self) -> Path:
        return self.folder / "state.pt"

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / f"{self.config.name}.safetensors"

    def restore(self) -> None:
        if not self.state_file.exists():
            return
        try:
            state = torch.load(self.state_file, weights_only=True, map_location=self.device)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"] if "optimizer" in state else state["optimiser"])
            if self.instance_unique is not None:
                self.instance_unique.memory.load_state_dict(state["memory"], self.device)
        except (RuntimeError, KeyError, ValueError) as error:
            raise ModelError(
                f"{self.state_file} is of another model than this configuration describes. "
                "Choose an empty folder with --output, or the configuration that this run began with."
            ) from error
        self.step, self.metrics = int(state["step"]), dict(state["metrics"])

    def save(self) -> None:
        buffer = io.BytesIO()
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "metrics": self.metrics,
                "memory": self.instance_unique.memory.state_dict() if self.instance_unique is not None else {},
            },
            buffer,
        )
        # in this order: a state that says “done” beside missing weights would end without them after a kill
        save_checkpoint(self.checkpoint_file, self.average, self.card(), half=True)
        write_atomically(self.state_file, buffer.getvalue())

    def card(self) -> ModelCard:
        return ModelCard(
            name=self.config.name,
            version=f"{datetime.date.today():%Y.%m.%d}",
            config=self.config.network(),
            defaults=self.config.defaults,
            description=self.config.description,
            target_diameter=self.config.target_diameter,
            least_leaf=self.config.least_leaf,
            tta_views=self.config.tta_views,
            whole_image_size=self._whole_size(),
            confidence=self.config.confidence,
            metrics=self.metrics,
            provenance={
                "training": json.loads(self.config.model_dump_json(serialize_as_any=True)),
                "steps": self.step,
                "date": timestamp(),
                "software": software_versions(),
            },
        )

    def _whole_size(self) -> int:
        """Longer side that whole images are seen at; 0 for a model that searches plants."""
        if self.coco is not None:
            return self.coco.usual_side(self.config)
        return self.config.crop if self.config.whole_images else 0

    def train_step(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * learning_rate(self.config, self.step)
        self.network.train()
        first_only = self._set_stage()
        if self.config.frozen_statistics:
            for part in self.network.modules():
                if isinstance(part, torch.nn.BatchNorm2d):
                    part.eval()
        with device_lock(self.device):
            losses = self._learn(self.processes.shard(batch), first_only)
            self.step += 1
            self._update_average()
            return {name: float(value.detach()) for name, value in losses.items()}

    def _learn(self, batch: dict[str, torch.Tensor], first_only: bool) -> dict[str, torch.Tensor]:
        """One step of the optimizer; returns the losses."""
        batch = {key: value.to(self.device) for key, value in batch.items()}
        batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
        with training_autocast(self.device) if self.config.mixed_precision else nullcontext():
            losses = self._losses(batch, first_only)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        self._together(losses)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        return losses

    def _together(self, losses: dict[str, torch.Tensor]) -> None:
        """Gradients, running statistics and losses of several processes become their mean."""
        if self.processes.size == 1:
            return
        trained = [value for value in self.network.parameters() if value.requires_grad]
        for value in trained:
            if value.grad is None:
                value.grad = torch.zeros_like(value)
        statistics = [value for value in self.network.buffers() if value.is_floating_point()]
        for name in losses:
            losses[name] = losses[name].detach().float()
        self.processes.all_reduce_mean(
            [*(value.grad for value in trained if value.grad is not None), *statistics, *losses.values()]
        )

    def _losses(self, batch: dict[str, torch.Tensor], first_only: bool) -> dict[str, torch.Tensor]:
        """All losses and their "total"."""
        if self.instance_unique is None:
            return compute_losses(self.network, batch, self.config.loss, first_only)
        return instance_unique_losses(
            self.network, batch, self.config.loss, self.instance_unique, self.step, first_only
        )

    def _set_stage(self) -> bool:
        """Whether a staged training is in its first stage."""
        if not self.config.staged:
            return False
        first = self.step < self.config.staged * self.config.steps
        self.network.set_stage(first)
        return first

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(self.config.average, self.step / (self.step + 10))
        for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(new, 1 - keep)
        for kept_buffer, new_buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            if kept_buffer.is_floating_point():
                kept_buffer.lerp_(new_buffer, 1 - keep)
            else:
                kept_buffer.copy_(new_buffer)


def train(
    config: TrainingConfig, folder: str | Path, device: str = "cpu", own: SampleSource | None = None
) -> Generator[TrainingEvent, None, None]:
    """Train, or go on with, a run.

    The run lies in `folder`: ``state.pt`` (to resume from), ``<name>.safetensors`` (the averaged weights, usable at any
    time) and ``curves.jsonl``. A run that was killed goes on from the last save and sees the same batches that it
    would have seen. One that is closed, saves first.

    Parameters
    ----------
    config : TrainingConfig
    folder : path
    device : str
        "cpu", "cuda", "cuda:1", "mps".
    own : SampleSource, optional
        Images to train on instead of the configuration's.

    Yields
    ------
    TrainingEvent

    Raises
    ------
    UserError
        When the folder holds another model's run or cannot be written.
    """
    folder = Path(folder)
    coco = CocoImages(config.data.coco) if config.data.coco is not None and own is None else None
    if coco is not None:
        config = coco.fitted(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputFileError(
            f"Cannot write to {folder}: {error.strerror}. Choose another folder with --output."
        ) from error
    processes = process_group_of(device)
    run = _Run(config, folder, processes, coco)
    run.restore()
    if coco is not None:
        for note in coco.notes:
            yield TrainingEvent("note", run.step, config.steps, message=note)
        draw = partial(coco.draw_batch, config, stride=run.network.stride)
    else:
        draw = partial(draw_batch, own if own is not None else (yield from _filled(run)), run.config)
    yield from _trained(run, draw)
    yield TrainingEvent("finished", run.step, config.steps, run.metrics)


def _trained(run: _Run, draw: Callable[[int], dict[str, torch.Tensor]]) -> Iterator[TrainingEvent]:
    """Make the steps that are left; closed, what was learned since the last save is saved, but for what ran away."""
    config, processes = run.config, run.processes
    saved, losses = run.step, dict[str, float]()
    try:
        for batch in _batches(draw, config, run.step):
            losses = run.train_step(batch)
            _log(run, losses)
            yield TrainingEvent("step", run.step, config.steps, losses)
            last = run.step == config.steps
            if _validates(run) and (run.step % config.validate_every == 0 or last):
                run.metrics = processes.broadcast(_validate(run) if processes.is_main else {})
                _log(run, run.metrics)
                yield TrainingEvent("validation", run.step, config.steps, run.metrics)
            if run.step % config.save_every == 0 or last:
                event = _save(run)
                saved = run.step if event.kind == "saved" else saved
                yield event
    except GeneratorExit:
        if processes.size == 1 and run.step > saved and math.isfinite(losses.get("total", math.inf)):
            _save(run)
        raise


def _filled(run: _Run) -> Generator[TrainingEvent, None, SyntheticDataset]:
    """The configuration's images, once they are drawn and read."""
    images = SyntheticDataset(run.folder / "pool", run.config.data)
    if not run.processes.is_main:  # the first process draws them, the others read
        run.processes.barrier()
    for done, total in images.fill():
        yield TrainingEvent("data", done, total)
    if run.processes.is_main:
        run.processes.barrier()
    return images


def _batches(
    draw: Callable[[int], dict[str, torch.Tensor]], config: TrainingConfig, first: int
) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of the steps from `first` on; with `draw_ahead`, drawn while the one before is learned from."""
    if not config.draw_ahead:
        for step in range(first, config.steps):
            yield draw(step)
        return
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(draw, first) if first < config.steps else None
        for step in range(first, config.steps):
            assert coming is not None
            batch = coming.result()
            coming = thread.submit(draw, step + 1) if step + 1 < config.steps else None
            yield batch


def _save(run: _Run) -> TrainingEvent:
    trouble = run.processes.run_on_main(run.save)  # the next save may work
    return TrainingEvent("unsaved" if trouble else "saved", run.step, run.config.steps, message=trouble)


def _log(run: _Run, values: dict[str, float]) -> None:
    """Add a line to the curves; a full disk must not end the training, and the next save says that it is full."""
    if not run.processes.is_main:
        return
    line = json.dumps({"step": run.step, **{key: round(value, 5) for key, value in values.items()}})
    try:
        with (run.folder / "curves.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        _LOG.debug("Step %d is missing in the curves: %s", run.step, error)


def read_curves(folder: Path) -> list[dict[str, float]]:
    """Read what a run wrote of its losses, step by step; a line that a kill or a full disk cut short is left out."""
    found = []
    file = folder / "curves.jsonl"
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError as error:
            _LOG.info("A line of %s was cut short: %s", file, error)
    return found


def _validates(run: _Run) -> bool:
    return bool(run.config.validation_count) if run.coco is None else run.coco.held_out is not None


def _validate(run: _Run) -> dict[str, float]:
    """AP of a held-out COCO set; else SBD, |DiC| and AP on synthetic plants of seeds that training never draws."""
    from napari_leafseg.inference.confidence import scored_masks
    from napari_leafseg.inference.predictor import Predictor
    from napari_leafseg.metrics import average_precision, score
    from napari_leafseg.models.query.base import QueryModel
    from napari_leafseg.synthetic import synthesize
    from napari_leafseg.training.coco_validation import held_out_precision

    network = deepcopy(run.average).eval()
    if run.coco is not None:
        assert isinstance(network, QueryModel)
        return held_out_precision(network, run.coco, run.device, run.config.defaults.get("overlap", 2.0))
    predictor = Predictor(network, run.card(), device=str(run.device))
    results, masks = [], []
    for number in range(run.config.validation_count):
        share = run.config.data.scenes[number % len(run.config.data.scenes)]
        scene = synthesize(900_000_000 + number, share.scene)
        if scene.labels.any():
            prediction = predictor.predict(scene.image, scale=1.0)
            results.append(score(prediction.labels(), scene.labels))
            masks.append((scene.labels, scored_masks(prediction)))
    precision = average_precision(masks)
    return {
        "sbd": float(np.mean([item.sbd for item in results])),
        "abs_dic": float(np.mean([abs(item.dic) for item in results])),
        "ap": precision.ap, "ap50": precision.ap50, "ap75": precision.ap75,
    }  # fmt: skip
