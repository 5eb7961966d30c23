"""Centers, seen in turned images and in tiles."""

import numpy as np
import pytest
import torch

from napari_leafseg.inference.tiling import VIEWS, TiledNetwork, turned, turned_back, vectors_turned_back
from napari_leafseg.models.build import build_network
from napari_leafseg.models.distance_embedding.config import SIZES


@pytest.mark.parametrize("view", VIEWS)
def test_vectors_point_to_the_same_place_after_turning_back(view):
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    mark = torch.zeros(1, 1, 8, 8)
    mark[0, 0, 2, 5] = 1
    seen = turned(mark, view)[0, 0]
    y, x = divmod(int(seen.argmax()), 8)
    found = torch.stack([y - rows, x - columns])[None]  # a perfect network's answer in the turned image
    back = vectors_turned_back(turned_back(found, view), view)
    assert torch.equal(back[0], torch.stack([2 - rows, 5 - columns]))


def test_the_mean_of_two_views_is_one_embedding_and_knows_no_mirror():
    torch.manual_seed(0)
    network = build_network(SIZES["pretrained"]).place("cpu").eval()
    with torch.no_grad():
        network.embedding_head.weight.normal_(0, 0.02)
    image = np.random.default_rng(0).integers(0, 255, (96, 64, 3)).astype(np.uint8)
    device = torch.device("cpu")
    maps = TiledNetwork(network, device, print, views=2).maps(image, (120.0, 60.0))
    assert maps.embedding.shape == (32, 96, 64)
    lengths = np.linalg.norm(maps.embedding.astype(float), axis=0)
    assert lengths == pytest.approx(127, abs=3)
    mirrored = TiledNetwork(network, device, print, views=2).maps(np.ascontiguousarray(image[:, ::-1]), (120.0, 60.0))
    assert np.abs(mirrored.distance[:, ::-1].astype(int) - maps.distance).max() <= 2
