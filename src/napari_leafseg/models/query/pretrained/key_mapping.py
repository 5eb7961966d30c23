"""How the published models name their weights, and how we do: pairs of (pattern, replacement) for each model.

The patterns follow detectron2's ResNet and FPN and the heads of AdelaiDet (CondInst, SOLOv2), SOTR's repository and
Mask2Former in transformers.
"""

from __future__ import annotations

from collections.abc import Sequence

Rules = tuple[tuple[str, str], ...]

Names = tuple[str, str]
"""How a convolution is called, and its normalization; as patterns."""


def resnet_rules(stem: Names, stages: Sequence[str], shortcut: Names, layer: Names) -> Rules:
    """Return the rules of a ResNet.

    Parameters
    ----------
    stem : tuple of str
        Convolution and normalization of the stem.
    stages : sequence of str
        What comes before the number of a block, stage by stage.
    shortcut, layer : tuple of str
        Those of a block, after its number; {} stands for the number of the layer, from 1 on.
    """
    ours = "backbone.net.embedder.embedder"
    rules = [(rf"{stem[0]}\.weight", f"{ours}.convolution.weight"), (rf"{stem[1]}\.(\w+)", rf"{ours}.normalization.\1")]
    for stage, prefix in enumerate(stages):
        block, place = rf"{prefix}\.(\d+)", rf"backbone.net.encoder.stages.{stage}.layers.\1"
        parts = [("shortcut", *shortcut), *((f"layer.{n}", *(name.format(n + 1) for name in layer)) for n in range(3))]
        for part, convolution, normalization in parts:
            rules.append((rf"{block}\.{convolution}\.weight", f"{place}.{part}.convolution.weight"))
            rules.append((rf"{block}\.{normalization}\.(\w+)", rf"{place}.{part}.normalization.\2"))
    return tuple(rules)


_BOTTOM_UP = r"backbone\.bottom_up"
RESNET = resnet_rules(
    (rf"{_BOTTOM_UP}\.stem\.conv1", rf"{_BOTTOM_UP}\.stem\.conv1\.norm"),
    [rf"{_BOTTOM_UP}\.res{number}" for number in range(2, 6)],
    (r"shortcut", r"shortcut\.norm"),
    (r"conv{}", r"conv{}\.norm"),
)


def _pyramid(first: int) -> Rules:
    """detectron2's feature pyramid, which counts levels by their stage from `first` on."""
    return tuple(
        rule
        for level in range(6 - first)
        for rule in (
            (rf"backbone\.fpn_lateral{level + first}\.(\w+)", rf"pyramid.lateral.{level}.\1"),
            (rf"backbone\.fpn_output{level + first}\.(\w+)", rf"pyramid.output.{level}.\1"),
        )
    )


_MASK_HEAD: Rules = (
    (r"mask_head\.convs_all_levels\.(\d+)\.conv(\d+)\.(.+)", r"mask_branch.steps.\1.\2.\3"),
    (r"mask_head\.conv_pred\.(.+)", r"mask_branch.merge.\1"),
)

CONDINST: Rules = (
    *RESNET,
    *_pyramid(3),
    (r"backbone\.top_block\.p6\.(\w+)", r"pyramid.strided.0.\1"),
    (r"backbone\.top_block\.p7\.(\w+)", r"pyramid.strided.1.\1"),
    (r"proposal_generator\.fcos_head\.cls_tower\.(.+)", r"score_tower.\1"),
    (r"proposal_generator\.fcos_head\.bbox_tower\.(.+)", r"box_tower.\1"),
    (r"proposal_generator\.fcos_head\.cls_logits\.(\w+)", r"score_head.\1"),
    (r"proposal_generator\.fcos_head\.bbox_pred\.(\w+)", r"box_head.\1"),
    (r"proposal_generator\.fcos_head\.ctrness\.(\w+)", r"centre_head.\1"),
    (r"proposal_generator\.fcos_head\.scales\.(\d+)\.scale", r"scales.\1.factor"),
    (r"controller\.(\w+)", r"controller.\1"),
    (r"mask_branch\.refine\.(.+)", r"mask_branch.refine.\1"),
    (r"mask_branch\.tower\.(.+)", r"mask_branch.tower.\1"),
    (r"mask_branch\.seg_head\.0\.0\.(\w+)", r"semantic.tower.0.\1"),
    (r"mask_branch\.seg_head\.0\.1\.(\w+)", r"semantic.tower.1.\1"),
    (r"mask_branch\.seg_head\.1\.0\.(\w+)", r"semantic.tower.3.\1"),
    (r"mask_branch\.seg_head\.1\.1\.(\w+)", r"semantic.tower.4.\1"),
    (r"mask_branch\.logits\.(\w+)", r"semantic.head.\1"),
)

SOLOV2: Rules = (
    *RESNET,
    *_pyramid(2),
    (r"ins_head\.cate_tower\.(.+)", r"score_tower.\1"),
    (r"ins_head\.kernel_tower\.(.+)", r"query_tower.\1"),
    (r"ins_head\.cate_pred\.(\w+)", r"score_head.\1"),
    (r"ins_head\.kernel_pred\.(\w+)", r"query_head.\1"),
    *_MASK_HEAD,
)

_LINES = {"to_q": "to_query", "to_kv": "to_key_value", "to_out": "to_out"}
SOTR: Rules = (
    *RESNET,
    *_pyramid(2),
    *(
        rule
        for layer in range(32)
        for rule in (
            (
                rf"cate_head\.transformer\.layers\.blocks\.{2 * layer}\.(\d)\.fn\.g",
                rf"transformer.attention.{layer}.\1.gain",
            ),
            *(
                (
                    rf"cate_head\.transformer\.layers\.blocks\.{2 * layer}\.(\d)\.fn\.fn\.{theirs}\.(\w+)",
                    rf"transformer.attention.{layer}.\1.{ours}.\2",
                )
                for theirs, ours in _LINES.items()
            ),
            (
                rf"cate_head\.transformer\.layers\.blocks\.{2 * layer + 1}\.(\d)\.g",
                rf"transformer.mixing.{layer}.\1.gain",
            ),
            (
                rf"cate_head\.transformer\.layers\.blocks\.{2 * layer + 1}\.(\d)\.fn\.(.+)",
                rf"transformer.mixing.{layer}.\1.layers.\2",
            ),
        )
    ),
    (r"cate_head\.cate_pred\.(\w+)", r"score_head.\1"),
    (r"cate_head\.kernel_pred\.(\w+)", r"query_head.\1"),
    *_MASK_HEAD,
)

MASK2FORMER: Rules = (
    (r"model\.pixel_level_module\.encoder\.(.+)", r"backbone.net.\1"),
    (r"model\.pixel_level_module\.decoder\.(.+)", r"net.pixel_level_module.decoder.\1"),
    (r"model\.transformer_module\.(.+)", r"net.transformer_module.\1"),
    (r"class_predictor\.(\w+)", r"class_head.\1"),
)

RULES: dict[str, Rules] = {"condinst": CONDINST, "solov2": SOLOV2, "sotr": SOTR, "mask2former": MASK2FORMER}

NOT_WEIGHTS = (
    r"pixel_mean", r"pixel_std", r"mask_head\._iter", r"mask_head\.sizes_of_interest", r"criterion\.empty_weight",
    r".*relative_position_index",
)  # fmt: skip
"""Constants that lie among the weights."""
