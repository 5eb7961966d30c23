"""One document for an image, for ever: what is on the disk is what is on the screen, history included."""

import numpy as np
import pytest

from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.project.journal import Record, encode, read_journal
from napari_leafseg.project.transfer import import_labels

from .kept import SHAPE, draw, found, image, on_disk, same


@pytest.fixture
def project(tmp_path):
    with Project.create(tmp_path / "project") as made:
        made.add_images([image(tmp_path / "a.png")])
        yield made


def leaves():
    labels = np.zeros(SHAPE, np.uint16)
    labels[20:40, 5:25], labels[20:40, 30:50] = 1, 2
    return labels


def numbers(project):
    return [record.number for record in read_journal(project.journal_path(project.images[0]))]


@pytest.mark.parametrize("saved", [False, True])
def test_a_new_labels_layer_goes_on_with_the_image_s_history(project, saved):
    (ref,) = project.images
    first = project.open_document(ref, SHAPE)
    for leaf in range(1, 11):
        draw(first, leaf)
    if saved:
        project.save(ref, first)
    drawn, marks = first.labels.copy(), set(first.verified)
    second = found(leaves())
    draw(second, 40)
    project.adopt(ref, second)
    draw(second, 41, y=30)
    assert project.writer.flush()
    assert numbers(project) == list(range(1, len(numbers(project)) + 1))
    disk = on_disk(project.folder)
    assert same(disk, second)
    assert len(second.history.done) == 14  # ten strokes, that they were replaced, Run, two strokes
    for _ in range(4):
        second.undo()
    assert np.array_equal(second.labels, drawn)
    assert second.verified == marks
    assert project.writer.flush()
    assert same(on_disk(project.folder), second)


def test_labels_of_another_size_put_the_old_ones_aside_and_say_so(project):
    (ref,) = project.images
    told = []
    project.noticed = told.append
    first = project.open_document(ref, SHAPE)
    draw(first, 3, y=30, x=55)
    project.save(ref, first)
    assert project.writer.flush()
    second = found(np.ones((30, 30), np.uint16))
    project.adopt(ref, second)
    assert project.writer.flush()
    assert same(on_disk(project.folder, shape=(30, 30)), second)
    assert (project.folder / "labels" / "a.tif.replaced").exists()
    assert (project.folder / "journal" / "a.journal.replaced").exists()
    assert any("a.tif.replaced" in sentence for sentence in told)


@pytest.mark.parametrize("undone", [1, 2])
def test_redo_after_adoption_is_on_the_disk(project, undone):
    (ref,) = project.images
    document = Document(np.zeros(SHAPE, np.uint16))
    draw(document, 5)
    draw(document, 6, y=20)
    for _ in range(undone):
        document.undo()
    project.adopt(ref, document)
    for move in (document.redo, document.undo, document.redo, document.undo, document.undo, document.redo):
        move()
        assert project.writer.flush()
        assert same(on_disk(project.folder), document)
    assert len(document.history) == 2


def test_save_elsewhere_takes_the_history_and_what_still_waits(tmp_path, project, monkeypatch):
    monkeypatch.setattr("napari_leafseg.project.writer.RETRY", 0.05)
    shown = project.images[0]
    (closed,) = project.add_images([image(tmp_path / "b.png", (20, 30))])
    (project.folder / "measure.json").write_text('{"px_per_mm": 4.0}')
    document, gone = project.open_document(shown, SHAPE), project.open_document(closed, (20, 30))
    draw(document, 1)
    draw(document, 2)
    assert project.writer.flush()
    (project.folder / "journal").rename(tmp_path / "away")
    (project.folder / "journal").write_text("no folder: nothing can be written into it")
    draw(document, 3)
    document.undo()
    draw(gone, 4, y=1)
    wanted = gone.labels.copy()
    project.save(closed, gone)
    del gone  # its layer was closed; what it did waits in the writer alone
    assert not project.writer.flush()
    with project.save_elsewhere(tmp_path / "stick", {shown.id: document}) as other:
        assert same(on_disk(other.folder), document)
        assert np.array_equal(on_disk(other.folder, 1, (20, 30)).labels, wanted)
        assert (other.folder / "measure.json").exists()
        document.redo()
        draw(document, 7)
        document.undo()
        assert other.writer.flush()
        assert same(on_disk(other.folder), document)
        assert document.history.done[-1].tool == "lasso"
    (project.folder / "journal").unlink()
    (tmp_path / "away").rename(project.folder / "journal")  # what waits is written as the project is closed


def test_labels_that_are_imported_join_the_document_on_the_screen(tmp_path, project):
    (ref,) = project.images
    document = project.open_document(ref, SHAPE)
    draw(document, 1)
    write_image(tmp_path / "a_label.png", leaves().astype(np.uint8))
    list(import_labels(project, [tmp_path / "a_label.png"], replace=True))
    draw(document, 9, y=1)
    project.save(ref, document)
    assert project.writer.flush()
    disk = on_disk(project.folder)
    assert same(disk, document)
    assert [step.tool for step in disk.history.done] == ["lasso", "unlock", "import", "lasso"]


def test_two_documents_of_an_image_never_use_a_number_twice(project):
    (ref,) = project.images
    one, other = project.open_document(ref, SHAPE), project.open_document(ref, SHAPE)
    for leaf in range(1, 4):
        draw(one, leaf)
        draw(other, leaf + 10, y=25)
    project.save(ref, other)
    assert project.writer.flush()
    assert numbers(project) == [1, 2, 3, 4, 5, 6]
    assert on_disk(project.folder).number == 6


def test_a_journal_in_which_an_earlier_version_began_again_counts_from_there(project):
    (ref,) = project.images
    document = project.open_document(ref, SHAPE)
    for leaf in range(1, 6):
        draw(document, leaf)
    assert project.writer.flush()
    again = found(leaves())
    path = project.journal_path(ref)
    records = [Record(number, "step", step) for number, step in enumerate(again.history.done, start=1)]
    path.write_bytes(path.read_bytes() + b"".join(map(encode, records)))
    disk = on_disk(project.folder)
    assert np.array_equal(disk.labels, leaves())
    assert len(disk.history) == 1
    project.close()
    with Project.open(project.folder) as reopened:
        later = reopened.open_document(reopened.images[0], SHAPE)
        draw(later, 9)
        reopened.save(reopened.images[0], later)
        assert reopened.writer.flush()
        assert numbers(reopened)[-1] == 6
        assert same(on_disk(project.folder), later)


def test_history_that_memory_dropped_does_not_confuse_undo(project):
    (ref,) = project.images
    document = Document(np.zeros(SHAPE, np.uint16))
    document.history.limit = 700
    for leaf in range(1, 9):
        draw(document, leaf)
    assert len(document.history) < 8
    project.adopt(ref, document)
    while document.undo() is not None:
        pass
    assert project.writer.flush()
    assert np.array_equal(on_disk(project.folder).labels, document.labels)
    project.save(ref, document)
    assert project.writer.flush()
    assert np.array_equal(on_disk(project.folder).labels, document.labels)
