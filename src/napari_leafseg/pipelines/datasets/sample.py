"""What readers of data sets find: images with their labels, and what was left out and why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_leafseg._counts import counted
from napari_leafseg._files import safe_name
from napari_leafseg.errors import InputFileError

_NAMED = 3


@dataclass(frozen=True)
class Sample:
    """An image of a data set and its labels, which are read when they are asked for.

    Attributes
    ----------
    parts : tuple of str
        What tells it from the others, of which its name is made: the plant's first.
    labels : callable
        Gives integer labels (H, W); a leaf has one number in all images of its plant where the set says so.
    image : pathlib.Path, optional
        Its file.
    load : callable, optional
        Gives the image, uint8 (H, W, 3), where it is no file of its own.
    about : mapping
        What is known of it, by the columns of the table: ``plant_id``, ``genotype``, ``replicate``, ``date``, ``day``
        and so on.
    held_out : bool, optional
        Whether the data set keeps it for scoring; None where it does not say.
    """

    parts: tuple[str, ...]
    labels: Callable[[], np.ndarray]
    image: Path | None = None
    load: Callable[[], np.ndarray] | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    held_out: bool | None = None

    @property
    def place(self) -> str:
        """What it is called in messages."""
        return str(self.image) if self.image is not None else "/".join(self.parts)


@dataclass
class Found:
    """What a reader found.

    Attributes
    ----------
    samples : list of Sample
    left_out : dict
        From a reason to the files that were not taken.
    notes : list of str
        Further sentences.
    """

    samples: list[Sample] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, files: Iterable[Path | str]) -> None:
        """Note files that are not taken."""
        names = [str(file) for file in files]
        if names:
            self.left_out.setdefault(reason, []).extend(names)

    def sentences(self) -> list[str]:
        """Say what was left out and why, a sentence for each reason."""
        said = []
        for reason, files in self.left_out.items():
            more = " …" if len(files) > _NAMED else ""
            said.append(f"Left out, {counted(len(files), 'file')}: {reason} ({', '.join(files[:_NAMED])}{more}).")
        return [*said, *self.notes]


def names_of(samples: Iterable[Sample]) -> list[str]:
    """Name images, safe on any system, each once: the plant, two underscores, the rest."""
    found: list[str] = []
    taken: set[str] = set()
    for sample in samples:
        plant, *rest = (safe_name(part, 80) for part in sample.parts)
        name = "__".join([plant, "_".join(rest)]) if rest else plant
        if name.casefold() in taken:  # disks that know no capitals
            name += "_" + hashlib.sha256("\0".join(sample.parts).encode()).hexdigest()[:8]
        if name.casefold() in taken:
            raise InputFileError(f"Two images of the data set are called {'/'.join(sample.parts)}. Rename one of them.")
        taken.add(name.casefold())
        found.append(name)
    return found


def one_folder(root: Path, *names: str) -> Path | None:
    """Find the folder in which all of these lie: the one that was given, or one up to two levels below it."""
    for pattern in ("", "*", "*/*"):
        for place in sorted(root.glob(pattern)) if pattern else [root]:
            if place.is_dir() and all((place / name).exists() for name in names):
                return place
    return None
