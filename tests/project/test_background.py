"""Labels of images that nobody has open: stored as a step, marked, put aside and brought back."""

import numpy as np
import pytest

from napari_leafseg.editing.edit import difference
from napari_leafseg.errors import ProjectError
from napari_leafseg.finetuning.dataset import load_corrections
from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.background import least_certain, mark_reviewed, read_facts, store_labels
from napari_leafseg.project.document import Document
from napari_leafseg.project.removal import put_aside

SHAPE = (40, 60)


def leaves(*boxes):
    labels = np.zeros(SHAPE, np.uint16)
    for number, (top, left) in enumerate(boxes, start=1):
        labels[top : top + 10, left : left + 10] = number
    return labels


@pytest.fixture
def project(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    project = Project.create(tmp_path / "project")
    project.add_all([(tmp_path / "a.png", ""), (tmp_path / "b.png", "")])
    yield project
    if not project.closed:
        project.close()


def store(project, ref, labels, **record):
    return store_labels(project, ref, labels, "segment with test", lambda _labels: record)


def test_what_a_model_found_is_a_step_that_can_be_undone(project):
    ref = project.images[0]
    first, second = leaves((5, 5)), leaves((5, 5), (20, 30))
    store(project, ref, first)
    store(project, ref, second, model={"name": "test", "version": "1"}, confidence={"1": 0.9, "2": 0.4})
    document = project.open_document(ref, SHAPE)
    assert np.array_equal(document.labels, second)
    assert [step.tool for step in document.history.done] == ["segment with test"] * 2
    document.undo()
    assert np.array_equal(document.labels, first)


def test_an_image_whose_storing_fails_is_not_taken_for_one_that_is_open(project):
    ref = project.images[0]

    def tell(_labels):
        raise ValueError("no record")

    with pytest.raises(ValueError, match="no record") as failed:  # holds the document in its traceback
        store_labels(project, ref, leaves((5, 5)), "segment with test", tell)
    assert failed.traceback
    assert project.live_document(ref) is None
    assert store(project, ref, leaves((5, 5))) is not None


def test_what_is_learned_from_is_what_was_written_or_an_error(project, monkeypatch):
    ref = project.images[0]
    store(project, ref, leaves((5, 5)))
    assert mark_reviewed(project, ref)
    (image,), _ = load_corrections(project)
    assert image.leaves == 1
    monkeypatch.setattr(project.writer, "flush", lambda *_: False)
    with pytest.raises(ProjectError, match="cannot be opened while the project cannot be written"):
        load_corrections(project)


def test_verified_leaves_are_never_overwritten(project):
    ref = project.images[0]
    store(project, ref, leaves((5, 5), (20, 30)))
    document = project.open_document(ref, SHAPE)
    document.set_verified([(0, 1)], True)
    project.save(ref, document)
    before = document.labels == 1
    project.release_document(ref, document)
    stored = store(project, ref, np.ones(SHAPE, np.uint16))
    assert np.array_equal(stored.labels == 1, before)
    assert stored.locked() == {1}
    assert len(stored.leaves()) == 2


def test_nothing_is_stored_while_somebody_has_the_image_open(project):
    ref = project.images[0]
    document = project.open_document(ref, SHAPE)
    assert store(project, ref, leaves((5, 5))) is None
    assert not document.labels.any()
    assert not mark_reviewed(project, ref)
    del document
    assert store(project, ref, leaves((5, 5))) is not None


def test_nothing_is_stored_in_a_project_that_was_closed(project):
    ref = project.images[0]
    project.close()
    with pytest.raises(ProjectError, match="closed before “a” was done"):
        store(project, ref, leaves((5, 5)))


def test_facts_are_read_without_opening_the_image(project):
    ref = project.images[0]
    assert read_facts(project, ref) is None
    store(project, ref, leaves((0, 5), (20, 30)), model={"name": "test"}, confidence={"1": 0.3, "2": 0.8})
    project.writer.flush()
    facts = read_facts(project, ref)
    assert (facts.count, facts.verified, facts.at_border, facts.confidence) == (2, 0, 1, 0.3)
    assert facts.record["model"] == {"name": "test"}
    assert mark_reviewed(project, ref)
    project.writer.flush()
    facts = read_facts(project, ref)
    assert (facts.verified, facts.confidence, ref.state) == (2, 1.0, "done")


def test_the_least_certain_leaf_is_one_that_nobody_verified():
    assert least_certain({"1": 0.2, "2": 0.7}, {(0, 1)}) == 0.7
    assert least_certain([{"1": 0.9}, {"1": 0.5}], {(0, 1)}) == 0.5
    assert least_certain({"1": 0.2}, {(0, 1)}) == 1.0
    assert least_certain({}, ()) is None
    assert least_certain(None, ()) is None


def test_removed_images_come_back_with_their_labels(project, tmp_path):
    first, second = project.images
    labels = leaves((5, 5), (20, 30))
    store(project, first, labels)
    assert put_aside(project, [first, second]) == 1
    project.forget([first, second])
    assert project.images == []
    assert not project.labels_path(first).exists()
    other = tmp_path / "other" / "a.png"
    write_image(other, np.random.default_rng(1).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    (ref,) = project.add_all([(tmp_path / "a.png", "")])
    assert np.array_equal(project.read_labels(ref), labels)
    (same_name,) = project.add_all([(other, "")])
    assert same_name.id != ref.id
    project.writer.flush()
    assert [image.id for image in project.images] == ["a", same_name.id]


def test_another_image_of_the_same_name_does_not_get_the_labels(project, tmp_path):
    first = project.images[0]
    store(project, first, leaves((5, 5)))
    put_aside(project, [first])
    project.forget([first])
    other = tmp_path / "other" / "a.png"
    write_image(other, np.random.default_rng(1).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    (ref,) = project.add_all([(other, "")])
    assert ref.id != "a"
    assert not project.labels_path(ref).exists()
    store(project, ref, leaves((20, 30)))
    put_aside(project, [ref])
    project.forget([ref])
    (back, other) = project.add_all([(tmp_path / "a.png", ""), (other, "")])
    assert (back.id, other.id) == ("a", ref.id)
    assert np.array_equal(project.read_labels(back), leaves((5, 5)))
    assert np.array_equal(project.read_labels(other), leaves((20, 30)))


def kill(project):
    """Give up a project as the end of its process would."""
    project.writer.drop()
    project.writer.close()
    project._lock.release()
    project.closed = True


def test_a_removal_that_was_cut_short_leaves_the_labels_with_their_image(project, tmp_path):
    first = project.images[0]
    labels = leaves((5, 5))
    store(project, first, labels)
    project.writer.flush()
    put_aside(project, [first])
    kill(project)  # before the list was written
    with Project.open(project.folder) as again:
        assert np.array_equal(again.read_labels(again.ref("a")), labels)
        put_aside(again, [again.ref("a")])
        again.forget([again.ref("a")])
    with Project.open(project.folder) as again:
        with again.writer.held():  # and one that comes back, before the list was written
            again.add_known(tmp_path / "a.png")
            again.writer.drop()
        kill(again)
    with Project.open(project.folder) as last:
        assert [ref.id for ref in last.images] == ["b"]
        assert not (last.folder / "labels" / "a.tif").exists()
        (back,) = last.add_all([(tmp_path / "a.png", "")])
        assert np.array_equal(last.read_labels(back), labels)
        last.writer.flush()
        assert not list((last.folder / "removed").glob("*"))


def test_the_list_names_an_image_before_anything_is_written_of_it(project, tmp_path):
    project.writer.flush()
    with project.writer.held():
        ref = project.add_known(tmp_path / "c" / "plant.png")
        document = project.live_document(ref) or Document(np.zeros(SHAPE, np.uint16))
        document.commit(difference(document.labels, None, leaves((5, 5)), "lasso"))
        project.adopt(ref, document)
        project.add_known(tmp_path / "d.png")  # the list is written behind the labels
        waiting = [item.key for item in project.writer._waiting]
        assert waiting.index("list") == len(waiting) - 1
    written = []
    project.save_list = lambda real=project.save_list: (real(), written.append(project.journal_path(ref).exists()))
    assert project.writer.flush()
    assert written == [False]


def test_what_was_put_aside_goes_elsewhere_with_the_project(project, tmp_path):
    first = project.images[0]
    labels = leaves((5, 5))
    store(project, first, labels)
    put_aside(project, [first])
    project.forget([first])
    damaged = project.folder / "journal" / "b.journal.damaged"
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(b"as it was")
    with project.save_elsewhere(tmp_path / "copy", {}) as copy:
        assert (copy.folder / "journal" / "b.journal.damaged").read_bytes() == b"as it was"
        (back,) = copy.add_all([(tmp_path / "a.png", "")])
        assert np.array_equal(copy.read_labels(back), labels)
