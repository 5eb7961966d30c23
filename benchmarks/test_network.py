"""The bundled model's network on 512 x 512 pixels."""

from __future__ import annotations

import pytest
import torch

from napari_leafseg import load_model
from napari_leafseg.inference.tiling import TiledNetwork
from napari_leafseg.models.normalize import brightness_statistics
from napari_leafseg.synthetic import SceneConfig, synthesize


@pytest.mark.benchmark(group="network", min_rounds=8)
def test_network_512(benchmark):
    image = synthesize(3, SceneConfig(size=(512, 512), diameter=(300, 400))).image
    tiled: TiledNetwork = load_model("leaf", "cpu")._tiled
    statistics = brightness_statistics(image)
    tiled.maps(image, statistics)
    benchmark(lambda: tiled.maps(image, statistics))
    assert torch.get_num_threads() >= 1


@pytest.mark.benchmark(group="whole prediction", min_rounds=5)
def test_predict_512(benchmark):
    image = synthesize(3, SceneConfig(size=(512, 512), diameter=(300, 400))).image
    predictor = load_model("leaf", "cpu")
    benchmark(lambda: predictor.predict(image).labels())
