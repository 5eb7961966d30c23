"""A journal that is damaged anywhere: what is whole counts, what is not is kept aside, and it is said."""

import json
import random
import struct
import zlib

import numpy as np
import pytest

from napari_leafseg.errors import ProjectError
from napari_leafseg.project import Project
from napari_leafseg.project.journal import Journal, Numbering, Record, encode, read_journal

from .kept import SHAPE, draw, found, image, on_disk


def stroked(folder, saved=False, steps=6):
    """A project whose image got some strokes; the labels after each."""
    states = []
    with Project.create(folder) as project:
        (ref,) = project.add_images([image(folder.parent / "a.png")])
        document = project.open_document(ref, SHAPE)
        states.append(document.labels.copy())
        for leaf in range(1, steps + 1):
            draw(document, leaf)
            states.append(document.labels.copy())
        if saved:
            project.save(ref, document)
    return folder / "journal" / "a.journal", states


def opened(folder):
    said = []
    with Project.open(folder, noticed=said.append) as project:
        return project.open_document(project.images[0], SHAPE), said


def test_one_flipped_bit_costs_one_step_and_the_file_is_kept(tmp_path):
    journal, _states = stroked(tmp_path / "p")
    whole = journal.read_bytes()
    damaged = bytearray(whole)
    damaged[30] ^= 1
    journal.write_bytes(damaged)
    said = []
    with Project.open(tmp_path / "p", noticed=said.append) as project:
        document = project.open_document(project.images[0], SHAPE)
        assert document.leaves() == [2, 3, 4, 5, 6]
        draw(document, 9, y=25)
    assert "a.journal.damaged" in said[0]
    assert journal.with_name("a.journal.damaged").read_bytes() == damaged
    assert [record.number for record in read_journal(journal)] == [2, 3, 4, 5, 6, 7]
    again, said = opened(tmp_path / "p")
    assert said == []  # once
    assert again.leaves() == [2, 3, 4, 5, 6, 9]


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("tries", [40, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.night])])
def test_flipped_bits(tmp_path, saved, tries):
    journal, states = stroked(tmp_path / "p", saved)
    whole, rng = journal.read_bytes(), random.Random(1)
    for number in range(tries):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        journal.write_bytes(damaged)
        document, _said = opened(tmp_path / "p")
        if saved:
            assert np.array_equal(document.labels, states[-1])
        else:
            assert len(document.leaves()) >= 5, number
        assert len(document.history) >= 5


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.night)])
def test_a_cut_anywhere_leaves_the_steps_before_it_and_work_goes_on(tmp_path, every):
    journal, states = stroked(tmp_path / "p", steps=4)
    whole = journal.read_bytes()
    for size in range(0, len(whole) + 1, every):
        journal.write_bytes(whole[:size])
        (tmp_path / "p" / "labels" / "a.tif").unlink(missing_ok=True)
        said = []
        with Project.open(tmp_path / "p", noticed=said.append) as project:
            document = project.open_document(project.images[0], SHAPE)
            assert any(np.array_equal(document.labels, state) for state in states)
            draw(document, 9, y=25)
            wanted = document.labels.copy()
        assert said == []
        assert np.array_equal(on_disk(tmp_path / "p").labels, wanted)


def test_undo_of_a_step_whose_record_is_lost_takes_back_nothing_else(tmp_path):
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([image(tmp_path / "a.png")])
        document = project.open_document(ref, SHAPE)
        ends = []
        for leaf in (1, 2, 3):
            draw(document, leaf)
            assert project.writer.flush()
            ends.append(project.journal_path(ref).stat().st_size)
        document.undo()
        document.undo()
    journal = tmp_path / "p" / "journal" / "a.journal"
    content = bytearray(journal.read_bytes())
    content[ends[1] + 40] ^= 1  # in the record of leaf 3
    journal.write_bytes(content)
    document, _said = opened(tmp_path / "p")
    assert document.leaves() == [1]
    assert document.number == 5


def put(path, header, payload=b""):
    """Append a record whose checksum is right, whatever it says."""
    head = json.dumps(header).encode() if isinstance(header, dict) else header
    lead = struct.pack("<4sIII", b"LSJ1", len(head), len(payload), zlib.crc32(head + payload))
    with path.open("ab") as file:
        file.write(lead + head + payload)


def header(**changes):
    edit = {"tool": "x", "frame": None, "start": [0, 0], "shape": [4, 4], "dtype": "<u2"} | changes.pop("edit", {})
    return {
        "number": 7, "kind": "step", "time": "", "annotator": "", "tool": "x", "verified": [], "unverified": [],
        "edits": [edit],
    } | changes  # fmt: skip


ODD = {
    "no JSON": (b"\xff{", b""),
    "a list": (b"[1]", b""),
    "no number": (header(number="many"), zlib.compress(bytes(64))),
    "number 0": (header(number=0), zlib.compress(bytes(64))),
    "negative box": (header(edit={"start": [-3, 0]}), zlib.compress(bytes(64))),
    "objects": (header(edit={"dtype": "O"}), zlib.compress(bytes(256))),
    "too short": (header(), zlib.compress(bytes(10))),
    "too long": (header(), zlib.compress(bytes(10**6))),
    "three axes": (header(edit={"shape": [1, 1, 1], "start": [0, 0, 0]}), zlib.compress(bytes(4))),
    "deep": (b"[" * 100_000, b""),
    "marks of nothing": (header(verified=[5]), zlib.compress(bytes(64))),
}


@pytest.mark.parametrize("odd", ODD)
def test_records_that_are_nothing_of_ours_are_put_aside(tmp_path, odd):
    journal, states = stroked(tmp_path / "p")
    put(journal, *ODD[odd])
    document, said = opened(tmp_path / "p")
    assert np.array_equal(document.labels, states[-1])
    assert len(said) == 1


def test_a_record_that_unpacks_to_more_than_its_image_is_not_unpacked(tmp_path):
    import tracemalloc

    journal, states = stroked(tmp_path / "p")
    big = zlib.compress(bytes(200_000_000))
    put(journal, header(edit={"shape": [40, 60], "dtype": "<u2"}), big)
    put(journal, header(edits=[header()["edits"][0] | {"shape": [48, 64]}] * 20_000), big)
    tracemalloc.start()
    document, said = opened(tmp_path / "p")
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()
    assert np.array_equal(document.labels, states[-1])
    assert said


@pytest.mark.parametrize("saved", [False, True])
def test_a_record_of_a_later_version_is_refused_with_words(tmp_path, saved):
    journal, _states = stroked(tmp_path / "p", saved)
    put(journal, header(kind="branch"))
    before = journal.read_bytes()
    with Project.open(tmp_path / "p") as project, pytest.raises(ProjectError, match=r"newer version.*Update"):
        project.open_document(project.images[0], SHAPE)
    assert journal.read_bytes() == before


def test_a_history_of_a_larger_image_is_refused_and_stays(tmp_path):
    journal, states = stroked(tmp_path / "p")
    before = journal.read_bytes()
    with Project.open(tmp_path / "p") as project, pytest.raises(ProjectError, match="another size"):
        project.open_document(project.images[0], (10, 10))
    assert journal.read_bytes() == before
    assert np.array_equal(opened(tmp_path / "p")[0].labels, states[-1])


def test_appending_never_cuts_whole_records_off(tmp_path):
    path = tmp_path / "j" / "a.journal"
    path.parent.mkdir()
    ours, theirs = Journal(path), Journal(path)
    ours.write([Record(1, "undo")], Numbering())
    theirs.write([Record(2, "undo"), Record(3, "redo")], Numbering())
    ours.write([Record(2, "redo")], Numbering())
    assert [(record.number, record.kind) for record in read_journal(path)] == [
        (1, "undo"), (2, "undo"), (3, "redo"), (4, "redo"),
    ]  # fmt: skip
    with path.open("ab") as file:
        file.write(encode(Record(5, "undo"))[:20])
    ours.write([Record(3, "undo")], Numbering())
    assert [record.number for record in read_journal(path)] == [1, 2, 3, 4, 5]


def test_labels_that_replace_others_are_there_whole_or_not_at_all(tmp_path):
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([image(tmp_path / "a.png")])
        earlier = project.open_document(ref, SHAPE)
        draw(earlier, 1)
        assert project.writer.flush()
        before = project.journal_path(ref).read_bytes()
        labels = np.zeros(SHAPE, np.uint16)
        labels[5:40, 20:50] = 7
        document = found(labels)
        draw(document, 3)
        project.adopt(ref, document)
        assert project.writer.flush()
        journal, whole = project.journal_path(ref), project.journal_path(ref).read_bytes()
        project.labels_path(ref).unlink()  # as it is until they are saved
        ends = [at for at in range(len(before), len(whole)) if whole.startswith(b"LSJ1", at)]
        for size in [*ends, *(at - 1 for at in ends[1:]), *(at + 20 for at in ends), len(whole) - 1, len(whole)]:
            journal.write_bytes(whole[:size])
            wanted = document if size == len(whole) else earlier
            assert np.array_equal(on_disk(project.folder).labels, wanted.labels), size
        journal.write_bytes(whole[:-1])
        later = on_disk(project.folder)
        assert len(later.history.done) == 1
