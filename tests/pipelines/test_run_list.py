"""Which images *Run all* does, and whose turn it is."""

import os
import threading

import pytest

from napari_leafseg.io import ReadOptions, write_image
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.pipelines.engine import finish
from napari_leafseg.pipelines.predictors import Turn
from napari_leafseg.pipelines.run_list import RunSettings, file_state, find_leaves, is_current


@pytest.fixture(scope="module")
def found(tmp_path_factory, scene):
    path = tmp_path_factory.mktemp("images") / "a.png"
    write_image(path, scene.image)
    return path, finish(find_leaves(RunSettings("leaf", "cpu", values={"angle": 40.0}), ReadOptions(), path))


def test_labels_are_current_until_model_parameters_or_file_change(found):
    path, leaves = found
    record = leaves.record_of(leaves.labels)
    assert is_current(record, path, RunSettings("leaf", "cpu", values={"angle": 40.0}))
    assert not is_current(record, path, RunSettings("leaf", "cpu"))
    assert not is_current(record, path, RunSettings("leaf", "cpu", tta="fast", values={"angle": 40.0})) or (
        record["tta"] == {"views": 1, "scales": [1.0]}
    )
    assert not is_current(record, path, RunSettings("leaf", "cpu", scale=0.5, values={"angle": 40.0}))
    assert not is_current(record, path, RunSettings("leaf-fluorescence", "cpu"))
    os.utime(path, ns=(1, 1))
    assert not is_current(record, path, RunSettings("leaf", "cpu", values={"angle": 40.0}))
    record["image"]["file"] = file_state(path)
    assert is_current(record, path, RunSettings("leaf", "cpu", values={"angle": 40.0}))


def test_the_record_names_the_confidence_of_every_leaf(found):
    _, leaves = found
    numbers = {str(leaf) for leaf in range(1, int(leaves.labels.max()) + 1)}
    assert set(leaves.record_of(leaves.labels)["confidence"]) == numbers
    half = leaves.labels.copy()
    half[half == 1] = 0
    assert set(leaves.record_of(half)["confidence"]) == numbers - {"1"}
    assert leaves.values["angle"] == 40.0
    assert describe_model("leaf").name == leaves.prediction.model.name


def test_who_is_urgent_comes_before_the_next_of_the_background():
    turn, order, begun = Turn(), [], threading.Event()

    def background(name):
        with turn.take(urgent=False):
            order.append(name)

    def urgent():
        begun.set()
        with turn.take(urgent=True):
            order.append("urgent")

    with turn.take(urgent=False):
        first = threading.Thread(target=urgent)
        first.start()
        begun.wait()
        while not turn._urgent:
            pass
        second = threading.Thread(target=background, args=("background",))
        second.start()
    first.join()
    second.join()
    assert order == ["urgent", "background"]
