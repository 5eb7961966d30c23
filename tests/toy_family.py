"""A family of models as another package would bring it: star-convex leaves (after StarDist), in one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from scipy import ndimage
from skimage.draw import polygon
from torch import nn

from napari_leafseg.inference.prediction import Prediction, Region
from napari_leafseg.inference.tiling import TiledNetwork
from napari_leafseg.models.base import LeafNetwork
from napari_leafseg.models.config import ModelConfig
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingOutput
from napari_leafseg.models.normalize import standardize
from napari_leafseg.models.parameters import ParameterSpec
from napari_leafseg.models.registry import ModelFamily


class StarConfig(ModelConfig):
    """Configuration: how many rays leave each pixel."""

    kind: Literal["star"] = "star"
    rays: int = 8


class StarNet(LeafNetwork):
    """Probability of a leaf's middle, and the distance to its border along each ray."""

    def __init__(self, config: StarConfig) -> None:
        super().__init__(config)
        self.green = nn.Conv2d(3, 1, 5, padding=2)
        self.rays = nn.Conv2d(1, config.rays, 1)
        with torch.no_grad():
            self.green.weight.copy_(torch.tensor([-1.0, 2.0, -1.0])[None, :, None, None].expand(1, 3, 5, 5) / 25)
            self.green.bias.fill_(-0.5)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.green(images)
        return logits, 8 + self.rays(logits.tanh())

    def distances(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        logits, _ = self(images)
        return DistanceEmbeddingOutput(logits.sigmoid(), logits, logits[:, :0])


class StarRegion(Region):
    """Stars around the peaks of the probability, those left out that better ones cover."""

    def __init__(self, rows: slice, columns: slice, seen: tuple[np.ndarray, np.ndarray]) -> None:
        self.probability, self.rays = seen
        height, width = self.probability.shape
        super().__init__(rows, columns, (height, width))

    def working_labels(self, values: dict[str, float]) -> np.ndarray:
        smooth = ndimage.gaussian_filter(self.probability, 2)
        peaks = np.argwhere((smooth == ndimage.maximum_filter(smooth, 7)) & (smooth >= values["probability"]))
        peaks = peaks[np.argsort(-smooth[tuple(peaks.T)], kind="stable")]
        labels, angles = np.zeros(self.working, np.uint16), np.linspace(0, 2 * np.pi, len(self.rays), endpoint=False)
        for y, x in peaks:
            length = self.rays[:, y, x]
            star = polygon(y + length * np.sin(angles), x + length * np.cos(angles), self.working)
            free = labels[star] == 0
            if (
                free.sum() < max(1.0, values["min_area"] * self.zoom[0] * self.zoom[1])
                or (~free).mean() > values["nms"]
            ):
                continue
            labels[star[0][free], star[1][free]] = labels.max() + 1
        return labels

    def ridges(self, window: tuple[slice, slice]) -> np.ndarray:
        return (1 - self.probability[window]).astype(np.float32)

    def confidence(self, window: np.ndarray) -> dict[int, float]:
        labels = self.sample(window)
        leaves = [leaf for leaf in np.unique(labels) if leaf]
        means = ndimage.mean(self.probability, labels, leaves) if leaves else []
        return {int(leaf): round(float(mean), 3) for leaf, mean in zip(leaves, means, strict=True)}


class StarRunner(TiledNetwork):
    """Runs the network over an image as a whole."""

    prediction = Prediction

    def run_tiles(
        self, image: np.ndarray, statistics: tuple[float, float], embed: bool
    ) -> Iterator[tuple[int, int, Any]]:
        if not embed:
            yield from super().run_tiles(image, statistics, embed)
            return
        batch = torch.from_numpy(standardize(image, statistics)).permute(2, 0, 1)[None].to(self.device)
        with torch.inference_mode():
            logits, rays = self.network(batch)
        yield 1, 1, (logits[0, 0].sigmoid().cpu().numpy(), rays[0].cpu().numpy())

    def build_region(self, rows: slice, columns: slice, seen: Sequence[Any], given: np.ndarray | None) -> Region:
        return StarRegion(rows, columns, seen[0])


STAR = ModelFamily(
    kind="star",
    title="star-convex",
    config=StarConfig,
    builder="tests.toy_family:StarNet",
    runner="tests.toy_family:StarRunner",
    presets={"star": StarConfig()},
    parameters=(
        ParameterSpec("probability", "Probability", "", 0.05, 0.95, 0.01, 0.5, 2, "Of a leaf's middle.",
                      search=(0.3, 0.5, 0.7)),
        ParameterSpec("nms", "Overlap allowed", "", 0.0, 1.0, 0.05, 0.3, 2, "Share that better leaves may cover.",
                      search=(0.1, 0.3, 0.5)),
    ),
)  # fmt: skip
