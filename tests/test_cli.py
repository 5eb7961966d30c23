"""The command line as a user calls it."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_leafseg.io import read_labels, write_labels
from napari_leafseg.models.store.model_card import card_path
from napari_leafseg.models.store.zoo import find_model
from tests.conftest import REPOSITORY
from tests.programs import run_command

SAMPLES = REPOSITORY / "sample_data"


def call_program(*arguments, code=0):
    command = [sys.executable, "-m", "napari_leafseg", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=REPOSITORY, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture
def call(tmp_path_factory):
    """Calls the command line in a process of its own, which is begun at once; gives all that it prints."""
    said = tmp_path_factory.mktemp("said") / "said.txt"

    def call(*arguments, code=0):
        ended = run_command([str(argument) for argument in arguments], REPOSITORY, said)
        text = said.read_text(encoding="utf-8")
        assert ended == code, text
        return text

    return call


def test_predict_and_evaluate(call, tmp_path):
    options = ["--output", tmp_path, "--angle", 50]
    text = call_program("predict", SAMPLES / "seedling.png", SAMPLES / "growth", *options)
    assert text.count("leaves, scale") == 7
    assert {path.name for path in tmp_path.glob("seedling*")} == {"seedling_label.tif", "seedling_label.json"}
    labels = tifffile.imread(tmp_path / "seedling_label.tif")
    record = json.loads((tmp_path / "seedling_label.json").read_text())
    assert labels.dtype == np.uint16
    assert record["count"] == labels.max()
    assert record["parameters"]["angle"] == 50
    assert set(record["confidence"]) == {str(leaf) for leaf in range(1, labels.max() + 1)}
    assert all(0 <= value <= 1 for value in record["confidence"].values())
    assert record["model"]["name"] == "leaf"
    assert len(record["image"]["sha256"]) == 64

    scores = tmp_path / "scores.json"
    text = call("evaluate", "--prediction", tmp_path, "--truth", SAMPLES / "growth", "--json", scores)
    result = json.loads(scores.read_text())
    assert len(result["images"]) == 6
    assert 0.3 < result["mean"]["SBD"] <= 1
    assert "seedling" in text  # it has no truth there


def test_a_query_based_model_writes_its_masks_whole(call, tmp_path):
    options = ["--model", "solov2", "--output", tmp_path, "--score-threshold", 0.35, "--full-masks"]
    call("predict", SAMPLES / "seedling.png", *options)
    record = json.loads((tmp_path / "seedling_label.json").read_text())
    assert record["parameters"]["score_threshold"] == 0.35
    content = json.loads((tmp_path / "seedling_masks.json").read_text())
    assert len(content["annotations"]) >= record["count"] > 0
    text = call("predict", SAMPLES / "seedling.png", "--output", tmp_path / "leaf", "--full-masks", code=2)
    assert "leaf gives no overlapping masks" in text
    assert not (tmp_path / "leaf" / "seedling_label.tif").exists()
    text = call("predict", SAMPLES / "seedling.png", "--output", tmp_path / "b", "--score-threshold", 0.3, code=2)
    assert "no parameter “score_threshold”" in text


def test_looks_and_plant_masks(call, tmp_path):
    (tmp_path / "masks").mkdir()
    mask = read_labels(SAMPLES / "seedling_label.tif") > 0
    mask[:, : mask.shape[1] // 2] = False
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / "seedling_fg.png")
    options = ["--output", tmp_path / "out", "--tta", "careful", "--plant-masks", tmp_path / "masks"]
    text = call("predict", SAMPLES / "seedling.png", SAMPLES / "tray.png", *options, code=2)
    assert "no plant mask for tray.png" in text
    labels = read_labels(tmp_path / "out" / "seedling_label.tif")
    assert labels.any()
    assert not labels[~mask].any()
    record = json.loads((tmp_path / "out" / "seedling_label.json").read_text())
    assert record["plant_mask"]
    assert record["tta"] == {"views": 4, "scales": [1.0]}
    assert "no test-time augmentation" in call(
        "predict", SAMPLES / "seedling.png", "--output", tmp_path, "--tta", "x", code=2
    )


def test_a_bad_file_does_not_stop_the_others(call, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.png").write_text("no image")
    Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / "in" / "black.png")
    Image.open(SAMPLES / "seedling.png").save(tmp_path / "in" / "plant.png")
    text = call("predict", tmp_path / "in", tmp_path / "gone.png", "--output", tmp_path / "out", code=2)
    for words in ("notes.png", "black.png", "gone.png", "black all over", "3 of 4 not done"):
        assert words in text
    assert "Done" not in text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["plant_label.json", "plant_label.tif"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "oak"], "no model “oak”"),
        (["--model", "README.md"], "not a napari-leafseg checkpoint"),
        (["--angle", "200"], "between 5 and 75"),
        (["--scale", "900"], "working scale"),
        (["--device", "abacus"], "no device “abacus”"),
    ],
)
def test_wrong_options_end_with_a_sentence_and_2(call, tmp_path, options, words):
    text = call("predict", SAMPLES / "seedling.png", "--output", tmp_path / "out", *options, code=2)
    assert words in text
    assert "Traceback" not in text
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_model_that_cannot_be_loaded_is_not_followed_by_done(call, tmp_path):
    whole = find_model("leaf").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    shutil.copy(card_path(find_model("leaf")), tmp_path / "cut.json")
    options = ["--model", tmp_path / "cut.safetensors", "--output", tmp_path / "out"]
    text = call("predict", SAMPLES / "seedling.png", *options, code=2)
    assert "cut.safetensors" in text
    assert "Done" not in text
    assert "100 %" not in text


def test_unwritable_folder(call, tmp_path):
    (tmp_path / "file").write_text("in the way")
    text = call("predict", SAMPLES / "seedling.png", "--output", tmp_path / "file" / "out", code=2)
    assert "Cannot write to the folder" in text


def test_evaluate_matches_stems_and_refuses_other_sizes(call, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    labels = np.pad(np.ones((5, 5), int), 3)
    write_labels(one / "a_label.tif", labels)
    two.mkdir()
    Image.fromarray(labels.astype(np.uint8)).save(two / "a.png")
    assert "1.0000" in call("evaluate", "--prediction", one, "--truth", two)
    write_labels(one / "b_label.tif", labels)
    Image.fromarray(np.ones((4, 4), np.uint8)).save(two / "b.png")
    assert "one size" in call("evaluate", "--prediction", one, "--truth", two, code=2)
    assert "No label image" in call("evaluate", "--prediction", one, "--truth", SAMPLES, code=2)


def test_evaluate_scores_each_image_of_a_series(call, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    labels = np.zeros((2, 30, 40), np.uint16)
    labels[:, 5:20, 5:20] = 1
    write_labels(two / "plant_label.tif", labels)
    labels[1] = 0
    write_labels(one / "plant_label.tif", labels)
    text = call("evaluate", "--prediction", one, "--truth", two)
    assert re.search(r"plant \[1\]\W+1\.0000", text)
    assert re.search(r"plant \[2\]\W+0\.0000", text)
    write_labels(one / "plant_label.tif", labels[0])
    assert "labels of one image" in call("evaluate", "--prediction", one, "--truth", two, code=2)


def test_synthesize_models_and_train(call, tmp_path):
    call("synthesize", "--output", tmp_path / "plants", "--count", 3, "--size", 96)
    assert len(list((tmp_path / "plants").glob("*.png"))) == 3
    assert read_labels(tmp_path / "plants" / "plant000000_label.tif").shape == (96, 96)
    assert "leaf" in call("models")
    config = tmp_path / "c.yaml"
    config.write_text(
        "{name: mine, model: tiny, steps: 2, batch: 1, crop: 48, validation_count: 1, "
        "data: {count: 2, scenes: [{share: 1, scene: {size: [64, 64], diameter: [40, 60]}}]}}"
    )
    text = call("train", config, "--output", tmp_path / "run", "--device", "cpu")
    assert "mine.safetensors" in text.replace("\n", "")
    call(
        "predict",
        SAMPLES / "seedling.png",
        "--output",
        tmp_path / "out",
        "--model",
        tmp_path / "run" / "mine.safetensors",
    )
    config.write_text("stepz: 1")
    assert "stepz" in call("train", config, "--output", tmp_path / "run", code=2)


def test_which_plants_images_show(call, tmp_path):
    for day in (3, 5):
        for plant in ("a", "b"):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{plant}_2021-05-0{day}.png")
    text = call("metadata", tmp_path, "--save", tmp_path / "t.csv")
    assert "Pattern: {plant}_{date:%Y-%m-%d}" in text
    assert "2021-05-03" in text
    assert "2 plants seen several times, up to 2." in text
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "a_2021-05-03.png,a,2021-05-03"
    text = call("metadata", tmp_path, "--pattern", "{genotype}_{date}", "--metadata", tmp_path / "t.csv")
    assert "genotype" in text
    assert "Is {genotype} meant?" in call("metadata", tmp_path, "--pattern", "{gentype}_{date}", code=2)
    (tmp_path / "t.csv").write_text("image,date\na_2021-05-03.png,03/04/2021\n")
    assert "may begin with the day or with the month" in call(
        "metadata", tmp_path, "--metadata", tmp_path / "t.csv", code=2
    )
    assert "2021-04-03" in call("metadata", tmp_path, "--metadata", tmp_path / "t.csv", "--day-first")


def test_a_window_without_qt_says_which_extra_brings_it(monkeypatch, tmp_path):
    for name in ("PyQt5", "PyQt6", "PySide2", "PySide6"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    text = " ".join(call_program("demo", code=2).split())
    assert "The window needs Qt" in text
    assert 'pip install "napari-leafseg[pyqt6]"' in text
