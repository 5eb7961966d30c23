"""The scale that files state."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.io.resolution import parse_number, read_resolution, unit_length

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


@pytest.mark.parametrize(
    ("units", "length"),
    [
        ("mm millimeter millimeters millimetre Millimeter MM mm.", 1), ("cm centimeters centimetre", 10),
        ("m meters", 1000),
        ("inch inches in \"", 25.4), ("µm μm um micron microns micrometer micrometers \\u00B5m \\u00b5m Âµm", 1e-3),
        ("nm nanometers", 1e-6), ("pixel pixels px furlong 1 Mm", None),
    ],
)  # fmt: skip
def test_units_as_programs_and_people_write_them(units, length):
    for unit in units.split():
        assert unit_length(unit) == (None if length is None else pytest.approx(length)), unit
    assert unit_length("") is None
    assert unit_length(None) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.1", 0.1), ("0,1", 0.1), ("1.234,5", 1234.5), ("1,234.5", 1234.5), ("1 234,5", 1234.5), ("1e-3", 1e-3),
     (2, 2.0), ("ten", None), ("", None)],
)  # fmt: skip
def test_numbers_as_programs_and_people_write_them(text, number):
    assert parse_number(text) == number


def test_ome_with_a_decimal_comma_and_a_thumbnail_first(tmp_path):
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="1" SizeT="1" SizeX="30" SizeY="20" SizeZ="1" Type="uint8" '
        'PhysicalSizeX="0,1" PhysicalSizeXUnit="mm"><TiffData/></Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, description=text, metadata=None)
    assert read_resolution(tmp_path / "a.ome.tif") == pytest.approx(10)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(IMAGE[::4, ::4], subfiletype=1, metadata=None, resolution=(100, 100), resolutionunit="CENTIMETER")
        file.write(IMAGE, metadata=None, resolution=(400, 400), resolutionunit="CENTIMETER")
    assert read_resolution(tmp_path / "b.tif") == pytest.approx(40)
