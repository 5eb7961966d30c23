"""Reading images of all kinds, good and bad."""

import json
import os

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.io import (
    check_image,
    find_pairs,
    list_images,
    read_image,
    read_labels,
    resize,
    to_rgb8,
    write_labels,
)

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_lossless_formats_come_back_as_they_were(tmp_path, ending):
    path = tmp_path / f"plant.{ending}"
    Image.fromarray(IMAGE).save(path)
    image = read_image(path)
    assert np.array_equal(image.array, IMAGE)
    assert len(image.sha256) == 64


def test_exif_rotation_is_applied(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth = np.repeat(np.linspace(0, 255, 60, dtype=np.uint8)[None, :, None], 40, 0).repeat(3, 2)
    Image.fromarray(smooth).save(path, exif=exif, quality=95)
    array = read_image(path).array
    assert array.shape == (60, 40, 3)
    assert array[0].mean() < array[-1].mean()  # left of the stored image is the top of the upright one


def test_16_bit_gray_palette_and_alpha(tmp_path):
    deep = (IMAGE[..., 0].astype(np.uint16) * 200) + 7
    imageio.imwrite(tmp_path / "deep.png", deep)
    assert np.array_equal(read_image(tmp_path / "deep.png").array, deep)
    Image.fromarray(IMAGE).quantize(32).save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").array.shape == (40, 60, 3)
    alpha = np.dstack([IMAGE, np.full((40, 60), 255, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").array.shape == (40, 60, 4)


def test_bad_files_are_named(tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("hello")
    cut = tmp_path / "cut.tif"
    tifffile.imwrite(cut, IMAGE)
    cut.write_bytes(cut.read_bytes()[:3000])
    short = tmp_path / "short.jpg"
    Image.fromarray(IMAGE).save(short)
    short.write_bytes(short.read_bytes()[:400])
    for path, words in (
        (text, "not an image"),
        (cut, "damaged"),
        (short, "damaged"),
        (tmp_path / "no.png", "no file"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            read_image(path)
        assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 1, 3), np.uint8), "1 × 1"),
        (np.zeros((50, 50, 3), np.uint8), "black all over"),
        (np.full((50, 50), 7, np.uint8), "one color"),
        (np.full((50, 50), np.nan, np.float32), "NaN"),
        (np.where(np.eye(50) > 0, np.inf, 0.5), "infinity"),
        (np.zeros((5, 50, 50), np.uint8), "not one image"),
        (np.zeros((50, 50), complex), "complex"),
    ],
)
def test_what_no_model_can_work_on_is_refused(array, words):
    with pytest.raises(UserError, match=words) as caught:
        check_image(array, "plant.png")
    assert "plant.png" in str(caught.value)


def test_all_kinds_of_arrays_become_the_same_rgb():
    gray = IMAGE[..., 0]
    assert np.array_equal(to_rgb8(IMAGE), IMAGE)
    assert np.array_equal(to_rgb8(gray)[..., 2], gray)
    assert np.array_equal(to_rgb8(gray[..., None])[..., 1], gray)
    assert np.array_equal(to_rgb8(IMAGE.astype(np.float32) / 255), IMAGE)
    deep = to_rgb8(IMAGE.astype(np.uint16) * 257)
    assert np.abs(deep.astype(int) - IMAGE).max() <= 3
    alpha = np.dstack([IMAGE, np.zeros((40, 60), np.uint8)])
    alpha[:10, :, 3] = 255
    result = to_rgb8(alpha)
    assert np.array_equal(result[:10], IMAGE[:10])
    assert not result[10:].any()
    assert to_rgb8(IMAGE > 100).max() == 255


def test_labels_and_record_are_written_whole_or_not_at_all(tmp_path):
    labels = np.arange(300, dtype=np.int32).reshape(15, 20) * 3
    write_labels(tmp_path / "a_label.tif", labels, {"angle": 45})
    assert np.array_equal(read_labels(tmp_path / "a_label.tif"), labels)
    assert tifffile.imread(tmp_path / "a_label.tif").dtype == np.uint16
    assert json.loads((tmp_path / "a_label.json").read_text()) == {"angle": 45}
    with pytest.raises(UserError, match="65,535"):
        write_labels(tmp_path / "b_label.tif", labels * 100)
    assert {path.name for path in tmp_path.iterdir()} == {"a_label.tif", "a_label.json"}


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "a_label.tif"
    write_labels(target, np.ones((4, 4), int))
    before = target.read_bytes()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        write_labels(target, np.zeros((4, 4), int))
    assert target.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_color_images_are_no_labels(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "x_label.png")
    with pytest.raises(UserError, match="no label image"):
        read_labels(tmp_path / "x_label.png")


def test_folders_are_listed_without_labels_and_hidden_files(tmp_path):
    for name in ("b.png", "a.JPG", "a_label.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in list_images([tmp_path, tmp_path / "b.png"])] == ["a.JPG", "b.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        list_images([tmp_path / "empty"])
    with pytest.raises(UserError, match="no file"):
        list_images([tmp_path / "none.png"])
    assert [(i.name, m.name) for i, m in find_pairs(tmp_path)] == [("a.JPG", "a_label.png")]


def test_resizing_keeps_the_mean_and_never_gets_too_small():
    small = resize(IMAGE, 0.5)
    assert small.shape == (20, 30, 3)
    assert small.mean() == pytest.approx(IMAGE.mean(), abs=1.5)
    assert resize(IMAGE, 0.01).shape[:2] == (16, 16)
    assert resize(IMAGE, 1.0) is IMAGE
