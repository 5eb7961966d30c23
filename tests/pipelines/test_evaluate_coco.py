"""``evaluate --metric``: COCO files and folders of label images, and what does not fit."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.io import write_labels
from napari_leafseg.io.exchange.coco import labels_to_coco, masks_to_coco
from napari_leafseg.metrics.coco import coco_scores
from napari_leafseg.pipelines.evaluate_coco import evaluate_coco
from tests.conftest import discs
from tests.metrics.test_coco import made


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def run(*arguments):
    told = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


@pytest.mark.parametrize("metric", ["coco", "lvis"])
def test_the_command_prints_and_writes_the_figures(tmp_path, metric):
    truth, found = made(2, crowds=False)
    said = run(
        "--prediction", write(tmp_path / "found.json", found), "--truth", write(tmp_path / "truth.json", truth),
        "--metric", metric, "--json", tmp_path / "scores.json",
    )  # fmt: skip
    wanted = coco_scores(truth, found, metric == "lvis").figures
    written = json.loads((tmp_path / "scores.json").read_text())["figures"]
    assert written == pytest.approx(wanted)
    for name in ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L", *(("AP_r", "AP_c", "AP_f") if metric == "lvis" else ())):
        assert name in said
        assert f"{100 * wanted[name]:.1f}" in said
    assert "kind 2" in said


def test_a_set_with_scores_is_matched_by_names(tmp_path):
    truth, found = made(4, crowds=False)
    numbers = {5 + place: 900 - place for place in range(8)}
    renamed = {item["id"]: 50 - item["id"] for item in truth["categories"]}
    moved = {
        "images": [{**item, "id": numbers[item["id"]], "file_name": f"{item['id']}.jpg"} for item in truth["images"]],
        "annotations": [
            {**item, "id": place, "image_id": numbers[item["image_id"]], "category_id": renamed[item["category_id"]]}
            for place, item in enumerate(found)
        ],
        "categories": [{**item, "id": renamed[item["id"]]} for item in truth["categories"]],
    }
    result = evaluate_coco(write(tmp_path / "found.json", moved), write(tmp_path / "truth.json", truth))
    assert result["figures"] == pytest.approx(coco_scores(truth, found).figures, nan_ok=True)


def test_folders_of_label_images(tmp_path):
    one = discs()
    two = np.where(one == 2, 0, one)
    for folder in ("truth", "found"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        write_labels(tmp_path / "truth" / f"p{number}_label.png", one)
    write_labels(tmp_path / "found" / "p0_label.png", one)
    write_labels(tmp_path / "found" / "p1_label.png", two)
    write_labels(tmp_path / "found" / "other_label.png", two)
    result = evaluate_coco(tmp_path / "found", tmp_path / "truth")
    leaves = len(np.unique(one)) - 1
    assert result["figures"]["AP50"] == pytest.approx((2 * leaves - 1) / (3 * leaves), abs=0.01)
    assert any("p2 has no prediction" in note for note in result["notes"])
    assert any("other" in note and "left out" in note for note in result["notes"])
    # the same truth as a COCO file, and overlapping masks beside a label image instead of it
    write(tmp_path / "truth.json", labels_to_coco((f"images/p{number}.png", one) for number in range(3)))
    again = evaluate_coco(tmp_path / "found", tmp_path / "truth.json")["figures"]
    assert again == pytest.approx(result["figures"], nan_ok=True)
    everywhere = (slice(0, one.shape[0]), slice(0, one.shape[1]))
    masks = [(0.9, everywhere, one == leaf) for leaf in np.unique(one) if leaf]
    write(tmp_path / "found" / "p1_masks.json", masks_to_coco("p1.png", one.shape, masks))
    assert evaluate_coco(tmp_path / "found", tmp_path / "truth")["figures"]["AP50"] == pytest.approx(2 / 3, abs=0.01)


def test_masks_of_classes_name_them():
    plane = np.ones((4, 4), bool)
    found = masks_to_coco("a.png", (8, 8), [(0.5, (slice(0, 4), slice(0, 4)), plane)], [1], ("leaf", "stem"))
    assert found["annotations"][0]["category_id"] == 2
    assert found["categories"] == [{"id": 1, "name": "leaf"}, {"id": 2, "name": "stem"}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda truth, found: found[0].update(image_id=1), "entry 1 is of image 1, which the truth lacks"),
        (lambda truth, found: found[1].update(category_id=1), "entry 2 is of category 1, which the truth lacks"),
        (lambda truth, found: found[0].update(score=float("nan")), "entry 1 has the score nan"),
        (lambda truth, found: found[0].pop("score"), "the entry “score” is missing"),
        (lambda truth, found: found[0]["segmentation"].update(size=[9, 9]), "run lengths of a mask of (9, 9)"),
        (lambda truth, found: found[0].update(segmentation="x"), "found.json: its entry 1 has no outline"),
        (lambda truth, found: truth["categories"].clear(), "names no categories"),
        (lambda truth, found: truth["annotations"][0].update(image_id=99), "image 99, which it lacks"),
        (lambda truth, found: truth["categories"][0].pop("frequency"), "has no frequency"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, change, words):
    truth, found = made(2)
    change(truth, found)
    with pytest.raises(UserError) as told:
        run(
            "--prediction", write(tmp_path / "found.json", found), "--truth", write(tmp_path / "truth.json", truth),
            "--metric", "lvis",
        )  # fmt: skip
    assert words in str(told.value)
    assert str(tmp_path) in str(told.value)


def test_files_that_are_none(tmp_path):
    truth, _ = made(2)
    good = write(tmp_path / "truth.json", truth)
    torn = tmp_path / "torn.json"
    torn.write_text("[{")
    for bad, words in ((torn, "cannot be read as JSON"), (tmp_path / "none.json", "There is no file")):
        with pytest.raises(UserError, match=words):
            run("--prediction", bad, "--truth", good, "--metric", "coco")
        with pytest.raises(UserError, match=words):
            run("--prediction", good, "--truth", bad, "--metric", "coco")
    with pytest.raises(UserError, match="belongs to --metric coco"):
        run("--prediction", tmp_path, "--truth", tmp_path, "--max-masks", "7")
