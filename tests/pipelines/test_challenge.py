"""The Leaf Segmentation Challenge's data on small folders and files, and the whole command."""

import json

import h5py
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_leafseg import load_model
from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.io.exchange.challenge import read_challenge, write_submission
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.models.store.zoo import list_models
from napari_leafseg.pipelines.challenge import score_challenge, split
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.config import read_training_config
from tests.conftest import REPOSITORY

SCENE = SceneConfig(size=(96, 80), diameter=(55, 75), border=0.0, blank=0.0)


@pytest.fixture(scope="module")
def scenes():
    keys = [("A1", f"plant{number:03d}") for number in (1, 2, 3, 5)] + [("A4", "plant0001"), ("A4", "plant0002")]
    return {key: synthesize(300 + number, SCENE) for number, key in enumerate(keys)}


@pytest.fixture(scope="module")
def folder(scenes, tmp_path_factory):
    """As the challenge's archive: palette PNG labels, RGBA images."""
    root = tmp_path_factory.mktemp("challenge")
    for (subset, name), scene in scenes.items():
        (root / subset).mkdir(exist_ok=True)
        alpha = np.full((*scene.labels.shape, 1), 255, np.uint8)
        Image.fromarray(np.concatenate([scene.image, alpha], 2)).save(root / subset / f"{name}_rgb.png")
        label = Image.fromarray(scene.labels.astype(np.uint8), "P")
        label.putpalette([value for number in range(256) for value in ((37 * number) % 256, number, 255 - number)])
        label.save(root / subset / f"{name}_label.png")
        Image.fromarray((scene.labels > 0).astype(np.uint8) * 255).save(root / subset / f"{name}_fg.png")
    return root


@pytest.fixture(scope="module")
def files(scenes, tmp_path_factory):
    """As the HDF5 download: images in one file, truth in another."""
    root = tmp_path_factory.mktemp("files")
    images, truth = root / "CVPPP2017_training_images.h5", root / "CVPPP2017_training_truth.h5"
    with h5py.File(images, "w") as first, h5py.File(truth, "w") as second:
        for (subset, name), scene in scenes.items():
            first[f"{subset}/{name}/rgb"] = np.dstack([scene.image, np.full(scene.labels.shape, 255, np.uint8)])
            first[f"{subset}/{name}/rgb_filename"] = f"{name}_rgb.png"
            first[f"{subset}/{name}/fg"] = (scene.labels > 0).astype(np.uint8)
            second[f"{subset}/{name}/label"] = scene.labels.astype(np.uint8)
            second[f"{subset}/{name}/label_filename"] = f"{name}_label.png"
    return images


@pytest.mark.parametrize("kind", ["folder", "files"])
def test_reader(kind, scenes, request):
    images = read_challenge(request.getfixturevalue(kind))
    assert [(item.subset, item.name) for item in images] == sorted(scenes)
    for item in images:
        scene = scenes[item.subset, item.name]
        assert np.array_equal(item.image(), scene.image)
        assert np.array_equal(item.labels(), scene.labels)
        assert np.array_equal(item.foreground(), scene.labels > 0)


def test_reader_takes_one_subset_and_test_images_without_truth(folder, files, tmp_path):
    assert {item.subset for item in read_challenge(folder / "A1")} == {"A1"}
    with h5py.File(tmp_path / "testing_images.h5", "w") as file:
        file["A5/plant001/rgb"] = np.zeros((4, 4, 3), np.uint8)
    (item,) = read_challenge(tmp_path / "testing_images.h5")
    assert not item.has("label")
    with pytest.raises(UserError, match="no “label” of A5/plant001"):
        item.labels()
    with pytest.raises(UserError, match="labels to train on"):
        split([item])


def test_reader_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="There is no file or folder"):
        read_challenge(tmp_path / "nothing")
    with pytest.raises(UserError, match="no image of the challenge"):
        read_challenge(tmp_path)
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(UserError, match="as an HDF5 file"):
        read_challenge(tmp_path / "text.h5")


def test_every_subset_is_split_and_the_same_way_each_time(folder):
    learned, held_out = split(read_challenge(folder), 0.5)
    assert [item.stem for item in held_out] == ["A1_plant002", "A1_plant005", "A4_plant0002"]
    assert len(learned) == 3
    assert split(read_challenge(folder), 0)[1] == []


def test_submission_has_the_challenges_layout_and_numbers_without_gaps(tmp_path):
    labels = np.array([[0, 7, 7], [0, 0, 300]])
    write_submission(tmp_path / "submission.h5", {("A1", "plant003"): labels, ("A5", "plant001"): labels * 0})
    with h5py.File(tmp_path / "submission.h5") as file:
        assert file["A1/plant003/label"].dtype == np.uint8
        assert file["A1/plant003/label"][()].tolist() == [[0, 1, 1], [0, 0, 2]]
        assert file["A1/plant003/label_filename"][()].decode() == "plant003_label.png"
        assert not file["A5/plant001/label"][()].any()
    with pytest.raises(UserError, match="255 at most"):
        write_submission(tmp_path / "other.h5", {("A1", "plant001"): np.arange(400).reshape(20, 20)})
    assert not (tmp_path / "other.h5").exists()


def test_the_given_mask_decides_where_leaves_are(scenes):
    scene = scenes["A1", "plant001"]
    mask = (scene.labels > 0).astype(np.uint8)
    mask[:, :40] = 0
    prediction = load_model("leaf", "cpu").predict(scene.image, mask=mask)
    labels = prediction.labels()
    assert labels.any()
    assert not labels[mask == 0].any()
    assert prediction.record()["plant_mask"]
    model = load_model("leaf", "cpu")
    with pytest.raises(UserError, match="plant mask of plant"):
        model.predict(scene.image, mask=mask[:-1], name="plant")
    with pytest.raises(UserError, match="is empty"):
        model.predict(scene.image, mask=mask * 0)


def test_scores_by_subset_follow_the_challenges_rules(folder, tmp_path):
    images = read_challenge(folder)
    events = list(score_challenge(load_model("leaf-small", "cpu"), images, True, tmp_path))
    table = events[-1].table
    assert set(table) == {"A1", "A4", "mean"}
    assert table["A1"]["images"] == 4
    content = json.loads((tmp_path / "scores.json").read_text())
    every = [row["SBD"] for rows in content["images"].values() for row in rows]
    assert table["mean"]["SBD"] == pytest.approx(np.mean(every))
    assert table["mean"]["FBD"] > 0.9


CONFIG = """
name: small
model: tiny
whole: true
crop: 64
batch: 2
warm_up: 0
mixed_precision: false
validation_count: 0
data: {count: 0, folder: replaced}
"""


def test_one_command_trains_scores_and_writes_the_submission(files, tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    command = ["challenge", str(files), "--output", str(tmp_path / "run"), "--config", str(tmp_path / "config.yaml"),
               "--epochs", "1", "--share", "0.5", "--test", str(files)]  # fmt: skip
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "A4" in result.stdout
    _, card = load_checkpoint(tmp_path / "run" / "small.safetensors")
    assert card.provenance["steps"] == 2  # three images, two at a time
    assert card.whole_image_size == 64
    with h5py.File(tmp_path / "run" / "submission.h5") as file:
        assert len(file["A1"]) == 4
    scored = CliRunner().invoke(app, [*command[:4], "--model", "leaf", "--own-foreground"])
    assert scored.exit_code == 0, scored.output
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["given_foreground"] is False


def test_a_model_of_whole_images_sees_whole_images(files, tmp_path, scenes):
    (tmp_path / "config.yaml").write_text(CONFIG)
    command = ["challenge", str(files), "--output", str(tmp_path / "run"), "--config", str(tmp_path / "config.yaml"),
               "--epochs", "1"]  # fmt: skip
    assert CliRunner().invoke(app, command).exit_code == 0
    prediction = load_model(str(tmp_path / "run" / "small.safetensors"), "cpu").predict(scenes["A1", "plant001"].image)
    assert prediction.scale == pytest.approx(64 / 96)
    (region,) = prediction.regions
    assert region.shape == (96, 80)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "resources" / "training").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_training_configuration_that_is_shipped_is_valid(path):
    config = read_training_config(path)
    network = config.network()
    assert network.kind in {"distance_embedding", "condinst", "solov2", "sotr", "mask2former"}
    assert getattr(network, "embedding", 8) >= 4
    if config.init_from:
        assert config.init_from in list_models() or config.init_from.startswith("runs/")  # an earlier stage
