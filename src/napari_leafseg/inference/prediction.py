"""Predictions that are kept: the network ran once, labels are derived from it for any values of the tunables."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_leafseg.editing.grow import Growth
from napari_leafseg.inference.label_shapes import enlarge_labels, refine_labels
from napari_leafseg.models.confidence import ConfidenceWeights
from napari_leafseg.models.parameters import MIN_AREA, MIN_AREA_WORKING, ParameterSpec, check_values
from napari_leafseg.models.registry import ModelFamily, get_family
from napari_leafseg.versions import timestamp


@dataclass(frozen=True)
class ModelInfo:
    """Which model predicted, how often it looked, on what and in which precision; `kind` names its family.

    `sha256` is the hash of its weights where whoever asked for the prediction knows the file.
    """

    name: str
    version: str
    defaults: dict[str, float] = field(default_factory=dict)
    views: int = 1
    scales: tuple[float, ...] = (1.0,)
    kind: str = ""
    calibration: tuple[float, float] | None = None
    device: str = ""
    precision: str = ""
    sha256: str = ""
    confidence: ConfidenceWeights | None = None


class Region:
    """A part of the image at the working scale.

    Parameters
    ----------
    rows, columns : slice
        Where it lies in the image, pixels.
    working : tuple of int
        Height and width at the working scale.
    """

    def __init__(self, rows: slice, columns: slice, working: tuple[int, int]) -> None:
        self.rows, self.columns, self.working = rows, columns, working

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in the image."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def zoom(self) -> tuple[float, float]:
        """Working pixels per image pixel, along y and x."""
        height, width = self.shape
        return self.working[0] / height, self.working[1] / width

    def sample(self, window: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return labels of the region in the image, (H, W), at the working scale (or at `size`), nearest pixel."""
        size = size or self.working
        places = [
            np.minimum(((np.arange(length) + 0.5) * full / length).astype(int), full - 1)
            for length, full in zip(size, window.shape, strict=True)
        ]
        return window[places[0][:, None], places[1][None, :]]

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of `working_labels`."""
        return self.working

    def labels(self, values: dict[str, float]) -> np.ndarray:
        """Derive the leaves of the region at the image's size, uint16, 1 … N."""
        return enlarge_labels(self.working_labels(values), self.shape)

    def working_labels(self, values: dict[str, float]) -> np.ndarray:
        """Return leaves as the network saw them, before they are enlarged: quick, for comparing many values."""
        raise NotImplementedError

    def ridges(self, window: tuple[slice, slice]) -> np.ndarray:
        """Tell how much leaves meet at each working pixel of a window, float32, 0 to about 2."""
        raise NotImplementedError

    def to_working(self, points: np.ndarray) -> np.ndarray:
        """Return points (N, 2) of the image as whole working pixels."""
        local = (np.asarray(points, float) - (self.rows.start, self.columns.start) + 0.5) * self.zoom - 0.5
        return np.clip(np.round(local).astype(int), 0, np.array(self.working) - 1)

    def growth(self, points: np.ndarray, away: np.ndarray) -> Growth | None:
        """Return a leaf to be grown from points; None where the region knows of none.

        Parameters
        ----------
        points, away : numpy.ndarray
            (N, 2) of (y, x) in the image: in the leaf, and not in it.
        """
        return None

    def growth_in(self, box: tuple[slice, slice], angle: float) -> Growth | None:
        """Return the leaf that fills a box of the image best at an angle; None where the region knows of none."""
        return None

    def confidence(self, window: np.ndarray) -> dict[int, float]:
        """Return the raw confidence of each leaf in a window of labels of the region's shape."""
        raise NotImplementedError

    def chance(self, window: np.ndarray) -> dict[int, float]:
        """Return the chance of each leaf in such a window by other evidence, where there is any."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that `of_arrays` needs; for families whose predictions can be kept."""
        raise NotImplementedError

    @classmethod
    def of_arrays(cls, rows: slice, columns: slice, arrays: Mapping[str, np.ndarray]) -> Region:
        """Make the region again, exactly as it was.

        Raises
        ------
        ValueError
            When the arrays do not fit.
        """
        raise NotImplementedError


class Prediction:
    """What a model said: a sequence of frames, one for an image; the kinds of models have their own.

    Attributes
    ----------
    frames : sequence of Prediction
        Of an image, the prediction itself.
    shape : tuple of int
        Height and width of the image; of a time series (T, H, W).
    scale : float
        Working scale: pixels that the network saw per pixel of the image.
    scale_found : bool
        Whether the predictor found the scale by itself.
    regions : sequence of Region
    model : ModelInfo
    notes : list of str
        Sentences for the user: fallbacks, or that no plant was found.
    source : dict
        The image's name and hash, for the record.
    mask : numpy.ndarray or None
        bool (H, W), the plant where it was given; there are no leaves outside.
    seconds : float
        How long it took.
    key : str
        Tells it from any other prediction, also after it was kept on the disk.
    """

    seconds: float = 0.0
    region: type[Region] = Region
    kind: str = "distance_embedding"
    """Family of the model where `model` does not say it."""

    def __init__(
        self,
        shape: tuple[int, ...],
        scale: float,
        regions: Sequence[Region],
        model: ModelInfo,
        notes: list[str] | None = None,
        source: dict[str, Any] | None = None,
        scale_found: bool = True,
        mask: np.ndarray | None = None,
    ) -> None:
        self.shape, self.scale, self.regions, self.model = shape, scale, regions, model
        self.notes, self.source, self.scale_found = list(notes or []), dict(source or {}), scale_found
        self.mask = mask
        self.key = secrets.token_hex(8)

    @property
    def frames(self) -> Sequence[Prediction]:
        """The prediction of each frame; an image is one frame."""
        return (self,)

    def stack(self, planes: Sequence[np.ndarray]) -> np.ndarray:
        """Put what was computed of each frame into one array: (H, W, …) for an image, (T, H, W, …) for a series."""
        return np.stack(planes).reshape(*self.shape, *planes[0].shape[2:])

    def planes(self, labels: np.ndarray) -> np.ndarray:
        """Give labels of this shape as (T, H, W), whose first axis goes over the frames."""
        return labels.reshape(-1, *self.shape[-2:])

    @property
    def family(self) -> ModelFamily:
        """The family of the model."""
        return get_family(self.model.kind or self.kind)

    @property
    def tunables(self) -> tuple[ParameterSpec, ...]:
        """What can be tuned, with ranges and defaults for this image."""
        return self.family.tunables(self.model.defaults, self.scale)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that explain it, as the window offers them."""
        return self.family.overlays

    @property
    def overlapping(self) -> bool:
        """Whether it holds masks that overlap (`coco` gives them whole)."""
        return self.family.overlapping_masks

    @property
    def search(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """The tunables that matter most, with the values that the parameter search compares."""
        return tuple((spec.name, spec.search) for spec in self.family.searched)

    def defaults(self) -> dict[str, float]:
        """Return the default values by name."""
        return {tunable.name: tunable.default for tunable in self.tunables}

    def complete(self, values: dict[str, float]) -> dict[str, float]:
        """Fill in defaults and check ranges; ``min_area_working`` becomes ``min_area``.

        Raises
        ------
        ParameterError
            For an unknown name or a value out of range.
        """
        check_values(self.family.settable, values)
        given = dict(values)
        if MIN_AREA_WORKING.name in given:
            given[MIN_AREA.name] = float(round(given.pop(MIN_AREA_WORKING.name) / self.scale**2))
        return {**self.defaults(), **given}

    def labels(self, **values: float) -> np.ndarray:
        """Derive leaves; the network does not run.

        Parameters
        ----------
        **values : float
            Of the tunables, by name; the defaults where they are left out.

        Returns
        -------
        numpy.ndarray
            uint16 (H, W) at the image's size, leaves 1 … N, 0 = background.

        Raises
        ------
        ParameterError
            For an unknown parameter or one out of range.
        """
        chosen = self.complete(values)
        return self.collect(chosen, lambda region: region.labels(chosen))

    def labels_of_seeds(self, seeds: np.ndarray, **values: float) -> np.ndarray:
        """Derive leaves that grow from given seeds, (N, 2) of (y, x) in the image; for predictions with seeds."""
        raise NotImplementedError

    def collect(self, chosen: dict[str, float], found_in: Callable[[Any], np.ndarray]) -> np.ndarray:
        """Put the labels of all regions into one array; `found_in` gives those of one, at the image's size."""
        full = np.zeros(self.shape, np.uint16)
        count = 0
        for region in self.regions:
            found = refine_labels(self.family, found_in(region), chosen)
            window = full[region.rows, region.columns]
            np.copyto(window, found + np.uint16(count), where=found > 0, casting="unsafe")
            count += int(found.max(initial=0))
        if self.mask is not None:
            full[~self.mask] = 0
        return full

    def every_mask(self) -> list[tuple[float, tuple[slice, slice], np.ndarray]]:
        """Give all masks, with score and place, down to the lowest score; for predictions with overlapping masks."""
        raise NotImplementedError

    def coco(self, **values: float) -> dict[str, Any]:
        """Give every leaf's full mask as a COCO data set; for predictions with overlapping masks."""
        raise NotImplementedError

    def record(self, **values: float) -> dict[str, Any]:
        """Tell how labels come about: model, parameters, scale, image; for the file beside the labels."""
        from napari_leafseg.versions import __version__

        return {
            "model": {
                "name": self.model.name,
                "version": self.model.version,
                **({"sha256": self.model.sha256} if self.model.sha256 else {}),
            },
            "parameters": self.complete(values),
            "tta": {"views": self.model.views, "scales": list(self.model.scales)},
            "device": self.model.device,
            "precision": self.model.precision,
            "scale": self.scale,
            "scale_found": self.scale_found,
            "image": self.source,
            "plant_mask": self.mask is not None,
            "notes": self.notes,
            "software": {"napari-leafseg": __version__},
            "created": timestamp(),
        }


class StackPrediction(Prediction):
    """Predictions of the frames of a time series, tuned together.

    Its scale is the frames' median, its seconds their mean; its notes say which frame each is about.

    Parameters
    ----------
    frames : sequence of Prediction
    """

    def __init__(self, frames: Sequence[Prediction]) -> None:
        first = frames[0]
        notes = [f"Frame {number}: {note}" for number, frame in enumerate(frames) for note in frame.notes]
        scale = float(np.median([frame.scale for frame in frames]))
        super().__init__(
            (len(frames), *first.shape), scale, (), first.model, notes, first.source, first.scale_found
        )  # fmt: skip
        self.kind = first.kind
        self.seconds = float(np.mean([frame.seconds for frame in frames]))
        self._frames = tuple(frames)

    @property
    def frames(self) -> Sequence[Prediction]:
        return self._frames

    @property
    def tunables(self) -> tuple[ParameterSpec, ...]:
        """Those of the frame in the middle."""
        return self.frames[len(self.frames) // 2].tunables

    def complete(self, values: dict[str, float]) -> dict[str, float]:
        """Fill in defaults; ``min_area_working`` stays, as it means something else in pixels of each frame."""
        defaults = self.defaults()
        if MIN_AREA_WORKING.name in values and MIN_AREA.name not in values:
            defaults.pop(MIN_AREA.name)
        return {**defaults, **values}

    def labels(self, **values: float) -> np.ndarray:
        """Derive the labels of all frames, uint16 (T, H, W); see `Prediction.labels`."""
        chosen = self.complete(values)
        return np.stack([frame.labels(**chosen) for frame in self.frames])

    def labels_of_seeds(self, seeds: np.ndarray, **values: float) -> np.ndarray:
        """Derive the labels of all frames; a seed begins with its frame, (N, 3)."""
        chosen, at = self.complete(values), np.round(seeds[:, 0])
        return np.stack(
            [frame.labels_of_seeds(seeds[at == number, 1:], **chosen) for number, frame in enumerate(self.frames)]
        )

    def record(self, **values: float) -> dict[str, Any]:
        """Return the first frame's record with the scales and notes of all."""
        chosen = self.complete(values)
        return {
            **self.frames[0].record(**chosen),
            "parameters": chosen,
            "scale": [frame.scale for frame in self.frames],
            "notes": self.notes,
            "frames": len(self.frames),
        }
