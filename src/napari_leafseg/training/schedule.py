"""Optimizers and learning rates: ours, the first paper's, and those of the trainings on COCO."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from napari_leafseg.models.build import Network
from napari_leafseg.training.config import TrainingConfig

_UNDECAYED = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.Embedding)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the rate at a step: a rise, then a plateau with a cosine fall to 1 %, or stairs."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    if config.schedule == "steps":
        return config.learning_rate * 0.9 ** (step // 5000)
    if config.schedule == "milestones":
        return config.learning_rate * 0.1 ** sum(step >= milestone for milestone in config.milestones)
    start = config.steps * (1 - config.decay)
    if step <= start:
        return config.learning_rate
    share = (step - start) / max(1.0, config.steps - start)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * share))))


def build_optimizer(config: TrainingConfig, network: Network) -> torch.optim.Optimizer:
    """Build the optimizer of a configuration."""
    groups = _groups(config, network)
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def _groups(config: TrainingConfig, network: Network) -> list[dict[str, Any]]:
    """Parameters with the share of the learning rate that each group has: what sees the pixels first is slower."""
    undecayed: set[nn.Parameter] = set()
    if not config.decay_all:
        for module in network.modules():
            if isinstance(module, _UNDECAYED):
                undecayed |= set(module.parameters(recurse=False))
    found: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    prefix = network.slow_prefix
    for name, value in network.named_parameters():
        slower = name.startswith(prefix) if prefix else ".down." in name
        found.setdefault((value in undecayed, slower), []).append(value)
    groups: list[dict[str, Any]] = []
    for (still, slower), values in sorted(found.items()):
        groups.append({"params": values, "share": config.backbone_rate if slower else 1.0})
        if still:
            groups[-1]["weight_decay"] = 0.0
    return groups
