"""Predictions that are kept: the network ran once, labels are derived from it for any values of the tunables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.grow import Growth
from napari_leafseg.models.parameters import MIN_AREA, MIN_AREA_WORKING, ParameterSpec, check_values
from napari_leafseg.models.registry import ModelFamily, get_family
from napari_leafseg.versions import timestamp

_SOFTENING = 0.6  # working pixels: rounds the stairs of an enlarged outline, keeps petioles one pixel wide


@dataclass(frozen=True)
class ModelInfo:
    """Which model predicted, and how often it looked; `kind` names its family."""

    name: str
    version: str
    defaults: dict[str, float] = field(default_factory=dict)
    views: int = 1
    scales: tuple[float, ...] = (1.0,)
    kind: str = ""


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
        """Labels of the region in the image, (H, W), at the working scale (or at `size`), nearest pixel."""
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
        """Leaves as the network saw them, before they are enlarged: quick, for comparing many values."""
        raise NotImplementedError

    def ridges(self, window: tuple[slice, slice]) -> np.ndarray:
        """How much leaves meet at each working pixel of a window, float32, 0 to about 2."""
        raise NotImplementedError

    def to_working(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the image as whole working pixels."""
        local = (np.asarray(points, float) - (self.rows.start, self.columns.start) + 0.5) * self.zoom - 0.5
        return np.clip(np.round(local).astype(int), 0, np.array(self.working) - 1)

    def growth(self, points: np.ndarray) -> Growth | None:
        """A leaf to be grown from points (N, 2) of (y, x) in the image; None where the region knows of no leaf."""
        return None

    def confidence(self, window: np.ndarray) -> dict[int, float]:
        """Confidence of each leaf in a window of labels of the region's shape."""
        raise NotImplementedError


class Prediction:
    """What a model said of one image; the kinds of models have their own.

    Attributes
    ----------
    shape : tuple of int
        Height and width of the image.
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
    """

    seconds: float = 0.0
    kind: str = "distance_embedding"
    """Family of the model where `model` does not say it."""

    def __init__(
        self,
        shape: tuple[int, int],
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
        """Default values by name."""
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
        full = np.zeros(self.shape, np.uint16)
        count = 0
        for region in self.regions:
            found = region.labels(chosen)
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
        """How labels come about: model, parameters, scale, image; for the file beside the labels."""
        from napari_leafseg.versions import __version__

        return {
            "model": {"name": self.model.name, "version": self.model.version},
            "parameters": self.complete(values),
            "tta": {"views": self.model.views, "scales": list(self.model.scales)},
            "scale": self.scale,
            "scale_found": self.scale_found,
            "image": self.source,
            "plant_mask": self.mask is not None,
            "notes": self.notes,
            "software": {"napari-leafseg": __version__},
            "created": timestamp(),
        }


def enlarge_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring labels to another size with smooth outlines.

    Each leaf is softened a little and resized by itself with linear interpolation; a pixel goes to the leaf that
    covers it most, and to the background where all leaves together cover less than half of it.

    Parameters
    ----------
    labels : numpy.ndarray
        uint16 (h, w).
    shape : tuple of int
        Height and width wanted.

    Returns
    -------
    numpy.ndarray
        uint16 of that shape.
    """
    if labels.shape == tuple(shape):
        return labels
    from scipy import ndimage

    zoom_y, zoom_x = shape[0] / labels.shape[0], shape[1] / labels.shape[1]
    result = np.zeros(shape, np.uint16)
    best = np.zeros(shape, np.uint8)
    whole = cv2.GaussianBlur((labels > 0).astype(np.uint8) * 255, (5, 5), _SOFTENING)
    covered = cv2.resize(whole, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        top, left = max(0, box[0].start - 2), max(0, box[1].start - 2)
        mask = (labels[top : box[0].stop + 2, left : box[1].stop + 2] == number).astype(np.uint8) * 255
        mask = cv2.GaussianBlur(mask, (5, 5), _SOFTENING)
        start = (int(top * zoom_y), int(left * zoom_x))
        stop = (
            min(shape[0], int(np.ceil((top + mask.shape[0]) * zoom_y))),
            min(shape[1], int(np.ceil((left + mask.shape[1]) * zoom_x))),
        )
        # centers of pixels: full = (working + 0.5) * zoom - 0.5
        matrix = np.array(
            [
                [zoom_x, 0, (left + 0.5) * zoom_x - 0.5 - start[1]],
                [0, zoom_y, (top + 0.5) * zoom_y - 0.5 - start[0]],
            ]
        )
        cover = cv2.warpAffine(
            mask,
            matrix,
            (stop[1] - start[1], stop[0] - start[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        place = (slice(start[0], stop[0]), slice(start[1], stop[1]))
        better = cover > best[place]
        np.copyto(best[place], cover, where=better)
        result[place][better] = number
    result[covered < 128] = 0
    return result


class StackPrediction:
    """Predictions of the frames of a time series, tuned together.

    Attributes
    ----------
    frames : list of Prediction
    """

    def __init__(self, frames: list[Prediction]) -> None:
        self.frames = frames

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W)."""
        return (len(self.frames), *self.frames[0].shape)

    @property
    def scale(self) -> float:
        """Median working scale of the frames."""
        return float(np.median([frame.scale for frame in self.frames]))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that explain it."""
        return self.frames[0].layers

    @property
    def overlapping(self) -> bool:
        """Whether the frames hold masks that overlap."""
        return self.frames[0].overlapping

    @property
    def seconds(self) -> float:
        """How long a frame took on average."""
        return float(np.mean([frame.seconds for frame in self.frames]))

    @property
    def model(self) -> ModelInfo:
        """Which model predicted."""
        return self.frames[0].model

    @property
    def notes(self) -> list[str]:
        """Sentences for the user, with the frame that each is about."""
        return [f"Frame {number}: {note}" for number, frame in enumerate(self.frames) for note in frame.notes]

    @property
    def tunables(self) -> tuple[ParameterSpec, ...]:
        """Those of the frame in the middle."""
        return self.frames[len(self.frames) // 2].tunables

    def defaults(self) -> dict[str, float]:
        """Default values by name."""
        return {tunable.name: tunable.default for tunable in self.tunables}

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

    def record(self, **values: float) -> dict[str, Any]:
        """The first frame's record with the scales and notes of all."""
        chosen = self.complete(values)
        return {
            **self.frames[0].record(**chosen),
            "parameters": chosen,
            "scale": [frame.scale for frame in self.frames],
            "notes": self.notes,
            "frames": len(self.frames),
        }
