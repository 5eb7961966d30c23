"""Label files of other programs: read right, or refused with the true reason."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import tifffile
from PIL import Image
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from napari_leafseg.errors import UserError
from napari_leafseg.io import read_labels
from napari_leafseg.io.exchange.formats import read_format
from napari_leafseg.io.exchange.reading import Reading
from napari_leafseg.io.label_arrays import as_labels

SHAPE = (24, 30)
SQUARE = [[2, 3], [12, 3], [12, 13], [2, 13]]


@pytest.fixture
def labels():
    array = np.zeros(SHAPE, np.uint16)
    array[2:9, 3:12], array[12:20, 5:25] = 1, 4
    return array


def read(path, shape=SHAPE, classes=None):
    """The labels in a file, of whatever image, and what was left out."""
    reading = Reading(lambda names: dict.fromkeys(names, shape), classes)
    found = list(read_format(path, reading))
    assert not reading.refused, reading.refused
    ((_, labels),) = found
    return labels, " ".join(reading.notes())


# -- label images and arrays -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(np.float32),
        lambda a: np.where(a == 0, np.nan, a).astype(np.float32),
        lambda a: a[None],
        lambda a: a[..., None],
        lambda a: a[None, :, :, None],
        lambda a: np.where(a == 0, -1, a.astype(np.int16)),
        lambda a: np.where(a == 0, -1, a.astype(np.float32)),
        lambda a: np.repeat(a.astype(np.uint8)[..., None], 3, 2),
        lambda a: np.dstack([*[a.astype(np.uint8)] * 3, np.full(SHAPE, 255, np.uint8)]),
        lambda a: a.astype(np.uint32),
        lambda a: a.astype(np.uint64),
    ],
)
def test_labels_of_any_type_are_the_same_labels(tmp_path, labels, change):
    changed = change(labels)
    assert np.array_equal(as_labels(changed, "a"), labels)
    np.save(tmp_path / "a.npy", changed)
    assert np.array_equal(read(tmp_path / "a.npy")[0], labels)
    if changed.dtype != np.uint64:
        tifffile.imwrite(tmp_path / "a_label.tif", changed)
        assert np.array_equal(read(tmp_path / "a_label.tif")[0], labels)


def test_large_numbers_are_numbered_anew_where_they_must(tmp_path, labels):
    assert as_labels(labels * np.uint32(100_000), "a").max() == 400_000
    huge = labels.astype(np.uint32) * 1_000_000_000
    assert np.array_equal(as_labels(huge, "a"), np.searchsorted([0, 1, 4], labels))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full(SHAPE, 0.5), "fractions"),
        (np.full(SHAPE, np.inf), "fractions"),
        (np.arange(24 * 30).reshape(SHAPE) - 1, "below 0"),
        (np.full(SHAPE, -3), "below 0"),
        (np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8), "color"),
        (np.zeros((5, *SHAPE), np.uint8), "a time series of 5 images"),
        (np.zeros((2, 5, *SHAPE), np.uint8), "one channel"),
        (np.zeros(SHAPE, complex), "complex"),
        (np.zeros((0, 4)), "no label image"),
    ],
)
def test_what_is_no_label_image_is_refused_with_the_reason(array, words):
    with pytest.raises(UserError, match=rf"(?s)a\.tif.*{words}"):
        as_labels(array, "a.tif")


def test_a_gray_png_in_three_channels_is_read_as_labels(tmp_path, labels):
    Image.fromarray(np.repeat(labels.astype(np.uint8)[..., None], 3, 2)).save(tmp_path / "a_label.png")
    assert np.array_equal(read_labels(tmp_path / "a_label.png"), labels)
    assert np.array_equal(read(tmp_path / "a_label.png")[0], labels)


def test_a_label_image_of_another_size_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((500, 700), np.uint8)).save(tmp_path / "a_label.png")
    tifffile.imwrite(tmp_path / "a_label.tif", np.zeros((500, 700), np.uint8))
    monkeypatch.setattr("napari_leafseg.io.exchange.label_images.read_labels", pytest.fail)
    monkeypatch.setattr("napari_leafseg.io.exchange.label_images._read_tiff", pytest.fail)
    for name in ("a_label.png", "a_label.tif"):
        reading = Reading(lambda names: dict.fromkeys(names, SHAPE))
        assert list(read_format(tmp_path / name, reading)) == []
        assert "500 × 700, the image is 24 × 30" in reading.refused[0]


def test_a_series_of_three_frames_is_no_color_image(tmp_path, labels):
    series = np.stack([labels, labels * 0, labels[::-1]])
    tifffile.imwrite(tmp_path / "a_label.tif", series, photometric="minisblack")
    assert np.array_equal(read(tmp_path / "a_label.tif", (3, *SHAPE))[0], series)


# -- Cellpose ----------------------------------------------------------------------------------------------------------


def test_cellposes_file_is_read_and_nothing_in_it_is_run(tmp_path, labels):
    content = {
        "masks": labels,
        "outlines": labels > 0,
        "filename": "a.png",
        "diameter": np.float64(3),
        "flows": [labels],
    }
    np.save(tmp_path / "a_seg.npy", content, allow_pickle=True)
    assert np.array_equal(read(tmp_path / "a_seg.npy")[0], labels)
    np.save(tmp_path / "a_seg.npy", {**content, "masks": np.asfortranarray(labels.astype(">u4"))}, allow_pickle=True)
    assert np.array_equal(read(tmp_path / "a_seg.npy")[0], labels)

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    np.save(tmp_path / "a_seg.npy", {"masks": labels, "x": Evil()}, allow_pickle=True)
    with pytest.raises(UserError, match=r"a_seg\.npy: it wants to run (posix|nt)\.mkdir"):
        read(tmp_path / "a_seg.npy")
    assert not (tmp_path / "evil").exists()


def object_file(path, pickled):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(head.getvalue() + pickled)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02N\x72\xff\xff\xff\x7f.",  # an entry of the memo that would take 16 GB
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # bytes that are not there
        pickle.dumps({"masks": "none"}),
        pickle.dumps([1, 2]),
        b"",
    ],
)
def test_odd_pickles_are_refused(tmp_path, pickled):
    object_file(tmp_path / "a_seg.npy", pickled)
    with pytest.raises(UserError, match=r"a_seg\.npy"):
        read(tmp_path / "a_seg.npy")


def test_an_array_that_announces_more_than_it_holds_is_refused(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<u2", "fortran_order": False, "shape": (10**6, 10**6)})
    (tmp_path / "a.npy").write_bytes(head.getvalue() + bytes(100))
    with pytest.raises(UserError, match="cut off"):
        read(tmp_path / "a.npy")


# -- ImageJ ------------------------------------------------------------------------------------------------------------


def roi(points, kind=ROI_TYPE.POLYGON, name="", subtype=ROI_SUBTYPE.UNDEFINED):
    made = ImagejRoi.frompoints(np.array(points), name=name or None)
    made.roitype, made.subtype = kind, subtype
    return made


def test_single_rois_of_all_kinds(tmp_path):
    (tmp_path / "a.roi").write_bytes(roi(SQUARE).tobytes())
    found, _ = read(tmp_path / "a.roi")
    assert (found == 1).sum() == 100
    oval = ImagejRoi(roitype=ROI_TYPE.OVAL, top=2, left=3, bottom=12, right=23)
    (tmp_path / "a.roi").write_bytes(oval.tobytes())
    assert abs((read(tmp_path / "a.roi")[0] == 1).sum() - np.pi * 50) < 6
    box = ImagejRoi(roitype=ROI_TYPE.RECT, top=2, left=3, bottom=12, right=23)
    (tmp_path / "a.roi").write_bytes(box.tobytes())
    assert (read(tmp_path / "a.roi")[0] == 1).sum() == 200


def test_a_composite_roi_has_a_hole_and_lines_are_left_out_and_counted(tmp_path):
    path = [0, 2, 2, 1, 22, 2, 1, 22, 22, 1, 2, 22, 4, 0, 8, 8, 1, 16, 8, 1, 16, 16, 1, 8, 16, 4]
    holed = ImagejRoi(
        roitype=ROI_TYPE.RECT, top=2, left=2, bottom=22, right=22, shape_roi_size=len(path),
        multi_coordinates=np.array(path, np.float32), options=ROI_OPTIONS(0),
    )  # fmt: skip
    with zipfile.ZipFile(tmp_path / "a_RoiSet.zip", "w") as archive:
        archive.writestr("0001.roi", holed.tobytes())
        archive.writestr("0002.roi", roi(SQUARE, ROI_TYPE.POLYLINE).tobytes())
        archive.writestr("0003.roi", roi(SQUARE, ROI_TYPE.POINT).tobytes())
    found, notes = read(tmp_path / "a_RoiSet.zip")
    assert (found == 1).sum() == 400 - 64
    assert found[10, 10] == 0
    assert "1 × polyline" in notes
    assert "1 × point" in notes


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_leafseg.io.exchange.imagej.LARGEST_FILE", 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.roi", bytes(2**21))
    with pytest.raises(UserError, match=r"a\.zip unpacks to more"):
        read(tmp_path / "a.zip")


# -- what is no file ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("ending", ["json", "xml", "txt", "png", "tif", "npy", "zip", "geojson"])
def test_a_pipe_is_not_opened(tmp_path, ending):
    os.mkfifo(tmp_path / f"a.{ending}")
    with pytest.raises(UserError, match=rf"a\.{ending} is a pipe or device, not a file"):
        read(tmp_path / f"a.{ending}")


def test_json_that_is_nested_without_end(tmp_path):
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"a\.json cannot be read as JSON"):
        read(tmp_path / "a.json")
