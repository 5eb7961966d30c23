"""What a person writes into files: nothing is there twice, and no value is taken for one of another kind."""

import json

import pytest
import yaml
from pydantic import BaseModel

from napari_leafseg._entries import Entries, parse_yaml
from napari_leafseg._files import read_json
from napari_leafseg.errors import UserError
from napari_leafseg.io.exchange.yolo import count_yolo
from napari_leafseg.training.config import read_training_config

RECIPE = "steps: 5\nbatch: 2\ncrop: 64\n"


def config(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_recipe_that_fits_is_read(tmp_path):
    found = read_training_config(config(tmp_path, RECIPE + "augment: true\nlearning_rate: 1e-3\nzoom: [0.5, 1]\n"))
    assert (found.steps, found.augment, found.learning_rate, found.zoom) == (5, True, 0.001, (0.5, 1.0))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("steps: 7\n", "“steps” is there twice"),
        ("data: {count: 3, count: 4}\n", "“count” is there twice"),
        ("seed: true\n", "“seed” must be a whole number, not “true”"),
        ("grays: false\n", "“grays” must be a number, not “false”"),
        ("learning_rate: .inf\n", "“learning_rate” must be a finite number, not “inf”"),
        ("weight_decay: .nan\n", "“weight_decay” must be a finite number, not “nan”"),
        ("zoom: [0.5, .inf]\n", "“zoom.1” must be a finite number, not “inf”"),
        ("zoom: [true, 2]\n", "“zoom” must be a number"),
        ("milestones: [3, true]\n", "“milestones” must be a whole number"),
        ("defaults: {angle: true}\n", "“defaults” must be a number"),
        ("loss: {distance: .inf}\n", "“loss.distance” must be a finite number, not “inf”"),
        ("loss: {contact_weight: true}\n", "“loss.contact_weight” must be a number, not “true”"),
        ("data: {count: true}\n", "“data.count” must be a whole number, not “true”"),
        ("model: {kind: distance_embedding, embedding: true}\n", "must be a whole number, not “true”"),
    ],
)
def test_a_recipe_that_does_not_is_refused(tmp_path, more, words):
    path = config(tmp_path, RECIPE + more)
    with pytest.raises(UserError) as caught:
        read_training_config(path)
    assert words in str(caught.value)
    assert str(caught.value).count(str(path)) == 1


def test_json_that_names_something_twice_is_refused(tmp_path):
    path = tmp_path / "tray.json"
    path.write_text('{"rows": 2, "columns": 3, "rows": 4}')
    with pytest.raises(UserError, match=r"tray\.json is damaged: it is no JSON file \(“rows” is there twice\)"):
        read_json(path)


def test_json_that_names_nothing_twice_is_read(tmp_path):
    path = tmp_path / "tray.json"
    path.write_text(json.dumps({"a": [{"b": 1}, {"b": 2}], "b": {}}))
    assert read_json(path) == {"a": [{"b": 1}, {"b": 2}], "b": {}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [a]\nnames: [b]\n", "“names” is there twice"),
        ("nc: 2\n", "it has no list “names”"),
        ("names: 3\n", "it has no list “names”"),
        ("- a\n", "it has no list “names”"),
        ("names: [a\n", "line 2"),
    ],
)
def test_classes_that_cannot_be_read_are_told_in_words(tmp_path, text, words):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    path = tmp_path / "data.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        count_yolo(path)
    assert "Error" not in str(caught.value)


def test_yaml_with_a_merged_part_is_read():
    assert parse_yaml("a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}
    with pytest.raises(ValueError, match="a name must be a text"):
        parse_yaml("? [a]\n: 1\n")
    assert yaml.safe_load("1: 2") == parse_yaml("1: 2")


def models(kind=BaseModel):
    for one in kind.__subclasses__():
        yield one
        yield from models(one)


def test_all_that_refuses_unknown_entries_is_as_strict():
    """A model that says so itself would take true for 1, and infinite numbers."""
    ours = [one for one in models() if one.__module__.startswith("napari_leafseg.")]
    strict = [one for one in ours if one.model_config.get("extra") == "forbid"]
    assert len(strict) > 15
    alone = {one.__name__ for one in strict if not issubclass(one, Entries) and not one.model_config.get("strict")}
    assert alone <= {"_Frame", "_Header"}, alone  # of kept predictions, which no person writes
