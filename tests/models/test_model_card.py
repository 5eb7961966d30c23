"""Weights and cards: bundled models are pairs, the user's are single files, and both are read."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from napari_leafseg._files import resource_folder
from napari_leafseg.errors import ModelError
from napari_leafseg.inference.calibration import calibrate
from napari_leafseg.models.confidence import ConfidenceWeights
from napari_leafseg.models.store import user_models
from napari_leafseg.models.store.bundle import bundle
from napari_leafseg.models.store.card_document import card_document
from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.store.mean import mean_of_checkpoints
from napari_leafseg.models.store.model_card import (
    holds_card,
    read_card,
    write_calibration,
    write_confidence,
    write_with_card,
)
from napari_leafseg.models.store.zoo import describe_model, find_model
from napari_leafseg.pipelines.batch.config import BatchSettings, model_hash
from napari_leafseg.pipelines.predictors import get_predictor

BUNDLED = sorted(resource_folder().glob("*/*.safetensors"))


@pytest.mark.parametrize("weights", BUNDLED, ids=lambda path: path.stem)
def test_a_bundled_model_is_weights_and_a_card(weights):
    with safe_open(weights, framework="numpy") as file:
        assert file.metadata() == {"format": "napari-leafseg 1"}
    text = weights.with_suffix(".json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert content["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not re.search("colour|grey", text, re.IGNORECASE)
    card = read_card(weights)
    assert card.name == weights.stem
    assert weights.with_suffix(".md").read_text(encoding="utf-8") == card_document(content), "make cards"


def pair(folder, name="leaf"):
    """A copy of a bundled model's two files."""
    return [Path(shutil.copy(find_model(name).with_suffix(suffix), folder)) for suffix in (".safetensors", ".json")]


def test_a_changed_default_is_a_change_of_the_card_alone(tmp_path):
    weights, card = pair(tmp_path)
    settings = BatchSettings(model=str(weights))
    before, predictor = settings.digest(), get_predictor(str(weights), "cpu")
    content = json.loads(card.read_text())
    content["document"]["for"] = [["Other words."]]
    card.write_text(json.dumps(content))
    assert settings.digest() == before  # words change no result
    content["defaults"]["angle"] = 33
    card.write_text(json.dumps(content))
    assert read_card(weights).defaults["angle"] == 33
    assert load_checkpoint(weights)[1].defaults["angle"] == 33
    assert get_predictor(str(weights), "cpu") is not predictor
    assert settings.digest() != before


def test_weights_without_their_card_or_with_another_ones_say_so(tmp_path):
    weights, card = pair(tmp_path)
    text = card.read_text()
    for content, words in (
        (None, r"leaf\.json is not beside it"),
        ("{", "no JSON"),
        ("[]", "another kind of model"),
        (text.replace('"sha256": "', '"sha256": "0'), "other weights"),
    ):
        card.unlink(missing_ok=True)
        if content is not None:
            card.write_text(content)
        with pytest.raises(ModelError, match=words) as caught:
            load_checkpoint(weights)
        assert "leaf" in str(caught.value)


def test_a_pair_becomes_one_file_that_can_be_sent(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_leafseg._files.platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    (tmp_path / "data" / "models").mkdir(parents=True)
    weights, _ = pair(tmp_path)
    added = user_models.add_model(weights, "mine")
    assert holds_card(added)
    assert read_card(added) == replace(read_card(weights), name="mine")
    first, second = (load_checkpoint(path)[0].state_dict() for path in (added, weights))
    assert all(torch.equal(first[key], value) for key, value in second.items())
    pair(tmp_path / "data" / "models", "solov2")[0].rename(tmp_path / "data" / "models" / "theirs.safetensors")
    (tmp_path / "data" / "models" / "solov2.json").rename(tmp_path / "data" / "models" / "theirs.json")
    sent = user_models.export_model("theirs", tmp_path / "sent.safetensors")
    assert read_card(sent).defaults == describe_model("solov2").defaults
    assert load_checkpoint(sent)[1].name == "solov2"
    restored = user_models.restore_model(user_models.delete_model("theirs").stem)
    assert read_card(restored) == read_card(sent)


def test_a_calibration_is_written_into_the_card_alone(tmp_path):
    weights, card = pair(tmp_path, "leaf-small")
    settings = BatchSettings(model=str(weights))
    before, figures, digest = weights.read_bytes(), json.loads(card.read_text()), settings.digest()
    assert write_calibration(weights, (0.5, 1.25)) == card
    assert weights.read_bytes() == before
    assert json.loads(card.read_text()) == {**figures, "calibration": [0.5, 1.25]}
    assert load_checkpoint(weights)[1].calibration == (0.5, 1.25)
    assert settings.digest() != digest
    single = tmp_path / "single.safetensors"
    write_with_card(weights, single, read_card(weights))
    assert write_calibration(single, (2.0, -1.0)) == single
    assert read_card(single) == replace(read_card(weights), calibration=(2.0, -1.0))
    first, second = (load_checkpoint(path)[0].state_dict() for path in (single, weights))
    assert all(torch.equal(first[key], value) for key, value in second.items())
    assert not single.with_suffix(".json").exists()
    with pytest.raises(ModelError, match="two finite numbers"):
        write_calibration(weights, (float("nan"), 0.0))
    assert read_card(weights).calibration == (0.5, 1.25)


def test_how_evidence_is_weighed_is_written_into_either_card(tmp_path):
    weights, card = pair(tmp_path, "leaf-small")
    figures, digest = json.loads(card.read_text()), model_hash(weights)
    fitted = ConfidenceWeights(offset=1.5, evidence={"height": (0.7, 0.1, 0.8), "outline": (6.0, 2.5, -0.25)})
    assert write_confidence(weights, fitted, 0.06) == card
    assert read_card(weights) == load_checkpoint(weights)[1]
    assert read_card(weights).confidence == fitted
    assert read_card(weights).defaults == {**figures["defaults"], "min_confidence": 0.06}
    assert {**json.loads(card.read_text()), "confidence": None} == {
        **figures, "calibration": None, "confidence": None, "defaults": read_card(weights).defaults
    }  # fmt: skip
    assert model_hash(weights) != digest
    single = tmp_path / "single.safetensors"
    write_with_card(weights, single, read_card(weights))
    assert read_card(single) == read_card(weights)
    write_with_card(weights, single, replace(read_card(weights), confidence=None))
    assert read_card(single).confidence is None
    assert write_confidence(single, fitted, 0.06) == single
    assert read_card(single) == read_card(weights)


def test_weights_are_brought_to_another_curve():
    fitted = ConfidenceWeights(offset=1.5, evidence={"height": (0.7, 0.1, 0.8), "outline": (6.0, 2.5, -0.25)})
    leaves = {"height": np.array([0.3, 0.7, 0.9]), "outline": np.array([3.0, 6.0, 40.0])}
    after = fitted.calibrated(2.0, -0.5).chance(leaves)
    np.testing.assert_allclose(after, [calibrate(value, (2.0, -0.5)) for value in fitted.chance(leaves)], atol=6e-4)


def test_another_model_under_the_same_name_is_another_experiment(tmp_path, tiny_checkpoint):
    place = Path(shutil.copy(tiny_checkpoint, tmp_path / "mine.safetensors"))
    settings = BatchSettings(model=str(place))
    before = settings.digest()
    assert settings.digest() == before
    network, card = load_checkpoint(place)
    save_checkpoint(place, network, replace(card, version="2030.1.1"))
    assert settings.digest() != before


def test_a_model_without_calibration_keeps_its_hash(tmp_path):
    weights, card = pair(tmp_path, "leaf-small")
    content = json.loads(card.read_text())
    content.pop("calibration", None)
    card.write_text(json.dumps(content))
    without = model_hash(weights)
    card.write_text(json.dumps({**content, "calibration": None}))
    assert model_hash(weights) == without
    hashes = {without}
    for curve in ((1.0, 0.0), (1.0, 0.1), (1.1, 0.0)):
        write_calibration(weights, curve)
        hashes.add(model_hash(weights))
    assert len(hashes) == 4


@pytest.mark.parametrize(
    "text",
    ["1.0", "[1, 2, 3]", '["1", "2"]', "[true, 1]", "[NaN, 0]", "[1, Infinity]", f"[{10**400}, 1]", "{}", '"12"'],
    ids=lambda text: text[:12],
)
def test_a_calibration_that_is_none_says_so(tmp_path, text):
    weights, card = pair(tmp_path)
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "calibration": "HERE"}).replace('"HERE"', text))
    with pytest.raises(ModelError, match=r"leaf\.json: the calibration .* two finite numbers, slope and offset"):
        read_card(weights)


def test_the_card_to_read_names_the_calibration():
    content = json.loads(find_model("leaf").with_suffix(".json").read_text(encoding="utf-8"))
    content |= {"calibration": None, "confidence": None}
    plain = card_document(content)
    assert "calibrated" not in plain
    (added,) = set(card_document({**content, "calibration": [0.5, -1.25]}).split("\n")) - set(plain.split("\n"))
    assert "slope 0.5, offset -1.25" in added
    assert added.count(". ") == 0
    weighed = {"offset": 1.5, "evidence": {"height": [0.7, 0.1, 0.8]}}
    table = card_document({**content, "confidence": weighed})
    assert "of offset 1.5." in table
    assert "| `height` | 0.7 | 0.1 | 0.8 |" in table


def test_a_bundled_model_gets_other_weights_and_keeps_its_words(tmp_path, tiny_checkpoint):
    weights, beside = pair(tmp_path, "leaf-small")
    before = json.loads(beside.read_text())
    network, card = load_checkpoint(tiny_checkpoint)
    training = {"name": "run", "description": "Anything.", "steps": 3}
    card = replace(card, provenance={"training": training, "date": "2030-02-01T00:00:00Z"}, least_leaf=7.0)
    save_checkpoint(tiny_checkpoint, network, card)
    bundle(tiny_checkpoint, weights)
    after, read = json.loads(beside.read_text()), read_card(weights)
    for entry in ("name", "description", "license", "defaults", "metrics", "document"):
        assert after[entry] == before[entry]
    assert (read.version, read.config, read.least_leaf) == ("2030.02.01", card.config, 7.0)
    assert read.provenance["training"] == training | {"name": "leaf-small", "description": before["description"]}
    assert not holds_card(weights)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in
               load_checkpoint(weights)[0].state_dict().items())  # fmt: skip
    assert weights.with_suffix(".md").read_text(encoding="utf-8") == card_document(after)


def test_the_mean_of_two_trainings_names_both(tmp_path, tiny_checkpoint):
    network, card = load_checkpoint(tiny_checkpoint)
    first, second, output = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "mean"))
    save_checkpoint(first, network, replace(card, version="1", provenance={"steps": 1}))
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.5)
    save_checkpoint(second, network, replace(card, version="2", provenance={"steps": 2}))
    mean_of_checkpoints([first, second], output)
    halfway, read = load_checkpoint(output)
    for key, value in halfway.named_parameters():
        assert torch.allclose(value, network.state_dict()[key] - 0.25, atol=2e-3), key
    assert (read.version, read.provenance["steps"]) == ("2", 2)
    parts = read.provenance["mean_of"]
    assert [part["version"] for part in parts] == ["1", "2"]
    assert parts[1]["sha256"] == hashlib.sha256(second.read_bytes()).hexdigest()


def test_a_mean_of_other_networks_is_refused(tmp_path, tiny_checkpoint):
    with pytest.raises(ModelError, match="of another network"):
        mean_of_checkpoints([find_model("leaf-small"), tiny_checkpoint], tmp_path / "mean.safetensors")
    with pytest.raises(ModelError, match="two checkpoints or more"):
        mean_of_checkpoints([tiny_checkpoint], tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("defaults", {"angle": "33"}), ("defaults", {"angle": None}), ("defaults", {"angle": float("nan")}),
        ("defaults", [1]), ("metrics", {"sbd": "good"}), ("target_diameter", "160"), ("target_diameter", 0),
        ("target_diameter", float("inf")), ("tta_views", 3), ("tta_views", 2.5), ("whole_image_size", -1),
        ("whole_image_size", True), ("least_leaf", "8"), ("name", 7), ("version", None), ("description", ["a"]),
        ("provenance", "mine"), ("calibration", ["a", 1]), ("confidence", [1]), ("confidence", {"offset": 1}),
        ("confidence", {"offset": "1", "evidence": {}}),
        ("confidence", {"offset": 1.0, "evidence": {"x": [0.0, 1.0, 1.0]}}),
        ("confidence", {"offset": 1.0, "evidence": {"height": [0.0, 0.0, 1.0]}}),
        ("confidence", {"offset": 1.0, "evidence": {"height": [0.0, 1.0, float("nan")]}}),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused_by_name(tmp_path, entry, value):
    weights, card = pair(tmp_path)
    content = json.loads(card.read_text())
    content[entry] = value
    card.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=entry):
        read_card(weights)
