"""What of a folder is taken, and what is said of the rest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from napari_leafseg import _files
from napari_leafseg._files import safe_name, write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.io import IMAGE_ENDINGS, find_images, is_image, read_image, write_image
from napari_leafseg.pipelines.batch.find import find_tasks
from tests.files.cases import DATA, RGB

SOURCE = Path(__file__).parents[2] / "src" / "napari_leafseg"


@pytest.fixture
def folder(tmp_path):
    """Eight images of as many kinds, a link to one, and what is none."""
    folder = tmp_path / "plants [2024] ü"
    folder.mkdir()
    for name in ("phone.heic", "photo.avif", "photo.jp2", "gif_in_png_name.png", "tif_zstd.tif", "webp_lossless.webp"):
        shutil.copy(DATA / name, folder / name)
    shutil.copy(DATA / "jpg_grey.jpg", folder / "scan.JFIF")
    shutil.copy(DATA / "ref.png", folder / "plate[1].png")
    (folder / "link.png").symlink_to(folder / "plate[1].png")
    np.save(folder / "array.npy", RGB)
    (folder / "stack.czi").write_bytes(b"ZISRAWFILE")
    for name in ("notes.txt", "plate_label.png", "plate_label.json", ".hidden.png", "Thumbs.db"):
        (folder / name).write_text("x")
    os.mkfifo(folder / "pipe.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    write_image(folder / "day2" / "a.png", RGB)
    write_image(folder / "out" / "b.png", RGB)
    return folder


def test_every_image_is_taken_and_the_rest_is_named(folder):
    found = find_images([folder], [folder / "out"])
    assert {path.name for path in found.paths} == {
        "phone.heic", "photo.avif", "photo.jp2", "gif_in_png_name.png", "tif_zstd.tif", "webp_lossless.webp",
        "scan.JFIF", "plate[1].png", "link.png",
    }  # fmt: skip
    for path in found.paths:
        assert read_image(path).array.shape[:2] == (128, 128)
    said = found.sentence()
    assert "\n" not in said
    for words in (
        "array.npy (arrays, save them as TIFF)", "stack.czi (formats of microscope makers", "pipe.png (a pipe",
        "gone.png (a link to", "day2 (a folder in the folder",
    ):  # fmt: skip
        assert words in said
    for name in ("notes.txt", "_label", "hidden", "Thumbs", "out"):
        assert name not in said


def test_what_is_no_file_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="a pipe or device"):
        find_images([folder / "pipe.png"])
    with pytest.raises(UserError, match="a pipe or device"):
        read_image(folder / "pipe.png")
    with pytest.raises(UserError, match="is a link to"):
        find_images([folder / "gone.png"])
    with pytest.raises(UserError, match="is a link to"):
        read_image(folder / "gone.png")
    with pytest.raises(UserError, match="a pipe or device"):
        read_image("/dev/zero")
    with pytest.raises(UserError, match="a folder, not a file"):
        read_image(folder / "day2")
    with pytest.raises(UserError, match=r"Cannot read|no file"):
        find_images([tmp_path / ("x" * 300)])
    with pytest.raises(UserError, match=r"Cannot read|no file"):
        read_image(tmp_path / ("x" * 300))
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match=r"loop\.png"):
        find_images([loop])
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.czi").write_text("x")
    with pytest.raises(UserError, match=r"holds no image .*Not taken: a\.czi"):
        find_images([tmp_path / "none"])


def test_a_file_that_changes_while_it_is_read(folder, monkeypatch):
    path = folder / "plate[1].png"
    content, reads = path.read_bytes(), []
    plain = _files._content

    def grows(file):
        reads.append(file)
        found = plain(file)
        if len(reads) == 1:
            path.write_bytes(content + b"more")
        return found

    monkeypatch.setattr(_files.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(_files, "_content", grows)
    assert np.array_equal(read_image(path).array, RGB)
    assert len(reads) == 2

    def always(file):
        found = plain(file)
        path.write_bytes(found + b"more")
        return found

    monkeypatch.setattr(_files, "_content", always)
    with pytest.raises(UserError, match="changes while it is read"):
        read_image(path)

    def replaced(file):
        found = plain(file)
        (folder / "new").write_bytes(content)
        (folder / "new").replace(path)
        return found

    monkeypatch.setattr(_files, "_content", replaced)
    with pytest.raises(UserError, match="changes while it is read"):
        read_image(path)


def test_batch_takes_brackets_as_they_are_and_never_its_own_results(folder):
    tasks, errors, left_out = find_tasks([str(folder)], folder / "out")
    assert len(tasks) == 9
    assert not errors
    assert "array.npy" in left_out
    assert [task.name for task in find_tasks([str(folder / "plate[1].png")]).tasks] == ["plate[1]"]
    tasks, _, _ = find_tasks([f"{str(folder).replace('[', '[[]')}/**/*.png"], folder / "out")
    assert not [task for task in tasks if "/out/" in task.path]
    assert [task for task in tasks if "/day2/" in task.path]


def test_batch_names_are_never_the_same(tmp_path):
    for name in ("x.jpg", "x.png", "x_jpg.tif", "day1/x.jpg", "day1__x.png", "X_png.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    tasks, _, _ = find_tasks([str(tmp_path / "**" / "*.*")])
    names = [task.name.lower() for task in tasks]
    assert len(tasks) == 6
    assert len(set(names)) == 6


def test_drag_and_drop_takes_what_the_table_has():
    manifest = yaml.safe_load((SOURCE / "napari.yaml").read_text())
    (reader,) = [one for one in manifest["contributions"]["readers"] if one["command"].endswith("read_image")]
    assert sorted(reader["filename_patterns"]) == sorted(f"*{ending}" for ending in (*IMAGE_ENDINGS, ".zarr"))
    assert reader["accepts_directories"]
    assert all(is_image(Path(f"plant{ending.upper()}")) for ending in IMAGE_ENDINGS)


def test_long_names_and_folders_that_cannot_be_written(tmp_path):
    name = "ü" * 120 + ".tif"
    write_atomically(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"
    with pytest.raises(UserError, match="name is too long"):
        write_atomically(tmp_path / ("x" * 256), b"x")
    with pytest.raises(UserError, match="Choose a folder that you may write to"):
        write_atomically(Path("/proc/no/x"), b"x")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pl/ant: 1?", "pl_ant_ 1_"),
        ("../../evil", "_.._evil"),
        ("Image:0 :: plant", "Image_0 __ plant"),
        ("..", "image"),
        ("", "image"),
        ("con", "_con"),
        ("a\\b", "a_b"),
        ("plant.", "plant"),
        ("ü" * 200, f"{'ü' * 95}_cb26b0de"),
        ("plain", "plain"),
    ],
)
def test_layer_names_never_become_paths(name, expected):
    assert safe_name(name) == expected
    assert Path(safe_name(name)).name == safe_name(name)


def test_a_large_file_is_read_as_fast_as_by_the_library(tmp_path):
    import time

    scene = np.tile(RGB, (32, 32, 1))[:4000, :4000]
    tifffile.imwrite(tmp_path / "a.tif", scene, photometric="rgb", compression="lzw", predictor=True)
    began = time.process_time()
    tifffile.imread(tmp_path / "a.tif")
    between = time.process_time()
    array = read_image(tmp_path / "a.tif").array
    assert time.process_time() - between < 5 * (between - began)
    assert np.array_equal(array, scene)
