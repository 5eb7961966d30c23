"""Small images of plants."""

import numpy as np
import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.io import ReadOptions, write_image
from napari_leafseg.pipelines.thumbnails import SIZE, draw_thumbnail, thumbnail_of


def test_a_long_image_is_not_too_small():
    long = np.random.default_rng(0).integers(0, 255, (100, 12_000, 3), np.uint8)
    for image in (long, long.transpose(1, 0, 2)):
        small = draw_thumbnail(image, None, lambda labels: labels)
        assert max(small.shape) == SIZE


def test_a_thumbnail_that_cannot_be_drawn_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_leafseg.pipelines.thumbnails._folder", lambda: tmp_path / "cache")
    for name, shape in (("black", (40, 40, 3)), ("tiny", (8, 8, 3))):
        write_image(tmp_path / f"{name}.png", np.zeros(shape, np.uint8))
        with pytest.raises(UserError, match=rf"{name}\.png is (black|8 × 8)"):
            thumbnail_of(tmp_path / f"{name}.png", ReadOptions(), None, lambda labels: labels)
