"""Training configuration, read from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from napari_leafseg._entries import Entries, parse_yaml
from napari_leafseg._files import read_regular
from napari_leafseg.errors import InputFileError, ParameterError, UserError, plain_reason
from napari_leafseg.models.confidence import ConfidenceWeights
from napari_leafseg.models.config import ModelConfig
from napari_leafseg.models.registry import AnyModelConfig, presets
from napari_leafseg.models.store.model_card import EARLIER_DEFAULTS
from napari_leafseg.training.data_config import DataConfig
from napari_leafseg.training.unique_config import InstanceUniqueConfig
from napari_leafseg.versions import with_new_names

_EARLIER = {
    "diameter": "target_diameter", "views": "tta_views", "begin_with": "init_from", "framework": "instance_unique",
    "whole": "whole_images", "optimiser": "optimizer",
}  # fmt: skip


class LossConfig(Entries):
    """Weights and variants of the losses.

    Attributes
    ----------
    distance, foreground, within, between, auxiliary : float
        Weights; `auxiliary` is of the first network's own embedding, where it has one.
    balanced_distance : bool
        Leaf and background count half each in the D-loss.
    contact_weight : float
        How much more pixels count where two leaves meet: there the distance map must show a valley, and the embedding
        must turn.
    neighbors : {"local", "global"}
        Which leaves' embeddings are to be orthogonal: those within `neighbor_radius` pixels, or all of an image.
    center : float
        Weight of the error of predicted centers, where the embedding is made of them.
    embedding_stride : int
        The embedding's loss sees every so many-th pixel along each axis; `neighbor_radius` stays in pixels.
    per_leaf, background, neighbor_radius
        See `napari_leafseg.losses.distance_embedding.embedding_loss`.
    """

    model_config = ConfigDict(frozen=True)

    distance: float = 10.0
    foreground: float = 1.0
    within: float = 1.0
    between: float = 1.0
    auxiliary: float = 1.0
    balanced_distance: bool = True
    contact_weight: float = Field(4.0, ge=0)
    per_leaf: bool = True
    background: bool = False
    neighbors: Literal["local", "global"] = "local"
    neighbor_radius: int = Field(10, ge=1)
    center: float = Field(0.5, ge=0)
    embedding_stride: int = Field(1, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, entries: Any) -> Any:
        return with_new_names(entries, {"neighbours": "neighbors", "neighbour_radius": "neighbor_radius"})


class TrainingConfig(Entries):
    """A whole training run; frozen, written into each checkpoint.

    Attributes
    ----------
    name, description : str
        Name of the model, and a sentence about it.
    target_diameter, tta_views, defaults
        See `napari_leafseg.models.store.model_card.ModelCard`; what the finished model is to be used with.
    model : str or ModelConfig
        A preset ("tiny", "small", "medium", "paper", "wu-code"; "condinst", "solov2", "sotr", "mask2former",
        "sparseinst", "knet", each also with "-tiny" and "-coco") or the full configuration.
    init_from : str, optional
        Name or path of a model whose weights the training begins with, as far as they fit: a distance + embedding
        model's are taken over as the backbone of a query-based model.
    instance_unique : InstanceUniqueConfig, optional
        Uniqueness and equivariance, in training only; neither the network nor its predictions change.
    backbone_rate : float
        The learning rate of a query-based model's backbone, or of a distance + embedding model's contracting paths, as
        a share of the rate of everything else.
    steps, batch, crop : int
        Optimizer steps, images a step, side of the square crops in pixels.
    smallest_leaf : int
        Leaves of fewer pixels in a crop (slivers, cut by its border) are not trained on as leaves.
    whole_images : bool
        Train on whole images, resized to fit into `crop` with their aspect kept, instead of on crops; what is beside
        the image carries no loss.
    least_leaf, confidence
        See `napari_leafseg.models.store.model_card.ModelCard`.
    draw_ahead : bool
        Draw a batch while the one before is learned from: a tenth less time, but the last bits of sums then differ from
        run to run.
    imagenet : bool
        The encoder begins with ImageNet weights (only with `efficientnet-lite0`).
    grays, degrade, aspect : float
        With `augment`: chance that a crop becomes gray; that it is blurred, made coarse, noisy or compressed; standard
        deviation of the logarithm of its change of aspect.
    augment : bool
        Change colors, turn and mirror; the paper's training does not.
    staged : float
        Share of the steps in which the first network is trained alone; it is then frozen and the second trained. Both
        are trained together throughout when 0. Of a query-based model: share of the steps in which its backbone is kept
        as it came.
    frozen_statistics : bool
        Batch normalization keeps the means and variances that it came with: for fine-tuning on few images, whose own
        would make the network forget everything that looks otherwise.
    optimizer : {"adamw", "adam", "sgd"}
    learning_rate, weight_decay, momentum : float
        The momentum is of "sgd".
    decay_all : bool
        Norms and learned queries decay as well; not in the published trainings on COCO.
    schedule : {"cosine", "steps", "milestones"}
        "cosine": the rate rises over `warm_up` steps, stays, and falls to 1 % over the last `decay` share of the steps.
        "steps": it rises likewise and is multiplied by 0.9 every 5,000 steps (Wu's code). "milestones": it is
        multiplied by 0.1 at each of `milestones` (as on COCO).
    milestones : tuple of int
        Steps.
    average : float
        Decay of the moving average of the weights, which is what is saved.
    plant_views : float
        Share of the crops that show plants as the finished model will see them: near `target_diameter`, exposed and
        standardized for their leaves. The other crops are what the search for plants sees.
    plant_view_spread : float
        Standard deviation of the logarithm of the plants' size in those crops.
    elsewhere : float
        Share of those crops that lie anywhere in the image instead of on a plant.
    zoom : tuple of float
        Range of magnifications of the other crops.
    validate_every, save_every : int
        Steps.
    validation_count : int
        Synthetic images, never trained on, for the SBD in the curves; none with `data.coco`, which has `held_out`.
    """

    model_config = ConfigDict(frozen=True)

    name: str = "leaf"
    description: str = ""
    target_diameter: float = Field(160.0, gt=0)
    tta_views: Literal[1, 2, 4, 8] = 1
    defaults: dict[str, float] = Field({})
    model: str | AnyModelConfig = "small"
    init_from: str | None = None
    backbone_rate: float = Field(1.0, ge=0, le=1)
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    instance_unique: InstanceUniqueConfig | None = None
    seed: int = 0
    steps: int = Field(6000, ge=1)
    batch: int = Field(8, ge=1)
    crop: int = Field(192, ge=32)
    plant_views: float = Field(0.8, ge=0, le=1)
    plant_view_spread: float = Field(0.12, ge=0)
    elsewhere: float = Field(0.15, ge=0, le=1)
    zoom: tuple[float, float] = (0.55, 1.3)
    smallest_leaf: int = Field(16, ge=0)
    least_leaf: float = Field(0.0, ge=0)
    confidence: ConfidenceWeights | None = None
    imagenet: bool = False
    draw_ahead: bool = False
    grays: float = Field(0.04, ge=0, le=1)
    degrade: float = Field(0.0, ge=0, le=1)
    aspect: float = Field(0.0, ge=0)
    whole_images: bool = False
    augment: bool = True
    staged: float = Field(0.0, ge=0, lt=1)
    frozen_statistics: bool = False
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    schedule: Literal["cosine", "steps", "milestones"] = "cosine"
    milestones: tuple[int, ...] = ()
    momentum: float = Field(0.9, ge=0, lt=1)
    decay_all: bool = True
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

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, entries: Any) -> Any:
        entries = with_new_names(entries, _EARLIER)
        if isinstance(entries, dict) and isinstance(entries.get("defaults"), dict):
            entries["defaults"] = with_new_names(entries["defaults"], EARLIER_DEFAULTS)
        return entries

    @model_validator(mode="after")
    def _has_images(self) -> TrainingConfig:
        if self.data.count == 0 and not self.data.folders() and self.data.coco is None:
            raise ValueError("data: give a count of synthetic images, a folder, or both; or a COCO data set")
        return self

    def fitted(self, stride: int) -> TrainingConfig:
        """Return a copy whose crops are multiples of what a network divides its images by, larger where needed."""
        return self.model_copy(update={"crop": -(-self.crop // stride) * stride})

    def network(self) -> ModelConfig:
        """Return the model's configuration, presets resolved.

        Raises
        ------
        UserError
            For an unknown preset.
        """
        if not isinstance(self.model, str):
            return self.model
        known = presets()
        if self.model not in known:
            raise UserError(f"There is no model size “{self.model}”. Choose one of: {', '.join(known)}.")
        return known[self.model]


_LARGEST = 2**20  # bytes of a configuration


def read_training_config(path: str | Path) -> TrainingConfig:
    """Read a YAML file.

    Raises
    ------
    UserError
        When the file is missing, is no YAML or has unknown or wrong entries; the message names them.
    """
    path = Path(path)
    try:
        entries = parse_yaml(read_regular(path, _LARGEST).decode("utf-8"))
    except FileNotFoundError as error:
        raise InputFileError(f"Cannot read the training configuration {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # also of dates and characters that are none
        raise InputFileError(f"{path} is not a YAML file: {plain_reason(error)}.") from error
    try:
        return TrainingConfig.model_validate(entries or {})
    except ValidationError as error:
        raise ParameterError(f"{path} has entries that do not fit: {plain_reason(error)}.") from error
