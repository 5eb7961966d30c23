"""Training configuration, read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_leafseg.errors import UserError
from napari_leafseg.models.config import SIZES, DistanceEmbeddingConfig
from napari_leafseg.synthetic import SceneConfig


class SceneShare(BaseModel):
    """A kind of synthetic scene and how many of the training images it makes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0)
    scene: SceneConfig = SceneConfig()


class DataConfig(BaseModel):
    """What to train on.

    Attributes
    ----------
    count : int
        Synthetic images in the pool that crops are cut from.
    seed : int
        The first scene's seed; scene i has seed + i.
    scenes : tuple of SceneShare
        The mixture.
    folder : str, optional
        A folder of ``<stem>.png`` images with ``<stem>_label.png`` files, trained on as well.
    folder_share : float
        Share of the crops that come from that folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(4000, ge=1)
    seed: int = 1_000_000
    scenes: tuple[SceneShare, ...] = (SceneShare(share=1.0),)
    folder: str | None = None
    folder_share: float = Field(0.5, ge=0, le=1)


class LossConfig(BaseModel):
    """Weights and variants of the losses.

    Attributes
    ----------
    distance, foreground, within, between : float
        Weights.
    balanced_distance : bool
        Leaf and background count half each in the D-loss.
    contact_weight : float
        How much more pixels count where two leaves meet: there the distance map must show a valley, and the embedding
        must turn.
    per_leaf, background, neighbour_radius
        See `napari_leafseg.losses.distance_embedding.embedding_loss`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    distance: float = 10.0
    foreground: float = 1.0
    within: float = 1.0
    between: float = 1.0
    balanced_distance: bool = True
    contact_weight: float = Field(4.0, ge=0)
    per_leaf: bool = True
    background: bool = False
    neighbour_radius: int = Field(10, ge=1)


class TrainingConfig(BaseModel):
    """A whole training run; frozen, written into each checkpoint.

    Attributes
    ----------
    name, description : str
        Name of the model, and a sentence about it.
    diameter, views, defaults
        See `napari_leafseg.models.card.Card`; what the finished model is to be used with.
    model : str or DistanceEmbeddingConfig
        A preset ("small", "paper", "tiny") or the full configuration.
    steps, batch, crop : int
        Optimiser steps, images a step, side of the square crops in pixels.
    smallest_leaf : int
        Leaves of fewer pixels in a crop (slivers, cut by its border) are not trained on as leaves.
    learning_rate, weight_decay : float
        AdamW. The rate rises over `warm_up` steps, stays, and falls to 1 % over the last `decay` share of the steps.
    average : float
        Decay of the moving average of the weights, which is what is saved.
    plant_views : float
        Share of the crops that show plants as the finished model will see them: near `diameter`, exposed and
        standardised for their leaves. The other crops are what the search for plants sees.
    plant_view_spread : float
        Standard deviation of the logarithm of the plants' size in those crops.
    elsewhere : float
        Share of those crops that lie anywhere in the picture instead of on a plant.
    zoom : tuple of float
        Range of magnifications of the other crops.
    validate_every, save_every : int
        Steps.
    validation_count : int
        Synthetic images, never trained on, for the SBD in the curves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "leaf"
    description: str = ""
    diameter: float = Field(160.0, gt=0)
    views: Literal[1, 2, 4, 8] = 1
    defaults: dict[str, float] = {}
    model: str | DistanceEmbeddingConfig = "small"
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    seed: int = 0
    steps: int = Field(6000, ge=1)
    batch: int = Field(8, ge=1)
    crop: int = Field(192, ge=32)
    plant_views: float = Field(0.8, ge=0, le=1)
    plant_view_spread: float = Field(0.12, ge=0)
    elsewhere: float = Field(0.15, ge=0, le=1)
    zoom: tuple[float, float] = (0.55, 1.3)
    smallest_leaf: int = Field(16, ge=0)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    warm_up: int = Field(100, ge=0)
    decay: float = Field(0.4, ge=0, le=1)
    average: float = Field(0.998, ge=0, lt=1)
    gradient_clip: float = Field(2.0, gt=0)
    mixed_precision: bool = True
    validate_every: int = Field(500, ge=1)
    validation_count: int = Field(24, ge=0)
    save_every: int = Field(100, ge=1)

    def network(self) -> DistanceEmbeddingConfig:
        """The model's configuration, presets resolved.

        Raises
        ------
        UserError
            For an unknown preset.
        """
        if isinstance(self.model, DistanceEmbeddingConfig):
            return self.model
        if self.model not in SIZES:
            raise UserError(f"There is no model size “{self.model}”. Choose one of: {', '.join(SIZES)}.")
        return SIZES[self.model]


def read_training_config(path: str | Path) -> TrainingConfig:
    """Read a YAML file.

    Raises
    ------
    UserError
        When the file is missing, is no YAML or has unknown or wrong entries; the message names them.
    """
    path = Path(path)
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read the training configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a YAML file: {error}") from error
    try:
        return TrainingConfig.model_validate(entries or {})
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise UserError(f"{path} has entries that do not fit: {lines}") from error
