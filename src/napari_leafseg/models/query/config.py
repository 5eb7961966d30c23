"""Configurations of the query-based models; knows neither torch nor transformers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from napari_leafseg._entries import Entries
from napari_leafseg.models.config import ModelConfig
from napari_leafseg.models.distance_embedding.config import DistanceEmbeddingConfig, UNetConfig

LEAF_TRUNK = DistanceEmbeddingConfig(refine_distance=True)


class BackboneConfig(Entries):
    """What makes the features that everything else stands on.

    Attributes
    ----------
    kind : {"leaf", "resnet", "swin"}
        "leaf" is the distance + embedding network, small enough to be trained on a CPU; "resnet" and "swin" come from
        ``transformers`` (AutoBackbone).
    size : str
        Of "resnet": "18", "50", "101"; of "swin": "tiny", "small", "base", "large"; "custom" with `shape`.
    shape : dict
        Entries of the ``transformers`` configuration, over those of `size`.
    trunk : DistanceEmbeddingConfig
        Of "leaf".
    frozen_norm : bool
        Keep the batch norm's statistics and weights as they came (the originals freeze those of a pretrained ResNet).
    pretrained : str, optional
        Name of a model of the Hugging Face hub, or a local folder, whose weights a new training begins with.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["leaf", "resnet", "swin"] = "leaf"
    size: Literal["18", "50", "101", "tiny", "small", "base", "large", "custom"] = "custom"
    shape: dict[str, Any] = Field({})
    trunk: DistanceEmbeddingConfig = LEAF_TRUNK
    frozen_norm: bool = False
    pretrained: str | None = None

    @model_validator(mode="after")
    def _known_size(self) -> BackboneConfig:
        sizes = {"leaf": (), "resnet": ("18", "50", "101"), "swin": ("tiny", "small", "base", "large")}[self.kind]
        if self.size != "custom" and self.size not in sizes:
            raise ValueError(f"backbone: {self.kind} has no size {self.size}; choose one of {', '.join(sizes)}")
        return self


class QueryConfig(ModelConfig):
    """What the query-based models have in common.

    Attributes
    ----------
    backbone : BackboneConfig
    width : int
        Channels of the feature pyramid and of the towers.
    mask_channels : int
        Channels D of the mask features, which the queries are put to.
    groups : int
        Groups of the group norms.
    classes : int
        1: leaf. Published weights know the 80 classes of COCO.
    class_names : tuple of str
        Names of the classes, where a training knew them.
    candidates : int
        At most so many masks of an image are kept.
    score_floor : float
        Masks of less score are not kept: what the slider begins at.
    mask_score : bool
        A mask's score is multiplied by the mean probability inside it, as SOLOv2, SOTR and Mask2Former do; CondInst as
        published does not.
    """

    backbone: BackboneConfig = BackboneConfig()
    width: int = Field(64, ge=8)
    mask_channels: int = Field(32, ge=1)
    groups: int = Field(8, ge=1)
    classes: int = Field(1, ge=1)
    class_names: tuple[str, ...] = ()
    candidates: int = Field(200, ge=1)
    score_floor: float = Field(0.05, ge=0, lt=1)
    mask_score: bool = True

    @property
    def package(self) -> str:
        """The optional package that the network is built with."""
        return "" if self.backbone.kind == "leaf" else "transformers"


class GridConfig(QueryConfig):
    """SOLOv2's and SOTR's: queries stand on grids, one for each range of sizes.

    Attributes
    ----------
    levels : tuple of int
        Levels of the pyramid that the grids stand on, 0 = finest.
    grids : tuple of int, optional
        Cells along each side; None: a cell for each pixel of the level, so that cells have the same size in images of
        any size.
    point_nms : bool
        Only cells whose score is the largest of the cells beside them make a mask, as published. It silences leaves
        whose cell lies beside another leaf's, which is common in a rosette; the overlap suppression (NMS) does without.
    ranges : tuple of tuple of float
        Square root of the box areas, in pixels, that each grid is responsible for.
    sigma : float
        Share of a leaf's box around its center whose cells are positive.
    towers, tower_width : int
        Convolutions in each tower, and their channels.
    mask_width : int
        Channels of the mask branch.
    span : float, optional
        Pixels that make one unit of the coordinates; None: -1 to 1 across the image (published).
    """

    levels: tuple[int, ...] = (1, 2, 3)
    grids: tuple[int, ...] | None = None
    point_nms: bool = False
    ranges: tuple[tuple[float, float], ...] = ((0, 22), (14, 52), (36, 1e5))
    sigma: float = Field(0.2, gt=0, le=1)
    towers: int = Field(3, ge=1)
    tower_width: int = Field(64, ge=8)
    mask_width: int = Field(64, ge=8)
    span: float | None = 128.0

    @model_validator(mode="after")
    def _same_length(self) -> GridConfig:
        if len(self.levels) != len(self.ranges) or (self.grids is not None and len(self.grids) != len(self.levels)):
            raise ValueError("levels, ranges and grids must have as many entries each")
        return self


class Solov2Config(GridConfig):
    """SOLOv2 (Wang et al. 2020)."""

    kind: Literal["solov2"] = "solov2"


class SotrConfig(GridConfig):
    """SOTR (Guo et al. 2021): twin attention over the grid.

    Attributes
    ----------
    depth, heads : int
        Layers, and attention heads of each.
    doubled : bool
        Put the grid beside itself before the attention and average afterwards, as the published code does; it changes
        what the convolutions see at the border, so published weights want it.
    """

    kind: Literal["sotr"] = "sotr"
    depth: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    doubled: bool = False


class CondInstConfig(QueryConfig):
    """CondInst (Tian et al. 2020).

    Attributes
    ----------
    levels : tuple of int
        Levels of the pyramid with a head.
    sizes : tuple of float
        Upper ends, in pixels, of the largest side (of the four distances to the box) that each level is
        responsible for; the last level takes the rest.
    mask_levels : tuple of int
        Levels that the mask branch adds up.
    mask_width : int
        Channels of the mask branch.
    upsample : int
        Mask logits are enlarged by this before the loss.
    radius : float
        Center sampling: positive locations lie within this many strides of the leaf's center.
    layers : int
        Layers of the dynamic head, `mask_channels` wide.
    towers : int
        Convolutions in each tower.
    extra_levels : int
        Pooled levels added to the pyramid by strided convolutions.
    queries : int
        At most so many positive locations of a batch are put to the masks in training.
    box_overlap : float
        Boxes that overlap more (IoU) are the same leaf.
    scales : bool
        A learned factor on each level's distances.
    corner_aligned : bool
        Enlarge the mask branch's coarser levels with their first pixels in one corner, as published. That moves them by
        half a pixel, so that a mirrored image does not give mirrored features; False puts middles on middles.
    semantic : bool
        A branch that says of each place whether it is leaf, in training only (the published multi-scale weights).
    box_start : float
        Strides to each side that boxes begin with in training, so that small ones are soon found; 0 is published.
    """

    kind: Literal["condinst"] = "condinst"
    mask_channels: int = Field(8, ge=1)
    levels: tuple[int, ...] = (1, 2, 3)
    sizes: tuple[float, ...] = (20.0, 44.0)
    mask_levels: tuple[int, ...] = (0, 1, 2, 3)
    mask_width: int = Field(48, ge=8)
    upsample: int = Field(1, ge=1)
    radius: float = Field(1.5, gt=0)
    layers: int = Field(3, ge=2)
    towers: int = Field(3, ge=1)
    extra_levels: int = Field(0, ge=0, le=2)
    queries: int = Field(160, ge=1)
    box_overlap: float = Field(0.75, gt=0, le=1)
    scales: bool = True
    corner_aligned: bool = True
    semantic: bool = False
    box_start: float = 1.0


class Mask2FormerConfig(QueryConfig):
    """Mask2Former (Cheng et al. 2022), on ``transformers``.

    Attributes
    ----------
    queries : int
        Learnable queries: as many leaves can be found at most.
    encoder_layers, decoder_layers, heads, feedforward : int
        Of the pixel decoder and of the masked-attention decoder.
    points : int
        Pixels sampled of each mask for its losses.
    """

    kind: Literal["mask2former"] = "mask2former"
    mask_channels: int = Field(64, ge=1)
    queries: int = Field(80, ge=1)
    encoder_layers: int = Field(2, ge=1)
    decoder_layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    feedforward: int = Field(256, ge=8)
    points: int = Field(1024, ge=16)

    @property
    def package(self) -> str:
        """The optional package that the network is built with."""
        return "transformers"


class SparseInstConfig(QueryConfig):
    """SparseInst (Cheng et al. 2022).

    Attributes
    ----------
    queries : int
        Activation maps, each a query: as many leaves can be found at most.
    activation_groups : int
        Maps for each query, which gather its features together.
    first_level : int
        The backbone's finest map that is used, 0 = finest; masks have its stride.
    upsample : int
        Masks are enlarged by this.
    towers : int
        Convolutions before the activation maps, and before the mask features.
    span : float, optional
        See `GridConfig`.
    """

    kind: Literal["sparseinst"] = "sparseinst"
    queries: int = Field(80, ge=1)
    activation_groups: int = Field(4, ge=1)
    first_level: int = Field(0, ge=0, le=2)
    upsample: int = Field(1, ge=1)
    towers: int = Field(4, ge=1)
    span: float | None = 128.0


class KNetConfig(QueryConfig):
    """K-Net (Zhang et al. 2021); its kernels are as wide as the mask features.

    Attributes
    ----------
    queries : int
        Learned kernels: as many leaves can be found at most.
    rounds, heads, feedforward : int
        Rounds of updates, and the attention between kernels in each.
    span : float, optional
        See `GridConfig`.
    """

    kind: Literal["knet"] = "knet"
    mask_channels: int = Field(64, ge=8)
    queries: int = Field(80, ge=1)
    rounds: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    feedforward: int = Field(256, ge=8)
    span: float | None = 128.0


_TINY = BackboneConfig(
    trunk=DistanceEmbeddingConfig(unet=UNetConfig(filters=4, depth=4), embedding=4, refine_distance=True)
)
_RESNET = BackboneConfig(kind="resnet", size="50", frozen_norm=True, pretrained="microsoft/resnet-50")
_COCO_RANGES = ((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048))

AnyQueryConfig = CondInstConfig | Solov2Config | SotrConfig | Mask2FormerConfig | SparseInstConfig | KNetConfig

QUERY_SIZES: dict[str, AnyQueryConfig] = {
    "condinst": CondInstConfig(mask_score=False),
    "solov2": Solov2Config(),
    "sotr": SotrConfig(),
    "mask2former": Mask2FormerConfig(),
    "sparseinst": SparseInstConfig(mask_channels=64),
    "knet": KNetConfig(),
    "condinst-tiny": CondInstConfig(backbone=_TINY, width=16, groups=4, mask_width=16, towers=1, mask_score=False),
    "solov2-tiny": Solov2Config(
        backbone=_TINY, width=16, groups=4, mask_channels=16, towers=1, tower_width=16, mask_width=16
    ),
    "sotr-tiny": SotrConfig(backbone=_TINY, width=32, groups=4, mask_channels=32, mask_width=32, depth=1, heads=2),
    "mask2former-tiny": Mask2FormerConfig(
        backbone=_TINY, width=32, mask_channels=32, encoder_layers=1, decoder_layers=2, heads=2, feedforward=64,
        queries=40, points=512,
    ),
    "sparseinst-tiny": SparseInstConfig(
        backbone=_TINY, width=32, mask_channels=32, queries=40, activation_groups=2, towers=2
    ),
    "knet-tiny": KNetConfig(
        backbone=_TINY, width=32, groups=4, mask_channels=32, queries=40, rounds=2, heads=2, feedforward=64
    ),
    "condinst-coco": CondInstConfig(
        backbone=_RESNET, width=256, groups=32, classes=80, levels=(0, 1, 2, 3, 4), sizes=(64, 128, 256, 512),
        mask_levels=(0, 1, 2), mask_width=128, upsample=2, towers=4, extra_levels=2, queries=500, box_overlap=0.6,
        semantic=True, box_start=0.0, mask_score=False,
    ),
    "solov2-coco": Solov2Config(
        backbone=_RESNET, width=256, mask_channels=256, groups=32, classes=80, levels=(0, 1, 2, 3, 4),
        grids=(40, 36, 24, 16, 12), point_nms=True, ranges=_COCO_RANGES, towers=4, tower_width=512, mask_width=128,
        span=None,
    ),
    "sotr-coco": SotrConfig(
        backbone=_RESNET, width=256, mask_channels=256, groups=32, classes=80, levels=(0, 1, 2, 3, 4),
        grids=(40, 36, 24, 16, 12), point_nms=True, ranges=_COCO_RANGES, depth=12, heads=8, doubled=True,
        mask_width=128, span=None,
    ),
    "mask2former-coco": Mask2FormerConfig(
        backbone=_RESNET, width=256, mask_channels=256, classes=80, queries=100, encoder_layers=6, decoder_layers=9,
        heads=8, feedforward=1024, points=12544,
    ),
    "sparseinst-coco": SparseInstConfig(
        backbone=_RESNET, width=256, mask_channels=128, classes=80, queries=100, first_level=1, upsample=2, span=None
    ),
    "knet-coco": KNetConfig(
        backbone=_RESNET, width=256, mask_channels=256, groups=32, classes=80, queries=100, heads=8, feedforward=2048,
        span=None,
    ),
}  # fmt: skip
"""Presets: a model's name is its leaf-sized one, ``-tiny`` is for tests, ``-coco`` has the published settings."""
