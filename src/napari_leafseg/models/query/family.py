"""The families of the query-based models."""

from __future__ import annotations

from collections.abc import Mapping

from napari_leafseg.models.parameters import ParameterSpec
from napari_leafseg.models.query.config import (
    QUERY_SIZES,
    CondInstConfig,
    KNetConfig,
    Mask2FormerConfig,
    QueryConfig,
    Solov2Config,
    SotrConfig,
    SparseInstConfig,
)
from napari_leafseg.models.registry import ModelFamily

_IMPORTER = "napari_leafseg.models.query.pretrained.convert:import_published"

QUERY_PARAMETERS = (
    ParameterSpec(
        "score_threshold", "Score threshold", "", 0.05, 0.95, 0.01, 0.3, 2,
        "A mask is a leaf when the model is at least this sure of it. Lower finds more leaves.",
        search=tuple(round(0.1 + 0.07 * step, 2) for step in range(10)),
    ),
    ParameterSpec(
        "mask_threshold", "Mask threshold", "", 0.1, 0.9, 0.01, 0.5, 2,
        "A pixel belongs to a leaf when its mask is at least this sure of it. Lower gives larger leaves.",
    ),
    ParameterSpec(
        "overlap", "Overlap suppression (NMS)", "", 0.0, 10.0, 0.1, 2.0, 1,
        "How much a mask's score falls when a better mask covers the same leaf. "
        "Higher leaves fewer leaves on top of each other.",
        search=tuple(float(strength) for strength in range(10)),
    ),
)  # fmt: skip


def query_family(
    kind: str, title: str, config: type[QueryConfig], builder: str, presets: Mapping[str, QueryConfig] | None = None,
    importer: str | None = _IMPORTER,
) -> ModelFamily:  # fmt: skip
    """Make the family of a query-based model.

    Parameters
    ----------
    kind, title : str
    config : type of QueryConfig
    builder : str
        ``"module:Class"`` of a `napari_leafseg.models.query.base.QueryModel`.
    presets : dict, optional
        Configurations by name; those of `QUERY_SIZES` when None.
    importer : str, optional
        See `ModelFamily`; None where no published checkpoints can be read.
    """
    return ModelFamily(
        kind=kind,
        title=title,
        config=config,
        builder=builder,
        runner="napari_leafseg.inference.query_runner:QueryRunner",
        prediction="napari_leafseg.inference.query_prediction:QueryPrediction",
        parameters=QUERY_PARAMETERS,
        presets=presets or {name: preset for name, preset in QUERY_SIZES.items() if preset.kind == kind},
        overlays=("confidence",),
        overlapping_masks=True,
        instance_unique=True,
        unique_losses="napari_leafseg.training.losses:query_unique_losses",
        importer=importer,
    )


CONDINST = query_family("condinst", "CondInst", CondInstConfig, "napari_leafseg.models.query.condinst:CondInst")
SOLOV2 = query_family("solov2", "SOLOv2", Solov2Config, "napari_leafseg.models.query.solov2:Solov2")
SOTR = query_family("sotr", "SOTR", SotrConfig, "napari_leafseg.models.query.sotr:Sotr")
MASK2FORMER = query_family(
    "mask2former", "Mask2Former", Mask2FormerConfig, "napari_leafseg.models.query.mask2former:Mask2Former"
)
SPARSEINST = query_family(
    "sparseinst", "SparseInst", SparseInstConfig, "napari_leafseg.models.query.sparseinst:SparseInst", importer=None
)
KNET = query_family("knet", "K-Net", KNetConfig, "napari_leafseg.models.query.knet:KNet", importer=None)
