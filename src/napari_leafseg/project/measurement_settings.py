"""What people decided about measurements: scale, plants, pot names, tracks; one file in the project."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from napari_leafseg._entries import Entries
from napari_leafseg._files import read_json, write_atomically
from napari_leafseg.editing.edit import LeafKey
from napari_leafseg.editing.leaf_places import LeafPlace
from napari_leafseg.project.files import read_settings
from napari_leafseg.versions import with_new_names

FILE = "measure.json"


class ImageMeasurementSettings(Entries):
    """Of one image or series.

    Attributes
    ----------
    px_per_mm : float, optional
        Instead of the project's.
    plants : dict
        From frame to (from leaf to plant), where somebody moved leaves to another plant.
    pots : dict
        The same where there is a tray: from frame to (from leaf to the name of its pot).
    names : dict
        From plant to its name, where there is no tray.
    image_names : dict
        From frame to (from plant to its name): names that hold for one image alone.
    links, cuts : list
        Pairs of (frame, leaf), see `napari_leafseg.traits.track_edits.TrackEdits`.
    frames : list of str
        The images that frames are the numbers of, by their names in the project, or their paths until there is one;
        empty in a stack.
    leaves : dict
        From frame to (from leaf to where it lay), of the leaves that decisions are about: labels may have other numbers
        since. A leaf that is not found waits, and has a number below 0, see `napari_leafseg.project.decisions`.
    """

    px_per_mm: float | None = Field(None, gt=0)
    plants: dict[int, dict[int, int]] = Field({})
    pots: dict[int, dict[int, str]] = Field({})
    names: dict[int, str] = Field({})
    image_names: dict[int, dict[int, str]] = Field({})
    links: list[tuple[LeafKey, LeafKey]] = Field([])
    cuts: list[tuple[LeafKey, LeafKey]] = Field([])
    frames: list[str] = Field([])
    leaves: dict[int, dict[int, LeafPlace]] = Field({})

    def of_frames(self, images: Sequence[Sequence[str]]) -> ImageMeasurementSettings:
        """Return the same with the frames numbered as these images are; what others have keeps numbers behind them.

        Parameters
        ----------
        images : sequence of sequence of str
            All names that each image may have in `frames`; the first one is kept.
        """
        if not images:
            return self.model_copy(deep=True)
        names = [next(iter(known)) for known in images]
        place = {name: number for number, known in enumerate(images) for name in known}
        others = [name for name in self.frames if name not in place]
        place |= {name: len(names) + number for number, name in enumerate(others)}
        moved = {number: place[name] for number, name in enumerate(self.frames)}

        def edges(pairs: Iterable[tuple[LeafKey, LeafKey]]) -> list[tuple[LeafKey, LeafKey]]:
            return [((moved.get(a, a), leaf), (moved.get(b, b), other)) for (a, leaf), (b, other) in pairs]

        return ImageMeasurementSettings(
            px_per_mm=self.px_per_mm,
            plants={moved.get(frame, frame): dict(said) for frame, said in self.plants.items()},
            pots={moved.get(frame, frame): dict(said) for frame, said in self.pots.items()},
            names=dict(self.names),
            image_names={moved.get(frame, frame): dict(said) for frame, said in self.image_names.items()},
            links=edges(self.links),
            cuts=edges(self.cuts),
            frames=[*names, *others],
            leaves={moved.get(frame, frame): dict(said) for frame, said in self.leaves.items()},
        )

    def names_in(self, frame: int) -> dict[int, str]:
        """Return the names of plants that hold for one frame."""
        return self.names | self.image_names.get(frame, {})


ALL_IMAGES = "*"
"""The name under which a project keeps what holds for all of its images as one series."""


class MeasurementSettings(Entries):
    """Of a whole project; `images` by name, `ALL_IMAGES` for all of them.

    Attributes
    ----------
    px_per_mm : float, optional
        Of all images.
    images : dict
    traits : tuple of str
        Of one's own, see `napari_leafseg.traits.extra.load_trait`.
    color_limits : tuple of float, optional
        See `napari_leafseg.traits.color.ColorClasses.of_limits`.
    """

    px_per_mm: float | None = Field(None, gt=0)
    images: dict[str, ImageMeasurementSettings] = Field({})
    traits: tuple[str, ...] = ()
    color_limits: tuple[float, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, entries: Any) -> Any:
        return with_new_names(entries, {"pictures": "images"})

    def of(self, name: str) -> ImageMeasurementSettings:
        """Return the notes of an image, made when there are none."""
        return self.images.setdefault(name, ImageMeasurementSettings())

    def scale_of(self, name: str) -> float | None:
        """Return pixels a millimeter of an image, None where nobody said."""
        own = self.images[name].px_per_mm if name in self.images else None
        return own or self.px_per_mm

    def fold_single(self, ids: Mapping[str, str]) -> None:
        """Put what was decided about the leaves of single images with what was decided about all of them.

        As earlier versions kept it, image by image. What was said of a leaf among all images stays.

        Parameters
        ----------
        ids : mapping
            From the name of an image to that which `frames` has for it.
        """
        among = self.of(ALL_IMAGES)
        if not among.frames and among != ImageMeasurementSettings(px_per_mm=among.px_per_mm):
            return  # of a version that did not say which images these are
        for name, own in self.images.items():
            frames = {*own.plants, *own.pots, *own.leaves} | {
                key[0] for pair in (*own.links, *own.cuts) for key in pair
            }
            if name not in ids or not (own.plants or own.pots or own.names) or frames - {0}:
                continue  # nothing is said, or it is a stack
            if ids[name] not in among.frames:
                among.frames = [*among.frames, ids[name]]
            at = among.frames.index(ids[name])
            for kept, said in ((among.plants, own.plants), (among.pots, own.pots), (among.leaves, own.leaves),
                               (among.image_names, {0: own.names})):  # fmt: skip
                _fill(kept, at, said.get(0, {}))
            own.plants, own.pots, own.leaves, own.names = {}, {}, {}, {}

    def with_frames_called(self, names: Mapping[str, str]) -> MeasurementSettings:
        """Return a copy in which the images of series have other names: those of a project instead of their paths."""
        found = self.model_copy(deep=True)
        for one in found.images.values():
            one.frames = [names.get(name, name) for name in one.frames]
        return found

    def write(self, folder: Path) -> None:
        """Write them into a project's folder, whole or not at all."""
        content = self.model_dump(mode="json")
        for name in ("traits", "color_limits"):
            if not content[name]:
                del content[name]
        for entry in content["images"].values():
            for name in ("pots", "frames", "leaves", "image_names"):  # which earlier versions do not know
                if not entry[name]:
                    del entry[name]
        write_atomically(folder / FILE, (json.dumps(content, indent=1) + "\n").encode())


def _fill(kept: dict[int, dict[int, Any]], frame: int, said: Mapping[int, Any]) -> None:
    """Put what is said of a frame's leaves or plants with what is kept, which stays."""
    if said:
        kept[frame] = {**said, **kept.get(frame, {})}


def read_measurement_settings(folder: Path) -> MeasurementSettings:
    """Read a project's notes; empty ones where there are none.

    Raises
    ------
    ProjectError
        When the file is damaged.
    """
    again = "scale, pots and tracks have to be set"
    return read_settings(folder / FILE, _read, MeasurementSettings(), again)


def _read(path: Path) -> MeasurementSettings:
    return MeasurementSettings.model_validate(read_json(path))
