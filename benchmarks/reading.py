"""How long images of 16 megapixels take to read, and how much longer than their libraries take to decode them.

Best of five, so that what else the machine does counts little:

    python -m benchmarks.reading
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from benchmarks.record import add_record_option, write_result
from napari_leafseg.io import read_image
from napari_leafseg.synthetic import SceneConfig, synthesize

ROUNDS = 5
FORMATS: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "a.jpg": lambda path, image: Image.fromarray(image).save(path, quality=92),
    "a.png": lambda path, image: Image.fromarray(image).save(path),
    "a.tif": lambda path, image: tifffile.imwrite(path, image, photometric="rgb"),
    "lzw.tif": lambda path, image: tifffile.imwrite(path, image, photometric="rgb", compression="lzw"),
    "lzw_strips.tif": lambda path, image: tifffile.imwrite(
        path, image, photometric="rgb", compression="lzw", predictor=True, rowsperstrip=16
    ),
    "deflate.tif": lambda path, image: tifffile.imwrite(path, image, photometric="rgb", compression="zlib"),
}


def scene(side: int = 4000) -> np.ndarray:
    """Return a plant, 16 times in each direction, with noise as cameras have it."""
    image = np.tile(synthesize(3, SceneConfig(size=(250, 250), diameter=(150, 200))).image, (16, 16, 1))[:side, :side]
    noise = np.random.default_rng(0).integers(-4, 5, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def by_library(path: Path) -> np.ndarray:
    """Decode a file with its library, and compute the hash that a record needs."""
    hashlib.sha256(path.read_bytes()).hexdigest()
    return np.asarray(tifffile.imread(path) if path.suffix == ".tif" else Image.open(path))


def seconds(work: Callable[[Path], Any], path: Path) -> float:
    """Return the shortest of five times."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work(path)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Print a row for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_record_option(parser, "reading")
    options, rows = parser.parse_args(), []
    image = scene()
    print(f"{'file':<16}{'library, s':>12}{'read_image, s':>15}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in FORMATS.items():
            path = Path(folder) / name
            write(path, image)
            library, ours = seconds(by_library, path), seconds(read_image, path)
            print(f"{name:<16}{library:>12.2f}{ours:>15.2f}{ours / library:>8.2f}", flush=True)
            rows.append({"file": name, "library_s": library, "read_image_s": ours, "ratio": ours / library})
    if options.record:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
