"""How mmdetection names the weights of CondInst and SOLOv2, and how we do; see `key_mapping`."""

from __future__ import annotations

from napari_leafseg.models.query.pretrained.key_mapping import Rules, resnet_rules

RESNET = resnet_rules(
    (r"backbone\.conv1", r"backbone\.bn1"),
    [rf"backbone\.layer{number}" for number in range(1, 5)],
    (r"downsample\.0", r"downsample\.1"),
    ("conv{}", "bn{}"),
)


def _pyramid(levels: int) -> Rules:
    """mmdetection's feature pyramid of so many levels; the convolutions after these make coarser ones."""
    return (
        (r"neck\.lateral_convs\.(\d+)\.conv\.(\w+)", r"pyramid.lateral.\1.\2"),
        *((rf"neck\.fpn_convs\.{level}\.conv\.(\w+)", rf"pyramid.output.{level}.\1") for level in range(levels)),
        *(
            (rf"neck\.fpn_convs\.{levels + extra}\.conv\.(\w+)", rf"pyramid.strided.{extra}.\1")
            for extra in range(5 - levels)
        ),
    )


def _tower(theirs: str, ours: str) -> Rules:
    """A tower of convolutions with group normalization; ours counts its activations, too."""
    return tuple(
        rule
        for layer in range(8)
        for rule in (
            (rf"{theirs}\.{layer}\.conv\.(\w+)", rf"{ours}.{3 * layer}.\1"),
            (rf"{theirs}\.{layer}\.gn\.(\w+)", rf"{ours}.{3 * layer + 1}.\1"),
        )
    )


_MASKS = r"mask_head\.mask_feature_head"

CONDINST: Rules = (
    *RESNET,
    *_pyramid(3),
    *_tower(r"bbox_head\.cls_convs", "score_tower"),
    *_tower(r"bbox_head\.reg_convs", "box_tower"),
    (r"bbox_head\.conv_cls\.(\w+)", r"score_head.\1"),
    (r"bbox_head\.conv_reg\.(\w+)", r"box_head.\1"),
    (r"bbox_head\.conv_centerness\.(\w+)", r"centre_head.\1"),
    (r"bbox_head\.scales\.(\d+)\.scale", r"scales.\1.factor"),
    (r"bbox_head\.controller\.(\w+)", r"controller.\1"),
    (rf"{_MASKS}\.convs_all_levels\.(\d+)\.conv\d+\.conv\.(\w+)", r"mask_branch.refine.\1.0.\2"),
    (rf"{_MASKS}\.convs_all_levels\.(\d+)\.conv\d+\.bn\.(\w+)", r"mask_branch.refine.\1.1.\2"),
    (rf"{_MASKS}\.conv_branch\.(\d+)\.conv\.(\w+)", r"mask_branch.tower.\1.0.\2"),
    (rf"{_MASKS}\.conv_branch\.(\d+)\.bn\.(\w+)", r"mask_branch.tower.\1.1.\2"),
    (rf"{_MASKS}\.conv_pred\.(\w+)", r"mask_branch.tower.4.\1"),
)

SOLOV2: Rules = (
    *RESNET,
    *_pyramid(4),
    *_tower(r"mask_head\.cls_convs", "score_tower"),
    *_tower(r"mask_head\.kernel_convs", "query_tower"),
    (r"mask_head\.conv_cls\.(\w+)", r"score_head.\1"),
    (r"mask_head\.conv_kernel\.(\w+)", r"query_head.\1"),
    (rf"{_MASKS}\.convs_all_levels\.(\d+)\.conv(\d+)\.conv\.(\w+)", r"mask_branch.steps.\1.\2.0.\3"),
    (rf"{_MASKS}\.convs_all_levels\.(\d+)\.conv(\d+)\.gn\.(\w+)", r"mask_branch.steps.\1.\2.1.\3"),
    (rf"{_MASKS}\.conv_pred\.conv\.(\w+)", r"mask_branch.merge.0.\1"),
    (rf"{_MASKS}\.conv_pred\.gn\.(\w+)", r"mask_branch.merge.1.\1"),
)
