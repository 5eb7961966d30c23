"""Experiments with odd names, lost files and damaged images: each costs one image at most."""

import json
import shutil

import pandas as pd
import pytest

from napari_leafseg.errors import InputFileError
from napari_leafseg.io import write_image
from napari_leafseg.io.tables import harmless
from napari_leafseg.pipelines.batch import image_task
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.find import find_tasks
from napari_leafseg.pipelines.batch.rerun import read_records, rerun
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.again import Again
from tests.conftest import save_tiny

PLANT = synthesize(105, SceneConfig(size=(96, 96), diameter=(70, 80), border=0.0, blank=0.0)).image


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return BatchSettings(model=str(save_tiny(tmp_path_factory.mktemp("model"))), device="cpu", scale=1.0)


def done(folder, settings):
    """Do the images in a folder, or go on with them."""
    events = list(run_batch([folder / "in"], folder / "out", settings, workers=0))
    assert events[-1].report is not None
    return {event.result["name"]: event for event in events if event.result is not None}


@pytest.fixture(scope="module")
def made(tmp_path_factory, settings):
    def make(folder):
        for name in ("p0", "p1"):
            write_image(folder / "in" / f"{name}.png", PLANT)
        assert not any("error" in event.result for event in done(folder, settings).values())

    return Again(tmp_path_factory.mktemp("experiment"), make)


@pytest.fixture
def experiment(made, settings):
    """Two images that are done, the folder, and a way to go on."""
    folder = made.folder()
    return folder / "out", lambda **changes: done(folder, settings.model_copy(update=changes))


@pytest.mark.parametrize("how", ["gone", "cut", "changed"])
@pytest.mark.parametrize(
    "what", ["labels/p1_label.tif", "labels/p1_label.json", "overlays/p1.jpg", "parts/p1.leaves.parquet"]
)
def test_what_is_gone_or_damaged_is_made_again(experiment, what, how):
    out, go = experiment
    path = out / what
    before = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(before[:20] if how == "cut" else before[:-3] + b"xyz")
    events = go()
    assert events["p0"].skipped
    assert not events["p1"].skipped
    assert "error" not in events["p1"].result
    assert path.exists()
    assert all(event.skipped for event in go().values())


ODD_MARKERS = ["[1]", "null", "{", "[" * 100_000, '{"digest": 1}', "\xff"]


@pytest.mark.parametrize("text", ODD_MARKERS, ids=range(len(ODD_MARKERS)))
def test_an_odd_marker_is_not_believed(experiment, text):
    out, go = experiment
    (out / "parts" / "p1.json").write_text(text)
    assert not go()["p1"].skipped


def test_a_marker_of_an_earlier_version_is_believed_where_all_is_there(experiment):
    out, go = experiment
    marker = out / "parts" / "p1.json"
    content = json.loads(marker.read_text())
    del content["written"]
    marker.write_text(json.dumps(content))
    assert go()["p1"].skipped
    (out / "parts" / "p1.plants.parquet").write_bytes(b"PAR1xx")
    assert not go()["p1"].skipped


def test_a_table_that_is_gone_at_the_end_is_that_image_s_error(experiment, monkeypatch):
    from napari_leafseg.pipelines.batch import run

    out, go = experiment
    real = run.write_tables

    def write(place, results, *more):
        (place / "parts" / "p1.leaves.parquet").write_bytes(b"PAR1xx")
        shutil.rmtree(place / "parts" / "joined")
        return real(place, results, *more)

    monkeypatch.setattr(run, "write_tables", write)
    go()
    assert pd.read_csv(out / "errors.csv")["name"].tolist() == ["p1"]
    assert pd.read_csv(out / "images.csv")["name"].tolist() == ["p0"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("chunk"), "chunk."), (TypeError("0,1"), "0,1."), (RecursionError(), "the reason is not known."),
        (
            MemoryError(),
            "There is too little memory for this. Close other programs, or take a smaller image or fewer at a time.",
        ),
    ],
)  # fmt: skip
def test_any_exception_is_one_image_s_error(tmp_path, settings, monkeypatch, caplog, error, told):
    for name in ("a", "b", "c"):
        write_image(tmp_path / "in" / f"{name}.png", PLANT)
    real = image_task.read_image

    def read(path, *options):
        if path.stem == "b":
            raise error
        return real(path, *options)

    monkeypatch.setattr(image_task, "read_image", read)
    events = list(run_batch([tmp_path / "in"], tmp_path / "out", settings, workers=0))
    results = {event.result["name"]: event.result for event in events if event.result is not None}
    assert results["b"]["error"] == f"b could not be done: {told}"
    assert f"{type(error).__name__}:" in caplog.text  # the log says what kind it was
    assert "error" not in results["a"]
    assert "error" not in results["c"]
    assert events[-1].report.exists()


def test_what_an_experiment_wrote_is_no_image(experiment, settings):
    import shutil

    out, _go = experiment
    root = out.parent
    shutil.move(out, root / "in" / "out")
    other = root / "in" / "second"
    write_image(other / "labels" / "x.png", PLANT)
    for pattern in (str(root / "in" / "**" / "*"), str(root / "in" / "**" / "*.*")):
        tasks, errors, _ = find_tasks([pattern], other)
        assert sorted(task.name for task in tasks) == ["p0", "p1"], pattern
        assert not [error for error in errors if "overlays" in error["name"] or "labels" in error["name"]]
    (task,), *_ = find_tasks([root / "in" / "out" / "overlays" / "p0.jpg"])  # by its own name it is
    assert task.name == "p0"
    assert len(find_tasks([root / "in" / "second" / "labels"])[0]) == 1  # of no experiment


def test_names_that_collide_stay_apart(tmp_path):
    names = [
        "x/a.png", "y/a.png", "x__a.png", "y__a.jpg", "x/b.png", "x/b.jpg", "B.png", "b.tif", "x/c.png", "X__C.png",
        "y/c.png", f"{'n' * 230}.png", f"{'n' * 231}.png",
    ]  # fmt: skip
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    tasks, *_ = find_tasks([tmp_path / name for name in names])
    found = [task.name.lower() for task in tasks]
    assert len(set(found)) == len(names)
    assert max(map(len, found)) < 200
    assert [task.name for task in find_tasks([tmp_path / name for name in names])[0]] == [task.name for task in tasks]


def test_a_literal_path_is_tried_before_a_pattern(tmp_path):
    write_image(tmp_path / "plant[1].png", PLANT)
    write_image(tmp_path / "plant1.png", PLANT)
    write_image(tmp_path / "exp [2]" / "what?.png", PLANT)
    assert [task.name for task in find_tasks([str(tmp_path / "plant[1].png")])[0]] == ["plant[1]"]
    assert [task.name for task in find_tasks([str(tmp_path / "exp [2]")])[0]] == ["what?"]
    assert [task.name for task in find_tasks([str(tmp_path / "plant[0-9].png")])[0]] == ["plant1"]
    with pytest.raises(InputFileError, match="No file has a name like"):
        find_tasks([str(tmp_path / "nothing[1].png")])


def test_images_of_one_name_are_exported_apart(tmp_path, settings):
    for folder in ("day1", "day2"):
        write_image(tmp_path / "in" / folder / "plant1.png", PLANT)
    chosen = settings.model_copy(update={"exports": ("coco", "labelme", "tiff")})
    list(run_batch([str(tmp_path / "in" / "**" / "*.png")], tmp_path / "out", chosen, workers=0))
    exports = tmp_path / "out" / "exports"
    (coco,) = (exports / "coco").iterdir()
    assert len(json.loads(coco.read_text())["images"]) == 2
    assert len({entry["file_name"] for entry in json.loads(coco.read_text())["images"]}) == 2
    assert len(list((exports / "labelme").iterdir())) == 2


FORMULAS = ["=cmd|' /C calc'!A0", "+1+2", "-2+3", "@SUM(1)", "\t=1", "\r=1"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx"])
def test_no_cell_begins_like_a_formula(tmp_path, ending):
    from napari_leafseg.widgets.common.tables import save_table

    table = pd.DataFrame({"name": [*FORMULAS, "plant", None], "=x": range(8), "value": [-1.5, *range(7)]})
    save_table(table, tmp_path / f"t{ending}", {})
    if ending == ".xlsx":
        import openpyxl

        rows = openpyxl.load_workbook(tmp_path / "t.xlsx").active.iter_rows()
        assert not [cell for row in rows for cell in row if cell.data_type == "f"]
        return
    again = pd.read_csv(tmp_path / f"t{ending}", sep="," if ending == ".csv" else "\t")
    assert not [text for text in [*again["name"].dropna(), *again.columns] if text[0] in "=+-@\t\r"]
    assert again["value"][0] == -1.5


def test_tables_of_experiments_are_harmless(tmp_path, settings):
    for name in ("+1+2", "-2+3", "@SUM(1)", "=1"):
        write_image(tmp_path / "in" / f"{name}.png", PLANT)
    list(run_batch([tmp_path / "in"], tmp_path / "out", settings, workers=0))
    names = pd.read_csv(tmp_path / "out" / "images.csv")["name"].tolist()
    assert sorted(names) == ["'+1+2", "'-2+3", "'=1", "'@SUM(1)"]
    assert harmless(pd.DataFrame({"a": [1]}))["a"].tolist() == [1]


def test_an_experiment_keeps_its_precision(experiment, monkeypatch):
    from napari_leafseg.inference import device

    out, go = experiment
    first = json.loads((out / "batch.json").read_text())["settings"]["precision"]
    record = json.loads((out / "labels" / "p0_label.json").read_text())
    assert (record["device"], record["precision"]) == ("cpu", first)
    other = "float32" if first == "bfloat16" else "bfloat16"
    monkeypatch.setattr(device, "choose_precision", lambda _device: other)
    write_image(out.parent / "in" / "p2.png", PLANT)
    events = go()
    assert events["p0"].skipped
    assert json.loads((out / "labels" / "p2_label.json").read_text())["precision"] == first
    go(precision=other)
    assert json.loads((out / "batch.json").read_text())["settings"]["precision"] == other


def test_rerun_uses_the_record_s_precision_and_says_what_differs(experiment):
    out, _go = experiment
    path = out / "labels" / "p0_label.json"
    content = json.loads(path.read_text())
    result = rerun(read_records(path)[0])
    assert result.same
    assert result.differs == ()
    for precision in ("float32", "bfloat16"):
        path.write_text(json.dumps(content | {"precision": precision}))
        result = rerun(read_records(path)[0])
        assert result.record["precision"] == precision
        assert result.differs == ()
    path.write_text(json.dumps(content | {"device": "cuda", "precision": "float16"}))
    (sentence,) = rerun(read_records(path)[0], device="cpu").differs
    assert "cuda in float16" in sentence
    del content["device"], content["precision"]
    path.write_text(json.dumps(content))
    assert rerun(read_records(path)[0]).differs == ()


def test_the_precision_depends_on_the_processor_alone(monkeypatch):
    import time

    import torch

    from napari_leafseg.inference import device

    def no_time():
        raise AssertionError("the clock decides nothing")

    device.fast_bfloat16.cache_clear()
    monkeypatch.setattr(time, "perf_counter", no_time)
    if hasattr(torch.cpu, "get_capabilities"):
        for flags, fast in (({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False)):
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags)
            device.fast_bfloat16.cache_clear()
            assert device.fast_bfloat16() == fast
            cpu = torch.device("cpu")
            assert device.choose_precision(cpu) == ("bfloat16" if fast else "float32")
            assert device.autocast_for(cpu)._enabled == fast
            assert not device.autocast_for(cpu, "float32")._enabled
    monkeypatch.undo()
    device.fast_bfloat16.cache_clear()
    assert device.usable_precision(torch.device("cpu"), "float16") == device.choose_precision(torch.device("cpu"))
    with pytest.raises(Exception, match="no precision “half”"):
        device.usable_precision(torch.device("cpu"), "half")
