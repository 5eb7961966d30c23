"""Whole experiments: what is written, restarts, errors, a cluster whose workers die, and reruns."""

import json
import os
import re
import signal
import time

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from PIL import Image
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines import processes
from napari_leafseg.pipelines.batch import run as running
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.find import Task, find_tasks
from napari_leafseg.pipelines.batch.marker import cached_result, marker_path
from napari_leafseg.pipelines.batch.rerun import read_records
from napari_leafseg.pipelines.batch.rerun import rerun as rerun_record
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.traits import measure
from tests.pipelines.report_page import Page
from tests.programs import begin_command

SETTINGS = BatchSettings(model="leaf-small", device="cpu", tta="fast", values={"angle": 50.0}, px_per_mm=4.0, threads=1)
SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)


@pytest.fixture
def plant_images(tmp_path):
    folder = tmp_path / "plants"
    for seed in range(3):
        write_image(folder / f"plant{seed}.png", synthesize(400 + seed, SCENE).image)
    return folder


def rerun(path, images=None):
    (record,) = read_records(path)
    return rerun_record(record, images)


def drive(*arguments, **options):
    return list(run_batch(*arguments, **options))


def results(events):
    return [event.result for event in events if event.result is not None]


def test_everything_is_written(plant_images, tmp_path):
    out = tmp_path / "out"
    events = drive([plant_images], out, SETTINGS, workers=0)
    assert events[-1].report == out / "report.html"
    assert [item["name"] for item in results(events)] == ["plant0", "plant1", "plant2"]
    leaves, plants, images = (pd.read_csv(out / f"{name}.csv") for name in ("leaves", "plants", "images"))
    assert leaves["image"].unique().tolist() == ["plant0", "plant1", "plant2"]
    assert images["count"].sum() == len(leaves)
    assert plants.groupby("image")["leaves"].sum().tolist() == images["count"].tolist()
    labels = read_labels(out / "labels" / "plant1_label.tif")
    expected = measure(labels, px_per_mm=4.0).leaves
    ours = leaves[leaves["image"] == "plant1"]
    assert ours["area_mm2"].tolist() == pytest.approx(expected["area_mm2"].tolist())
    assert ours["confidence"].between(0, 1).all()
    record = json.loads((out / "labels" / "plant1_label.json").read_text())
    assert record["parameters"]["angle"] == 50
    assert record["batch"]["px_per_mm"] == 4
    whole = json.loads((out / "batch.json").read_text())
    assert whole["model"]["version"] == record["model"]["version"]
    assert len(whole["model"]["sha256"]) == 64
    assert "torch" in whole["software"]
    small, closer = (Image.open(out / "overlays" / name) for name in ("plant1.jpg", "closer/plant1.jpg"))
    rows, columns = np.nonzero(labels)
    assert np.ptp(columns) < small.width <= 112  # the plants alone, with a margin
    assert np.ptp(rows) < small.height < 96
    assert closer.size == small.size  # no larger than the image itself


def test_the_report_needs_no_other_file(plant_images, tmp_path):
    (plant_images / "<b>.png").write_text("no image")
    out = tmp_path / "out"
    drive([plant_images], out, SETTINGS, workers=0)
    page = Page((out / "report.html").read_text())
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    assert {link for link in page.links if not link.startswith("#")} <= {path.name for path in out.iterdir()}
    assert [view[:11] for view in page.data["small"] + page.data["closer"]] == ["data:image/"] * 6
    assert "The file is not an image" in page.text or "not an image" in page.text
    assert "1 image could not be done" in page.text
    assert not re.search(r"\b1 (plants|leaves|images)\b", page.text)
    assert "<b>.png" in page.text  # as text, not as a tag
    assert "Clustering angle 50°" in page.text
    assert "(the model's own value)" in page.text


def test_every_image_of_the_report_leads_to_its_record(plant_images, tmp_path):
    out = tmp_path / "out"
    drive([plant_images], out, SETTINGS, workers=0)
    page, images = Page((out / "report.html").read_text()), pd.read_csv(out / "images.csv")
    assert page.data["records"] == images["record"].tolist()
    for record, command, row in zip(page.data["records"], page.data["commands"], page.data["rows"], strict=True):
        assert command == f"napari-leafseg rerun {record}"
        again = rerun(out / record)
        assert again.same
        assert row[[column["title"] for column in page.data["columns"]].index("Leaves")] == again.labels.max()


def test_a_restart_does_only_what_is_missing_or_changed(plant_images, tmp_path, monkeypatch):
    out = tmp_path / "out"
    for event in run_batch([plant_images], out, SETTINGS, workers=0):
        if event.result is not None:
            break  # killed after the first image
    done = []
    original = running.process_image
    monkeypatch.setattr(running, "process_image", lambda task, **rest: done.append(task.name) or original(task, **rest))
    events = drive([plant_images], out, SETTINGS, workers=0)
    assert done == ["plant1", "plant2"]
    assert len(results(events)) == 3
    assert len(pd.read_csv(out / "images.csv")) == 3
    drive([plant_images], out, SETTINGS, workers=0)
    assert done == ["plant1", "plant2"]
    write_image(plant_images / "plant0.png", synthesize(500, SCENE).image)
    drive([plant_images], out, SETTINGS, workers=0)
    assert done == ["plant1", "plant2", "plant0"]
    drive([plant_images], out, SETTINGS.model_copy(update={"values": {"angle": 30.0}}), workers=0)
    assert len(done) == 6


def test_a_half_written_image_is_not_done(plant_images, tmp_path):
    task = Task(str(plant_images / "plant0.png"), "plant0")
    marker = marker_path(tmp_path, "plant0")
    marker.parent.mkdir()
    for text in ("", "{", '{"digest": "x"}'):
        marker.write_text(text)
        assert cached_result(tmp_path, task, "x") is None


def test_errors_are_collected_and_the_others_done(plant_images, tmp_path):
    (plant_images / "text.png").write_text("no image")
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(plant_images / "black.png")
    events = drive(
        [plant_images, tmp_path / "gone.png", str(tmp_path / "*.bmp")], tmp_path / "out", SETTINGS, workers=0
    )
    failed = {item["name"]: item["error"] for item in results(events) if "error" in item}
    assert len(failed) == 4
    assert "black all over" in failed["black"]
    assert "not an image" in failed["text"]
    assert len(pd.read_csv(tmp_path / "out" / "images.csv")) == 3
    assert sorted(pd.read_csv(tmp_path / "out" / "errors.csv")["name"]) == sorted(failed)
    with pytest.raises(UserError, match="no file"):
        drive([tmp_path / "gone.png"], tmp_path / "out2", SETTINGS, workers=0)
    with pytest.raises(UserError, match="no model"):
        drive([plant_images], tmp_path / "out3", BatchSettings(model="oak"), workers=0)


def test_images_of_one_name_in_two_folders_keep_apart(plant_images, tmp_path):
    other = tmp_path / "plants" / "day2"
    write_image(other / "plant0.png", synthesize(410, SCENE).image)
    Image.open(plant_images / "plant1.png").convert("RGB").save(plant_images / "plant1.jpg")
    tasks, errors, _ = find_tasks([str(tmp_path / "plants" / "**" / "*.*")])
    assert errors == []
    names = [task.name for task in tasks]
    assert len(set(names)) == len(names) == 5
    assert "day2__plant0" in names
    assert {"plant1_png", "plant1_jpg"} <= set(names)


def test_a_series_is_measured_frame_by_frame(tmp_path):
    import tifffile

    frames = np.stack([synthesize(400 + seed, SCENE).image for seed in range(2)])
    tifffile.imwrite(tmp_path / "series.tif", frames, photometric="rgb")
    drive([tmp_path / "series.tif"], tmp_path / "out", SETTINGS, workers=0)
    leaves = pd.read_csv(tmp_path / "out" / "leaves.csv")
    assert leaves["frame"].unique().tolist() == [0, 1]
    assert rerun(tmp_path / "out" / "labels" / "series_label.json").same is True


def test_rerun_makes_the_same_labels_and_tells_what_is_wrong(plant_images, tmp_path):
    out = tmp_path / "out"
    drive([plant_images], out, SETTINGS, workers=0)
    record = out / "labels" / "plant2_label.json"
    again = rerun(record)
    assert again.same is True
    assert again.record["parameters"]["angle"] == 50
    moved = tmp_path / "moved"
    (plant_images / "plant2.png").rename(moved.with_suffix(".png"))
    with pytest.raises(UserError, match="--images"):
        rerun(record)
    moved.mkdir()
    moved.with_suffix(".png").rename(moved / "other-name.png")
    assert rerun(record, moved).same is True
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "model": {"name": "leaf-small", "version": "1"}}))
    with pytest.raises(UserError, match=r"version 1 of the model.* has changed"):
        rerun(record, moved)
    record.write_text("[]")
    with pytest.raises(UserError, match="no record"):
        rerun(record, moved)


def test_a_record_of_weights_that_have_another_name_today_is_rerun_with_them(plant_images, tmp_path):
    out = tmp_path / "out"
    drive([plant_images / "plant1.png"], out, SETTINGS, workers=0)
    record = out / "labels" / "plant1_label.json"
    assert rerun(record).differs == ()
    content = json.loads(record.read_text())
    content["model"]["name"] = content["batch"]["model"] = "leaf"  # as version 0.1 wrote it
    assert content["model"]["version"] == "2026.11.25"
    record.write_text(json.dumps(content))
    again = rerun(record)
    assert again.same is True
    assert again.record["model"]["name"] == "leaf-small"
    assert "“leaf” is another model since" in again.differs[0]
    said = CliRunner().invoke(app, ["rerun", str(record), "--device", "cpu"])
    assert said.exit_code == 0
    assert "the same labels" in said.output
    assert "called “leaf-small” now" in said.output


def kill_once(task, output, settings, digest, original=running.process_image):
    """Dies with its worker at the second image, the first time."""
    mark = os.path.join(output, "killed")
    if task.name == "plant1" and not os.path.exists(mark):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return original(task, output, settings, digest)


@pytest.mark.night  # that processes which die cost no image is tested in reliability/test_batch_kills.py
@pytest.mark.timeout(900)
def test_a_worker_that_dies_loses_nothing(plant_images, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(running, "process_image", kill_once)
        events = drive([plant_images], tmp_path / "out", SETTINGS, workers=2)
    assert (tmp_path / "out" / "killed").exists()
    found = {item["name"]: item["count"] for item in results(events)}
    assert sorted(found) == ["plant0", "plant1", "plant2"]
    assert not any("error" in item for item in results(events))
    for item in results(drive([plant_images], tmp_path / "here", SETTINGS, workers=0)):
        ours, theirs = (
            read_labels(tmp_path / place / "labels" / f"{item['name']}_label.tif") for place in ("out", "here")
        )
        assert np.array_equal(ours, theirs)


def test_no_scheduler_is_said(plant_images, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 1)
    with pytest.raises(UserError, match="No Dask scheduler"):
        drive([plant_images], tmp_path / "out", SETTINGS, scheduler="tcp://127.0.0.1:9")


@pytest.mark.timeout(900)
def test_a_kill_at_any_moment_repeats_only_what_was_in_flight(tmp_path):
    folder, out = tmp_path / "plants", tmp_path / "out"
    for seed in range(6):
        write_image(folder / f"plant{seed}.png", synthesize(420 + seed, SCENE).image)
    command = ["batch", str(folder), "--output", str(out), "--workers", "0", "--model", "leaf-small"]
    killed = 0
    while True:
        process = begin_command(command, tmp_path, tmp_path / "said.txt")
        before = {path: path.stat().st_mtime_ns for path in out.glob("parts/*.json")}
        if killed == 2:
            process.join(600)
            assert process.exitcode == 0
            break
        while process.is_alive() and len(list(out.glob("parts/*.json"))) < len(before) + 2:
            time.sleep(0.01)
        process.kill()
        process.join()
        killed += 1
        assert not (out / "report.html").exists()
    kept = {path: path.stat().st_mtime_ns for path in before}
    assert len(before) >= 4
    assert kept == before
    assert len(pd.read_csv(out / "images.csv")) == 6
    for path in out.glob("parts/*.json"):
        assert "error" not in json.loads(path.read_text())


def test_exports_and_the_scale_of_each_file(plant_images, tmp_path):
    for path in plant_images.glob("*.png"):
        Image.open(path).save(path, dpi=(254, 254))
    settings = SETTINGS.model_copy(update={"px_per_mm": None, "scale_from_file": True, "exports": ("coco", "imagej")})
    drive([plant_images], tmp_path / "out", settings, workers=0)
    leaves = pd.read_csv(tmp_path / "out" / "leaves.csv")
    labels = read_labels(tmp_path / "out" / "labels" / "plant0_label.tif")
    assert leaves["area_mm2"].iloc[0] == pytest.approx(np.count_nonzero(labels == 1) / 100, rel=1e-3)
    coco = json.loads((tmp_path / "out" / "exports" / "coco" / "leaves.json").read_text())
    assert len(coco["annotations"]) == len(leaves)
    assert len(list((tmp_path / "out" / "exports" / "imagej").glob("*_rois.zip"))) == 3
    Image.open(plant_images / "plant1.png").save(plant_images / "plant1.png", dpi=(1, 1))
    failed = [item for item in results(drive([plant_images], tmp_path / "out", settings, workers=0)) if "error" in item]
    assert [item["name"] for item in failed] == ["plant1"]
    assert "--px-per-mm" in failed[0]["error"]
    with pytest.raises(UserError, match="no format"):
        drive([plant_images], tmp_path / "out", settings.model_copy(update={"exports": ("pdf",)}), workers=0)


def test_a_scheduler_that_somebody_started_does_the_same(plant_images, tmp_path):
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        events = drive([plant_images], tmp_path / "out", SETTINGS, scheduler=cluster.scheduler_address)
    assert [item["name"] for item in results(events) if "error" not in item] != []
    assert len(pd.read_csv(tmp_path / "out" / "images.csv")) == 3


def test_a_trait_of_somebody_is_measured_in_all_processes(plant_images, tmp_path):
    (tmp_path / "mine.py").write_text("def spots(mask, image):\n    return mask.sum()\n")
    settings = SETTINGS.model_copy(update={"traits": (f"{tmp_path / 'mine.py'}:spots",), "px_per_mm": None})
    assert settings.digest() != SETTINGS.model_copy(update={"px_per_mm": None}).digest()
    drive([plant_images], tmp_path / "out", settings, workers=2)
    leaves = pd.read_csv(tmp_path / "out" / "leaves.csv")
    assert leaves["spots"].tolist() == leaves["area_px2"].tolist()
    other = settings.model_copy(update={"traits": (f"{tmp_path / 'mine.py'}:gone",)})
    with pytest.raises(UserError, match="cannot be loaded"):
        drive([plant_images], tmp_path / "other", other, workers=0)
    assert not (tmp_path / "other" / "batch.json").exists()
