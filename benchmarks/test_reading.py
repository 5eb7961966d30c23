"""Reading images of 16 megapixels, beside what their libraries take to decode the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_leafseg.io import read_image
from napari_leafseg.synthetic import SceneConfig, synthesize

SIDE = 4000


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A plant, 16 times in each direction, with noise as cameras have it."""
    image = np.tile(synthesize(3, SceneConfig(size=(250, 250), diameter=(150, 200))).image, (16, 16, 1))
    noise = np.random.default_rng(0).integers(-4, 5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _plain(path: Path) -> Any:
    """The file as its library decodes it, with the hash that a record needs."""
    import hashlib

    hashlib.sha256(path.read_bytes()).hexdigest()
    return tifffile.imread(path) if path.suffix == ".tif" else np.array(Image.open(path))


@pytest.mark.parametrize("way", ["library", "read_image"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "lzw.tif"])
def test_reading(benchmark: Any, scene: np.ndarray, tmp_path: Path, name: str, way: str) -> None:
    path = tmp_path / name
    if path.suffix == ".tif":
        tifffile.imwrite(path, scene, photometric="rgb", compression="lzw" if name.startswith("lzw") else None)
    else:
        Image.fromarray(scene).save(path, quality=92)
    benchmark.group = f"reading {name}"
    reader: Callable[[Path], Any] = _plain if way == "library" else read_image
    result = benchmark.pedantic(reader, (path,), rounds=3, warmup_rounds=1)
    assert (result if way == "library" else result.array).shape == (SIDE, SIDE, 3)
