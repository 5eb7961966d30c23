"""A project on disk: images, labels, marks, journal, lock."""

import json
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_leafseg.editing import operations as ops
from napari_leafseg.errors import UserError
from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.project.journal import Journal, Record, encode, read_journal
from napari_leafseg.project.lock import Lock, Owner, ProjectLocked
from napari_leafseg.project.migrate import FORMAT
from napari_leafseg.project.review import Tally, tally
from napari_leafseg.project.writer import Writer

SHAPE = (64, 96)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    rng = np.random.default_rng(0)
    for name in ("day1", "day2"):
        write_image(folder / f"{name}.png", rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    return folder


@pytest.fixture
def project(tmp_path, images):
    with Project.create(tmp_path / "project", "Trial") as made:
        made.add_images([images])
        yield made


def start(project, ref):
    """A document that holds three leaves, the first two touching, from the model."""
    document = project.open_document(ref, SHAPE)
    labels = np.zeros(SHAPE, np.uint16)
    for leaf, column in enumerate((10, 30, 60), start=1):
        labels[20:40, column : column + 20] = leaf
    everywhere = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    document.commit(ops.difference(document.labels, everywhere, labels, "segment"), verify=False)
    return document


def test_images_are_referred_to_or_copied_and_come_once(tmp_path, images):
    with Project.create(tmp_path / "p") as project:
        assert [ref.id for ref in project.add_images([images])] == ["day1", "day2"]
        assert project.add_images([images / "day1.png"]) == []
        assert project.images[0].path == "../images/day1.png"
        other = tmp_path / "other"
        shutil.copytree(images, other)
        assert [ref.id for ref in project.add_images([other / "day1.png"])] == ["day1_2"]
    with Project.create(tmp_path / "q") as project:
        (first, _) = project.add_images([images], copy=True)
        assert project.path_of(first).parent == tmp_path / "q" / "images"
        assert project.path_of(first).read_bytes() == (images / "day1.png").read_bytes()
        assert project.add_images([images], copy=True) == []


def test_a_project_is_read_by_people_and_other_programs(project):
    ref = project.images[0]
    document = start(project, ref)
    document.info["model"] = {"name": "leaf", "version": "1"}
    document.commit(ops.delete(document.labels, 2))
    document.set_verified([(0, 1)], True)
    project.save(ref, document)
    assert project.writer.flush()
    labels = tifffile.imread(project.labels_path(ref))
    assert labels.dtype == np.uint16
    assert np.array_equal(labels, document.labels)
    record = json.loads(project.record_path(ref).read_text())
    assert record["verified"] == [[0, 1]]
    assert record["model"]["name"] == "leaf"
    assert [line["tool"] for line in record["history"]] == ["segment", "delete", "verify"]
    assert record["annotator"]
    assert json.loads((project.folder / "project.json").read_text())["format"] == FORMAT


def test_everything_is_there_after_a_restart_undo_too(project, images):
    ref = project.images[0]
    document = start(project, ref)
    first = document.labels.copy()
    document.commit(ops.merge(document.labels, 1, 2))
    merged = document.labels.copy()
    document.commit(ops.delete(document.labels, 3))
    document.undo()
    assert (0, 1) in document.verified
    project.close()  # never saved: the journal has it
    assert not project.labels_path(ref).exists()
    with Project.open(project.folder) as again:
        found = again.open_document(again.images[0], SHAPE)
        assert np.array_equal(found.labels, merged)
        assert found.verified == {(0, 1)}
        assert found.redo().tool == "delete"
        assert 3 not in found.leaves()
        assert found.undo() is not None
        assert found.undo().tool == "merge"
        assert np.array_equal(found.labels, first)
        assert found.verified == set()
        again.save(again.images[0], found)
        again.writer.flush()
        found.commit(ops.delete(found.labels, 1))
    with Project.open(project.folder) as third:
        last = third.open_document(third.images[0], SHAPE)
        assert last.leaves() == [2, 3]
        assert last.undo().tool == "delete"
        assert last.undo().tool == "segment"
        assert last.undo() is None


def test_what_the_labels_hold_is_not_made_a_second_time(project):
    """A document that was saved and opened again is as it was saved: nothing is new, nothing is noted twice."""
    ref = project.images[0]
    document = start(project, ref)
    document.commit(ops.merge(document.labels, 1, 2))
    document.undo()
    project.save(ref, document)
    assert project.writer.flush()
    noted = json.loads(project.record_path(ref).read_text())["history"]
    assert [line["what"] for line in noted] == ["step", "step", "undo"]
    project.close()
    records = read_journal(project.journal_path(ref))
    for held in range(len(records) + 1):
        again = Document(np.zeros(SHAPE, np.uint16), number=held)
        assert again.replay(records) == len(records) - held
        assert again.changed == (held < len(records))
        assert again.number == len(records)
    with Project.open(project.folder) as later:
        found = later.open_document(later.images[0], SHAPE)
        assert not found.changed
        assert np.array_equal(found.labels, document.labels)
        assert found.snapshot().record["history"] == noted


@pytest.mark.parametrize("reopened", [False, True])
def test_edits_of_one_step_are_taken_back_last_first_and_made_again_first_first(project, reopened):
    ref = project.images[0]
    document = start(project, ref)
    before = document.labels.copy()
    planned = before.copy()
    edits = []
    for leaf, first in ((7, 5.0), (8, 12.0), (9, 19.0)):  # each lies partly over the one before
        corners = np.array([[first, first], [first, first + 30], [first + 20, first + 30], [first + 20, first]])
        edits.append(ops.draw_polygon(planned, corners, leaf))
        edits[-1].apply(planned)
    document.commit_all("several", edits)
    assert np.array_equal(document.labels, planned)
    if reopened:
        project.close()
        project = Project.open(project.folder)
        document = project.open_document(project.images[0], SHAPE)
    for _ in range(2):
        assert document.undo().tool == "several"
        assert np.array_equal(document.labels, before)
        assert document.redo().tool == "several"
        assert np.array_equal(document.labels, planned)
    project.close()


def test_steps_that_were_undone_before_the_project_can_be_made_again_after_a_restart(project):
    ref, other = project.images
    document = Document(start(project, other).labels.copy())
    for leaf in (1, 2, 3):
        document.commit(ops.delete(document.labels, leaf))
    for _ in range(3):
        document.undo()
    before = document.labels.copy()
    project.adopt(ref, document)
    assert project.writer.flush()
    project.close()
    with Project.open(project.folder) as again:
        found = again.open_document(again.images[0], SHAPE)
        assert np.array_equal(found.labels, before)
        for left in ([2, 3], [3], []):
            assert found.redo().tool == "delete"
            assert found.leaves() == left
        assert found.redo() is None


def test_marks_follow_what_is_done_by_hand(project):
    document = start(project, project.images[0])
    document.commit(ops.draw_polygon(document.labels, np.array([[1.0, 1], [1, 9], [9, 9], [9, 1]]), 9))
    assert document.verified == {(0, 9)}
    document.commit(ops.merge(document.labels, 1, 9))
    assert document.verified == {(0, 1)}  # 9 is gone
    document.undo()
    assert document.verified == {(0, 9)}
    assert document.set_verified([(0, 9), (0, 77)], False).tool == "unlock"
    assert document.locked() == frozenset()
    document.undo()
    assert document.locked() == {9}
    assert document.set_verified([(0, 9)], True) is None


def test_a_journal_that_was_cut_off_loses_only_the_last_record(tmp_path, project):
    ref = project.images[0]
    document = start(project, ref)
    document.commit(ops.delete(document.labels, 1))
    project.writer.flush()
    path = project.journal_path(ref)
    whole = path.read_bytes()
    assert len(read_journal(path)) == 2
    for cut in (1, 7, 20):
        path.write_bytes(whole[:-cut])
        assert len(read_journal(path)) == 1
    damaged = bytearray(whole)
    damaged[-3] ^= 255
    path.write_bytes(bytes(damaged))
    assert len(read_journal(path)) == 1
    Journal(path).append(encode(Record(2, "undo")))  # clears the rest away
    assert [record.kind for record in read_journal(path)] == ["step", "undo"]


def test_a_second_application_is_told_who_has_it(project):
    with pytest.raises(ProjectLocked, match=f"process {os.getpid()}"):
        Project.open(project.folder)
    lock = Lock(project.folder)
    dead = Owner("ann", Owner.me().host, 2**22 + 1, "2026-01-01T00:00:00Z")
    lock.path.write_text(json.dumps(dead.__dict__))
    Project.open(project.folder).close()  # its process is gone
    elsewhere = Owner("ann", "another-computer", 7, "2026-01-01T00:00:00Z")
    lock.path.write_text(json.dumps(elsewhere.__dict__))
    with pytest.raises(ProjectLocked, match="ann on another-computer"):
        Project.open(project.folder)
    Project.open(project.folder, force=True).close()
    assert not lock.path.exists()


def test_moved_images_are_found_again_by_name_and_content(project, images, tmp_path):
    assert project.missing() == []
    moved = tmp_path / "archive" / "2026"
    moved.parent.mkdir()
    images.rename(moved)
    (tmp_path / "archive" / "day2.png").write_bytes(b"something else")
    assert len(project.missing()) == 2
    assert [ref.id for ref in project.relink(tmp_path / "archive")] == ["day1", "day2"]
    assert project.missing() == []
    assert project.path_of(project.images[1]) == moved / "day2.png"


def test_earlier_formats_are_brought_up_to_date_and_newer_ones_refused(tmp_path, images):
    folder = tmp_path / "old"
    folder.mkdir()
    old = {"name": "Old", "images": [str(images / "day1.png"), "sub/day1.png"]}
    (folder / "project.json").write_text(json.dumps(old))
    with Project.open(folder) as project:
        assert [ref.id for ref in project.images] == ["day1", "day1_2"]
    assert json.loads((folder / "project.json").read_text())["format"] == FORMAT
    assert json.loads((folder / "project.format0.json").read_text()) == old
    (folder / "project.json").write_text(json.dumps({"format": FORMAT + 1, "new": 1}))
    with pytest.raises(UserError, match="newer version"):
        Project.open(folder)
    assert not (folder / "lock.json").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"), ("[1]", "is no project"), ('{"format": 1, "name": 3}', "name"),
        (None, "no project.json"),
    ],
)  # fmt: skip
def test_what_is_no_project_is_refused_with_a_reason(tmp_path, content, says):
    if content is not None:
        (tmp_path / "project.json").write_text(content)
    with pytest.raises(UserError, match=says):
        Project.open(tmp_path)
    assert not (tmp_path / "lock.json").exists()


def test_creating_needs_an_empty_folder(tmp_path, project):
    with pytest.raises(UserError, match="already"):
        Project.create(project.folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        Project.create(tmp_path / "full")


def test_labels_of_another_image_are_refused(project):
    ref = project.images[0]
    project.save(ref, start(project, ref))
    project.writer.flush()
    with pytest.raises(UserError, match="exchanged"):
        project.open_document(ref, (10, 10))
    project.labels_path(ref).write_bytes(b"II*\0rubbish")
    with pytest.raises(UserError, match="damaged"):
        project.open_document(ref, SHAPE)


class FullDisk:
    """`os.fsync` that fails as a full disk does, until it is told otherwise."""

    def __init__(self, monkeypatch):
        self.full = False
        real = os.fsync

        def fsync(handle):
            if self.full:
                raise OSError(28, "No space left on device")
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)


def test_a_full_disk_is_announced_nothing_is_lost_and_it_goes_on(tmp_path, images, monkeypatch):
    monkeypatch.setattr("napari_leafseg.project.writer.RETRY", 0.05)
    said = []
    disk = FullDisk(monkeypatch)
    project = Project.create(tmp_path / "p", failed=said.append)
    (ref, _) = project.add_images([images])
    document = start(project, ref)
    project.save(ref, document)
    assert project.writer.flush()
    disk.full = True
    document.commit(ops.delete(document.labels, 1))
    project.save(ref, document)
    assert not project.writer.flush()
    assert "No space left" in said[-1]
    assert project.writer.pending == 2
    document.commit(ops.delete(document.labels, 2))  # work goes on in memory
    before = tifffile.imread(project.labels_path(ref))
    assert 1 in before  # the old file is whole
    disk.full = False
    with project.save_elsewhere(tmp_path / "stick", {ref.id: document}) as other:
        saved = other.open_document(other.ref(ref.id), SHAPE)
        assert np.array_equal(saved.labels, document.labels)
        assert [r.id for r in other.images] == [r.id for r in project.images]
        assert other.missing() == []
    assert project.writer.flush()
    assert said[-1] == ""
    project.close()
    with Project.open(tmp_path / "p") as again:
        assert again.open_document(again.ref(ref.id), SHAPE).leaves() == [3]


def test_writes_keep_their_order_and_newer_ones_replace_older_of_their_kind():
    done, writer = [], Writer()
    with writer._condition:  # nothing starts before all are asked for
        for number in range(5):
            writer.put(lambda n=number: done.append(n))
            writer.put(lambda n=number: done.append(f"save {n}"), key="save")
    writer.close()
    assert done == [0, 1, 2, 3, 4, "save 4"]


def test_no_exception_ends_the_writer(caplog, monkeypatch):
    monkeypatch.setattr("napari_leafseg.project.writer.RETRY", 0.01)
    told, done, attempts = [], [], []

    def tell(problem):
        told.append(problem)
        raise RuntimeError("the window is gone")

    def fail_at_first():
        attempts.append(1)
        if len(attempts) < 4:
            raise TypeError("int64 is not JSON serializable")

    writer = Writer(tell)
    writer.put(fail_at_first)
    writer.put(lambda: done.append(1))
    deadline = time.monotonic() + 20
    while not (done and told[-1:] == [""]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(attempts) == 4
    assert done == [1]
    assert told == ["Cannot write the project: int64 is not JSON serializable.", ""]
    failures = [record for record in caplog.records if "tried again" in record.message]
    assert len(failures) == 1  # told and logged once, not at every attempt
    assert failures[0].exc_info[0] is TypeError
    assert writer.flush(5)
    assert writer.error == ""
    writer.close()


def test_a_series_keeps_its_frames_apart(tmp_path, project):
    ref = project.images[1]
    document = project.open_document(ref, (3, *SHAPE))
    square = np.array([[5.0, 5], [5, 20], [20, 20], [20, 5]])
    edit = ops.draw_polygon(document.plane(2), square, 4)
    document.commit(type(edit)(edit.tool, edit.box, edit.before, edit.after, frame=2))
    assert document.verified == {(2, 4)}
    assert document.leaves(0) == []
    project.writer.flush()
    project.close()
    with Project.open(project.folder) as again:
        found = again.open_document(again.images[1], (3, *SHAPE))
        assert found.leaves(2) == [4]
        assert found.locked(2) == {4}
        found.undo()
        assert not found.labels.any()


def test_what_a_project_holds_to_learn_from_is_counted_without_opening_it(tmp_path):
    names = ("whole", "partly", "looked_at", "damaged")
    for name in names:
        write_image(tmp_path / f"{name}.png", np.zeros((*SHAPE, 3), np.uint8))
    with Project.create(tmp_path / "p") as project:
        refs = project.add_images([tmp_path / f"{name}.png" for name in names])
        for ref in refs:
            document = start(project, ref)
            if ref.id == "partly":
                document.set_verified([(0, 1), (0, 3)], True)
            project.save(ref, document)
            project.release_document(ref, document)
            ref.state = "in progress"
        refs[0].state = refs[3].state = "done"
        project.writer.flush()
        project.labels_path(refs[3]).write_bytes(b"no image")
        found, newer = tally(project, {}), tally(project, {"partly": 0, "looked_at": 1})
    assert str(found) == "1 reviewed image (3 leaves) and 1 partly corrected image (2 verified leaves)"
    assert replace(newer, unreadable=()) == Tally(1, 3, 1, 1, changed=3)  # what is open is newer
    assert [item.split(" ")[0] for item in newer.unreadable] == ["“damaged”"]
    assert str(Tally(2, 1)) == "2 reviewed images (1 leaf)"


def test_a_stroke_looks_no_further_than_where_it_was_made(monkeypatch):
    document = Document(np.zeros((60, 80), np.uint16))
    asked, real = [], Document._has
    monkeypatch.setattr(Document, "_has", lambda self, mark: asked.append(mark) or real(self, mark))
    corners = np.array([[2.0, 2], [2, 30], [30, 30], [30, 2]])
    document.commit(ops.draw_polygon(document.labels, corners, 4))
    assert document.verified == {(0, 4)}
    assert asked == []
    document.commit(ops.draw_polygon(document.labels, corners, 5))  # over it: 4 may be elsewhere
    assert document.verified == {(0, 5)}
    assert asked == [(0, 4)]
