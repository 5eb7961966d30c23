"""Files of labels as other programs write them, with ids, numbers and encodings of many kinds."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.io import ReadOptions, read_image
from napari_leafseg.io.exchange import label_images
from napari_leafseg.io.exchange.formats import Labeled, read_format, write_format
from napari_leafseg.io.exchange.labelme import opens_itself
from napari_leafseg.io.exchange.names import ImageIndex
from napari_leafseg.io.exchange.reading import Reading

LABELS = np.zeros((128, 128), np.uint16)
LABELS[10:40, 10:40], LABELS[50:90, 20:70] = 1, 2
SQUARES = [[10, 10, 40, 10, 40, 40, 10, 40], [20, 50, 70, 50, 70, 90, 20, 90]]


def read(path):
    reading = Reading(lambda names: dict.fromkeys(names, (128, 128)))
    return dict(read_format(path, reading)), reading


def _coco(**changes):
    leaves = [
        {"id": k, "image_id": 1, "category_id": 1, "segmentation": [square], "iscrowd": 0}
        for k, square in enumerate(SQUARES, start=1)
    ]
    image = {"id": 1, "file_name": "a.png", "height": 128, "width": 128}
    content = {"images": [image], "annotations": leaves, "categories": [{"id": 1, "name": "leaf"}]} | changes
    return copy.deepcopy(content)


def _runs(mask):
    flat = np.concatenate([[0], mask.T.ravel().astype(int), [0]])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(edges, prepend=0, append=mask.size).astype(float).tolist()


def _changed(entry, **changes):
    content = _coco()
    content[entry] = [item | changes for item in content[entry]]
    return content


def _with_orphan():
    content = _coco()
    content["annotations"].append(content["annotations"][0] | {"id": 9, "image_id": 99})
    return content


def _float_runs():
    content = _coco()
    for number, item in enumerate(content["annotations"], start=1):
        item["segmentation"] = {"size": [128, 128], "counts": _runs(number == LABELS)}
    return content


def _flat():
    content = _coco()
    for item in content["annotations"]:
        item["segmentation"] = item["segmentation"][0]
    return content


def _labelme(*shapes, **changes):
    return {
        "version": "5.5.0",
        "shapes": list(shapes),
        "imagePath": "a.png",
        "imageHeight": 128,
        "imageWidth": 128,
    } | changes


def _shape(number, **changes):
    return {"label": "leaf", "points": np.reshape(SQUARES[number], (-1, 2)).tolist(), "shape_type": "polygon"} | changes


def _yolo(ending="", kind="0"):
    return "".join(f"{kind} {' '.join(str(v / 128) for v in square)}{ending}\n" for square in SQUARES)


def _cvat(inner, encoding="utf-8"):
    return (
        f'<?xml version="1.0" encoding="{encoding}"?><annotations><image id="0" name="ä.png" width="128" height="128">'
        f"{inner}</image></annotations>"
    ).encode(encoding)


_POLYGONS = "".join(
    f'<polygon label="leaf" points="{";".join(f"{x},{y}" for x, y in np.reshape(square, (-1, 2)))}"/>'
    for square in SQUARES
)
_MASK = '<mask label="leaf" rle="0, 900" left="10.0" top="10.0" width="30.0" height="30.0"/>'


def _zip(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, square in zip(names, SQUARES, strict=True):
            archive.writestr(
                name, roifile.ImagejRoi.frompoints(np.reshape(square, (-1, 2)), name=Path(name).stem).tobytes()
            )
        archive.writestr("__MACOSX/._1.roi", b"\0\5\x16\7")
    return buffer.getvalue()


READ = {
    "ids as text.json": _changed("images", id="1"),
    "ids as floats.json": _changed("annotations", image_id=1.0, category_id=1.0),
    "classes as text.json": _changed("categories", id="1"),
    "outline not nested.json": _flat(),
    "runs as floats.json": _float_runs(),
    "of another image.json": _with_orphan(),
    "old Windows.json": json.dumps(_coco(info="Blätter"), ensure_ascii=False).encode("cp1252"),
    "turned.json": _labelme(_shape(0, shape_type="oriented_rectangle"), _shape(1)),
    "a.json": _labelme(_shape(0), _shape(1), imagePath=None),
    "float.txt": _yolo(kind="0.0").encode(),
    "confidence.txt": _yolo(ending=" 0.93").encode(),
    "latin.xml": _cvat(_POLYGONS, "iso-8859-1"),
    "utf16.xml": _cvat(_POLYGONS, "utf-16"),
    "mask.xml": _cvat(_MASK + _POLYGONS),
    "mac.zip": _zip(["RoiSet/0001.roi", "RoiSet/0002.roi"]),
    "renamed by ImageJ.zip": _zip(["leaf 1.roi", "leaf 1-1.roi"]),
}


@pytest.mark.parametrize("name", sorted(READ))
def test_other_programs_labels_are_read(tmp_path, name):
    content = READ[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    found, reading = read(tmp_path / name)
    ((_, labels),) = found.items()
    assert np.array_equal(labels > 0, LABELS > 0)
    assert len(np.unique(labels)) == 3
    assert bool(reading.left_out) == (name in {"of another image.json", "mask.xml"})


def test_what_is_not_taken_is_told_as_it_is(tmp_path):
    (tmp_path / "a.txt").write_text("0 10 10 40 10 40 40\n")
    _, reading = read(tmp_path / "a.txt")
    assert "outline in pixels" in reading.notes()[0]
    panoptic = _changed("annotations", segments_info=[])
    (tmp_path / "a.json").write_text(json.dumps(panoptic))
    with pytest.raises(UserError, match="panoptic"):
        read(tmp_path / "a.json")
    (tmp_path / "b.xml").write_bytes(_cvat("<!DOCTYPE x>", "utf-16"))
    with pytest.raises(UserError, match="declares entities"):
        read(tmp_path / "b.xml")


def test_a_turned_tiff_of_labels_lies_on_its_image(tmp_path):
    Image.fromarray(np.rot90(LABELS[:100]).astype(np.uint16).copy()).save(tmp_path / "a.tif", tiffinfo={274: 6})
    reading = Reading(lambda names: dict.fromkeys(names, (100, 128)))
    ((_, labels),) = read_format(tmp_path / "a.tif", reading)
    assert np.array_equal(labels, LABELS[:100])


def test_accents_of_any_system_name_the_same_image():
    composed, apart = (unicodedata.normalize(form, "/day/blätter.png") for form in ("NFC", "NFD"))
    for inside, said in ((composed, apart), (apart, composed)):
        index = ImageIndex({"1": Path(inside), "2": Path("/day/other.png")})
        assert index.find(Path(said).name) == "1"
        assert index.find(Path(said).name, Path(said).parent) == "1"
        assert index.find(Path(said).stem) == "1"


@pytest.mark.parametrize(
    ("kind", "itself"),
    [("rgb", True), ("gray", True), ("16 bit", False), ("channels", False), ("pages", False), ("turned", False)],
)
def test_labelme_is_given_the_images_that_it_does_not_show(tmp_path, kind, itself):
    image = np.arange(128 * 128 * 3, dtype=np.uint8).reshape(128, 128, 3)
    path, options = tmp_path / "a.tif", {"metadata": None}
    made = {
        "rgb": (image, {"photometric": "rgb"}),
        "gray": (image[..., 0], {}),
        "16 bit": (image[..., 0].astype(np.uint16) * 256, {}),
        "channels": (image.transpose(2, 0, 1)[[0, 1, 2, 2]], {"metadata": {"axes": "CYX"}, "ome": True}),
        "pages": (image.transpose(2, 0, 1), {"metadata": {"axes": "ZYX"}, "imagej": True}),
        "turned": (image, {"photometric": "rgb", "extratags": [(274, 3, 1, 3, True)]}),
    }[kind]
    tifffile.imwrite(path, made[0], **{"photometric": "minisblack"} | options | made[1])
    assert opens_itself(path, (128, 128)) == itself
    reading = ReadOptions((3, 2, 1))
    list(write_format(tmp_path, [Labeled("a", "a.tif", lambda: LABELS, path, reading)], "labelme"))
    data = json.loads((tmp_path / "a.json").read_text())["imageData"]
    assert (data is None) == itself
    if kind == "channels":
        with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
            assert np.array_equal(np.array(shown), read_image(path, reading).array)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", _coco(annotations={}), "its “annotations” is no list of entries"),
        ("a.json", _coco(images=[None]), "its “images” is no list of entries"),
        ("a.json", _changed("annotations", segmentation=["x"]), "annotation 1 is damaged"),
        ("a.json", _changed("annotations", segmentation={"size": [128, 128]}), "1: the entry “counts” is missing"),
        ("a.json", _labelme(_shape(0), _shape(1, points=None)), "shape 2 is damaged"),
        ("a.json", _labelme(_shape(0), 7), "its “shapes” is no list of entries"),
        ("a.geojson", {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": 1}}, "feature 1 is damaged"),
        ("a.geojson", {"type": "FeatureCollection", "features": [{}]}, "the entry “type” is missing"),
        ("a.txt", "0 0.1 0.1 0.2 0.2 0.3 0.3\n0 0.1 leaf\n", "line 2 is damaged"),
        ("a.xml", _cvat('<polygon label="leaf" points="1,1;2"/>'), "shape 1 of “ä.png” is damaged"),
        ("a.xml", _cvat('<polygon label="leaf"/>'), "shape 1 of “ä.png”: the entry “points” is missing"),
        ("a.png", b"<html>", "is a web page"),
        ("a.tif", b"", "is empty"),
    ],
)
def test_what_is_wrong_is_named_in_words_of_the_format(tmp_path, name, content, words):
    data = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
    (tmp_path / name).write_bytes(json.dumps(content).encode() if data is None else data)
    with pytest.raises(UserError, match=words) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)
    assert not re.search(r"NoneType|Error|object|subscriptable", str(caught.value))


def test_a_file_of_labels_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    Image.fromarray(LABELS).save(tmp_path / "a.png")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(label_images.Image, "open", refuse)
    with pytest.raises(UserError, match=r"Cannot read .*a\.png: Permission denied") as caught:
        read(tmp_path / "a.png")
    assert "damaged" not in str(caught.value)


def test_outlines_far_beyond_the_image_are_told(tmp_path):
    """They may be of a larger image."""
    far = (np.reshape(SQUARES[1], (-1, 2)) * 3).tolist()
    near = (np.reshape(SQUARES[0], (-1, 2)) - 12).tolist()
    (tmp_path / "a.json").write_text(json.dumps(_labelme(_shape(1, points=far), _shape(0, points=near))))
    found, reading = read(tmp_path / "a.json")
    assert "1 × outline that reaches far beyond the image, where it was cut" in reading.notes()
    assert len(np.unique(found["a.png"])) == 2  # of the other one nothing lies in the image


def test_a_number_that_is_true_is_none(tmp_path):
    content = _coco()
    content["annotations"][0]["leaf"], content["annotations"][1]["leaf"] = 1, True
    (tmp_path / "a.json").write_text(json.dumps(content))
    ((_, labels),) = read(tmp_path / "a.json")[0].items()
    assert len(np.unique(labels)) == 3
