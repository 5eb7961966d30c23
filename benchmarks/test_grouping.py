"""From a kept prediction to finished labels; run with ``make benchmark``."""

from __future__ import annotations

import itertools
import statistics
import time

import numpy as np
import pytest

from benchmarks.cases import network_maps
from benchmarks.published_growing import grow
from napari_leafseg.postprocessing import AngularGrouping


@pytest.mark.parametrize("size", [512, 2048])
@pytest.mark.benchmark(group="angle change", min_rounds=30)
def test_angle(benchmark, size):
    grouping = AngularGrouping(*network_maps(size))
    grouping.labels(0.4, 45)
    angles = itertools.cycle(range(30, 60))
    labels = benchmark(lambda: grouping.labels(0.4, next(angles)))
    assert labels.max() >= 18


@pytest.mark.parametrize("size", [512, 2048])
@pytest.mark.benchmark(group="seed threshold change", min_rounds=20)
def test_seed_threshold(benchmark, size):
    grouping = AngularGrouping(*network_maps(size))
    heights = grouping.seeds(0.1).heights
    thresholds = itertools.cycle([0.1, float(heights[-3]), float(heights[len(heights) // 2]), float(heights[-2])])
    benchmark(lambda: grouping.labels(next(thresholds) - 1e-4, 45))


@pytest.mark.parametrize("size", [512, 2048])
@pytest.mark.benchmark(group="first labels of a prediction", min_rounds=3)
def test_first(benchmark, size):
    maps = network_maps(size)
    benchmark(lambda: AngularGrouping(*maps).labels(0.4, 45))


def test_ratio_to_the_published_growing(benchmark):
    """Angle change, ours against the published growing, on the same arrays in the same run."""
    distance, foreground, embedding = network_maps(512)
    grouping = AngularGrouping(distance, foreground, embedding)
    grouping.labels(0.4, 45)
    floats = distance / 200.0, np.where(foreground, embedding / 127.0, 0)
    ours, theirs = [], []
    for turn in range(3):
        start = time.perf_counter()
        grow(*floats, seed_threshold=0.4)
        theirs.append(time.perf_counter() - start)
        for angle in range(30, 50):
            start = time.perf_counter()
            grouping.labels(0.4, angle + turn / 3)
            ours.append(time.perf_counter() - start)
    growing, change = statistics.median(theirs), statistics.median(ours)
    print(f"\npublished growing {1e3 * growing:.0f} ms, angle change {1e3 * change:.1f} ms: {growing / change:.0f} x")
    benchmark.extra_info["ratio"] = growing / change
    benchmark.pedantic(lambda: grouping.labels(0.4, 45), rounds=1)
