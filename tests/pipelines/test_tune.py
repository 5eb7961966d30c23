"""From labeled images to better parameters, and `napari-leafseg tune`."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_leafseg import load_model
from napari_leafseg.cli import app, main
from napari_leafseg.errors import UserError
from napari_leafseg.io import write_image, write_labels
from napari_leafseg.pipelines.tune import labeled_files, reviewed_images, tune
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import import_masks
from napari_leafseg.synthetic import SceneConfig, synthesize


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labeled")
    for seed in (108, 111):
        scene = synthesize(seed, SceneConfig(size=(160, 160), diameter=(110, 140), border=0.0, blank=0.0))
        write_image(folder / f"plant{seed}.png", scene.image)
        write_labels(folder / f"plant{seed}_label.tif", scene.labels)
    return folder


def test_predictions_are_kept_and_a_second_sweep_runs_no_network(labeled):
    images = labeled_files(labeled)
    assert [image.name for image in images] == ["plant108.png", "plant111.png"]
    predictor = load_model("leaf-small", "cpu")
    search = list(tune(predictor, images))[-1].search
    assert search.best_sbd >= search.sbd.mean()
    assert all(image.prediction is not None for image in images)
    predictor._tiled.network = None  # nothing may ask it
    again = list(tune(predictor, images))[-1].search
    assert np.array_equal(again.sbd, search.sbd)


def test_reviewed_images_of_a_project_and_no_others(labeled, tmp_path):
    with Project.create(tmp_path / "project") as project:
        list(import_masks(project, labeled))
        assert reviewed_images(project) == []
        project.images[1].state = "done"
        project.writer.flush()
        (image,) = reviewed_images(project)
        assert image.labels().max() > 2
        assert image.image().shape == (160, 160, 3)
        with pytest.raises(UserError, match="mark it as reviewed"):
            next(tune(None, []))


def test_a_series_counts_every_frame(labeled):
    images = labeled_files(labeled)
    frames = [(image.image(), image.labels()) for image in images]
    series = labeled_files(labeled)[:1]
    series[0].image = lambda: np.stack([image for image, _ in frames])
    series[0].labels = lambda: np.stack([labels for _, labels in frames])
    assert list(tune(load_model("leaf-small", "cpu"), series))[-1].search.images == 2


def test_command_line(labeled, tmp_path):
    result = CliRunner().invoke(app, ["tune", str(labeled), "--json", str(tmp_path / "sweep.json")])
    assert result.exit_code == 0
    assert "2 images" in result.stdout
    assert "--seed-threshold" in result.stdout
    search = json.loads((tmp_path / "sweep.json").read_text())
    assert np.array(search["sbd"]).shape == (10, 10, 5)
    assert search["best_sbd"] >= search["current_sbd"]


def test_command_line_without_labels_says_that_it_needs_some(tmp_path, monkeypatch, capsys):
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    monkeypatch.setattr("sys.argv", ["napari-leafseg", "tune", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "no labeled leaves" in " ".join(capsys.readouterr().err.split())
