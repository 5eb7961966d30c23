"""Labels into a project and out of it, in every format, and from the command line."""

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.editing import operations as ops
from napari_leafseg.errors import UserError
from napari_leafseg.io import read_labels, write_image, write_labels
from napari_leafseg.io.exchange.coco import read_coco
from napari_leafseg.io.exchange.cvat import read_cvat
from napari_leafseg.io.exchange.formats import ExchangeFormat, read_format, readable_suffixes
from napari_leafseg.io.exchange.geojson import read_geojson
from napari_leafseg.io.exchange.imagej import read_imagej
from napari_leafseg.io.exchange.labelme import read_labelme
from napari_leafseg.io.exchange.reading import Reading
from napari_leafseg.io.label_arrays import renumbered
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import FORMATS, export_labels, import_labels, import_masks

SHAPE = (40, 56)


@pytest.fixture
def masks(tmp_path):
    """Two images with label images; the first has a leaf with a hole."""
    rng = np.random.default_rng(0)
    folder, found = tmp_path / "masks", {}
    for number, name in enumerate(("a", "b")):
        labels = np.zeros(SHAPE, np.uint16)
        labels[5:25, 5:20], labels[5:25, 20:40], labels[30:35, 10:50] = 1, 2, 7 + number
        labels[10:13, 10:12] = 0
        write_image(folder / f"{name}.png", rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
        write_image(folder / f"{name}_label.png", labels)
        found[name] = labels
    return folder, found


@pytest.fixture
def project(tmp_path, masks):
    with Project.create(tmp_path / "project") as made:
        events = list(import_masks(made, masks[0], verified=True))
        assert [event.done for event in events] == [0, 1, 2]
        yield made


READERS = {
    "tiff": lambda folder, name: read_labels(folder / f"{name}_label.tif"),
    "png": lambda folder, name: read_labels(folder / f"{name}_label.png"),
    "coco": lambda folder, name: read_coco(folder / "leaves.json")[f"{name}.png"],
    "coco-polygons": lambda folder, name: read_coco(folder / "leaves.json")[f"{name}.png"],
    "labelme": lambda folder, name: read_labelme(folder / f"{name}.json")[1],
    "imagej": lambda folder, name: read_imagej(folder / f"{name}_rois.zip", SHAPE),
    "geojson": lambda folder, name: read_geojson(folder / f"{name}.geojson", SHAPE),
    "cvat": lambda folder, name: read_cvat(folder / "annotations.xml")[f"{name}.png"],
    "yolo": lambda folder, name: read_one(folder / "labels" / f"{name}.txt"),
    "numpy": lambda folder, name: np.load(folder / f"{name}_label.npy"),
}


def read_one(path):
    ((_, labels),) = read_format(path, Reading(lambda names: dict.fromkeys(names, SHAPE)))
    return labels


def as_it_comes_back(labels, form):
    """What a format holds of labels: YOLO's has no numbers."""
    return renumbered(labels) if FORMATS[form].loses else labels


READABLE = [name for name, fmt in FORMATS.items() if fmt.read]


def test_every_format_that_is_read_is_tried():
    assert set(READABLE) == set(READERS)


@pytest.mark.parametrize("form", READABLE)
def test_what_is_taken_in_comes_out_again(tmp_path, project, masks, form):
    list(export_labels(project, tmp_path / form, form))
    for name, labels in masks[1].items():
        assert np.array_equal(READERS[form](tmp_path / form, name), as_it_comes_back(labels, form))


@pytest.mark.parametrize("form", READABLE)
def test_an_export_is_taken_in_again_by_a_project(tmp_path, project, masks, form):
    list(export_labels(project, tmp_path / "out", form))
    files = sorted(path for path in (tmp_path / "out").iterdir())
    with Project.create(tmp_path / "second") as second:
        for name in masks[1]:
            second.add_images([masks[0] / f"{name}.png"])
        list(import_labels(second, files))
        for name, labels in masks[1].items():
            document = second.open_document(second.ref(name), SHAPE)
            assert np.array_equal(document.labels, as_it_comes_back(labels, form))
            assert document.undo().tool == "import"
    with Project.create(tmp_path / "third") as third, pytest.raises(UserError, match="does not have"):
        list(import_labels(third, files))


def test_taken_in_leaves_are_verified_when_they_are_right(project):
    document = project.open_document(project.ref("a"), SHAPE)
    assert document.locked() == {1, 2, 7}
    assert document.undo().tool == "verify"
    assert document.undo().tool == "import"


def test_an_export_after_a_kill_holds_what_only_the_journal_has(tmp_path, project, masks):
    document = project.open_document(project.ref("a"), SHAPE)
    document.commit(ops.delete(document.labels, 2))  # in the journal, not in the TIFF
    project.close()
    project.labels_path(project.ref("b")).unlink()  # never written
    result = CliRunner().invoke(
        app, ["export", str(project.folder), "--output", str(tmp_path / "out"), "--format", "png"]
    )
    assert result.exit_code == 0, result.output
    assert 2 not in READERS["png"](tmp_path / "out", "a")
    assert np.array_equal(READERS["png"](tmp_path / "out", "b"), masks[1]["b"])


def test_mistakes_are_named(tmp_path, project, masks):
    folder = masks[0]
    with pytest.raises(UserError, match="no format “svg”"):
        list(export_labels(project, tmp_path, "svg"))
    with pytest.raises(UserError, match="no image with a label image"):
        list(import_masks(project, tmp_path))
    with pytest.raises(UserError, match="is no folder"):
        list(import_masks(project, tmp_path / "nowhere"))
    write_labels(folder / "a_label.tif", np.zeros((3, 3), np.uint16))
    (folder / "a_label.png").unlink()
    with pytest.raises(UserError, match=r"a_label\.tif is \(3, 3\)"):
        list(import_masks(project, folder))
    tifffile.imwrite(tmp_path / "a_label.tif", np.arange(SHAPE[0] * SHAPE[1], dtype=np.int32).reshape(SHAPE) - 7)
    with pytest.raises(UserError, match=r"a_label\.tif holds numbers below 0"):
        list(import_labels(project, [tmp_path / "a_label.tif"]))
    for name in ("a.svg", "a.json"):
        (tmp_path / name).write_text("<")
        with pytest.raises(UserError, match=name):
            list(import_labels(project, [tmp_path / name]))
    with Project.create(tmp_path / "empty") as empty, pytest.raises(UserError, match="no labels to export"):
        list(export_labels(empty, tmp_path, "coco"))


def test_a_series_goes_out_as_tiff_only(tmp_path, project):
    assert project.writer.flush()
    ref = project.ref("a")
    project.labels_path(ref).unlink()
    project.journal_path(ref).unlink()
    project._journals.clear()
    document = project.open_document(ref, (2, *SHAPE))
    square = np.array([[5.0, 5], [5, 20], [20, 20]])
    edit = ops.draw_polygon(document.plane(1), square, 4)
    document.commit(type(edit)(edit.tool, edit.box, edit.before, edit.after, frame=1))
    project.save(ref, document)
    with pytest.raises(UserError, match="time series"):
        list(export_labels(project, tmp_path / "x", "coco"))
    list(export_labels(project, tmp_path / "y", "tiff"))
    assert (tmp_path / "y" / "a_label.tif").exists()


def write_counts(folder, items):
    for item in items:
        (folder / f"{item.name}.counts").write_text(f"{item.image} {len(np.unique(item.labels)) - 1}")


def test_a_format_that_is_written_only_is_there_by_its_description_alone(tmp_path, project, masks, monkeypatch):
    monkeypatch.setitem(FORMATS, "counts", ExchangeFormat("counts", "Leaf counts", (".counts",), write_counts))
    for command in ("export", "batch"):
        shown = CliRunner().invoke(app, [command, "--help"], terminal_width=200)
        assert "counts" in shown.output
        assert all(name in shown.output for name in READERS)
    out = tmp_path / "out"
    out.mkdir()
    project.close()
    result = CliRunner().invoke(app, ["export", str(project.folder), "--output", str(out), "--format", "counts"])
    assert result.exit_code == 0, result.output
    assert (out / "a.counts").read_text() == "a.png 3"
    assert ".counts" not in readable_suffixes()
    with (
        Project.open(project.folder) as again,
        pytest.raises(UserError, match=r"a\.counts: labels can be written as Leaf counts, but not read"),
    ):
        list(import_labels(again, [out / "a.counts"]))
