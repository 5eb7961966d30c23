"""Mask2Former as detectron2 has it: its weights under the names of transformers, its configuration from their shapes.

transformers knows the names that its published models have, and turns them into those of today.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from napari_leafseg.errors import ModelError
from napari_leafseg.models.query.pretrained.key_mapping import RESNET, Rules

SIGN = "sem_seg_head.predictor.class_embed.weight"
"""A weight that tells such a file."""
_ENCODER, _DECODER = "model.pixel_level_module.encoder", "model.pixel_level_module.decoder"
_PIXEL, _PREDICTOR = r"sem_seg_head\.pixel_decoder", r"sem_seg_head\.predictor"
_MODULE = "model.transformer_module"
_BLOCK = r"backbone\.layers\.(\d+)\.blocks\.(\d+)"
_OURS = rf"{_ENCODER}.encoder.layers.\1.blocks.\2"

SWIN: Rules = (
    (r"backbone\.patch_embed\.proj\.(\w+)", rf"{_ENCODER}.embeddings.patch_embeddings.projection.\1"),
    (r"backbone\.patch_embed\.norm\.(\w+)", rf"{_ENCODER}.embeddings.norm.\1"),
    (rf"{_BLOCK}\.norm1\.(\w+)", rf"{_OURS}.layernorm_before.\3"),
    (rf"{_BLOCK}\.norm2\.(\w+)", rf"{_OURS}.layernorm_after.\3"),
    (rf"{_BLOCK}\.attn\.relative_position_bias_table", rf"{_OURS}.attention.self.relative_position_bias_table"),
    (rf"{_BLOCK}\.attn\.(query|key|value)\.(\w+)", rf"{_OURS}.attention.self.\3.\4"),
    (rf"{_BLOCK}\.attn\.proj\.(\w+)", rf"{_OURS}.attention.output.dense.\3"),
    (rf"{_BLOCK}\.mlp\.fc1\.(\w+)", rf"{_OURS}.intermediate.dense.\3"),
    (rf"{_BLOCK}\.mlp\.fc2\.(\w+)", rf"{_OURS}.output.dense.\3"),
    (r"backbone\.layers\.(\d+)\.downsample\.(.+)", rf"{_ENCODER}.encoder.layers.\1.downsample.\2"),
    *((rf"backbone\.norm{stage}\.(\w+)", rf"{_ENCODER}.hidden_states_norms.stage{stage + 1}.\1") for stage in range(4)),
)
_RESNET: Rules = tuple(
    (pattern.replace(r"bottom_up\.", ""), ours.replace("backbone.net", _ENCODER)) for pattern, ours in RESNET
)
_LAYER = rf"{_DECODER}.encoder.layers.\1"
PIXEL_DECODER: Rules = (
    *(
        rule
        for part in ("adapter_1", "layer_1")
        for rule in (
            (rf"{_PIXEL}\.{part}\.weight", rf"{_DECODER}.{part}.0.weight"),
            (rf"{_PIXEL}\.{part}\.norm\.(\w+)", rf"{_DECODER}.{part}.1.\1"),
        )
    ),
    (rf"{_PIXEL}\.input_proj\.(.+)", rf"{_DECODER}.input_projections.\1"),
    (rf"{_PIXEL}\.transformer\.level_embed", rf"{_DECODER}.level_embed"),
    (rf"{_PIXEL}\.transformer\.encoder\.layers\.(\d+)\.linear(\d)\.(\w+)", rf"{_LAYER}.fc\2.\3"),
    (rf"{_PIXEL}\.transformer\.encoder\.layers\.(\d+)\.norm1\.(\w+)", rf"{_LAYER}.self_attn_layer_norm.\2"),
    (rf"{_PIXEL}\.transformer\.encoder\.layers\.(\d+)\.norm2\.(\w+)", rf"{_LAYER}.final_layer_norm.\2"),
    (rf"{_PIXEL}\.transformer\.encoder\.layers\.(\d+)\.self_attn\.(.+)", rf"{_LAYER}.self_attn.\2"),
    (rf"{_PIXEL}\.mask_features\.(\w+)", rf"{_DECODER}.mask_projection.\1"),
)
_STEP = rf"{_MODULE}.decoder.layers.\1"
PREDICTOR: Rules = (
    (rf"{_PREDICTOR}\.transformer_self_attention_layers\.(\d+)\.self_attn\.(.+)", rf"{_STEP}.self_attn.\2"),
    (rf"{_PREDICTOR}\.transformer_self_attention_layers\.(\d+)\.norm\.(\w+)", rf"{_STEP}.self_attn_layer_norm.\2"),
    (rf"{_PREDICTOR}\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.(.+)", rf"{_STEP}.cross_attn.\2"),
    (rf"{_PREDICTOR}\.transformer_cross_attention_layers\.(\d+)\.norm\.(\w+)", rf"{_STEP}.cross_attn_layer_norm.\2"),
    (rf"{_PREDICTOR}\.transformer_ffn_layers\.(\d+)\.linear(\d)\.(\w+)", rf"{_STEP}.fc\2.\3"),
    (rf"{_PREDICTOR}\.transformer_ffn_layers\.(\d+)\.norm\.(\w+)", rf"{_STEP}.final_layer_norm.\2"),
    (rf"{_PREDICTOR}\.decoder_norm\.(\w+)", rf"{_MODULE}.decoder.layernorm.\1"),
    (rf"{_PREDICTOR}\.mask_embed\.layers\.(\d)\.(\w+)", rf"{_MODULE}.decoder.mask_predictor.mask_embedder.\1.0.\2"),
    (rf"{_PREDICTOR}\.query_embed\.weight", rf"{_MODULE}.queries_embedder.weight"),
    (rf"{_PREDICTOR}\.(?:query_feat|static_query)\.weight", rf"{_MODULE}.queries_features.weight"),
    (rf"{_PREDICTOR}\.level_embed\.weight", rf"{_MODULE}.level_embed.weight"),
    (rf"{_PREDICTOR}\.class_embed\.(\w+)", r"class_predictor.\1"),
)
RULES: Rules = (*SWIN, *_RESNET, *PIXEL_DECODER, *PREDICTOR)

_JOINED = (
    (r"(backbone\.layers\.\d+\.blocks\.\d+\.attn)\.qkv\.(weight|bias)", ("query", "key", "value")),
    (r"(.*\.transformer_self_attention_layers\.\d+\.self_attn)\.in_proj_(weight|bias)", ("q_proj", "k_proj", "v_proj")),
)


def split_attention(theirs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cut query, key and value out of the tensors that hold all three."""
    found: dict[str, torch.Tensor] = {}
    for name, value in theirs.items():
        for pattern, parts in _JOINED:
            match = re.fullmatch(pattern, name)
            if match:
                pieces = value.chunk(3)
                found |= {f"{match[1]}.{part}.{match[2]}": piece for part, piece in zip(parts, pieces, strict=True)}
                break
        else:
            found[name] = value
    return found


def _count(theirs: dict[str, torch.Tensor], pattern: str) -> int:
    """How many layers there are of those whose number the pattern finds."""
    return 1 + max((int(match[1]) for name in theirs if (match := re.match(pattern, name))), default=-1)


def _backbone(theirs: dict[str, torch.Tensor]) -> dict[str, Any]:
    stages = [f"stage{number}" for number in range(1, 5)]
    if "backbone.patch_embed.proj.weight" in theirs:
        patches = theirs["backbone.patch_embed.proj.weight"]
        tables = [theirs[f"backbone.layers.{n}.blocks.0.attn.relative_position_bias_table"] for n in range(4)]
        wide = theirs["backbone.layers.0.blocks.0.mlp.fc1.weight"]
        return {
            "model_type": "swin", "out_features": stages, "embed_dim": len(patches), "patch_size": patches.shape[-1],
            "depths": [_count(theirs, rf"backbone\.layers\.{n}\.blocks\.(\d+)\.") for n in range(4)],
            "num_heads": [table.shape[1] for table in tables],
            "window_size": (round(len(tables[0]) ** 0.5) + 1) // 2, "mlp_ratio": len(wide) / wide.shape[1],
        }  # fmt: skip
    last = [theirs[f"backbone.res{n}.0.conv3.weight"] for n in range(2, 6)]
    return {
        "model_type": "resnet", "out_features": stages, "layer_type": "bottleneck", "downsample_in_bottleneck": False,
        "depths": [_count(theirs, rf"backbone\.res{n}\.(\d+)\.") for n in range(2, 6)],
        "hidden_sizes": [len(weight) for weight in last], "embedding_size": len(theirs["backbone.stem.conv1.weight"]),
    }  # fmt: skip


def describe(theirs: dict[str, torch.Tensor], path: Path) -> dict[str, Any]:
    """Find what ``config.json`` of the same model in transformers says, from the shapes of its weights.

    Raises
    ------
    ModelError
        When it is built differently from the published ones.
    """
    pixel, predictor = "sem_seg_head.pixel_decoder", "sem_seg_head.predictor"
    try:
        masks = theirs[f"{pixel}.mask_features.weight"]
        queries = theirs[f"{predictor}.query_embed.weight"]
        attention = theirs[f"{pixel}.transformer.encoder.layers.0.self_attn.attention_weights.weight"]
        return {
            "backbone_config": _backbone(theirs), "num_labels": len(theirs[SIGN]) - 1,
            "feature_size": masks.shape[1], "mask_feature_size": len(masks),
            "hidden_dim": queries.shape[1], "num_queries": len(queries),
            "encoder_layers": _count(theirs, rf"{_PIXEL}\.transformer\.encoder\.layers\.(\d+)\."),
            "encoder_feedforward_dim": len(theirs[f"{pixel}.transformer.encoder.layers.0.linear1.weight"]),
            "decoder_layers": 1 + _count(theirs, rf"{_PREDICTOR}\.transformer_ffn_layers\.(\d+)\."),
            "dim_feedforward": len(theirs[f"{predictor}.transformer_ffn_layers.0.linear1.weight"]),
            "num_attention_heads": len(attention) // 12, "dropout": 0.0,  # three levels of four points
        }  # fmt: skip
    except (KeyError, IndexError) as error:
        raise ModelError(
            f"{path}: this Mask2Former is built differently from the published ones ({error.args[0]} is missing)."
        ) from error
