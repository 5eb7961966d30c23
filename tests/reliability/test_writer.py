"""The writer's thread: nothing ends it, it tells once, and says that all is well only when it is."""

import threading
import time

import numpy as np
import pytest

from napari_leafseg.project import Project
from napari_leafseg.project.writer import Writer

from .kept import SHAPE, draw, image, on_disk, same


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("napari_leafseg.project.writer.RETRY", 0.02)


def until(said, seconds=30):
    end = time.monotonic() + seconds
    while not said() and time.monotonic() < end:
        time.sleep(0.005)
    return said()


@pytest.mark.parametrize("error", [MemoryError(), TypeError("x"), SystemExit(1), KeyboardInterrupt(), OSError(5, "x")])
def test_whatever_a_write_raises_it_is_told_once_and_tried_again(error):
    told, done, tries = [], [], []

    def fail():
        tries.append(1)
        if len(tries) < 4:
            raise error

    writer = Writer(told.append)
    writer.put(fail)
    writer.put(lambda: done.append(1))
    assert until(lambda: told[-1:] == [""])
    assert len(told) == 2
    assert told[0].startswith("Cannot write")
    assert done == [1]
    assert writer.flush()
    writer.close()


def test_saving_works_again_when_all_that_waits_is_written():
    told, full, done = [], [True], []

    def large():
        if full[0]:
            raise OSError(28, "No space left on device")

    writer = Writer(told.append)
    writer.put(large, key="labels of a", group="a")
    assert until(lambda: told)
    for number in range(20):  # small ones fit
        writer.put(lambda number=number: done.append(number), group="b")
        writer.put(large, key="labels of a", group="a")
        assert until(lambda number=number: done[-1:] == [number])
    assert len(told) == 1
    assert writer.error
    assert not writer.flush()
    full[0] = False
    assert until(lambda: told[-1:] == [""])
    assert len(told) == 2
    assert writer.error == ""
    assert writer.pending == 0
    writer.close()


def test_what_fails_keeps_its_order_and_does_not_hold_up_others():
    done, full, writer = [], [True], Writer()

    def first():
        if full[0]:
            raise OSError(5, "Input/output error")
        done.append("a1")

    writer.put(first, group="a")
    writer.put(lambda: done.append("a2"), group="a")
    writer.put(lambda: done.append("b"), group="b")
    assert until(lambda: done == ["b"])
    full[0] = False
    assert until(lambda: writer.pending == 0)
    assert done == ["b", "a1", "a2"]
    writer.close()


def test_closing_tries_everything_once():
    done, tries, writer = [], [], Writer()

    def fail():
        tries.append(1)
        raise OSError(5, "Input/output error")

    with writer.held():
        writer.put(fail, group="a")
        writer.put(lambda: done.append("a"), group="a")
        writer.put(lambda: done.append("b"), group="b")
    writer.close()
    assert not writer._thread.is_alive()
    assert done == ["b"]
    assert writer.pending == 2
    assert len(tries) <= 2


def test_nothing_begins_while_writes_are_held():
    writer, going, done = Writer(), threading.Event(), []
    writer.put(lambda: (going.wait(10), done.append("first")))
    writer.put(lambda: done.append("second"), key="k")
    threading.Timer(0.1, going.set).start()
    with writer.held() as waiting:
        assert done == ["first"]
        assert [item.key for item in waiting] == ["k"]
        time.sleep(0.1)
        assert done == ["first"]
    assert writer.flush()
    assert done == ["first", "second"]
    writer.close()


def test_no_memory_while_labels_are_saved_loses_nothing(tmp_path, monkeypatch):
    import tifffile

    told, real = [], tifffile.imwrite
    project = Project.create(tmp_path / "p", failed=told.append)
    (ref,) = project.add_images([image(tmp_path / "a.png")])
    document = project.open_document(ref, SHAPE)

    def hungry(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr(tifffile, "imwrite", hungry)
    draw(document, 1)
    project.save(ref, document)
    assert until(lambda: told)
    assert "no memory" in told[0]
    monkeypatch.setattr(tifffile, "imwrite", real)
    for leaf in range(2, 7):
        draw(document, leaf)
    assert project.writer.flush()
    assert same(on_disk(project.folder), document)
    project.close()


def test_values_that_json_does_not_know_are_written(tmp_path):
    import json

    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([image(tmp_path / "a.png")])
        document = project.open_document(ref, SHAPE)
        document.info |= {"odd": np.float32(1.5), "many": np.arange(3)}
        project.save(ref, document)
        assert project.writer.flush()
        record = json.loads(project.record_path(ref).read_text())
    assert record["odd"] == 1.5
    assert record["many"] == [0, 1, 2]
