"""Families of models: a third one from outside the package works everywhere."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_leafseg import load_model
from napari_leafseg._system import system_info
from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.inference.parameter_search import search_parameters
from napari_leafseg.inference.prompts import PredictionModel
from napari_leafseg.io import read_labels
from napari_leafseg.models import registry
from napari_leafseg.models.build import build_network
from napari_leafseg.models.registry import families, parameter_table, parse_config, register_family
from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard, read_card
from napari_leafseg.models.store.zoo import list_models
from napari_leafseg.training.config import InstanceUniqueConfig, LossConfig
from napari_leafseg.training.instance_unique import InstanceUniqueLoss
from napari_leafseg.training.losses import instance_unique_losses
from tests.conftest import REPOSITORY
from tests.test_imports import loaded
from tests.toy_family import STAR, StarConfig, StarNet

SEEDLING = REPOSITORY / "sample_data" / "seedling.png"
BUILT_IN = ["distance_embedding", "condinst", "solov2", "sotr", "mask2former", "sparseinst", "knet"]


@pytest.fixture
def star():
    """The toy family, registered."""
    register_family(STAR)
    yield STAR
    registry.unregister_family("star")


@pytest.fixture
def checkpoint(star, tmp_path):
    """A checkpoint of the toy family."""
    path = tmp_path / "star.safetensors"
    save_checkpoint(path, build_network(StarConfig()), ModelCard("star", "1", StarConfig(), {"probability": 0.6}))
    return path


def test_a_family_is_found_when_it_is_registered(star):
    assert list(families()) == [*BUILT_IN, "star"]
    register_family(STAR)  # again: nothing new
    with pytest.raises(ValueError, match="already"):
        register_family(STAR.__class__(**{**STAR.__dict__, "title": "another"}))


def test_a_family_is_found_by_its_entry_point_and_a_broken_one_does_no_harm(monkeypatch, caplog):
    points = [
        EntryPoint("broken", "no.such.module:FAMILY", registry.GROUP),
        EntryPoint("star", "tests.toy_family:STAR", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in points if point.group == group])
    registry._installed.cache_clear()
    try:
        assert list(families()) == [*BUILT_IN, "star"]
        assert "no.such.module" in caplog.text
        assert parse_config({"kind": "star", "rays": 12}) == StarConfig(rays=12)
        told = system_info()["model families"]
        assert list(told) == [*BUILT_IN, "star", "broken (no.such.module:FAMILY)"]
        assert told["star"].endswith("(tests)")
        assert "napari-leafseg" in told["condinst"].replace("_", "-")
        assert told["broken (no.such.module:FAMILY)"].startswith("left out: No module named")
    finally:
        registry._installed.cache_clear()


def test_families_are_listed_without_torch():
    code = "from napari_leafseg.models.registry import families, presets\nassert len(families()) == 7 and presets()"
    assert not loaded(code) & {"torch", "transformers"}


def test_every_built_in_network_and_runner_is_found(star):
    for family in families().values():
        assert registry.resolve(family.runner)
        assert callable(registry.resolve(family.builder))
        assert family.settable[-2].name == "min_area"
        if family.losses:
            assert callable(registry.resolve(family.losses))


def test_a_checkpoint_of_it_is_saved_and_read(checkpoint):
    network, card = load_checkpoint(checkpoint)
    assert isinstance(network, StarNet)
    assert card.config == StarConfig()
    assert card.parameter_names == ("probability", "nms")
    registry.unregister_family("star")
    with pytest.raises(UserError, match="another kind of model"):
        read_card(checkpoint)


def test_it_predicts(checkpoint, scene):
    prediction = load_model(str(checkpoint), "cpu").predict(scene.image)
    assert [spec.name for spec in prediction.tunables] == ["probability", "nms", "min_area"]
    assert prediction.defaults()["probability"] == 0.6
    few, many = prediction.labels(probability=0.9).max(), prediction.labels(probability=0.3).max()
    assert few < many
    assert prediction.layers == ()
    with pytest.raises(UserError, match="It has: probability, nms, min_area"):
        prediction.labels(angle=3)


def test_a_family_that_knows_nothing_of_clicks_leaves_them_to_the_colors(checkpoint, scene):
    prediction = load_model(str(checkpoint), "cpu").predict(scene.image)
    assert PredictionModel(prediction).growth(np.argwhere(scene.labels > 0)[:1].astype(float)) is None


def test_a_family_without_queries_is_not_trained_instance_uniquely(star):
    network, unique = build_network(StarConfig()), InstanceUniqueLoss(InstanceUniqueConfig())
    with pytest.raises(UserError, match="“star” has no queries"):
        instance_unique_losses(network, {}, LossConfig(), unique, 0)


def test_the_smallest_leaf_may_be_given_at_the_working_scale(checkpoint, scene):
    predictor = load_model(str(checkpoint), "cpu")
    prediction = predictor.predict(scene.image, scale=0.5)
    assert prediction.complete({"min_area_working": 30})["min_area"] == 120
    with pytest.raises(UserError, match="not both"):
        prediction.labels(min_area=3, min_area_working=3)
    stack = predictor.predict(np.stack([scene.image] * 2), scale=0.5)
    assert np.array_equal(stack.labels(min_area_working=30)[1], prediction.labels(min_area=120))
    assert stack.record(min_area_working=30)["parameters"]["min_area_working"] == 30


def test_its_parameters_are_searched(checkpoint, scene):
    prediction = load_model(str(checkpoint), "cpu").predict(scene.image)
    search = list(search_parameters([prediction], [scene.labels]))[-1].search
    assert search.sbd.shape == (3, 3, 5)
    assert set(search.best) == {"probability", "nms", "min_area_working"}
    assert np.ptp(search.sbd) > 0


def test_the_command_line_takes_its_parameters(checkpoint, tmp_path):
    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    common = ["--model", checkpoint, "--device", "cpu", "--output"]
    counts = {}
    for value in (0.3, 0.9):
        result = call(
            "predict", SEEDLING, *common, tmp_path / str(value), "-p", f"probability={value}", "-p", "nms=0.2"
        )
        assert result.exit_code == 0, result.output
        record = json.loads((tmp_path / str(value) / "seedling_label.json").read_text())
        assert record["parameters"]["probability"] == value
        assert record["parameters"]["nms"] == 0.2
        counts[value] = read_labels(tmp_path / str(value) / "seedling_label.tif").max()
    assert counts[0.9] < counts[0.3]
    for wrong, words in (
        ("angle=4", "no parameter “angle”"),
        ("nms", "NAME=VALUE"),
        ("nms=much", "no number"),
        ("nms=7", "must lie between 0 and 1"),
    ):
        result = call("predict", SEEDLING, *common, tmp_path / "x", "-p", wrong)
        assert isinstance(result.exception, UserError)
        assert words in str(result.exception)
        assert "nms=7" in wrong or "probability (0.05 to 0.95" in str(result.exception)
    assert not (tmp_path / "x").exists()
    listed = call("models", "parameters", checkpoint)
    assert "probability (0.05 to 0.95, default 0.6)" in listed.output


def test_a_batch_takes_its_parameters(checkpoint, tmp_path):
    options = ["--model", checkpoint, "--device", "cpu", "--workers", "0", "--output", tmp_path / "out"]
    arguments = ["batch", SEEDLING, *options, "-p", "probability=0.7", "-p", "min_area_working=40"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "1 image done, 0 not" in result.output
    record = json.loads((tmp_path / "out" / "labels" / "seedling_label.json").read_text())
    assert record["parameters"]["probability"] == 0.7
    assert record["parameters"]["min_area"] == round(40 / record["scale"] ** 2)
    assert record["count"] == read_labels(tmp_path / "out" / "labels" / "seedling_label.tif").max()


def test_a_batch_refuses_what_the_model_does_not_have(checkpoint, tmp_path):
    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.run import run_batch

    settings = BatchSettings(model=str(checkpoint), values={"angle": 40.0})
    with pytest.raises(UserError, match="no parameter “angle”"):
        list(run_batch([SEEDLING], tmp_path / "out", settings, 0))


def test_models_are_listed_by_family():
    kinds = [read_card(path).config.kind for path in list_models().values()]
    assert kinds == sorted(kinds, key=BUILT_IN.index)
    assert next(iter(list_models())) == "leaf"


def test_the_documentation_lists_all_parameters():
    assert parameter_table() in (REPOSITORY / "docs" / "parameters.md").read_text(encoding="utf-8")
