"""OME-TIFF, OME-Zarr, and series that are not read as a whole."""

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_leafseg import load_model
from napari_leafseg.errors import UserError
from napari_leafseg.io import lazy, list_images, read_image
from napari_leafseg.io.lazy import arrange
from napari_leafseg.synthetic import SceneConfig, synthesize


@pytest.fixture(scope="module")
def series():
    """Three frames (T, H, W, 3)."""
    config = SceneConfig(size=(72, 80), diameter=(50, 65), border=0.0, blank=0.0)
    return np.stack([synthesize(seed, config).image for seed in range(3)])


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("YX", (9, 8), (9, 8)),
        ("CYX", (3, 9, 8), (9, 8, 3)),
        ("TYX", (5, 9, 8), (5, 9, 8, 1)),
        ("TCYX", (5, 3, 9, 8), (5, 9, 8, 3)),
        ("TCZYX", (5, 1, 1, 9, 8), (5, 9, 8, 1)),
        ("TCZYX", (1, 3, 1, 9, 8), (9, 8, 3)),
        ("TYXS", (5, 9, 8, 3), (5, 9, 8, 3)),
        ("ZYX", (5, 9, 8), (9, 8)),
        ("TZCYX", (2, 4, 3, 9, 8), (2, 9, 8, 3)),
        ("QYX", (3, 40, 60), (3, 40, 60, 1)),
        ("QYX", (40, 60, 3), (40, 60, 3)),
    ],
)
def test_axes_are_arranged(axes, shape, expected):
    assert arrange(np.zeros(shape), axes, "x").shape == expected


@pytest.mark.parametrize(("axes", "shape", "words"), [
    ("TPYX", (2, 2, 9, 8), "one axis beside"), ("CYX", (5, 9, 8), "5 channels"), ("TX", (5, 9), "no image"),
])  # fmt: skip
def test_other_axes_are_refused(axes, shape, words):
    with pytest.raises(UserError, match=words):
        arrange(np.zeros(shape), axes, "x")


def test_ome_tiff(tmp_path, series):
    tifffile.imwrite(
        tmp_path / "s.ome.tif", series.transpose(0, 3, 1, 2), metadata={"axes": "TCYX"}, photometric="minisblack"
    )
    assert np.array_equal(read_image(tmp_path / "s.ome.tif").array, series)
    tifffile.imwrite(tmp_path / "one.ome.tif", series[0], metadata={"axes": "YXS"}, photometric="rgb")
    assert np.array_equal(read_image(tmp_path / "one.ome.tif").array, series[0])


def test_a_large_tiff_is_read_frame_by_frame(tmp_path, series, monkeypatch):
    tifffile.imwrite(tmp_path / "s.tif", series, photometric="rgb")
    monkeypatch.setattr(lazy, "LARGE", 1000)
    loaded = read_image(tmp_path / "s.tif")
    assert isinstance(loaded.array, da.Array)
    assert np.array_equal(loaded.array[1].compute(), series[1])
    whole = load_model("leaf-small", "cpu").predict(series)
    assert np.array_equal(load_model("leaf-small", "cpu").predict(loaded.array).labels(), whole.labels())
    monkeypatch.undo()
    assert loaded.sha256 == read_image(tmp_path / "s.tif").sha256
    (tmp_path / "broken.tif").write_bytes((tmp_path / "s.tif").read_bytes()[:2000])
    monkeypatch.setattr(lazy, "LARGE", 1000)
    with pytest.raises(UserError, match=r"broken\.tif"):
        np.asarray(read_image(tmp_path / "broken.tif").array)


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, series, version):
    group = zarr.open_group(str(tmp_path / "s.zarr"), mode="w", zarr_format=version)
    group.create_array("0", data=series.transpose(0, 3, 1, 2), chunks=(1, 3, 72, 80))
    multiscales = [{"axes": [{"name": name} for name in "tcyx"], "datasets": [{"path": "0"}]}]
    group.attrs.update({"multiscales": multiscales} if version == 2 else {"ome": {"multiscales": multiscales}})
    assert list_images([tmp_path]) == [tmp_path / "s.zarr"]
    loaded = read_image(tmp_path / "s.zarr")
    assert isinstance(loaded.array, da.Array)
    assert np.array_equal(loaded.array.compute(), series)
    assert read_image(tmp_path / "s.zarr").sha256 == loaded.sha256
    group.attrs["note"] = "changed"
    assert read_image(tmp_path / "s.zarr").sha256 != loaded.sha256


def test_zarr_that_is_no_image(tmp_path):
    zarr.open_group(str(tmp_path / "s.zarr"), mode="w")
    with pytest.raises(UserError, match="no multiscales"):
        read_image(tmp_path / "s.zarr")
    (tmp_path / "t.zarr").mkdir()
    (tmp_path / "t.zarr" / "zarr.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as OME-Zarr"):
        read_image(tmp_path / "t.zarr")
