"""Shapes of other programs, with classes and limits: LabelMe, COCO, QuPath, CVAT, YOLO."""

import base64
import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.io.exchange.coco import read_coco
from napari_leafseg.io.exchange.cvat import read_cvat
from napari_leafseg.io.exchange.labelme import read_labelme
from napari_leafseg.io.exchange.reading import leaf_classes
from tests.io.test_label_files import SQUARE, read

# -- LabelMe -----------------------------------------------------------------------------------------------------------


def labelme(path, shapes, **more):
    content = {"version": "5.5.0", "shapes": shapes, "imagePath": "a.png", "imageHeight": 24, "imageWidth": 30, **more}
    path.write_text(json.dumps(content))
    return path


def png_text(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_masks_rectangles_and_circles_of_labelme(tmp_path):
    mask = np.zeros((6, 8), bool)
    mask[1:5, 2:6] = True
    path = labelme(tmp_path / "a.json", [
        {"label": "leaf", "shape_type": "mask", "points": [[20, 15], [27, 20]], "mask": png_text(mask)},
        {"label": "leaf", "shape_type": "rectangle", "points": [[10, 10], [2, 3]]},
        {"label": "leaf", "shape_type": "circle", "points": [[15, 6], [19, 6]]},
        {"label": "leaf", "shape_type": "line", "points": [[1, 1], [9, 9]]},
        {"label": "leaf", "shape_type": "point", "points": [[1, 1]]},
    ])  # fmt: skip
    found, notes = read(path)
    assert (found[16:20, 22:26] == 1).all()
    assert (found == 1).sum() == 16
    assert (found == 2).sum() == 56
    assert abs((found == 3).sum() - np.pi * 16) < 5
    assert "1 × line" in notes
    assert "1 × point" in notes


def test_old_labelme_files_groups_by_name_and_a_byte_order_mark(tmp_path):
    path = labelme(tmp_path / "a.json", [
        {"label": "leaf", "points": SQUARE, "group_id": "left"},
        {"label": "leaf", "points": [[20, 1], [25, 1], [25, 6]], "group_id": "left"},
        {"label": "leaf", "points": [[20, 15], [25, 15], [25, 20]], "group_id": None},
    ], imageHeight=None, imageWidth=None)  # fmt: skip
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found, _ = read(path)
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert found[2, 24] == found[5, 5]
    with pytest.raises(UserError, match="does not say how large"):
        read_labelme(path)


# -- COCO and classes --------------------------------------------------------------------------------------------------


def coco(path, annotations, categories=(), images=None):
    images = images or [{"id": 1, "file_name": "a.png", "height": 24, "width": 30}]
    items = [{"image_id": 1, **item} for item in annotations]
    path.write_text(json.dumps({"images": images, "annotations": items, "categories": list(categories)}))
    return path


LEAF_AND_POT = ({"id": 1, "name": "leaf"}, {"id": 2, "name": "pot"})
WHOLE = [[0, 0, 30, 0, 30, 24, 0, 24]]


def test_a_pot_is_no_leaf_unless_somebody_says_so(tmp_path):
    path = coco(tmp_path / "c.json", [
        {"category_id": 1, "segmentation": [np.ravel(SQUARE).tolist()]},
        {"category_id": 2, "segmentation": WHOLE},
        {"category_id": 1, "segmentation": [], "bbox": [1, 1, 5, 5]},
    ], LEAF_AND_POT)  # fmt: skip
    found, notes = read(path)
    assert (found == 1).sum() == 100
    assert found.max() == 1
    assert "1 × “pot”" in notes
    assert "1 × box without an outline" in notes
    found, notes = read(path, classes={"pot"})
    assert (found == 1).sum() == 24 * 30
    assert "“leaf”" in notes


def test_of_two_that_overlap_the_smaller_lies_in_front_and_it_is_told(tmp_path):
    path = coco(tmp_path / "c.json", [
        {"segmentation": [np.ravel(SQUARE).tolist()]}, {"segmentation": WHOLE},
    ])  # fmt: skip
    found, notes = read(path)
    assert (found == 1).sum() == 100
    assert (found == 2).sum() == 24 * 30 - 100
    assert "1 × overlap" in notes


@pytest.mark.parametrize(
    ("names", "leaves"),
    [
        (["pot"], {"pot"}),
        (["leaf", "pot"], {"leaf"}),
        (["Leaf_1", "leaf_2", "plant"], {"Leaf_1", "leaf_2"}),
        (["no leaf", "blade", "tray"], {"blade"}),
        (["1", "2"], {"1", "2"}),
        (["feuille", "tige"], {"feuille"}),
    ],
)
def test_classes_are_leaves_by_their_names(names, leaves):
    assert leaf_classes(dict.fromkeys(names, 3)) == leaves


def test_classes_of_which_none_can_be_a_leaf_are_asked_for():
    with pytest.raises(UserError, match="pot, tray"):
        leaf_classes({"pot": 1, "tray": 2})


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": [24, 30], "counts": [10**9, 10**9]}, "beyond the image"),
        ({"size": [24, 30], "counts": "~~~~~~~~"}, "no text of COCO"),
        ({"size": [24, 30], "counts": "ooooooooooooooooooo0"}, "larger than any"),
        ({"size": [10**5, 10**5], "counts": [1, 2]}, "but the image is"),
        ({"size": [24, 30], "counts": [-5, 5, 720]}, "whole numbers"),
        ({"size": [24, 30], "counts": [1, 2]}, "add up to 3"),
        ({"size": [24, 30], "counts": [1.5, 718.5]}, "whole numbers"),
        ({"size": [24, 30], "counts": []}, "add up to 0"),
    ],
)
def test_run_lengths_that_lie_are_refused(tmp_path, segmentation, words):
    with pytest.raises(UserError, match=rf"c\.json.*{words}"):
        read_coco(coco(tmp_path / "c.json", [{"segmentation": segmentation}]))


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path):
    images = [{"id": 1, "file_name": "a.png", "height": 10**6, "width": 10**6}]
    with pytest.raises(UserError, match="read it with its image"):
        read_coco(coco(tmp_path / "c.json", [], images=images))


def test_two_images_of_one_name_are_not_mixed(tmp_path):
    images = [{"id": n, "file_name": "a.png", "height": 24, "width": 30} for n in (1, 2)]
    with pytest.raises(UserError, match=r"2 of its images are called “a\.png”"):
        read_coco(coco(tmp_path / "c.json", [{"segmentation": WHOLE}], images=images))


@pytest.mark.parametrize("large", [False, True])
def test_an_outline_of_200_000_crossing_points_takes_no_minutes(tmp_path, large):
    points = np.random.default_rng(0).random((200_000, 2)) * (4000 if large else 24)
    feature = {"type": "Feature", "properties": None, "geometry": {"type": "Polygon", "coordinates": [points.tolist()]}}
    (tmp_path / "a.geojson").write_text(json.dumps(feature))
    began = time.perf_counter()
    if large:
        with pytest.raises(UserError, match=r"a\.geojson: an outline of .* simplify it"):
            read(tmp_path / "a.geojson", (4000, 4000))
    else:
        read(tmp_path / "a.geojson")
    assert time.perf_counter() - began < 120  # minutes, or for ever, where outlines are made valid


def test_shapes_upon_shapes_are_refused_before_they_take_minutes(tmp_path):
    images = [{"id": 1, "file_name": "a.png", "height": 10_000, "width": 10_000}]
    whole = [[0, 0, 10_000, 0, 10_000, 10_000, 0, 10_000]]
    with pytest.raises(UserError, match="would take minutes"):
        read_coco(coco(tmp_path / "c.json", [{"segmentation": whole}] * 1000, images=images))


# -- QuPath, CVAT, YOLO ------------------------------------------------------------------------------------------------


def test_one_feature_without_properties_and_points(tmp_path):
    ring = [*SQUARE, SQUARE[0]]
    hole = [[4, 5], [6, 5], [6, 7], [4, 7], [4, 5]]
    feature = {"type": "Feature", "properties": None, "geometry": {"type": "Polygon", "coordinates": [ring, hole]}}
    (tmp_path / "a.geojson").write_text(json.dumps(feature))
    assert (read(tmp_path / "a.geojson")[0] == 1).sum() == 96
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}}
    (tmp_path / "a.json").write_text(json.dumps({"type": "FeatureCollection", "features": [feature, point]}))
    found, notes = read(tmp_path / "a.json")
    assert found.max() == 1
    assert "1 × Point" in notes


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><image id="0" name="a.png" width="30" height="24">
<polygon label="leaf" points="2,3;12,3;12,13;2,13" z_order="0"/>
<mask label="leaf" rle="1, 2, 1, 4" left="20" top="10" width="4" height="2"/>
<box label="leaf" xtl="14" ytl="1" xbr="18" ybr="5"/>
<ellipse label="leaf" cx="6" cy="19" rx="4" ry="3"/>
<polyline label="leaf" points="1,1;9,9"/>
<polygon label="pot" points="0,0;30,0;30,24;0,24"/>
</image></annotations>"""


def test_shapes_of_cvat(tmp_path):
    (tmp_path / "c.xml").write_text(CVAT)
    found, notes = read(tmp_path / "c.xml")
    assert [(found == leaf).sum() for leaf in (1, 2, 3)] == [100, 6, 16]
    assert (found[10, 21:23] == 2).all()
    assert abs((found == 4).sum() - np.pi * 12) < 5
    assert "1 × polyline" in notes
    assert "1 × “pot”" in notes


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('rle="1, 2, 1, 4"', 'rle="1, 2"', "add up to 3"),
        ('left="20"', 'left="29"', "beyond its image"),
        ("<annotations>", '<!DOCTYPE a [<!ENTITY x "y">]><annotations>', "entities"),
        ("<annotations>", "<other>", "no CVAT file"),
        ('width="30"', 'width="x"', "no CVAT file"),
    ],
)
def test_cvat_files_that_do_not_fit(tmp_path, old, new, words):
    text = CVAT.replace(old, new).replace("</annotations>", "</other>" if new == "<other>" else "</annotations>")
    (tmp_path / "c.xml").write_text(text)
    with pytest.raises(UserError, match=rf"c\.xml.*{words}"):
        read_cvat(tmp_path / "c.xml")


def test_yolo_boxes_are_left_out_and_classes_are_named_by_data_yaml(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("names: [leaf, pot]\n")
    lines = ["0 0.1 0.25 0.5 0.25 0.5 0.75 0.1 0.75", "0 0.5 0.5 0.2 0.2", "1 0 0 1 0 1 1 0 1"]
    (tmp_path / "labels" / "a.txt").write_text("\n".join(lines))
    found, notes = read(tmp_path / "labels" / "a.txt")
    assert (found == 1).sum() == 12 * 12
    assert found.max() == 1
    assert "1 × box" in notes
    assert "1 × “pot”" in notes
    assert np.array_equal(read(tmp_path / "data.yaml")[0], found)
