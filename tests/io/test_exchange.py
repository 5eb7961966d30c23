"""Other programs' formats: what goes out comes back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from pycocotools.coco import COCO

from napari_leafseg.errors import UserError
from napari_leafseg.io.exchange.coco import read_coco, write_coco
from napari_leafseg.io.exchange.geojson import read_geojson, write_geojson
from napari_leafseg.io.exchange.imagej import read_imagej, write_imagej
from napari_leafseg.io.exchange.labelme import read_labelme, write_labelme
from napari_leafseg.io.polygons import leaf_polygons, without_holes
from tests.editing.test_operations import label_maps


def through_coco(encoding):
    def there_and_back(folder, labels):
        write_coco(folder / "c.json", [("a.png", labels)], encoding)
        return read_coco(folder / "c.json")["a.png"]

    return there_and_back


def through_labelme(folder, labels):
    write_labelme(folder / "l.json", labels, "a.png")
    name, found = read_labelme(folder / "l.json")
    assert name == "a.png"
    return found


def through_imagej(folder, labels):
    write_imagej(folder / "r.zip", labels)
    return read_imagej(folder / "r.zip", labels.shape)


def through_geojson(folder, labels):
    write_geojson(folder / "g.geojson", labels)
    return read_geojson(folder / "g.geojson", labels.shape)


FORMATS = {
    "coco polygons": through_coco("polygon"), "coco run lengths": through_coco("rle"), "labelme": through_labelme,
    "imagej": through_imagej, "geojson": through_geojson,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=100, deadline=None)
@given(labels=label_maps())
def test_round_trips_are_exact_with_holes_pieces_and_touching_leaves(tmp_path_factory, name, labels):
    folder = tmp_path_factory.getbasetemp() / "exchange"
    folder.mkdir(exist_ok=True)
    assert np.array_equal(FORMATS[name](folder, labels), labels)


@pytest.mark.parametrize("name", FORMATS)
def test_single_pixels_rings_and_gaps_in_the_numbers(tmp_path, name):
    labels = np.zeros((12, 14), np.uint16)
    labels[0, 0] = 300
    labels[2:9, 2:9] = 4
    labels[3:8, 3:8] = 0
    labels[5, 5] = 4  # an island in its hole
    labels[10, 10] = labels[11, 11] = 7  # touching by a corner
    assert np.array_equal(FORMATS[name](tmp_path, labels), labels)
    assert np.array_equal(FORMATS[name](tmp_path, labels * 0), labels * 0)


def test_the_common_coco_tool_sees_the_same_leaves(tmp_path, capsys):
    labels = np.zeros((80, 90), np.uint16)
    y, x = np.mgrid[:80, :90]
    labels[np.hypot(y - 30, x - 30) < 24] = 1
    labels[np.hypot(y - 50, x - 60) < 20] = 2
    labels[28:33, 26:36] = 0
    for encoding in ("polygon", "rle"):
        write_coco(tmp_path / "c.json", [("a.png", labels)], encoding)
        coco = COCO(tmp_path / "c.json")
        for item in coco.loadAnns(coco.getAnnIds()):
            mask, truth = coco.annToMask(item) > 0, labels == item["leaf"]
            assert item["area"] == truth.sum()
            assert (mask & truth).sum() / (mask | truth).sum() > (0.99 if encoding == "rle" else 0.94)
    capsys.readouterr()


def test_polygons_run_along_pixel_edges():
    labels = np.zeros((6, 8), np.uint16)
    labels[1:4, 2:5] = 1
    labels[2, 3] = 0
    (shape,) = leaf_polygons(labels).values()
    assert shape.area == 8
    assert shape.bounds == (2, 1, 5, 4)
    assert len(shape.geoms[0].interiors) == 1
    assert len(without_holes(shape)) >= 2


def test_files_of_other_programs_are_read(tmp_path):
    square = [[10, 10], [20, 10], [20, 20], [10, 20]]
    (tmp_path / "c.json").write_text(
        json.dumps(
            {
                "images": [{"id": 5, "file_name": "x.jpg", "height": 30, "width": 40}],
                "annotations": [
                    {"image_id": 5, "segmentation": [np.ravel(square).tolist()]},
                    {"image_id": 5, "segmentation": {"size": [30, 40], "counts": [0, 30, 1170]}},
                ],
            }
        )
    )
    labels = read_coco(tmp_path / "c.json")["x.jpg"]
    assert (labels == 1).sum() == 100
    assert (labels[:, 0] == 2).all()
    (tmp_path / "l.json").write_text(
        json.dumps({"imagePath": "x.jpg", "imageHeight": 30, "imageWidth": 40, "shapes": [
            {"label": "a", "points": square}, {"label": "b", "points": [[30, 1], [35, 1], [35, 9]]},
            {"label": "c", "points": [[1, 1], [2, 2]], "shape_type": "line"}]})
    )  # fmt: skip
    assert sorted(np.unique(read_labelme(tmp_path / "l.json")[1])) == [0, 1, 2]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[*square, square[0]]]}}
    (tmp_path / "g.json").write_text(json.dumps([feature]))
    assert (read_geojson(tmp_path / "g.json", (30, 40)) == 1).sum() == 100


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"images": 3, "features": 4, "shapes": 5}'])
def test_what_is_none_of_them_is_refused_by_name(tmp_path, content):
    path = tmp_path / "odd.json"
    path.write_text(content)
    for read in (read_coco, read_labelme, lambda p: read_imagej(p, (9, 9)), lambda p: read_geojson(p, (9, 9))):
        with pytest.raises(UserError, match=r"odd\.json"):
            read(path)
        with pytest.raises(UserError, match=r"gone\.json"):
            read(tmp_path / "gone.json")
