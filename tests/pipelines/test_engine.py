"""The engine that runs a function over images: errors, restarts, stops and progress, here and in other processes."""

import os

import numpy as np
import pytest
import tifffile

from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.rerun import read_records, rerun_all
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.pipelines.predictors import get_predictor
from napari_leafseg.pipelines.step import Step
from napari_leafseg.synthetic import SceneConfig, synthesize

SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)
PREDICT = BatchSettings(device="cpu", tta="fast", threads=1, measure=False)


def halves(item):
    """A generator with two steps; odd numbers are refused, 4 is a mistake in the program."""
    yield Step(0.5, "half")
    if item % 2:
        raise InputFileError(f"{item} is odd.")
    if item == 4:
        raise ValueError("four")
    return item // 2, os.getpid()


def ended(events):
    return {event.item: event for event in events if event.item is not None}


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_errors_are_collected_item_by_item(workers):
    found = ended(run_over([1, 2, 4, 6], halves, collect=True, workers=workers))
    assert {item: event.result[0] for item, event in found.items() if event.result} == {2: 1, 6: 3}
    assert isinstance(found[1].error, InputFileError)
    assert str(found[1].error) == "1 is odd."
    assert isinstance(found[4].error, UserError)
    assert "4 could not be done: four." in str(found[4].error)
    assert isinstance(found[4].error.__cause__, ValueError)
    assert (found[2].result[1] == os.getpid()) == (workers == 0)


def test_an_error_is_raised_as_it_is_where_none_are_collected():
    with pytest.raises(InputFileError, match="1 is odd"):
        list(run_over([2, 1], halves))
    with pytest.raises(ValueError, match="four"):
        list(run_over([2, 4], halves))


def test_what_was_done_before_is_skipped_and_progress_never_goes_back():
    asked = []
    events = list(run_over([2, 6, 8], lambda item: asked.append(item) or halves(item), cached={6: 3}.get))
    assert asked == [2, 8]
    assert [event.item for event in events if event.skipped] == [6]
    shares = [event.done for event in events]
    assert shares == sorted(shares) == [1, 1.5, 2, 2.5, 3]
    assert "8 (3 of 3): half" in [event.message for event in events]


def test_a_stop_ends_the_item_that_is_being_done():
    closed = []

    def work(item):
        try:
            yield Step(0.1, "begun")
            yield Step(0.9, "nearly")
        finally:
            closed.append(item)

    events = run_over([1, 2], work)
    next(events)
    events.close()
    assert closed == [1]


def test_predict_is_a_batch_that_measures_nothing(tmp_path):
    for place, seed in (("a", 400), ("b", 401)):
        write_image(tmp_path / "in" / place / "plant.png", synthesize(seed, SCENE).image)
    frames = np.stack([synthesize(seed, SCENE).image for seed in (400, 401)])
    tifffile.imwrite(tmp_path / "in" / "series.tif", frames, photometric="rgb")
    out = tmp_path / "out"
    events = list(run_batch([str(tmp_path / "in" / "**" / "*.*")], out, PREDICT, workers=0))
    assert events[-1].report is None
    names = {"a__plant", "b__plant", "series"}
    assert {path.name for path in out.iterdir()} == {
        f"{name}_label.{suffix}" for name in names for suffix in ("tif", "json")
    }
    assert np.array_equal(
        read_labels(out / "a__plant_label.tif"), tifffile.imread(out / "series_label.tif")[0]
    )  # an image and a frame of a series are one thing
    records = [record for path in sorted(out.glob("*.json")) for record in read_records(path)]
    assert [len(record.content["confidence"]) for record in records if record.path.stem.startswith("series")] == [2]
    again = [event.result for event in rerun_all(records, device="cpu") if event.result is not None]
    assert [result.same for result in again] == [True] * 3


def test_a_rerun_takes_the_plant_mask_and_goes_on_after_an_error(tmp_path):
    scene = synthesize(400, SCENE)
    mask = scene.labels > 0
    mask[:, :56] = False
    for name in ("one", "two"):
        write_image(tmp_path / f"{name}.png", scene.image)
        write_image(tmp_path / "masks" / f"{name}_fg.png", (mask * 255).astype(np.uint8))
    settings = PREDICT.model_copy(update={"plant_masks": str(tmp_path / "masks")})
    list(run_batch([tmp_path / "one.png", tmp_path / "two.png"], tmp_path / "out", settings, workers=0))
    (tmp_path / "one.png").unlink()
    records = [record for path in sorted((tmp_path / "out").glob("*.json")) for record in read_records(path)]
    found = [event for event in rerun_all(records, device="cpu") if event.item is not None]
    assert ["was not found" in str(event.error) for event in found] == [True, False]
    assert found[1].result.same is True


def test_a_model_is_loaded_once():
    assert get_predictor("leaf", "cpu", "fast", 1) is get_predictor("leaf", "cpu", "fast", 1)
    assert get_predictor("leaf", "cpu", "fast", 1) is not get_predictor("leaf", "cpu", "standard", 1)
