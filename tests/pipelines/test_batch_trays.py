"""Batches with trays and markers: the same pots and scales as in the window."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.experiment.positions import KnownScale, Positions, Setup
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.pipelines.batch.setups import read_tray
from napari_leafseg.pipelines.crops import crop_job
from napari_leafseg.pipelines.measure import Frame, measure_job
from napari_leafseg.project import Project
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings
from napari_leafseg.project.positions_file import KeptPositions, positions_content, write_positions
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.cards import scene
from tests.conftest import discs
from tests.markers import Camera
from tests.programs import run_command

SETTINGS = BatchSettings(model="leaf-small", device="cpu", tta="fast", values={"angle": 50.0}, threads=1)
SCENE = SceneConfig(
    size=(112, 112), diameter=(70, 80), border=0.0, blank=0.0, background="soil", camera=False, distractors=False,
    pots=0.0,
)  # fmt: skip
TRAY = Tray(1, 3, ((0.0, 0.0), (0.0, 1.0), (112 / 172, 1.0), (112 / 172, 0.0)), empty=frozenset({(0, 2)}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tray with two plants and an empty pot, on two days; below it a marker of 10 mm at 4 px/mm on the first day."""
    place = tmp_path_factory.mktemp("trays")
    marker = Camera(4.0, shape=(60, 336)).photograph([(0, 0, 4, "DICT_4X4_50", 7)], size_mm=10.0, background=200)
    for day in (3, 5):
        soil = np.full((112, 112, 3), synthesize(7, SCENE).image[:8, :8].mean((0, 1)), np.uint8)
        pots = [synthesize(seed, SCENE).image for seed in (400, 401)]
        below = np.repeat((marker if day == 3 else np.full_like(marker, 200))[..., None], 3, -1)
        write_image(place / f"tray_2024-05-0{day}.png", np.concatenate([np.concatenate([*pots, soil], 1), below]))
    return place


def drive(folder, out, settings, **options):
    events = list(run_batch([folder], out, settings, workers=0, **options))
    tables = {path.stem: pd.read_csv(path) for path in out.glob("*.csv") if path.stat().st_size > 2}
    return [event.result for event in events if event.result is not None], tables, events


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, *drive(folder, out, SETTINGS.model_copy(update={"marker_mm": 10.0}), setups=TRAY)


def test_pots_and_the_scale_of_markers_are_in_the_tables(done):
    out, results, tables, _ = done
    assert not [item for item in results if "error" in item]
    leaves, plants = tables["leaves"], tables["plants"]
    assert set(leaves["pot"]) <= {"A1", "A2"}
    assert plants.groupby("image")["pot"].agg(list).tolist()[0][:2] == ["A1", "A2"]
    assert (plants[plants["pot"] == "A1"]["leaves"] > 0).all()
    assert [item["px_per_mm"] for item in results] == pytest.approx([4.0, 4.0], rel=0.01)
    assert "area_mm2" in leaves
    record = json.loads((out / "labels" / "tray_2024-05-05_label.json").read_text())
    assert record["scale_source"] == "ArUco 4×4 no. 7, 10 mm in tray_2024-05-03.png"
    assert Tray.from_dict(record["tray"]) == TRAY


def test_leaves_are_followed_by_pots(done):
    growth = done[2]["growth"]
    assert (growth.groupby("plant_track")["pot"].nunique() == 1).all()
    assert set(growth["pot"]) == {"A1", "A2"}
    assert set(done[2]["tracks"]["pot"]) == {"A1", "A2"}


def test_the_window_measures_the_same(done, folder):
    out, _, tables, _ = done
    paths = sorted(folder.glob("*.png"))
    frames = [
        Frame(path.name, partial(read_labels, out / "labels" / f"{path.stem}_label.tif"), lambda: None, path=path)
        for path in paths
    ]
    *_, last = measure_job(frames, ImageMeasurementSettings(), None, setup_of=lambda _frame: Setup(TRAY))
    ours, theirs = last.measured.leaves, tables["leaves"]
    assert ours["pot"].tolist() == theirs["pot"].tolist()
    scales = theirs["image"].map({item["name"]: item["px_per_mm"] for item in done[1]})
    assert ours["area_px2"].to_numpy() == pytest.approx((theirs["area_mm2"] * scales**2).to_numpy(), rel=1e-4)


def test_another_tray_is_measured_again_and_the_same_one_is_not(done, folder, tmp_path):
    settings = SETTINGS.model_copy(update={"px_per_mm": 4.0})
    out = tmp_path / "out"
    drive(folder, out, settings, setups=TRAY)
    *_, events = drive(folder, out, settings, setups=TRAY)
    assert all(event.skipped for event in events if event.result is not None)
    renamed = TRAY.with_name((0, 1), "control")
    _, tables, _ = drive(folder, out, settings, setups=renamed)
    assert set(tables["leaves"]["pot"]) <= {"A1", "control"}


def test_an_image_without_a_scale_is_named_where_others_have_one(folder, tmp_path):
    first, _ = sorted(folder.glob("*.png"))
    other = tmp_path / "in" / "round_2024-05-05.png"
    write_image(other, synthesize(400, SCENE).image)
    write_image(tmp_path / "in" / first.name, synthesize(401, SCENE).image)
    scale = KnownScale(4.0, "ruler", (112, 999))
    results, _, _ = drive(tmp_path / "in", tmp_path / "out", SETTINGS, setups=Positions({}, {other: scale}))
    assert {"No scale is known" in item.get("error", "") for item in results} == {True}
    results, _, _ = drive(tmp_path / "in", tmp_path / "out", SETTINGS.model_copy(update={"marker_mm": 10.0}))
    assert all("shows no marker" in item["error"] for item in results)


def test_a_tray_comes_from_a_file_or_a_project(tmp_path):
    (tmp_path / "tray.json").write_text(json.dumps(TRAY.as_dict()))
    assert read_tray(tmp_path / "tray.json") == TRAY
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    with Project.create(tmp_path / "p") as project:
        project.add_images([tmp_path / "a.png"])
        with pytest.raises(InputFileError, match=r"no tray and no confirmed scale.*Measure"):
            read_tray(tmp_path / "p")
        kept = KeptPositions(Positions({tmp_path / "a.png": TRAY}))
        write_positions(project.folder, positions_content(kept, project))
        assert read_tray(tmp_path / "p") == kept.positions
    (tmp_path / "bad.json").write_text("{}")
    for name, said in (("bad.json", "is no tray"), ("gone.json", "no such file")):
        with pytest.raises(InputFileError, match=said):
            read_tray(tmp_path / name)
    with pytest.raises(UserError):
        read_tray(Path(tmp_path / "a.png"))


def test_crops_of_planted_pots_and_what_could_not_be_cut(tmp_path):
    write_image(tmp_path / "a.png", np.repeat(discs(size=120)[..., None], 3, -1).astype(np.uint8))
    (tmp_path / "b.png").write_bytes(b"no image")
    trays = {tmp_path / name: Tray(2, 2, empty=frozenset({(1, 0)})) for name in ("a.png", "b.png")}
    *_, last = crop_job(trays, tmp_path / "crops")
    assert last.crops == 3
    assert "b.png" in last.problem
    found = sorted(path.relative_to(tmp_path / "crops").as_posix() for path in (tmp_path / "crops").rglob("*.png"))
    assert found == ["A1/a.png", "A2/a.png", "B2/a.png"]


def test_colors_by_cards(tmp_path):
    write_image(tmp_path / "in" / "a_2024-05-03.png", scene())
    write_image(tmp_path / "in" / "a_2024-05-04.png", scene()[270:])
    settings = SETTINGS.model_copy(update={"color_card": True})
    results, _, _ = drive(tmp_path / "in", tmp_path / "out", settings)
    assert not [item for item in results if "error" in item]
    own, other = (
        json.loads((tmp_path / "out" / "labels" / f"a_2024-05-0{day}_label.json").read_text())["color"]
        for day in (3, 4)
    )
    assert own == other
    assert own["source"] == "color card in a_2024-05-03.png"
    write_image(tmp_path / "none" / "b.png", scene()[270:])
    results, _, _ = drive(tmp_path / "none", tmp_path / "out2", settings)
    assert "shows no color card" in results[0]["error"]


@pytest.mark.slow
def test_on_the_command_line(folder, tmp_path):
    (tmp_path / "tray.json").write_text(json.dumps(TRAY.as_dict()))
    said = tmp_path / "said.txt"
    command = ["batch", str(folder), "--output", str(tmp_path / "out"), "--model", "leaf-small", "--workers", "0",
               "--device", "cpu", "--tta", "fast", "--marker-size", "10",
               "--tray", str(tmp_path / "tray.json")]  # fmt: skip
    assert run_command(command, tmp_path, said) == 0, said.read_text()
    plants = pd.read_csv(tmp_path / "out" / "plants.csv")
    assert {"pot", "area_mm2"} <= set(plants.columns)
