"""The check of a graphics card, on the processor at a small size."""

import json

import pytest
import torch
from benchmarks.gpu_check import __main__ as program
from benchmarks.gpu_check import networks, runs, training
from benchmarks.gpu_check.report import Report, SkipCheck
from benchmarks.gpu_check.sizes import full_size, small_size

from napari_leafseg import load_model
from napari_leafseg.errors import ModelError
from napari_leafseg.models.registry import families, presets
from napari_leafseg.models.store.zoo import list_models

CPU = torch.device("cpu")


@pytest.mark.slow
def test_everything_is_checked_on_the_processor(tmp_path, capsys):
    status = program.main(["--size", "small", "--device", "cpu", "--output", str(tmp_path)])
    found = json.loads((tmp_path / "gpu-check.json").read_text(encoding="utf-8"))
    assert [check for check in found["checks"] if check["state"] != "ok"] == []
    assert status == 0
    names = {check["name"] for check in found["checks"]}
    assert {"network leaf", "network mask2former-tiny", "labels leaf", "short memory", "two processes"} <= names
    assert {"prediction leaf", "training step leaf", "batch", "training"} <= names
    figures = next(check["figures"] for check in found["checks"] if check["name"] == "training")
    assert figures["steps"] == small_size().steps
    assert figures["images"] == "synthetic images alone"
    assert load_model(str(tmp_path / "leaf.safetensors"), "cpu").card.name == "leaf"
    assert len((tmp_path / "curves.jsonl").read_text().splitlines()) == small_size().steps
    assert "| training | ok |" in (tmp_path / "gpu-check.md").read_text(encoding="utf-8")
    assert "0 failed" in capsys.readouterr().out


def test_full_size_has_every_model_and_every_family():
    size = full_size()
    assert set(list_models()) | set(presets()) <= set(size.networks)
    assert {presets()[name].kind for name in size.networks if name in presets()} == set(families())
    small = {presets()[name].kind for name in small_size().networks if name in presets()}
    assert small == set(families())


def test_a_network_that_computes_otherwise_fails(monkeypatch, tmp_path):
    made = networks.open_network("tiny")
    monkeypatch.setattr(networks, "open_network", lambda _name: made)
    seen = []

    def wrong(_network, inputs, output):
        seen.append(inputs)
        return output._replace(distance=2 * output.distance) if len(seen) > 1 else output

    made.register_forward_hook(wrong)  # deepcopy keeps it: the first call is that of the processor
    report = Report(tmp_path, {}, 1)
    report.run("tiny", lambda figures: networks.check_network("tiny", CPU, small_size(), figures))
    assert report.failed == ["tiny"]
    assert "forward in bfloat16: “distance” is off by" in report.checks[0].reason


def test_numbers_that_are_not_finite_or_of_another_shape_fail():
    with pytest.raises(AssertionError, match="finite"):
        networks.difference(torch.tensor([float("nan")]), torch.ones(1))
    with pytest.raises(AssertionError, match="shape"):
        networks.difference(torch.ones(2), torch.ones(1))
    with pytest.raises(AssertionError, match="instead of"):
        networks.compare({}, {"distance": torch.ones(1)}, 0.1, "forward")


def test_a_failed_check_is_the_exit_status_and_the_others_go_on(monkeypatch, tmp_path):
    def broken(report, *_arguments):
        report.run("broken", lambda figures: 1 / 0)

    monkeypatch.setattr(program, "check_networks", broken)
    monkeypatch.setattr(program, "check_runs", lambda report, *_arguments: report.run("fine", lambda figures: None))
    monkeypatch.setattr(program, "check_training", lambda *arguments: arguments[-1].update(steps=3))
    assert program.main(["--size", "small", "--device", "cpu", "--output", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "gpu-check.json").read_text(encoding="utf-8"))
    assert (found["ok"], found["failed"], found["skipped"]) == (2, 1, 0)
    assert found["checks"][0]["reason"] == "ZeroDivisionError: division by zero"
    assert "| training | ok | 0.0 | steps 3 |" in (tmp_path / "gpu-check.md").read_text(encoding="utf-8")


def test_a_device_that_is_not_there_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        program.main(["--device", "cuda:7", "--output", str(tmp_path)])
    assert "no device “cuda:7”" in capsys.readouterr().err


def test_what_cannot_be_checked_says_why(monkeypatch, tmp_path):
    def missing(*_arguments):
        raise ModelError("A Mask2Former needs the package transformers, which is not installed: pip install …")

    monkeypatch.setattr(networks, "build_network", missing)
    with pytest.raises(SkipCheck, match="transformers"):
        networks.open_network("mask2former-tiny")
    report = Report(tmp_path, {}, 1)
    report.run("network", lambda figures: networks.check_network("tiny", CPU, small_size(), figures))
    report.run("late", lambda figures: None, reserve=3600)
    assert [(check.state, check.reason) for check in report.checks] == [
        ("skipped", "A Mask2Former needs the package transformers, which is not installed: pip install …"),
        ("skipped", "The time is used up."),
    ]
    assert report.failed == []


def test_turns_that_overlap_fail(monkeypatch):
    held = [[0.0, 2.0], [1.0, 3.0]]

    class Program:
        def __init__(self, *_command, **_options):
            self.span = held.pop()

        def communicate(self, timeout):
            return json.dumps({"leaves": [0], "held": [self.span]}), None

        def kill(self):
            pass

    class Predictor:
        def predict(self, _image, scale):
            return self

        def labels(self):
            return torch.zeros(1)

    monkeypatch.setattr(runs.subprocess, "Popen", Program)
    monkeypatch.setattr(runs, "load_model", lambda *_arguments: Predictor())
    with pytest.raises(AssertionError, match="1 of 2 turns began"):
        runs.check_two_processes(torch.device("cuda"), small_size(), {})


def test_labeled_folders_are_trained_on_where_all_are_there(tmp_path):
    for name in ("fluorescence", "strap_leaves", "phenoleaf", "arabidopsis"):
        config, images = training.recipe_for(small_size(), tmp_path, 60.0)
        assert images == "synthetic images alone"
        assert not config.data.folders()
        (tmp_path / name).mkdir()
    config, images = training.recipe_for(small_size(), tmp_path, 60.0)
    assert images == "labeled folders and synthetic images"
    assert next(item.folder for item in config.data.folders()) == str(tmp_path / "fluorescence")
    assert config.init_from == "leaf"
