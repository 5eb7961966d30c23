"""What is done with every image of an experiment."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from napari_leafseg._entries import Entries
from napari_leafseg.io import ReadOptions
from napari_leafseg.models.store.model_card import holds_card, read_card
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.traits.extra import trait_digest, whole_place
from napari_leafseg.versions import with_new_names


class BatchSettings(Entries):
    """What is done with every image; frozen, written into the experiment's folder.

    Attributes
    ----------
    model : str
        A model's name, or the path of a checkpoint.
    values : dict
        Tunables by name; the model's defaults where left out.
    scale : float, optional
        Working scale; found for each image when None.
    device : str
        "auto", "cpu", "cuda", "mps".
    tta : str
        See `napari_leafseg.inference.tta`.
    px_per_mm : float, optional
        Pixels a millimeter; traits are in pixels when None.
    scale_from_file : bool
        Take the pixels a millimeter from each file, see `napari_leafseg.io.resolution`; one that states none is an
        error.
    marker_mm : float, optional
        Side of the ArUco markers or AprilTags in the images, millimeters: they say the scale.
    color_card : bool
        Correct each image's colors by the color card in it.
    exports : tuple of str
        Formats in which all labels are written as well, see `napari_leafseg.io.exchange.formats`.
    channels : tuple of int or dict, optional
        Which channels are red, green and blue, or the one shown, see `napari_leafseg.io.axes.ReadOptions`; or that for
        each number of channels.
    z : int or "max"
        Which plane of z-stacks.
    threads : int, optional
        Threads of the network in each worker; what the cores allow when None.
    measure : bool
        Whether to measure and report as well. If not, the labels alone are written, straight into the folder, and
        nothing is resumed.
    plant_masks : str, optional
        Folder of plant masks ``<stem>.png`` or ``<stem>_fg.png`` (``plant001_fg.png`` for ``plant001_rgb.png``).
    full_masks : bool
        Also write ``<stem>_masks.json``: every leaf's full mask, also where they overlap, as COCO. Query-based models
        alone know them.
    precision : str
        Of the network, the same in all workers: "auto" (what they all have), "float32", "bfloat16" or "float16".
    traits : tuple of str
        Further traits of leaves, see `napari_leafseg.traits.extra.load_trait`.
    color_limits : tuple of float, optional
        Of green, yellow and brown, see `napari_leafseg.traits.color.ColorClasses.of_limits`.
    """

    model_config = ConfigDict(frozen=True)

    model: str = "leaf"
    values: dict[str, float] = Field({})
    scale: float | None = None
    device: str = "auto"
    tta: str = "standard"
    px_per_mm: float | None = Field(None, gt=0)
    scale_from_file: bool = False
    marker_mm: float | None = Field(None, gt=0)
    color_card: bool = False
    exports: tuple[str, ...] = ()
    channels: tuple[int, ...] | dict[int, tuple[int, ...]] | None = None
    z: int | Literal["max"] = "max"
    threads: int | None = Field(None, ge=1)
    measure: bool = True
    plant_masks: str | None = None
    full_masks: bool = False
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    traits: tuple[str, ...] = ()
    color_limits: tuple[float, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, entries: Any) -> Any:
        entries = with_new_names(entries, {"looks": "tta"})
        if isinstance(entries, dict) and entries.get("traits"):
            entries = {**entries, "traits": tuple(map(whole_place, entries["traits"]))}
        return entries

    @model_validator(mode="after")
    def _can_be_read(self) -> BatchSettings:
        assert self.reading
        return self

    @property
    def metric(self) -> bool:
        """Whether every image must have a scale, so that traits are in millimeters."""
        return self.px_per_mm is not None or self.scale_from_file or self.marker_mm is not None

    @property
    def reading(self) -> ReadOptions:
        """How images are read."""
        if isinstance(self.channels, dict):
            return ReadOptions(z=self.z, by_count=self.channels)
        return ReadOptions(self.channels, self.z)

    def digest(self) -> str:
        """Return a hash of all that changes a result, weights included: what was done with it need not be again."""
        settings = self.model_dump(exclude={"device", "threads", "exports", "precision", "measure"})
        later = {
            "plant_masks": None, "full_masks": False, "channels": None, "z": "max", "traits": (), "marker_mm": None,
            "color_card": False, "color_limits": None,
        }  # fmt: skip
        for name, without in later.items():  # experiments that do without are as they were
            if settings[name] == without:
                del settings[name]
        if self.traits:
            settings["traits"] = [trait_digest(text) for text in self.traits]
        fingerprint_input = {"looks" if name == "tta" else name: value for name, value in settings.items()}  # as ever
        return hashlib.sha256(f"{fingerprint_input} {model_hash(find_model(self.model))}".encode()).hexdigest()[:16]


def model_hash(path: Path) -> str:
    """Return a hash of all in a model that changes a result: its file, and of a card beside it what is not words."""
    if not path.exists() or holds_card(path):
        return file_hash(path)
    card = read_card(path)
    values: list[object] = [card.version, card.config.model_dump_json(), sorted(card.defaults.items())]
    values += [card.target_diameter, card.tta_views, card.whole_image_size, card.least_leaf]
    if card.calibration is not None:  # experiments that do without are as they were
        values.append(card.calibration)
    if card.confidence is not None:
        values.append(card.confidence.model_dump_json())
    return hashlib.sha256(f"{file_hash(path)} {values}".encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return SHA-256 of a file; computed again once the file is another one."""
    state = path.stat()
    return _hash_of(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=8)
def _hash_of(path: Path, _size: int, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
