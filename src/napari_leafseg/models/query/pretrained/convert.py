"""From a published checkpoint to one of ours, key by key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import nn

from napari_leafseg.errors import ModelError
from napari_leafseg.models.build import build_network
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.models.query.config import (
    QUERY_SIZES,
    BackboneConfig,
    Mask2FormerConfig,
    QueryConfig,
)
from napari_leafseg.models.query.pretrained.key_mapping import NOT_WEIGHTS, RULES, Rules
from napari_leafseg.models.query.pretrained.read import first_line, read_folder_config, read_weights
from napari_leafseg.models.store.model_card import ModelCard

_IMAGENET_DEVIATION = 58.8  # of all pixels and channels together; detectron2's networks see pixels minus the mean
_STAGES = {(3, 4, 6, 3): "50", (3, 4, 23, 3): "101"}


def rename(theirs: dict[str, torch.Tensor], rules: Rules) -> dict[str, torch.Tensor]:
    """Return weights under our names.

    Raises
    ------
    ModelError
        For a weight that no rule knows.
    """
    found: dict[str, torch.Tensor] = {}
    unknown = []
    for name, value in theirs.items():
        if any(re.fullmatch(pattern, name) for pattern in NOT_WEIGHTS):
            continue
        for pattern, replacement in rules:
            match = re.fullmatch(pattern, name)
            if match:
                found[match.expand(replacement)] = value
                break
        else:
            unknown.append(name)
    if unknown:
        raise ModelError(
            f"{len(unknown)} weights of the file belong to no part of this model: {', '.join(sorted(unknown)[:5])} … "
            "Is it a checkpoint of another model? Choose with --as."
        )
    return found


def published_config(kind: str, theirs: dict[str, torch.Tensor], path: Path) -> QueryConfig:
    """Return the configuration that the weights of detectron2's kind ask for."""
    depths = tuple(
        1 + max((int(match.group(1)) for name in theirs
                 if (match := re.match(rf"backbone\.bottom_up\.res{stage}\.(\d+)\.", name))), default=-1)
        for stage in (2, 3, 4, 5)
    )  # fmt: skip
    if depths not in _STAGES:
        raise ModelError(
            f"{path}: its backbone is no ResNet-50 or ResNet-101 of detectron2 (blocks per stage: {depths})."
        )
    preset = QUERY_SIZES[f"{kind}-coco"]
    # these ResNets halve the map in their 1 x 1 convolutions
    shape = {"downsample_in_bottleneck": True}
    backbone = BackboneConfig(kind="resnet", size=_STAGES[depths], shape=shape, frozen_norm=True)
    scores = _PUBLISHED[kind].scores
    update: dict[str, Any] = {"backbone": backbone}
    if scores in theirs:
        update["classes"] = len(theirs[scores])
    if "semantic" in type(preset).model_fields:
        update["semantic"] = any(name.startswith("mask_branch.seg_head") for name in theirs)
    return preset.model_copy(update=update)


def _folder_config(said: dict[str, Any], path: Path) -> Mask2FormerConfig:
    """Our configuration of a Hugging Face Mask2Former."""
    backbone = dict(said.get("backbone_config") or {})
    kind = backbone.get("model_type")
    wanted = {
        "resnet": ("depths", "hidden_sizes", "layer_type", "embedding_size", "downsample_in_bottleneck"),
        "swin": ("embed_dim", "depths", "num_heads", "window_size", "patch_size", "image_size", "mlp_ratio"),
    }
    if kind not in wanted:
        raise ModelError(f"{path}: its backbone is “{kind}”; resnet and swin can be imported.")
    same = said["hidden_dim"] == said["feature_size"] and said["dim_feedforward"] == 2 * said["encoder_feedforward_dim"]
    if not same or said.get("pre_norm") or said.get("enforce_input_projection"):
        raise ModelError(f"{path}: this Mask2Former is built differently from the published ones.")
    shape = {name: backbone[name] for name in wanted[kind] if name in backbone}
    return Mask2FormerConfig(
        backbone=BackboneConfig(kind=kind, shape=shape, frozen_norm=kind == "resnet"),
        width=said["hidden_dim"], mask_channels=said["mask_feature_size"], queries=said["num_queries"],
        encoder_layers=said["encoder_layers"], decoder_layers=said["decoder_layers"] - 1,
        heads=said["num_attention_heads"], feedforward=said["encoder_feedforward_dim"],
        points=said.get("train_num_points", 12544),
    )  # fmt: skip


def _folder_weights(path: Path) -> dict[str, torch.Tensor]:
    """Weights of a Hugging Face folder as transformers itself names them today; it knows its own older names."""
    from transformers import Mask2FormerForUniversalSegmentation
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        loaded: Any = Mask2FormerForUniversalSegmentation.from_pretrained(
            str(path), output_loading_info=True, local_files_only=True, ignore_mismatched_sizes=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise ModelError(f"{path} cannot be read as a Mask2Former ({first_line(error)}).") from error
    network, about = loaded
    for what, entry in (
        ("missing", "missing_keys"),
        ("left over", "unexpected_keys"),
        ("of another shape", "mismatched_keys"),
    ):
        keys = [item for item in sorted(map(str, about[entry])) if not re.search("|".join(NOT_WEIGHTS), item)]
        if keys:
            raise ModelError(f"{path}: {len(keys)} weights are {what}: {', '.join(keys[:5])}. It cannot be imported.")
    return dict(network.state_dict())


def import_published(path: Path, kind: str, leaf_head: bool, name: str) -> tuple[QueryModel, ModelCard]:
    """Read a published checkpoint as one of our models.

    Parameters
    ----------
    path : pathlib.Path
        A file of AdelaiDet or SOTR (.pth, .pkl), or a Hugging Face folder.
    kind : {"condinst", "solov2", "sotr", "mask2former"}
    leaf_head : bool
        Replace the head that tells COCO's classes apart by a fresh one for leaves, to be trained.
    name : str
        Of the model.

    Raises
    ------
    ModelError
        When a weight is missing, left over, or of another shape.
    """
    published = _PUBLISHED[kind]
    config, theirs = published.read(kind, path)
    ours = rename(theirs, RULES[kind])
    stem = "backbone.net.embedder.embedder.convolution.weight"
    if published.blue_first and stem in ours:  # they see blue, green, red, and pixels that are not divided
        ours[stem] = ours[stem].flip(1) * _IMAGENET_DEVIATION
    network = build_network(config)
    assert isinstance(network, QueryModel)
    _check(ours, network, path)
    network.load_state_dict({**network.state_dict(), **ours})
    if leaf_head:
        config = config.model_copy(update=published.leaf_head)
        network = _with_leaf_head(network, config)
    digest = hashlib.sha256()
    for part in sorted(path.glob("*")) if path.is_dir() else [path]:
        if part.is_file():
            digest.update(part.read_bytes())
    card = ModelCard(
        name, "imported", config, description=f"Published {kind} weights, imported from {path.name}.",
        license="as its authors say", whole_image_size=1024,
        provenance={"imported": str(path.name), "sha256": digest.hexdigest(), "leaf_head": leaf_head},
    )  # fmt: skip
    return network.eval(), card


def _read_file(kind: str, path: Path) -> tuple[QueryConfig, dict[str, torch.Tensor]]:
    """Read a file of detectron2's kind."""
    theirs = read_weights(path)
    return published_config(kind, theirs, path), theirs


def _read_folder(kind: str, path: Path) -> tuple[QueryConfig, dict[str, torch.Tensor]]:
    """Read a Hugging Face folder."""
    config = _folder_config(read_folder_config(path), path)
    theirs = _folder_weights(path)
    return config.model_copy(update={"classes": len(theirs["class_predictor.weight"]) - 1}), theirs


class _Published(NamedTuple):
    """How a family's published weights are read, what they see, and what a head for leaves alone changes."""

    read: Callable[[str, Path], tuple[QueryConfig, dict[str, torch.Tensor]]]
    blue_first: bool
    leaf_head: dict[str, Any]
    scores: str = ""


_PUBLISHED = {
    "condinst": _Published(
        _read_file, True, {"classes": 1, "semantic": False}, "proposal_generator.fcos_head.cls_logits.weight"
    ),
    "solov2": _Published(_read_file, True, {"classes": 1}, "ins_head.cate_pred.weight"),
    "sotr": _Published(_read_file, True, {"classes": 1}, "cate_head.cate_pred.weight"),
    "mask2former": _Published(_read_folder, False, {"classes": 1}),
}


def _check(ours: dict[str, torch.Tensor], network: nn.Module, path: Path) -> None:
    own = network.state_dict()
    left = sorted(set(ours) - set(own))
    missing = sorted(key for key in set(own) - set(ours) if not key.endswith(("num_batches_tracked", "position_index")))
    shapes = sorted(key for key in set(own) & set(ours) if own[key].shape != ours[key].shape)
    for what, keys in (("are left over", left), ("are missing", missing), ("have another shape", shapes)):
        if keys:
            raise ModelError(f"{path}: {len(keys)} weights {what}: {', '.join(keys[:5])}. It cannot be imported.")


def _with_leaf_head(network: QueryModel, config: QueryConfig) -> QueryModel:
    """The same network with a fresh head for one class; everything that has the same shape is kept."""
    fresh = build_network(config)
    assert isinstance(fresh, QueryModel)
    kept = {key: value for key, value in network.state_dict().items()
            if key in fresh.state_dict() and fresh.state_dict()[key].shape == value.shape}  # fmt: skip
    fresh.load_state_dict({**fresh.state_dict(), **kept})
    return fresh
