"""What goes out in a format comes back from it, or the format says what it cannot hold."""

import base64
import contextlib
import io
import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.io import write_image, write_labels
from napari_leafseg.io.exchange.formats import FORMATS, Labeled, read_format, write_format
from napari_leafseg.io.exchange.labelme import read_labelme
from napari_leafseg.io.exchange.names import ImageIndex, Unclear, file_names, relative_names
from napari_leafseg.io.exchange.reading import Reading
from napari_leafseg.io.label_arrays import renumbered
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import ImportIncomplete, export_labels, import_labels, import_masks, label_files

SHAPE = (40, 56)
READABLE = [name for name, form in FORMATS.items() if form.read]  # others have nothing that could come back


def expected(labels, form):
    return renumbered(labels) if FORMATS[form].loses else labels


def plant(seed):
    """Leaves with a hole with an island in it, in pieces, and touching by a corner."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:15, 2 + seed : 20] = 3
    labels[5:11, 6:14] = 0
    labels[7, 8:11] = 3 + 5 * seed
    labels[20:25, 5:9] = labels[28:30, 20:40] = 40 + seed
    labels[30, 40] = labels[31, 41] = 7
    return labels


@pytest.fixture
def images(tmp_path):
    """Images of one name in two folders, one of the same stem, and one of another name."""
    rng = np.random.default_rng(0)
    found = {}
    for seed, name in enumerate(("day1/plant.png", "day2/plant.png", "day2/plant.tif", "day2/other.png")):
        path = tmp_path / "trial" / name
        pixels = rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(path, pixels, photometric="rgb")
        else:
            write_image(path, pixels)
        found[path] = plant(seed)
    return found


def fill(project, images):
    for path, labels in images.items():
        ref = project.add_known(path)
        document = project.open_document(ref, labels.shape)
        document.labels[...] = labels
        project.save(ref, document)
    assert project.writer.flush()


@pytest.mark.parametrize("form", READABLE)
def test_images_of_one_name_stay_apart_and_come_back(tmp_path, images, form):
    with Project.create(tmp_path / "p") as project:
        fill(project, images)
        list(export_labels(project, tmp_path / "out", form))
    with Project.create(tmp_path / "q") as second:
        second.add_images(images)
        notes = [note for event in import_labels(second, [tmp_path / "out"]) for note in event.notes]
        assert not notes
        for ref, labels in zip(second.images, images.values(), strict=True):
            assert np.array_equal(second.open_document(ref, SHAPE).labels, expected(labels, form)), ref.path


@pytest.mark.parametrize("form", READABLE)
def test_a_project_without_the_other_image_of_the_name_gets_only_its_own(tmp_path, images, form):
    chosen = dict(list(images.items())[:2])
    with Project.create(tmp_path / "p") as project:
        fill(project, chosen)
        list(export_labels(project, tmp_path / "out", form))
    second_image = list(chosen)[1]
    with Project.create(tmp_path / "q") as second:
        (ref,) = second.add_images([second_image])
        with contextlib.suppress(ImportIncomplete):
            list(import_labels(second, [tmp_path / "out"]))
        assert np.array_equal(second.open_document(ref, SHAPE).labels, expected(chosen[second_image], form))


@pytest.mark.parametrize("form", READABLE)
def test_a_series_comes_back_or_is_refused_with_a_way_out(tmp_path, form):
    series = np.stack([plant(0), plant(1), plant(0)[::-1]])
    items = [Labeled("a", "a.png", lambda: series)]
    if not FORMATS[form].series:
        with pytest.raises(UserError, match=r"“a” is a time series.* Export it as tiff or numpy"):
            list(write_format(tmp_path, items, form))
        return
    list(write_format(tmp_path, items, form))
    ((_, found),) = read_format(next(iter(tmp_path.iterdir())), Reading(lambda n: dict.fromkeys(n, series.shape)))
    assert np.array_equal(found, series)


def test_a_series_comes_into_a_project(tmp_path):
    series = np.stack([plant(0), plant(1)])
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 1, 1, *SHAPE, 3), np.uint8), imagej=True)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a_label.tif", series)
    with Project.create(tmp_path / "p") as project:
        ref = project.add_known(tmp_path / "a.tif")
        list(import_labels(project, [tmp_path / "in" / "a_label.tif"], verified=True))
        document = project.open_document(ref, series.shape)
        assert np.array_equal(document.labels, series)
        assert (1, 40 + 1) in document.verified
        assert document.undo().tool == "verify"
        assert document.undo().tool == "import"
        assert not document.labels.any()


def test_a_folder_of_masks_may_hold_series(tmp_path):
    series = np.stack([plant(0), plant(1)])
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 1, 1, *SHAPE, 3), np.uint8), imagej=True)
    tifffile.imwrite(tmp_path / "a_label.tif", series)
    with Project.create(tmp_path / "p") as project:
        list(import_masks(project, tmp_path))
        (ref,) = project.images
        assert np.array_equal(project.open_document(ref, series.shape).labels, series)
    tifffile.imwrite(tmp_path / "a_label.tif", series[0])
    with Project.create(tmp_path / "q") as project, pytest.raises(UserError, match=r"a_label\.tif is"):
        list(import_masks(project, tmp_path))


@pytest.mark.night
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", READABLE)
def test_70_000_labels_come_back_or_are_refused(tmp_path, form):
    labels = np.zeros((560, 512), np.uint32)
    labels[::2, ::2] = np.arange(1, 280 * 256 + 1).reshape(280, 256)
    assert labels.max() == 71_680
    items = [Labeled("a", "a.png", lambda: labels)]
    if form == "png":
        with pytest.raises(UserError, match=r"65,535, which a 16-bit PNG cannot hold"):
            list(write_format(tmp_path, items, form))
        return
    list(write_format(tmp_path, items, form))
    (path,) = label_files([tmp_path])
    ((_, found),) = read_format(path, Reading(lambda names: dict.fromkeys(names, labels.shape)))
    assert np.array_equal(found, labels)


def test_more_leaves_than_a_project_holds_are_refused_and_large_numbers_are_numbered_anew(tmp_path):
    labels = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300)
    write_image(tmp_path / "a.png", (labels % 251).astype(np.uint8))
    np.save(tmp_path / "a_label.npy", labels)
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([tmp_path / "a.png"])
        with pytest.raises(UserError, match="89,999 leaves; an image has 65,535 at most"):
            list(import_labels(project, [tmp_path / "a_label.npy"]))
        np.save(tmp_path / "a_label.npy", (labels > 5) * np.uint32(3_000_000_000))
        events = list(import_labels(project, [tmp_path / "a_label.npy"]))
        assert project.open_document(ref, labels.shape).labels.max() == 1
        np.save(tmp_path / "a_label.npy", (labels > 5) * np.uint32(100_000) + (labels > 9))
        events = list(import_labels(project, [tmp_path / "a_label.npy"]))
        assert "numbered anew" in events[-1].notes[0]
        assert project.open_document(ref, labels.shape).labels.max() == 2


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_of_files_are_unique_and_safe():
    names = ["a/x.png", "b/x.png", "b/x.jpg", "y.png", "CON.png", 'q"?.png', "b/" + "ü" * 200 + ".png"]
    found = file_names(names)
    assert found[:5] == ["a__x", "b__x_png", "b__x_jpg", "y", "_CON"]
    assert len({name.casefold() for name in found}) == len(names)
    assert all(not set(name) & set('<>:"/\\|?*') and len(name.encode()) <= 200 for name in found)


def test_relative_names_have_the_common_folder_taken_off(tmp_path):
    paths = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    assert relative_names(paths) == ["a/x.png", "b/x.png"]
    assert relative_names(paths[:1]) == ["x.png"]


def test_images_are_found_by_what_other_programs_call_them(tmp_path):
    index = ImageIndex({"one": tmp_path / "day1" / "ref.png", "two": tmp_path / "day2" / "ref.png",
                        "three": tmp_path / "My plant.JPG"})  # fmt: skip
    assert index.find(r"..\images\day2\ref.png") == "two"
    assert index.find(r"C:\day1\REF.png") == "one"
    assert index.find("my plant.jpg") == index.find("My_plant") == index.find("My plant.png") == "three"
    assert index.find("day1__ref") == "one"
    assert index.find("two") == "two"
    assert index.find("other.png") is None
    assert index.find("") is None
    with pytest.raises(Unclear, match=r"several images are called “ref\.png”"):
        index.find("ref.png")


@pytest.mark.parametrize(
    "name",
    ["ref_label.png", "ref_masks.png", "ref_cp_masks.png", "ref_seg.npy", "ref_mask.png", "ref-labels.npy", "ref.npy"],
)
def test_label_files_belong_to_the_image_whose_name_they_begin_with(tmp_path, name):
    write_image(tmp_path / "in" / "ref.png", np.arange(40 * 56, dtype=np.uint8).reshape(SHAPE))
    path = tmp_path / "out" / name
    path.parent.mkdir()
    np.save(path, plant(0)) if path.suffix == ".npy" else write_image(path, plant(0))
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([tmp_path / "in" / "ref.png"])
        list(import_labels(project, [path]))
        assert np.array_equal(project.open_document(ref, SHAPE).labels, plant(0))


# -- nothing becomes less without a question ---------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        write_image(tmp_path / "in" / f"{name}.png", rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
        write_image(tmp_path / "in" / f"{name}_label.png", plant(1))
    with Project.create(tmp_path / "p") as made:
        list(import_masks(made, tmp_path / "in"))
        yield made


def test_fewer_leaves_do_not_take_the_place_of_more(tmp_path, project):
    fewer, same = plant(1), plant(1)
    fewer[fewer == 7] = 0
    same[36:39, 50:55] = 99
    write_labels(tmp_path / "a_label.tif", fewer)
    write_labels(tmp_path / "b_label.tif", same)
    with pytest.raises(ImportIncomplete, match="“a” has 4 leaves, the file 3") as caught:
        list(import_labels(project, [tmp_path / "a_label.tif", tmp_path / "b_label.tif"]))
    assert len(caught.value.fewer) == 1
    assert np.array_equal(project.open_document(project.ref("a"), SHAPE).labels, plant(1))
    assert np.array_equal(project.open_document(project.ref("b"), SHAPE).labels, same)
    list(import_labels(project, [tmp_path / "a_label.tif"], replace=True))
    assert np.array_equal(project.open_document(project.ref("a"), SHAPE).labels, fewer)


def test_verified_leaves_are_not_changed_without_a_question(tmp_path, project):
    document = project.open_document(project.ref("a"), SHAPE)
    document.set_verified([(0, 3)], True)
    project.save(project.ref("a"), document)
    changed = plant(1)
    changed[2, 3] = 0
    write_labels(tmp_path / "a_label.tif", changed)
    with pytest.raises(ImportIncomplete, match="1 verified leaves that would change"):
        list(import_labels(project, [tmp_path / "a_label.tif"]))
    list(import_labels(project, [tmp_path / "a_label.tif"], replace=True))
    after = project.open_document(project.ref("a"), SHAPE)
    assert np.array_equal(after.labels, changed)
    assert not after.verified


def test_a_file_of_another_size_is_left_out_with_both_sizes_and_the_others_are_taken(tmp_path, project):
    better = plant(1)
    better[36:39, 50:55] = 99
    write_image(tmp_path / "a_label.png", np.zeros((64, 64), np.uint16))
    write_image(tmp_path / "b_label.png", better)
    with pytest.raises(ImportIncomplete, match=r"a_label\.png: its labels of .* are 64 × 64, the image is 40 × 56"):
        list(import_labels(project, [tmp_path / "a_label.png", tmp_path / "b_label.png"]))
    assert project.open_document(project.ref("b"), SHAPE).labels[37, 52] == 99


def test_images_that_the_project_lacks_are_left_out_by_name(tmp_path, project):
    better = plant(1)
    better[36:39, 50:55] = 99
    items = [Labeled("a", "a.png", lambda: better), Labeled("z", "z.png", lambda: better)]
    list(write_format(tmp_path / "out", items, "coco"))
    events = list(import_labels(project, [tmp_path / "out" / "leaves.json"]))
    assert "1 image left out that the project does not have: “z.png”" in events[-1].notes[0]
    assert project.open_document(project.ref("a"), SHAPE).labels[37, 52] == 99


def test_the_command_line_imports(tmp_path, project):
    project.close()
    fewer = plant(1)
    fewer[fewer == 7] = 0
    write_labels(tmp_path / "RoiSet.tif", fewer)
    command = ["import", str(project.folder), str(tmp_path / "RoiSet.tif")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert "which the project does not have" in str(result.exception)
    result = CliRunner().invoke(app, [*command, "--image", "a"])
    assert "fewer" not in result.output
    assert "the file 3" in str(result.exception)
    result = CliRunner().invoke(app, [*command, "--image", "a", "--replace", "--verified"])
    assert result.exit_code == 0, result.output
    with Project.open(project.folder) as again:
        document = again.open_document(again.ref("a"), SHAPE)
        assert np.array_equal(document.labels, fewer)
        assert (0, 3) in document.verified


def test_labelme_finds_the_image_from_where_its_file_lies(tmp_path, project):
    list(export_labels(project, tmp_path / "deep" / "out", "labelme"))
    name, _ = read_labelme(tmp_path / "deep" / "out" / "a.json")
    assert (tmp_path / "deep" / "out" / name).resolve() == tmp_path / "in" / "a.png"


def test_an_image_that_labelme_does_not_open_lies_in_its_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    (tmp_path / "a.ppm").write_bytes(b"P6 56 40 255\n" + pixels.tobytes())
    items = [Labeled("a", "a.ppm", lambda: plant(0), tmp_path / "a.ppm")]
    list(write_format(tmp_path / "out", items, "labelme"))
    content = json.loads((tmp_path / "out" / "a.json").read_text())
    assert content["imagePath"] == "../a.ppm"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content["imageData"])))), pixels)
