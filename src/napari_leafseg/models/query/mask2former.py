"""Mask2Former (Cheng, Misra, Schwing, Kirillov, Girdhar 2022), built on transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg._extras import require
from napari_leafseg.errors import ModelError
from napari_leafseg.models.query.base import (
    Features,
    Instances,
    Matched,
    Queries,
    QueryModel,
    best_first,
    split_categories,
)
from napari_leafseg.models.query.config import Mask2FormerConfig

_NOTHING = -12.0  # a mask logit that says no, and whose loss against "no" is next to none


def _silent(classes: torch.Tensor, logits: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Class logits in which queries whose mask lies mostly where nothing is annotated say "nothing", and learn nothing.

    Whether there is a leaf nobody said: such a query is neither right nor wrong.
    """
    if bool(known.all()):
        return classes
    inside = logits.detach().float().sigmoid()
    share = (inside * known).flatten(2).sum(2) / inside.flatten(2).sum(2).clamp(min=1e-6)
    nothing = torch.full_like(classes, _NOTHING)
    nothing[..., -1] = -_NOTHING
    return torch.where((share < 0.5)[..., None], nothing, classes)


class Mask2Former(QueryModel):
    """Mask2Former: its pixel decoder, masked-attention decoder, matcher and losses are those of ``transformers``.

    Parameters
    ----------
    config : Mask2FormerConfig
    """

    config: Mask2FormerConfig

    def __init__(self, config: Mask2FormerConfig) -> None:
        require("transformers", "A Mask2Former", kind=ModelError)
        from transformers import AutoConfig
        from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss, Mask2FormerModel
        from transformers.utils import logging

        # of the stand-in for the backbone it says that it may not fit; it is never run
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()
        super().__init__(config)
        # transformers wants a backbone of its own to size its decoder by; ours takes its place
        stand_in = AutoConfig.for_model(
            "resnet", embedding_size=8, hidden_sizes=list(self.backbone.channels), depths=[1] * 4, layer_type="basic",
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )  # fmt: skip
        settings = AutoConfig.for_model(
            "mask2former", backbone_config=stand_in, feature_size=config.width, hidden_dim=config.width,
            mask_feature_size=config.mask_channels, encoder_feedforward_dim=config.feedforward,
            dim_feedforward=2 * config.feedforward, encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers + 1, num_attention_heads=config.heads, num_queries=config.queries,
            train_num_points=config.points, dropout=0.0,
        )  # fmt: skip
        settings.num_labels = config.classes
        logging.set_verbosity(verbosity)
        self.net = Mask2FormerModel(settings)  # type: ignore[arg-type]
        self.net.pixel_level_module.encoder = nn.Identity()
        self.class_head = nn.Linear(config.width, config.classes + 1)
        weights = {
            "loss_cross_entropy": settings.class_weight,
            "loss_mask": settings.mask_weight,
            "loss_dice": settings.dice_weight,
        }
        self.criterion = Mask2FormerLoss(settings, weights)  # type: ignore[arg-type]
        self.criterion.register_buffer("empty_weight", self.criterion.empty_weight, persistent=False)

    def encode(self, images: torch.Tensor) -> Features:
        decoded = self.net.pixel_level_module.decoder(self.backbone(images))
        levels = list(decoded.multi_scale_features)
        return Features(decoded.mask_features, levels, (images.shape[-2], images.shape[-1]))

    def _decode(self, features: Features) -> tuple[list[torch.Tensor], torch.Tensor, list[torch.Tensor]]:
        """Class logits (N, Q, classes + 1) after each layer, mask embeddings (N, Q, D) after the last, mask logits."""
        module = self.net.transformer_module
        said = module(multi_scale_features=features.levels, mask_features=features.mask)
        states = [state.transpose(0, 1) for state in said.intermediate_hidden_states]
        embedder = module.decoder.mask_predictor.mask_embedder
        classes = [self.class_head(state) for state in states]
        return classes, embedder(states[-1]), list(said.masks_queries_logits)

    def _queries(self, classes: torch.Tensor, weights: torch.Tensor) -> Queries:
        number, count = classes.shape[:2]
        score = classes.float().softmax(-1)[..., :-1].amax(-1).flatten()
        image = torch.arange(number, device=classes.device).repeat_interleave(count)
        return Queries(
            image,
            weights.reshape(number * count, -1),
            score,
            score.new_zeros(len(score), 2),
            score.new_ones(len(score)),
        )

    def query(self, features: Features) -> Queries:
        classes, weights, _ = self._decode(features)
        scores = classes[-1].float().softmax(-1)[..., :-1].flatten(0, 1)
        found = split_categories(self._queries(classes[-1], weights), scores, self.config.score_floor)
        return best_first(found, self.config.score_floor, self.config.candidates)

    def match(self, features: Features, instances: Instances) -> Matched:
        classes, weights, logits = self._decode(features)
        known = functional.adaptive_max_pool2d(instances.known[:, None], logits[-1].shape[-2:]) > 0
        classes = [_silent(kind, mask, known) for kind, mask in zip(classes, logits, strict=True)]
        logits = [torch.where(known, item.float(), _NOTHING) for item in logits]
        number = len(features.mask)
        masks = [instances.masks[instances.image == image] for image in range(number)]
        labels = [instances.category[instances.image == image] for image in range(number)]
        if len(instances.image) == 0:
            nothing = torch.full(classes[-1].shape[:2], self.config.classes, device=features.mask.device)
            errors = [
                functional.cross_entropy(item.float().transpose(1, 2), nothing, self.criterion.empty_weight)
                for item in classes
            ]
            none = nothing.new_zeros(0)
            score = self.criterion.weight_dict["loss_cross_entropy"] * torch.stack(errors).sum()
            losses = {"score": score, "mask": features.mask.sum() * 0 + weights.sum() * 0}
            return Matched(self._queries(classes[-1], weights).select(none), none, losses)
        auxiliary = [
            {"masks_queries_logits": mask, "class_queries_logits": kind.float()}
            for mask, kind in zip(logits[:-1], classes[:-1], strict=True)
        ]
        matchings: list[Any] = []  # what the criterion's own matcher finds, the last layer's first
        listening = self.criterion.matcher.register_forward_hook(
            lambda _module, _inputs, found: matchings.append(found)
        )
        try:
            said = self.criterion(logits[-1], classes[-1].float(), masks, labels, auxiliary)
        finally:
            listening.remove()
        names = {"score": "loss_cross_entropy", "mask": "loss_mask", "dice": "loss_dice"}
        losses = {
            name: self.criterion.weight_dict[start]
            * torch.stack([value for key, value in said.items() if key.startswith(start)]).sum()
            for name, start in names.items()
        }
        queries = self._queries(classes[-1], weights)
        return Matched(*_together(queries, matchings[0], masks, classes[-1].shape[1]), losses)

    def mask_losses(self, matched: Matched, features: Features, instances: Instances) -> dict[str, torch.Tensor]:
        """Return nothing: the criterion that matches computes them for every layer."""
        return {}

    def assign(self, features: Features, instances: Instances) -> Matched:
        """Assign the last layer's queries to true leaves, without the losses of all layers."""
        classes, weights, logits = self._decode(features)
        count = classes[-1].shape[1]
        queries = self._queries(classes[-1], weights)
        if len(instances.image) == 0:
            none = torch.zeros(0, dtype=torch.int64, device=weights.device)
            return Matched(queries.select(none), none, {})
        known = functional.adaptive_max_pool2d(instances.known[:, None], logits[-1].shape[-2:]) > 0
        masks = [instances.masks[instances.image == image] for image in range(len(features.mask))]
        labels = [instances.category[instances.image == image] for image in range(len(features.mask))]
        with torch.no_grad():
            said = torch.where(known, logits[-1].float(), _NOTHING)
            kinds = _silent(classes[-1], logits[-1], known).float()
            pairs = self.criterion.matcher(said, kinds, masks, labels)
        return Matched(*_together(queries, pairs, masks, count), {})

    def retrieval_losses(self, matched: Matched, masks: torch.Tensor, instances: Instances) -> dict[str, torch.Tensor]:
        """Return cross entropy and dice at sampled pixels, as the criterion has them, of the matched queries."""
        count = len(matched.instance)
        if count == 0:
            return {"mask": masks.sum() * 0 + matched.queries.weights.sum() * 0}
        logits = self.retrieve(matched.queries, masks).float()
        known = functional.adaptive_max_pool2d(instances.known[:, None], logits.shape[-2:])[matched.queries.image, 0]
        logits = torch.where(known > 0, logits, _NOTHING)
        each = torch.arange(count)
        pairs: Any = [(each, each)]
        said = self.criterion.loss_masks(logits[None], [instances.masks[matched.instance]], pairs, count)
        names = {"mask": "loss_mask", "dice": "loss_dice"}
        return {name: self.criterion.weight_dict[key] * said[key] for name, key in names.items()}


def _together(
    queries: Queries, pairs: list[Any], masks: list[torch.Tensor], count: int
) -> tuple[Queries, torch.Tensor]:
    """The matched queries of a batch and their leaves, of what the matcher found image by image."""
    device = queries.image.device
    place = [source.to(device) + image * count for image, (source, _) in enumerate(pairs)]
    offset, leaves = 0, []
    for own, (_, target) in zip(masks, pairs, strict=True):
        leaves.append(target.to(device) + offset)
        offset += len(own)
    return queries.select(torch.cat(place)), torch.cat(leaves)
