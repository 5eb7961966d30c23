"""The predictor: images in, kept predictions out, as a generator of progress events."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_leafseg.errors import InputFileError, NotEnoughMemory, ParameterError, short_of_memory
from napari_leafseg.inference.device import choose_device, usable_precision
from napari_leafseg.inference.plants import adjust_exposure, closer_scale, plant_regions, plant_statistics
from napari_leafseg.inference.prediction import ModelInfo, Prediction, StackPrediction
from napari_leafseg.inference.search import PlantDetections, find_plants, given_plants
from napari_leafseg.inference.tiling import TiledNetwork
from napari_leafseg.inference.tta import TestTimeAugmentation
from napari_leafseg.io import resize, to_rgb8
from napari_leafseg.models.build import Network
from napari_leafseg.models.registry import resolve
from napari_leafseg.models.store.model_card import ModelCard

SCALE_RANGE = (0.02, 8.0)


@dataclass(frozen=True)
class PredictEvent:
    """Progress of a prediction.

    Attributes
    ----------
    done, total : int
        Steps.
    message : str
        What is going on, for the progress bar.
    prediction : Prediction or None
        With the last event.
    """

    done: int
    total: int
    message: str
    prediction: Prediction | None = None


class Predictor:
    """Runs a model of any kind.

    Parameters
    ----------
    network : LeafNetwork
        In evaluation mode.
    card : Card
    device : str
        "auto", "cpu", "cuda", "mps".
    tta : TestTimeAugmentation
        How often, and at which sizes, the network looks at an image.
    precision : str
        "auto" (what the device has), "float32", "bfloat16" or "float16".

    Examples
    --------
    >>> from napari_leafseg import load_model, synthetic
    >>> image = synthetic.synthesize(3).image
    >>> prediction = load_model("leaf").predict(image)
    >>> labels = prediction.labels(seed_threshold=0.4, angle=50)
    >>> labels.shape == image.shape[:2]
    True
    """

    def __init__(
        self, network: Network, card: ModelCard, device: str = "auto", tta: TestTimeAugmentation | None = None,
        precision: str = "auto",
    ) -> None:  # fmt: skip
        self.card = card
        self.tta = tta or TestTimeAugmentation()
        self._notes: list[str] = []
        runner: type[TiledNetwork] = resolve(card.family.runner)
        chosen = choose_device(device)
        usable_precision(chosen, precision)
        self._tiled = runner(network, chosen, self._notes.append, self.tta.views or card.tta_views, precision)

    @property
    def device(self) -> str:
        """The device in use."""
        return str(self._tiled.device)

    @property
    def precision(self) -> str:
        """The precision in use."""
        return self._tiled.precision

    def predict(
        self,
        image: np.ndarray,
        scale: float | None = None,
        name: str = "The image",
        source: dict[str, Any] | None = None,
        mask: np.ndarray | None = None,
    ) -> Prediction:
        """Predict an image or a time series.

        Parameters
        ----------
        image : numpy.ndarray
            (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a time series (T, H, W, C), read frame by frame where it is
            lazy; uint8, uint16 or float.
        scale : float, optional
            Working scale, 0.02 to 8: pixels that the network sees per pixel of the image. Found by itself when None.
        name : str
            File or layer, for messages.
        source : dict, optional
            Goes into the record.
        mask : numpy.ndarray, optional
            (H, W), not 0 where the plant is, as the Leaf Segmentation Challenge gives it: no plant is searched, and
            there are no leaves outside. For an image; a series takes none.

        Returns
        -------
        Prediction

        Raises
        ------
        InputFileError
            When the image cannot be worked on; the message names it.
        """
        result = None
        for event in self.run(image, scale, name, source, mask):
            result = event.prediction
        assert result is not None
        return result

    def run(
        self,
        image: np.ndarray,
        scale: float | None = None,
        name: str = "The image",
        source: dict[str, Any] | None = None,
        mask: np.ndarray | None = None,
    ) -> Iterator[PredictEvent]:
        """Predict as `predict` does, with progress; may be stopped after any event."""
        if np.ndim(image) != 4:
            yield from self._run_frame(np.asarray(image), scale, name, source, mask)
            return
        if mask is not None:
            raise InputFileError(f"{name} is a time series; a plant mask is for one image. Leave it out.")
        frames: list[Prediction] = []
        total = len(image)
        for number in range(total):
            frame_name = f"{name}, frame {number}"
            for event in self._run_frame(np.asarray(image[number]), scale, frame_name, {"name": frame_name}):
                if event.prediction is not None:
                    frames.append(event.prediction)
                yield PredictEvent(
                    number * 100 + 100 * event.done // event.total,
                    total * 100,
                    f"Frame {number + 1} of {total}: {event.message}",
                )
        yield PredictEvent(total * 100, total * 100, "Done", StackPrediction(frames))

    def _run_frame(
        self,
        image: np.ndarray,
        scale: float | None,
        name: str,
        source: dict[str, Any] | None,
        mask: np.ndarray | None = None,
    ) -> Iterator[PredictEvent]:
        if scale is not None and not SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]:
            raise ParameterError(
                f"The working scale must lie between {SCALE_RANGE[0]:g} and {SCALE_RANGE[1]:g}, not {scale:g}."
            )
        try:
            yield from self._predict_frame(image, scale, name, source, mask)
        except Exception as error:
            if not short_of_memory(error):
                raise
            raise NotEnoughMemory(
                f"There is too little memory to segment {name} ({' × '.join(map(str, image.shape[:2]))} pixels). Close "
                "other programs, or lower the working scale."
            ) from error

    def _predict_frame(
        self, image: np.ndarray, scale: float | None, name: str, source: dict[str, Any] | None, mask: np.ndarray | None
    ) -> Iterator[PredictEvent]:
        self._notes.clear()
        started = time.perf_counter()
        rgb = to_rgb8(image, name)
        shape = rgb.shape[:2]
        given = _check_mask(mask, rgb, name)
        findings, whole = PlantDetections(), (slice(0, shape[0]), slice(0, shape[1]))
        if given is not None:
            findings = given_plants(rgb, given)
        elif not self.card.whole_image_size:
            for done, total, found in find_plants(self._tiled, rgb, self.card.target_diameter, self.card.least_leaf):
                yield PredictEvent(done, 4 * total, "Looking for plants")
                findings = found or findings
        plants = findings.plants
        working, places = scale, plant_regions(plants, shape)
        if self.card.whole_image_size:
            working = working or self._fit(self.card.whole_image_size / max(shape))
            places, plants, findings = [whole], [], PlantDetections()
        elif working is None:
            best = (self.card.target_diameter, self.card.least_leaf)
            working = self._fit(closer_scale(plants, shape, *best) if plants else min(1.0, 512 / max(shape)))
        if not places:
            if scale is None:
                self._notes.append("No plant was found. If there is one, set the working scale by hand.")
            else:
                places = [whole]
        regions = yield from self._segment(rgb, places, findings, plants, working, given)
        if given is None:
            self._tiled.filter_regions(regions, self.card.defaults)
        info = ModelInfo(
            self.card.name, self.card.version, self.card.defaults, self._tiled.views, self.tta.scales,
            self.card.config.kind, self.card.calibration, self._tiled.device.type, self._tiled.precision,
            confidence=self.card.confidence,
        )  # fmt: skip
        prediction = self._tiled.prediction(
            (shape[0], shape[1]), working, regions, info, self._notes, source or {"name": name}, scale is None, given
        )
        prediction.seconds = time.perf_counter() - started
        yield PredictEvent(1, 1, "Done", prediction)

    def _segment(
        self,
        rgb: np.ndarray,
        places: list[tuple[slice, slice]],
        findings: PlantDetections,
        plants: list[Any],
        working: float,
        given: np.ndarray | None,
    ) -> Generator[PredictEvent, None, list[Any]]:
        """Run the network on each place at each scale; returns the regions."""
        regions: list[Any] = []
        for number, (rows, columns) in enumerate(places):
            statistics = plant_statistics(rgb, plants, (rows, columns), findings.white_point)
            seen: list[Any] = []
            for factor in self.tta.scales:
                part = adjust_exposure(resize(rgb[rows, columns], self._fit(working * factor)), findings.white_point)
                for done, total, maps in self._tiled.run(part, statistics):
                    share = (len(seen) + done / (total + 1)) / len(self.tta.scales)
                    share = 0.25 + 0.75 * (number + share) / len(places)
                    yield PredictEvent(
                        int(1000 * share), 1000, f"Segmenting at {100 * working:.0f} % of the image's size"
                    )
                    if maps is not None:
                        seen.append(maps)
            inside = None if given is None else given[rows, columns]
            regions.append(self._tiled.build_region(rows, columns, seen, inside))
        return regions

    @staticmethod
    def _fit(scale: float) -> float:
        return float(np.clip(scale, *SCALE_RANGE))


def _check_mask(mask: np.ndarray | None, image: np.ndarray, name: str) -> np.ndarray | None:
    """The given plant mask as bool (H, W)."""
    if mask is None:
        return None
    given = (mask if mask.ndim == 2 else mask[..., :3].max(-1)) > 0
    if given.shape != image.shape[:2]:
        raise InputFileError(f"The plant mask of {name} is {given.shape}, the image is {image.shape[:2]}.")
    if not given.any():
        raise InputFileError(f"The plant mask of {name} is empty: it says that there is no plant. Leave it out.")
    return given
