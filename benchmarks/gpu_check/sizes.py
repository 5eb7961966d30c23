"""How much is checked: everything on a graphics card, a little of everything on a processor."""

from __future__ import annotations

from dataclasses import dataclass

from napari_leafseg.models.registry import presets
from napari_leafseg.models.store.zoo import list_models


@dataclass(frozen=True)
class Size:
    """How much is checked.

    Attributes
    ----------
    networks : tuple of str
        Presets and bundled models whose forward and backward passes are compared.
    models : tuple of str
        Bundled models that predict and are trained for a step.
    crop, batch : int
        Side of the images that networks see, and how many at once.
    image : int
        Side of the images that are predicted.
    rounds : int
        Of each timing.
    large : int
        Side of the image for which memory is made short.
    turns : int
        Predictions that each of two processes makes.
    images : int
        Of the batch.
    scenes : int
        Synthetic images to train on, at most.
    steps : int
        Of the training, at most.
    judged : int
        Synthetic images by which the trained model is judged.
    """

    networks: tuple[str, ...]
    models: tuple[str, ...]
    crop: int
    batch: int
    image: int
    rounds: int
    large: int
    turns: int
    images: int
    scenes: int
    steps: int
    judged: int


def full_size() -> Size:
    """Return the size for a graphics card."""
    models = tuple(list_models())
    return Size(
        networks=tuple(dict.fromkeys((*models, *presets()))), models=models, crop=256,
        batch=4, image=512, rounds=10, large=2048, turns=12, images=48, scenes=2500, steps=20_000, judged=16,
    )  # fmt: skip


def small_size() -> Size:
    """Return the size for a processor."""
    return Size(
        networks=("leaf", *(name for name in presets() if name.endswith("tiny"))), models=("leaf",), crop=64, batch=1,
        image=64, rounds=1, large=264, turns=1, images=2, scenes=2, steps=2, judged=1,
    )  # fmt: skip


SIZES = {"full": full_size, "small": small_size}
