"""The family of the distance + embedding models."""

from __future__ import annotations

from napari_leafseg.models.distance_embedding.config import SIZES, DistanceEmbeddingConfig
from napari_leafseg.models.parameters import ParameterSpec
from napari_leafseg.models.registry import ModelFamily

DISTANCE_EMBEDDING = ModelFamily(
    kind="distance_embedding",
    title="distance + embedding",
    config=DistanceEmbeddingConfig,
    builder="napari_leafseg.models.distance_embedding.build:build",
    runner="napari_leafseg.inference.distance_embedding_runner:DistanceEmbeddingRunner",
    prediction="napari_leafseg.inference.leaf_prediction:LeafPrediction",
    losses="napari_leafseg.training.losses:dense_losses",
    unique_losses="napari_leafseg.training.losses:dense_unique_losses",
    presets=SIZES,
    overlays=("seeds", "distance", "embedding"),
    parameters=(
        ParameterSpec(
            "seed_threshold", "Seed threshold", "", 0.1, 0.95, 0.01, 0.45, 2,
            "A leaf starts where the distance map reaches this share of its maximum. Lower finds more small leaves.",
            search=tuple(round(0.15 + 0.07 * step, 2) for step in range(10)),
        ),
        ParameterSpec(
            "angle", "Clustering angle", "°", 5.0, 75.0, 1.0, 45.0, 0,
            "Pixels whose embedding lies within this angle of a seed's belong to its leaf (watershed: two parts are "
            "one leaf where it turns by less across their border). Wider gives larger leaves.",
            search=tuple(float(angle) for angle in range(30, 80, 5)),
        ),
        ParameterSpec(
            "grouping", "Grouping", "", 0.0, 2.0, 1.0, 0.0, 0,
            "best-seed: every pixel goes to the best of all seeds that it is connected to. published: the region "
            "growing of Wu, Chen and Merhof (2020), with their rules for seeds and noise. watershed: the basins of the "
            "distance map, joined where the embedding turns by less than the angle from one to the other.",
            choices=("best-seed", "published", "watershed"),
        ),
        ParameterSpec(
            "min_confidence", "Least confidence", "", 0.0, 0.95, 0.01, 0.0, 2,
            "Leaves of lower confidence are left out: ground, edges and algae that look like leaves. "
            "The published grouping keeps all.",
        ),
    ),
)  # fmt: skip
