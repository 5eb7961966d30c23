"""The command ``napari-leafseg models``."""

import pytest
import torch
from typer.testing import CliRunner

from napari_leafseg import _console
from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.models.store import user_models, zoo
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.project import recent_projects


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's models lie in a folder of the test."""
    for place in (zoo, user_models):
        monkeypatch.setattr(place, "user_folder", lambda: tmp_path / "models")
    monkeypatch.setattr(_console.out, "width", 200)
    return tmp_path / "models"


def run(*arguments):
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_models_are_listed_with_quality_size_and_license(folder):
    result = run()
    assert result.exit_code == 0
    for word in ("leaf-small", "leaf-fluorescence", "condinst", "mask2former", "BSD-3-Clause", " MB", str(folder)[:20]):
        assert word in result.stdout


def test_a_published_model_is_imported_listed_and_not_overwritten(folder, tmp_path):
    from transformers import AutoConfig, Mask2FormerForUniversalSegmentation

    shape = {"depths": [1] * 4, "hidden_sizes": [16] * 4, "embedding_size": 8, "layer_type": "basic"}
    stages = [f"stage{number}" for number in range(1, 5)]
    settings = AutoConfig.for_model(
        "mask2former", backbone_config=AutoConfig.for_model("resnet", out_features=stages, **shape), feature_size=32,
        hidden_dim=32, mask_feature_size=32, encoder_feedforward_dim=32, dim_feedforward=64, encoder_layers=1,
        decoder_layers=3, num_attention_heads=2, num_queries=10,
    )  # fmt: skip
    Mask2FormerForUniversalSegmentation(settings).save_pretrained(tmp_path / "theirs")
    result = run("import", tmp_path / "theirs", "--as", "mask2former", "--leaf-head", "--name", "mine")
    assert result.exit_code == 0, result.output
    network, card = load_checkpoint(folder / "mine.safetensors")
    assert card.config.queries == 10
    assert network.class_head.weight.shape == (2, 32)
    assert "mine" in zoo.list_models()
    again = run("import", tmp_path / "theirs", "--as", "mask2former", "--name", "mine")
    assert isinstance(again.exception, UserError)
    assert "already" in str(again.exception)


def test_nothing_half_written_remains_of_a_file_that_does_not_fit(folder, tmp_path):
    torch.save({"model": {"backbone.bottom_up.res2.0.conv1.weight": torch.zeros(1)}}, tmp_path / "bad.pth")
    result = run("import", tmp_path / "bad.pth", "--as", "solov2")
    assert isinstance(result.exception, UserError)
    assert "no ResNet-50" in str(result.exception)
    assert not folder.exists()


def test_own_models_are_added_renamed_compared_deleted_and_restored(folder, tiny_checkpoint, tmp_path):
    assert run("add", tiny_checkpoint, "--name", "first").exit_code == 0
    assert load_checkpoint(folder / "first.safetensors")[1].name == "first"
    assert "already" in str(run("add", tiny_checkpoint, "--name", "first").exception)
    assert run("rename", "first", "second").exit_code == 0
    network, card = load_checkpoint(folder / "second.safetensors")
    assert card.name == "second"
    assert not (folder / "first.safetensors").exists()
    for key, value in load_checkpoint(tiny_checkpoint)[0].state_dict().items():
        assert torch.equal(network.state_dict()[key], value)
    text = run("compare", "second", "leaf").stdout
    assert "distance + embedding" in text
    assert "default angle" in text
    assert run("export", "second", tmp_path / "carried.safetensors").exit_code == 0
    assert (tmp_path / "carried.safetensors").read_bytes() == (folder / "second.safetensors").read_bytes()
    assert run("delete", "second").exit_code == 0
    assert "second" not in zoo.list_models()
    assert "There are: second" in str(run("restore", "other").exception)
    assert run("restore", "second").exit_code == 0
    assert "second" in zoo.list_models()


def test_a_model_that_a_project_uses_is_deleted_only_when_somebody_says_so(folder, tiny_checkpoint, monkeypatch):

    run("add", tiny_checkpoint, "--name", "mine")
    used = {folder / "trays": 12}
    monkeypatch.setattr(recent_projects, "projects_using", lambda model: used if model == "mine" else {})
    command = ["models", "delete", "mine"]
    asked = CliRunner(env={"COLUMNS": "400"}).invoke(app, command, input="n\n")
    assert asked.exit_code == 1
    assert "trays: “mine” found the leaves of 12 images" in asked.stdout
    assert "mine" in zoo.list_models()
    assert CliRunner().invoke(app, command, input="y\n").exit_code == 0
    assert "mine" not in zoo.list_models()
    run("restore", "mine")
    assert run("delete", "mine", "--force").exit_code == 0


@pytest.mark.parametrize("command", [("delete", "leaf"), ("rename", "leaf", "mine")])
def test_bundled_models_stay_as_they_are(folder, command):
    result = run(*command)
    assert isinstance(result.exception, UserError)
    assert "comes with the program" in str(result.exception)
    assert isinstance(run("delete", "nothing").exception, UserError)


def test_names_that_are_none_are_refused(folder, tiny_checkpoint):
    for name in ("", "a/b"):
        assert "no name for a model" in str(run("add", tiny_checkpoint, "--name", name or " /").exception)
