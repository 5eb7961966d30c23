"""From a published checkpoint to one of ours, key by key."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import nn

from napari_leafseg._extras import require
from napari_leafseg.errors import ModelError, plain_reason
from napari_leafseg.models.build import build_network
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.models.query.config import (
    QUERY_SIZES,
    BackboneConfig,
    Mask2FormerConfig,
    QueryConfig,
)
from napari_leafseg.models.query.pretrained import detectron_mask2former, key_mapping_mmdet
from napari_leafseg.models.query.pretrained.key_mapping import NOT_WEIGHTS, RULES, Rules
from napari_leafseg.models.query.pretrained.read import read_folder_config, read_weights
from napari_leafseg.models.store.model_card import ModelCard

_IMAGENET_DEVIATION = 58.8  # of all pixels and channels together; detectron2's networks see pixels minus the mean
# what older files of transformers lack and what is never used: a Swin backbone has its norms stage by stage
_NOT_MISSED = (*NOT_WEIGHTS, r"num_batches_tracked$", r"encoder\.(?:swin\.)?layernorm\.")
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
    """Return the configuration that the weights of a file ask for."""
    layout = find_layout(theirs, kind, path)
    depths = tuple(
        1 + max((int(match.group(1)) for name in theirs if (match := re.match(stage, name))), default=-1)
        for stage in layout.stages
    )
    if depths not in _STAGES:
        raise ModelError(
            f"{path}: its backbone is no ResNet-50 or ResNet-101 of {layout.program} (blocks per stage: {depths})."
        )
    preset = QUERY_SIZES[f"{kind}-coco"]
    # detectron2's ResNets halve the map in their 1 x 1 convolutions
    shape = {"downsample_in_bottleneck": layout.blue_first}
    backbone = BackboneConfig(kind="resnet", size=_STAGES[depths], shape=shape, frozen_norm=True)
    update: dict[str, Any] = {"backbone": backbone}
    if layout.scores in theirs:
        update["classes"] = len(theirs[layout.scores])
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


def _as_today(path: Path, **source: Any) -> dict[str, torch.Tensor]:
    """Weights of a Mask2Former as transformers itself names them today; it knows its own older names."""
    require("transformers", "A Mask2Former", kind=ModelError)
    from transformers import Mask2FormerForUniversalSegmentation
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        loaded: Any = Mask2FormerForUniversalSegmentation.from_pretrained(
            output_loading_info=True, local_files_only=True, ignore_mismatched_sizes=True, **source
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise ModelError(f"{path} cannot be read as a Mask2Former ({plain_reason(error, path)}).") from error
    network, about = loaded
    for what, entry in (
        ("missing", "missing_keys"),
        ("left over", "unexpected_keys"),
        ("of another shape", "mismatched_keys"),
    ):
        keys = [item for item in sorted(map(str, about[entry])) if not re.search("|".join(_NOT_MISSED), item)]
        if keys:
            raise ModelError(f"{path}: {len(keys)} weights are {what}: {', '.join(keys[:5])}. It cannot be imported.")
    return dict(network.state_dict())


def import_published(path: Path, kind: str | None, leaf_head: bool, name: str) -> tuple[QueryModel, ModelCard]:
    """Read a published checkpoint as one of our models.

    Parameters
    ----------
    path : pathlib.Path
        A file of AdelaiDet, SOTR, mmdetection or detectron2 (.pth, .pkl, .safetensors), or a Hugging Face folder.
    kind : {"condinst", "solov2", "sotr", "mask2former"}, optional
        Found by the weights' names when None.
    leaf_head : bool
        Replace the head that tells COCO's classes apart by a fresh one for leaves, to be trained.
    name : str
        Of the model.

    Raises
    ------
    ModelError
        When a weight is missing, left over, or of another shape.
    """
    if path.is_dir() or (kind == "mask2former" and not path.is_file()):
        kind, config, ours = _read_folder(path, kind)
    else:
        kind, config, ours = _read_file(path, kind)
    network = build_network(config)
    assert isinstance(network, QueryModel)
    _check(ours, network, path)
    network.load_state_dict({**network.state_dict(), **ours})
    if leaf_head:
        config = config.model_copy(update=_LEAF_HEAD[kind])
        network = _with_leaf_head(network, config)
    digest = hashlib.sha256()
    for part in sorted(path.glob("*")) if path.is_dir() else [path]:
        if part.is_file() and not part.name.startswith("."):
            with part.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
    card = ModelCard(
        name, "imported", config, description=f"Published {kind} weights, imported from {path.name}.",
        license="as its authors say", whole_image_size=1024,
        provenance={"imported": str(path.name), "sha256": digest.hexdigest(), "leaf_head": leaf_head},
    )  # fmt: skip
    return network.eval(), card


Imported = tuple[str, QueryConfig, dict[str, torch.Tensor]]


def _read_file(path: Path, kind: str | None) -> Imported:
    """Read a file of weights: its kind, its configuration, the weights under our names."""
    theirs = read_weights(path)
    layout = find_layout(theirs, kind, path)
    if layout.kind == "mask2former":
        return _read_detectron(path, theirs)
    config = published_config(layout.kind, theirs, path)
    ours = rename(theirs, layout.rules)
    ours = {name: value.reshape(1) if name.startswith("scales.") else value for name, value in ours.items()}
    stem = "backbone.net.embedder.embedder.convolution.weight"
    if layout.blue_first and stem in ours:  # they see blue, green, red, and pixels that are not divided
        ours[stem] = ours[stem].flip(1) * _IMAGENET_DEVIATION
    return layout.kind, config, ours


def _read_detectron(path: Path, theirs: dict[str, torch.Tensor]) -> Imported:
    """Read detectron2's Mask2Former, by way of transformers, which has the same network."""
    require("transformers", "A Mask2Former", kind=ModelError)
    from transformers import Mask2FormerConfig as TheirConfig

    said = detectron_mask2former.describe(theirs, path)
    state = rename(detectron_mask2former.split_attention(theirs), detectron_mask2former.RULES)
    settings = TheirConfig(**said)
    weights = _as_today(path, pretrained_model_name_or_path=None, config=settings, state_dict=state)
    config = _folder_config({**settings.to_dict(), **said}, path)
    config = config.model_copy(update={"classes": len(weights["class_predictor.weight"]) - 1})
    return "mask2former", config, rename(weights, RULES["mask2former"])


def _read_folder(path: Path, kind: str | None) -> Imported:
    """Read a Hugging Face folder."""
    config = _folder_config(read_folder_config(path), path)
    if kind not in (None, "mask2former"):
        raise ModelError(f"{path} is a Hugging Face folder of a Mask2Former. Choose it with --as mask2former.")
    weights = _as_today(path, pretrained_model_name_or_path=str(path))
    config = config.model_copy(update={"classes": len(weights["class_predictor.weight"]) - 1})
    return "mask2former", config, rename(weights, RULES["mask2former"])


class Layout(NamedTuple):
    """How a program's files of one kind of model are told, named, and what their network sees."""

    kind: str
    program: str
    sign: str  # a weight that such a file alone has
    scores: str  # the weights that tell classes apart
    rules: Rules
    stages: tuple[str, ...] = ()
    blue_first: bool = False


_DETECTRON = tuple(rf"backbone\.bottom_up\.res{stage}\.(\d+)\." for stage in (2, 3, 4, 5))
_MMDET = tuple(rf"backbone\.layer{stage}\.(\d+)\." for stage in (1, 2, 3, 4))


def _adelaidet(kind: str, scores: str) -> Layout:
    return Layout(kind, "detectron2", scores, scores, RULES[kind], _DETECTRON, True)


LAYOUTS = (
    _adelaidet("condinst", "proposal_generator.fcos_head.cls_logits.weight"),
    _adelaidet("solov2", "ins_head.cate_pred.weight"),
    _adelaidet("sotr", "cate_head.cate_pred.weight"),
    Layout("condinst", "mmdetection", "bbox_head.controller.weight", "bbox_head.conv_cls.weight",
           key_mapping_mmdet.CONDINST, _MMDET),
    Layout("solov2", "mmdetection", "mask_head.conv_kernel.weight", "mask_head.conv_cls.weight",
           key_mapping_mmdet.SOLOV2, _MMDET),
    Layout("mask2former", "detectron2", detectron_mask2former.SIGN, "", detectron_mask2former.RULES),
)  # fmt: skip
_LEAF_HEAD: dict[str, dict[str, Any]] = {
    "condinst": {"classes": 1, "semantic": False}, "solov2": {"classes": 1}, "sotr": {"classes": 1},
    "mask2former": {"classes": 1},
}  # fmt: skip
_OTHERS = (
    ("roi_heads.", "a Mask R-CNN of detectron2"),
    ("roi_head.", "a Mask R-CNN of mmdetection"),
    ("panoptic_head.", "a Mask2Former of mmdetection; get its original from the Hugging Face hub"),
)


def find_layout(theirs: dict[str, torch.Tensor], kind: str | None, path: Path) -> Layout:
    """Find out which program's file of which kind of model it is, by the names of its weights.

    Raises
    ------
    ModelError
        When it is of none that can be imported.
    """
    found = [layout for layout in LAYOUTS if layout.sign in theirs]
    own = [layout for layout in found if kind in (None, layout.kind)]
    if own or (kind is not None and not found):  # what is missing is told when it is read
        return (own or [layout for layout in LAYOUTS if layout.kind == kind])[0]
    if found:
        raise ModelError(f"{path} is a {found[0].kind} of {found[0].program}, not {kind}. Choose with --as.")
    what = next((words for sign, words in _OTHERS if any(name.startswith(sign) for name in theirs)), "none of these")
    raise ModelError(
        f"{path} is {what}. There can be imported: CondInst and SOLOv2 of AdelaiDet or mmdetection, SOTR, Mask2Former "
        "of detectron2 or the Hugging Face hub."
    )


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
