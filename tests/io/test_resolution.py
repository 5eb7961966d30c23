"""The scale that files state."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.io.resolution import read_resolution

IMAGE = np.zeros((20, 30), np.uint8)


def test_tiff_tags(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, resolution=(254, 254), resolutionunit="INCH")
    assert read_resolution(path) == pytest.approx(10)
    tifffile.imwrite(path, IMAGE, resolution=(120, 120), resolutionunit="CENTIMETER")
    assert read_resolution(path) == pytest.approx(12)
    tifffile.imwrite(path, IMAGE)
    assert read_resolution(path) is None


@pytest.mark.parametrize(("unit", "expected"), [("mm", 8.0), ("um", 8000.0), ("cm", 0.8)])
def test_imagej(tmp_path, unit, expected):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, resolution=(8, 8), metadata={"unit": unit})
    assert read_resolution(tmp_path / "a.tif") == pytest.approx(expected)


def test_ome(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 20.0, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, metadata=metadata)
    assert read_resolution(tmp_path / "a.ome.tif") == pytest.approx(50)


def test_png_and_jpeg(tmp_path):
    for ending in (".png", ".jpg"):
        Image.fromarray(IMAGE).save(tmp_path / f"a{ending}", dpi=(300, 300))
        assert read_resolution(tmp_path / f"a{ending}") == pytest.approx(300 / 25.4, rel=1e-3)
    Image.fromarray(IMAGE).save(tmp_path / "b.png")
    assert read_resolution(tmp_path / "b.png") is None
    (tmp_path / "c.png").write_text("no")
    with pytest.raises(UserError, match=r"c\.png"):
        read_resolution(tmp_path / "c.png")
