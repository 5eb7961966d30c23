"""What earlier versions wrote is still read: cards, training configurations, records, settings, options."""

import json

import pytest
import yaml
from safetensors import safe_open
from safetensors.numpy import save_file
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.finetuning.config import FinetuneSettings
from napari_leafseg.models.store import user_models
from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.project.measurement_settings import FILE, read_measurement_settings
from napari_leafseg.training.config import read_training_config
from tests.conftest import REPOSITORY


def test_an_earlier_card(tiny_checkpoint, tmp_path):
    with safe_open(tiny_checkpoint, framework="numpy") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    entries = json.loads(metadata["card"])
    for key in ("license", "target_diameter", "tta_views", "whole_image_size"):
        del entries[key]
    entries |= {"licence": "MIT", "diameter": 99.0, "views": 4, "whole": 512, "provenance": {"pictures": [{}]}}
    entries["defaults"] = {"smallest_working": 12.0, "piece_certainty": 0.9}
    save_file(tensors, tmp_path / "old.safetensors", {**metadata, "card": json.dumps(entries)})
    card = read_card(tmp_path / "old.safetensors")
    assert (card.license, card.target_diameter, card.tta_views, card.whole_image_size) == ("MIT", 99.0, 4, 512)
    assert card.defaults == {"min_area_working": 12.0, "min_component_confidence": 0.9}
    assert card.provenance == {"images": [{}]}


def test_an_earlier_training_configuration(tmp_path):
    entries = {
        "diameter": 90, "views": 2, "begin_with": "leaf", "framework": {"warm_up": 5}, "whole": True,
        "optimiser": "adam", "loss": {"neighbours": "global", "neighbour_radius": 7},
        "defaults": {"smallest_working": 16, "piece_certainty": 0.92},
    }  # fmt: skip
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(entries))
    config = read_training_config(tmp_path / "old.yaml")
    assert (config.target_diameter, config.tta_views, config.init_from, config.whole_images) == (90, 2, "leaf", True)
    assert (config.optimizer, config.loss.neighbors, config.loss.neighbor_radius) == ("adam", "global", 7)
    assert config.instance_unique.warm_up == 5
    assert config.defaults == {"min_area_working": 16, "min_component_confidence": 0.92}


def test_earlier_settings(tmp_path):
    assert FinetuneSettings.model_validate({"name": "x", "framework": {"warm_up": 5}}).instance_unique.warm_up == 5
    assert BatchSettings.model_validate({"looks": "fast"}).tta == "fast"
    assert BatchSettings(model="leaf", tta="fast").digest() == BatchSettings.model_validate({"looks": "fast"}).digest()
    (tmp_path / FILE).write_text('{"pictures": {"a": {"px_per_mm": 3.0}}}')
    assert read_measurement_settings(tmp_path).scale_of("a") == 3.0


def test_models_that_an_earlier_version_took_away_are_restored(tmp_path, monkeypatch, tiny_checkpoint):
    monkeypatch.setattr(user_models, "user_folder", lambda: tmp_path)
    (tmp_path / "taken away").mkdir()
    (tmp_path / "taken away" / "mine.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    assert user_models.deleted_models() == ["mine"]
    assert user_models.restore_model("mine") == tmp_path / "mine.safetensors"


@pytest.mark.parametrize("option", ["--looks=fast", "--tta=fast"])
def test_an_earlier_option(option, tmp_path):
    image = REPOSITORY / "sample_data" / "seedling.png"
    result = CliRunner().invoke(app, ["predict", str(image), "--output", str(tmp_path), "--device", "cpu", option])
    assert result.exit_code == 0
    assert ("is called --tta now" in result.output) == (option != "--tta=fast")
    assert json.loads((tmp_path / "seedling_label.json").read_text())["tta"] == {"views": 1, "scales": [1.0]}
