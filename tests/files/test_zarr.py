"""OME-Zarr as programs write it: versions, layouts, axes, scale."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from numcodecs import Blosc, Zstd
from zarr.codecs import BloscCodec, ZstdCodec

from napari_leafseg.errors import UserError
from napari_leafseg.io import find_images, read_image
from napari_leafseg.io.resolution import read_resolution
from tests.files.cases import GRAY, RGB

CHANNELS = RGB.transpose(2, 0, 1)


def _image(group, array, axes, version, size=0.5, labels=()):
    group.create_array("0", data=array)
    group.create_array("1", data=array[..., ::2, ::2])
    units = {"y": "micrometer", "x": "micrometer"}
    described = [{"name": axis, **({"unit": units[axis]} if axis in units else {})} for axis in axes]
    steps = [[{"type": "scale", "scale": [1.0] * (len(axes) - 2) + [size * by] * 2}] for by in (1, 2)]
    datasets = [{"path": str(at), "coordinateTransformations": step} for at, step in enumerate(steps)]
    content = {"multiscales": [{"axes": described, "datasets": datasets}]}
    if labels:
        content["omero"] = {"channels": [{"label": label} for label in labels]}
    group.attrs.update(content if version == 2 else {"ome": content})


@pytest.mark.parametrize("version", [2, 3])
def test_axes_planes_channels_and_scale(tmp_path, version):
    path = tmp_path / "a.zarr"
    whole = np.stack([np.stack([CHANNELS, CHANNELS // 2], 1)] * 3)  # TCZYX
    _image(zarr.open_group(str(path), mode="w", zarr_format=version), whole, "tczyx", version)
    image = read_image(path)
    assert np.array_equal(np.asarray(image.array), np.stack([RGB] * 3))
    assert "maximum" in image.notes[0]
    assert np.array_equal(np.asarray(read_image(path, z=2).array), np.stack([RGB // 2] * 3))
    assert read_resolution(path) == pytest.approx(2000)
    assert find_images([path]).paths == [path]
    many = np.stack([*CHANNELS, GRAY])
    path = tmp_path / "b.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    _image(group, many, "cyx", version, labels=("R", "G", "B", "NIR"))
    with pytest.raises(UserError, match=r"4 channels \(R, G, B, NIR\)"):
        read_image(path)
    assert np.array_equal(read_image(path, channels=(4,)).array, GRAY)
    assert "Channel NIR of 4" in read_image(path, channels=(4,)).notes[0]


@pytest.mark.parametrize("version", [2, 3])
def test_as_bioformats2raw_writes_it(tmp_path, version):
    path = tmp_path / "a.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=version)
    layout = {"bioformats2raw.layout": 3}
    root.attrs.update(layout if version == 2 else {"ome": layout})
    root.create_group("OME")
    _image(root.create_group("0"), CHANNELS[None, :, None], "tczyx", version)
    image = read_image(path)
    assert np.array_equal(image.array, RGB)
    assert not image.notes
    assert read_resolution(path) == pytest.approx(2000)
    _image(root.create_group("1"), CHANNELS[None, :, None, ::4, ::4], "tczyx", version)
    image = read_image(path)
    assert np.array_equal(image.array, RGB)
    assert "holds 2 images (0, 1); 0 was read" in image.notes[0]
    assert read_image(path / "1").array.shape == (32, 32, 3)


def test_plates_and_plain_arrays_say_what_to_do(tmp_path):
    plate = zarr.open_group(str(tmp_path / "p.zarr"), mode="w", zarr_format=2)
    plate.attrs.update({"plate": {"wells": [{"path": "B/03"}, {"path": "C/04"}]}})
    with pytest.raises(UserError, match=r"a plate of 2 wells.*B/03/0"):
        read_image(tmp_path / "p.zarr")
    zarr.create_array(str(tmp_path / "a.zarr"), data=GRAY)
    with pytest.raises(UserError, match="no multiscales"):
        read_image(tmp_path / "a.zarr")
    _image(zarr.open_group(str(tmp_path / "n.zarr"), mode="w"), CHANNELS, "cyx", 3)
    group = zarr.open_group(str(tmp_path / "n.zarr"))
    content = dict(group.attrs["ome"])
    for axis in content["multiscales"][0]["axes"]:
        axis.pop("unit", None)
    group.attrs["ome"] = content
    assert read_resolution(tmp_path / "n.zarr") is None


@pytest.mark.parametrize("axes", ["cyx", "tcyx"])
def test_a_damaged_piece_is_an_error_that_names_the_store(tmp_path, axes):
    array = RGB.transpose(2, 0, 1) if axes == "cyx" else np.stack([RGB.transpose(2, 0, 1)] * 2)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    stored = group.create_array("0", shape=array.shape, dtype=array.dtype, chunks=(*[1] * (array.ndim - 2), 64, 64))
    stored[...] = array
    named = [{"name": axis} for axis in axes]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": named, "datasets": [{"path": "0"}]}]}
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.zarr").array)[..., :3].reshape(-1, 128, 128, 3)[0], RGB)
    pieces = [file for file in (tmp_path / "a.zarr" / "0").rglob("*") if file.is_file() and file.name != "zarr.json"]
    pieces[0].write_bytes(b"xx")
    with pytest.raises(UserError, match=r"a\.zarr is damaged: a part of it"):
        np.asarray(read_image(tmp_path / "a.zarr").array)


def _described(path, version, description, **options):
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    group.create_array("0", data=RGB.transpose(2, 0, 1), chunks=(1, 64, 64), **options)
    group.attrs.put({"multiscales": [description]} if version == 2 else {"ome": {"multiscales": [description]}})


_PLAIN = {"axes": [{"name": axis} for axis in "cyx"], "datasets": [{"path": "0"}]}


@pytest.mark.parametrize(("version", "codec"), [(2, Blosc()), (3, BloscCodec()), (2, Zstd()), (3, ZstdCodec())])
@pytest.mark.parametrize("kept", [0, 5, 20, 2000, -10])
def test_a_chunk_that_was_cut_off_is_told(tmp_path, version, codec, kept):
    path = tmp_path / "a.zarr"
    _described(path, version, _PLAIN, compressors=codec)
    image = read_image(path)
    assert np.array_equal(np.asarray(image.array), RGB)
    chunk = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"a\.zarr is damaged: a part of it cannot be read"):
        np.asarray(read_image(path).array)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": [{"name": "x"}, {"name": "y"}, {"name": "x"}]}, "axes “XYX”"),
        ({"axes": [7, 7, 7]}, "its description is not as OME-Zarr has it"),
        ({"datasets": None}, "its description is not as OME-Zarr has it"),
        ({"datasets": [{"path": "9"}]}, "cannot be read as OME-Zarr"),
    ],
)
def test_descriptions_that_are_wrong(tmp_path, changes, words):
    _described(tmp_path / "a.zarr", 2, _PLAIN | changes)
    with pytest.raises(UserError, match=rf"a\.zarr.*{words}") as caught:
        read_image(tmp_path / "a.zarr")
    assert "object" not in str(caught.value)
    assert read_resolution(tmp_path / "a.zarr") is None


@pytest.mark.parametrize(
    "omero", [None, [], "x", {"channels": None}, {"channels": {"label": "R"}}, {"channels": ["R"]}]
)
def test_wrong_names_of_channels_hinder_nothing(tmp_path, omero):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    _image(group, CHANNELS, "cyx", 2)
    group.attrs["omero"] = omero
    assert np.array_equal(read_image(path).array, RGB)


@pytest.mark.parametrize("count", [1, 9])
def test_names_of_other_channels_are_left_aside(tmp_path, count):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    _image(group, np.stack([*CHANNELS, GRAY]), "cyx", 2, labels=[f"C{number}" for number in range(count)])
    with pytest.raises(UserError, match="4 channels"):
        read_image(path)
    assert np.array_equal(read_image(path, channels=(4,)).array, GRAY)
