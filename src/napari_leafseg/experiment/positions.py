"""What was set at one image and holds for all of its camera position: trays, scales, color corrections."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.errors import ParameterError, plain_reason
from napari_leafseg.experiment.color_correction import ColorCorrection
from napari_leafseg.experiment.metadata import Described, Source
from napari_leafseg.experiment.tray import Tray

_FURTHER = ("tray", "group")
_ASPECT = 0.01  # images whose proportions differ by more are not the same view


@dataclass(frozen=True)
class KnownScale:
    """A scale that somebody confirmed.

    Attributes
    ----------
    px_per_mm : float
    source : str
        Who says it, in words, such as "ArUco 4×4 no. 7, 20 mm".
    shape : tuple of int
        Height and width of the image that it was found in.
    """

    px_per_mm: float
    source: str
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.px_per_mm) and self.px_per_mm > 0 and min(self.shape) > 0):
            raise ParameterError(f"{self.px_per_mm} is no scale.")

    def at(self, shape: tuple[int, ...]) -> float | None:
        """Return pixels a millimeter in an image of the same view, also where it was resized; None in another view."""
        height, width = (new / old for new, old in zip(shape[:2], self.shape, strict=True))
        return self.px_per_mm * width if abs(height / width - 1) <= _ASPECT else None

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file keeps."""
        return {"px_per_mm": self.px_per_mm, "source": self.source, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, content: Any) -> KnownScale:
        """Read what a JSON file keeps.

        Raises
        ------
        ParameterError
            When it is no scale.
        """
        try:
            height, width = content["shape"]
            return cls(float(content["px_per_mm"]), str(content.get("source", "")), (int(height), int(width)))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ParameterError(f"A scale has px_per_mm and shape; this has not ({plain_reason(error)}).") from error


@dataclass(frozen=True)
class Setup:
    """What holds for an image.

    Attributes
    ----------
    tray : Tray, optional
    scale : KnownScale, optional
    color : ColorCorrection, optional
    typed : float, optional
        Pixels a millimeter that somebody typed for this image alone.
    """

    tray: Tray | None = None
    scale: KnownScale | None = None
    color: ColorCorrection | None = None
    typed: float | None = None

    def px_per_mm(self, shape: tuple[int, ...]) -> float | None:
        """Return the scale typed for the image, else the one confirmed for this view, else that of a tray's width."""
        if self.typed is not None:
            return self.typed
        if self.scale is not None:
            return self.scale.at(shape)
        return None if self.tray is None else self.tray.px_per_mm(shape)

    def without_scale(self) -> Setup:
        """Return it for an image whose scale somebody else says."""
        return Setup(None if self.tray is None else replace(self.tray, width_mm=None), None, self.color)


@dataclass
class Positions:
    """Trays, scales and color corrections, each by the image at which it was set."""

    trays: dict[Path, Tray] = field(default_factory=dict)
    scales: dict[Path, KnownScale] = field(default_factory=dict)
    colors: dict[Path, ColorCorrection] = field(default_factory=dict)

    @classmethod
    def of_setups(cls, setups: Mapping[Path, Setup], known: Mapping[Path, Described]) -> Positions:
        """Make those that give each image what holds for it: set where another one begins to hold."""
        found = cls()
        kinds: tuple[tuple[str, dict[Path, Any]], ...] = (
            ("tray", found.trays), ("scale", found.scales), ("color", found.colors),
        )  # fmt: skip
        for path, setup in setups.items():
            ordered = [other for other in same_position(known, path) if other in setups]
            at = ordered.index(path)
            before = setups[ordered[at - 1]] if at else Setup()
            for kind, layer in kinds:
                said = getattr(setup, kind)
                if said is not None and said != getattr(before, kind):
                    layer[path] = said
        return found

    def __bool__(self) -> bool:
        return bool(self.trays or self.scales or self.colors)

    def pot_names(self) -> list[str]:
        """Return the names of the pots of all trays that are not empty."""
        trays = self.trays.values()
        return list(dict.fromkeys(tray.name_of[pot] for tray in trays for pot in tray.pots if pot not in tray.empty))

    def copy(self) -> Positions:
        """Make one that can be changed by itself."""
        return Positions(dict(self.trays), dict(self.scales), dict(self.colors))

    def setups(self, known: Mapping[Path, Described]) -> dict[Path, Setup]:
        """Return what holds for each image, given what is known of the images, in their order."""
        layers: tuple[Mapping[Path, Any], ...] = (self.trays, self.scales, self.colors)
        held = [(layer, holders(known, layer)) for layer in layers]
        return {path: Setup(*(layer.get(at.get(path, path)) for layer, at in held)) for path in known}


def camera_position(known: Described) -> tuple[str, ...]:
    """Return what tells a camera position: camera, tray and group; a camera that EXIF alone names tells nothing."""
    data = known.metadata
    camera = "" if known.sources.get("camera") == Source.EXIF else data.camera
    return (camera, *(data.extra.get(name, "") for name in _FURTHER))


def same_position(known: Mapping[Path, Described], path: Path) -> list[Path]:
    """List the images that the camera took from the same position as one, in order of time."""
    own = camera_position(known.get(path, Described()))
    paths = [other for other, described in known.items() if camera_position(described) == own]
    return _in_time(paths, known)


def holders(known: Mapping[Path, Described], given: Collection[Path]) -> dict[Path, Path]:
    """Tell for each image at which image was set what holds for it.

    Within a camera position, what was set at an image holds from there on until something else is set; for the images
    before the first of these, that one holds. Images without it are left out.
    """
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path, described in known.items():
        groups.setdefault(camera_position(described), []).append(path)
    found = {}
    for paths in groups.values():
        ordered = _in_time(paths, known)
        holder = next((path for path in ordered if path in given), None)
        for path in ordered if holder is not None else ():
            holder = path if path in given else holder
            assert holder is not None
            found[path] = holder
    return found


def _in_time(paths: Sequence[Path], known: Mapping[Path, Described]) -> list[Path]:
    """Images in order of day or time where these are known of all, else in their own."""
    data = {path: known[path].metadata for path in paths if path in known}
    days = [data[path].day for path in paths]
    if paths and all(day is not None for day in days):
        return sorted(paths, key=lambda path: data[path].day or 0.0)
    times = [data[path].time for path in paths]
    if paths and all(times) and len({moment.tzinfo is None for moment in times if moment is not None}) == 1:
        return sorted(paths, key=lambda path: _seconds(data[path].time))
    return list(paths)


def _seconds(moment: Any) -> float:
    """A moment, to sort by."""
    return float(moment.timestamp())
