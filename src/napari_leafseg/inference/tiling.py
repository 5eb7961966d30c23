"""Running a network over images of any size, in tiles where they are large or memory is short."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from napari_leafseg.errors import NotEnoughMemory, short_of_memory
from napari_leafseg.inference.dense_output import DISTANCE_ONE, DenseOutput
from napari_leafseg.inference.device import inference_context, usable_precision
from napari_leafseg.models.build import Network
from napari_leafseg.models.distance_embedding.config import DistanceEmbeddingConfig
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingOutput
from napari_leafseg.models.normalize import standardize
from napari_leafseg.postprocessing import quantize

if TYPE_CHECKING:
    from napari_leafseg.inference.prediction import Prediction, Region

_LOG = logging.getLogger(__name__)

TILE = 768
HALO = 128
SMALLEST_TILE = 256
View = tuple[tuple[int, ...], bool]  # axes to flip, and whether rows and columns change places
VIEWS: tuple[View, ...] = (
    ((), False), ((-1,), False), ((-2,), False), ((-1, -2), False),
    ((), True), ((-1,), True), ((-2,), True), ((-1, -2), True),
)  # fmt: skip


def tile_spans(length: int, tile: int, halo: int) -> list[tuple[slice, slice]]:
    """Cut a length into tiles: (what the network sees, what of it is kept), both in image coordinates.

    Parameters
    ----------
    length, tile, halo : int
        Pixels; `tile` includes a `halo` on each side.
    """
    if length <= tile:
        return [(slice(0, length), slice(0, length))]
    step = tile - 2 * halo
    spans = []
    start = 0
    while start < length:
        stop = min(length, start + step)
        spans.append((slice(max(0, start - halo), min(length, stop + halo)), slice(start, stop)))
        start = stop
    return spans


def tile_pairs(height: int, width: int, tile: int) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Return tiles of an image as pairs of `tile_spans`, along y and along x."""
    halo = min(HALO, tile // 4)
    return [(rows, columns) for rows in tile_spans(height, tile, halo) for columns in tile_spans(width, tile, halo)]


class TiledNetwork:
    """A network on a device, with the fallbacks for too little memory: smaller tiles, then the CPU.

    Parameters
    ----------
    network : LeafNetwork
        In evaluation mode.
    device : torch.device
    warn : callable
        Takes a sentence for the user whenever a fallback happens.
    views : int
        At how many flipped and turned images of the image the network looks, 1, 2, 4 or 8: better maps for as many
        times the time. Distance and foreground are averaged; the embeddings are put side by side, so that the cosine
        of two pixels is the mean of their cosines in all views.
    precision : str
        See `napari_leafseg.inference.device.usable_precision`.
    """

    largest = TILE

    def __init__(
        self,
        network: Network,
        device: torch.device,
        warn: Callable[[str], None],
        views: int = 1,
        precision: str = "auto",
    ) -> None:
        self.network, self.warn, self.views = network, warn, views
        self._precision = precision
        self.device = device
        self.network.place(device)
        self.tile = self.largest
        self.plain = False  # without oneDNN

    @property
    def precision(self) -> str:
        """The precision in use."""
        return usable_precision(self.device, self._precision)

    def run(
        self, image: np.ndarray, statistics: tuple[float, float], embed: bool = True
    ) -> Iterator[tuple[int, int, Any]]:
        """Yield (tiles done, tiles in all, maps); the maps come with the last tile.

        Parameters
        ----------
        image : numpy.ndarray
            uint8 (H, W, 3) at the working scale.
        statistics : tuple of float
            For `standardize`.
        embed : bool
            Compute the embedding too; without, only the first U-Net runs.
        """
        self.plain = False
        while True:
            try:
                yield from self.run_tiles(image, statistics, embed)
                return
            except Exception as error:
                if not short_of_memory(error):
                    raise
                _LOG.warning("Out of memory on %s in tiles of %d pixels: %s", self.device, self.tile, error)
                self._retreat()

    def maps(self, image: np.ndarray, statistics: tuple[float, float], embed: bool = True) -> DenseOutput:
        """Do `run` to its end."""
        result = None
        for _, _, maps in self.run(image, statistics, embed):
            result = maps
        assert result is not None
        return result

    def filter_regions(self, regions: Sequence[Any], defaults: dict[str, float]) -> None:
        """Put what was found in one region in relation to the others, once all are known.

        Parameters
        ----------
        regions : sequence of Region
        defaults : dict
            The model's card's.
        """

    def _retreat(self) -> None:
        """Next smaller tile, then the CPU, then without oneDNN."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.tile > SMALLEST_TILE:
            self.tile = max(SMALLEST_TILE, self.tile // 2)
            self.warn(
                f"The {self.device.type.upper()} device ran out of memory; going on in tiles of {self.tile} pixels."
            )
        elif self.device.type != "cpu":
            self.device = torch.device("cpu")
            self.tile = self.largest
            self.network.place(self.device)
            self.warn("The graphics card ran out of memory even with small tiles; going on with the CPU.")
        elif not self.plain and torch.backends.mkldnn.enabled:
            self.plain = True  # after a failure oneDNN may refuse all that it did before, while the process lives
        else:
            raise NotEnoughMemory(
                "There is too little memory for this image. Close other programs, or lower the working scale."
            )

    prediction: type[Prediction]
    """What the predictor makes of the regions."""

    def build_region(self, rows: slice, columns: slice, seen: Sequence[Any], given: np.ndarray | None) -> Region:
        """Make the region of what was seen at one or several sizes.

        Parameters
        ----------
        rows, columns : slice
            Where it lies in the image.
        seen : sequence
            What `run_tiles` gave, for each scale of the test-time augmentation.
        given : numpy.ndarray, optional
            The plant mask there, bool (H, W).
        """
        raise NotImplementedError

    def run_tiles(
        self, image: np.ndarray, statistics: tuple[float, float], embed: bool
    ) -> Iterator[tuple[int, int, Any]]:
        """Run the network over an image once, as `run` describes; families that say something else override this."""
        height, width = image.shape[:2]
        channels = self._channels() if embed else 0
        maps = DenseOutput(
            np.zeros((height, width), np.uint8),
            np.zeros((height, width), np.uint8),
            np.zeros((channels, height, width), np.int8),
        )
        tiles = tile_pairs(height, width, self.tile)
        for done, ((seen_y, kept_y), (seen_x, kept_x)) in enumerate(tiles, start=1):
            part = self._infer(standardize(image[seen_y, seen_x], statistics), embed, (seen_y.start, seen_x.start))
            inner = (
                slice(kept_y.start - seen_y.start, kept_y.stop - seen_y.start),
                slice(kept_x.start - seen_x.start, kept_x.stop - seen_x.start),
            )
            maps.distance[kept_y, kept_x] = part.distance[inner]
            maps.foreground[kept_y, kept_x] = part.foreground[inner]
            if embed:
                maps.embedding[:, kept_y, kept_x] = part.embedding[:, *inner]
            yield done, len(tiles), maps if done == len(tiles) else None

    @torch.inference_mode()
    def _infer(self, image: np.ndarray, embed: bool, origin: tuple[int, int]) -> DenseOutput:
        """One forward pass, of all views together; pads to the network's stride by reflection."""
        height, width = image.shape[:2]
        batch = self._batch(image)
        with inference_context(self.device, self.precision, self.plain):
            if embed:
                output = _together([self._seen_as(batch, view) for view in VIEWS[: self.views]])
                if output.center is not None:  # tiles of an image share their coordinates
                    output = output._replace(embedding=self.network.embed(output.center, origin))  # type: ignore[operator]
            else:
                output = self.network.distances(batch)
        return _to_maps(output, height, width)

    def _channels(self) -> int:
        """Channels of the embedding: of all views side by side, or of their mean center."""
        config: DistanceEmbeddingConfig = self.network.config
        return config.embedding * (1 if config.embed_from == "center" else self.views)

    def _batch(self, image: np.ndarray) -> torch.Tensor:
        """A standardized image as (1, 3, H, W) on the device, padded to the network's stride."""
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(self.device)
        return pad_to_stride(batch, self.network.stride).contiguous(memory_format=torch.channels_last)

    def _seen_as(self, batch: torch.Tensor, view: View) -> DistanceEmbeddingOutput:
        """What the network says of a flipped and turned image, turned and flipped back."""
        output = self.network(turned(batch, view).contiguous(memory_format=torch.channels_last))
        found = DistanceEmbeddingOutput(*(None if maps is None else turned_back(maps, view) for maps in output))  # type: ignore[arg-type]
        return found if found.center is None else found._replace(center=vectors_turned_back(found.center, view))


def turned(maps: torch.Tensor, view: View) -> torch.Tensor:
    """Return maps (..., H, W) as a view sees them."""
    flips, transposed = view
    maps = maps.flip(flips) if flips else maps
    return maps.transpose(-1, -2) if transposed else maps


def turned_back(maps: torch.Tensor, view: View) -> torch.Tensor:
    """Return the inverse of `turned`."""
    flips, transposed = view
    maps = maps.transpose(-1, -2) if transposed else maps
    return maps.flip(flips) if flips else maps


def vectors_turned_back(vectors: torch.Tensor, view: View) -> torch.Tensor:
    """Return vectors (N, 2, H, W), down and right, after `turned_back`, in the image's directions."""
    flips, transposed = view
    vectors = vectors.flip(1) if transposed else vectors
    signs = vectors.new_tensor([-1.0 if axis in flips else 1.0 for axis in (-2, -1)])
    return vectors * signs[None, :, None, None]


def _together(views: list[DistanceEmbeddingOutput]) -> DistanceEmbeddingOutput:
    """Mean distance, foreground and center; embeddings side by side, of unit length again, where there is no center."""
    first = views[0]
    if len(views) == 1:
        return first
    foreground = None
    if first.foreground is not None:
        foreground = torch.stack([view.foreground for view in views if view.foreground is not None]).mean(0)
    if first.center is not None:
        center = torch.stack([view.center for view in views if view.center is not None]).mean(0)
        first = first._replace(center=center)
    return first._replace(
        distance=torch.stack([view.distance for view in views]).mean(0),
        foreground=foreground,
        embedding=first.embedding
        if first.center is not None
        else torch.cat([view.embedding for view in views], 1) / len(views) ** 0.5,
    )


def pad_to_stride(batch: torch.Tensor, stride: int) -> torch.Tensor:
    """Pad (N, C, H, W) below and on the right to multiples of a stride, by reflection where there is room."""
    height, width = batch.shape[-2:]
    below, right = -height % stride, -width % stride
    mode = "reflect" if below < height and right < width else "replicate"
    return functional.pad(batch, (0, right, 0, below), mode=mode) if below or right else batch


def _to_maps(output: DistanceEmbeddingOutput, height: int, width: int) -> DenseOutput:
    distance = output.distance[0, 0, :height, :width].float()
    if output.foreground is not None:
        foreground = output.foreground[0, 0, :height, :width].float().sigmoid()
    else:
        # the published rule: leaf is where the distance exceeds a small share of a leaf's maximum (1)
        foreground = (distance / 0.04).clamp(0, 1)
    embedding = output.embedding[0, :, :height, :width].float().cpu().numpy()
    return DenseOutput(
        (distance * DISTANCE_ONE).clamp(0, 255).round().byte().cpu().numpy(),
        (foreground * 255).round().byte().cpu().numpy(),
        quantize(embedding),
    )
