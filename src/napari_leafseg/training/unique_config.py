"""Configuration of instance-unique, equivariant training."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from napari_leafseg._entries import Entries


class InstanceUniqueConfig(Entries):
    """Instance-unique, equivariant training (Wang, Liang, Liu 2022) of a query-based model.

    Attributes
    ----------
    weight : float
        Lambda, of both losses together; 3 in the paper.
    uniqueness : float
        Weight of L_inter_mask: queries find nothing in other images. 0 switches it off.
    equivariance : float
        Weight of L_equi: a transformed image gives transformed features and masks. 0 switches it off.
    equivariance_form : {"crossed", "augmentation", "angles"}
        "crossed": the queries of the transformed image on the transformed features of the image, against the
        transformed truth (the paper); of a distance + embedding model: the embedding and distance map of the
        transformed image against the transformed ones of the image. "augmentation", of a query-based model: the base
        losses of the transformed image, which send no gradient to the image's own features. "angles", of a distance +
        embedding model: the distance map, and the angles between embeddings, whose directions may turn.
    features : float
        Weight, within L_equi of a query-based model, of the agreement of features; beyond the paper.
    free : float
        Share of the transforms that rotate, resize and shift freely; the others are flips and quarter turns, which are
        exact.
    crop : float
        Share of each side of the transformed image that L_equi sees, in a window drawn for each batch; 1 = all of it.
    memory_images, per_instance : int
        Size of the external memory: images, and pixels of each leaf.
    memory_pixels : int, optional
        Keep so many pixels instead of so many images; the paper's memory has 100,000, 50 of each instance.
    memory_background : bool
        Sample the background like a leaf.
    queries : int
        At most so many queries of a batch are put to the memory.
    warm_up : int
        Steps over which both weights rise from 0.
    """

    model_config = ConfigDict(frozen=True)

    weight: float = Field(1.0, ge=0)
    uniqueness: float = Field(1.0, ge=0)
    equivariance: float = Field(0.3, ge=0)
    equivariance_form: Literal["crossed", "augmentation", "angles"] = "crossed"
    features: float = Field(0.0, ge=0)
    free: float = Field(0.0, ge=0, le=1)
    crop: float = Field(0.65, gt=0, le=1)
    memory_images: int = Field(32, ge=1)
    per_instance: int = Field(16, ge=1)
    memory_pixels: int | None = Field(None, ge=1)
    memory_background: bool = False
    queries: int = Field(128, ge=1)
    warm_up: int = Field(200, ge=0)
