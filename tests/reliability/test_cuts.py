"""A process that ends at any of its file operations, killed or without power: what was told is on the disk."""

import os
import shutil
import sys

import numpy as np
import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.project import Project
from napari_leafseg.project.removal import put_aside
from tests.reliability import cuts
from tests.reliability.kept import SHAPE, draw, found, image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
SEEDS = [0, *(pytest.param(seed, marks=[pytest.mark.slow, pytest.mark.night]) for seed in range(1, 21))]
ACTIONS = int(os.environ.get("LEAFSEG_CUT_ACTIONS", "60"))


def state_of(document):
    return document.labels.tobytes(), tuple(sorted(document.verified))


NOTHING = (np.zeros(SHAPE, np.uint16).tobytes(), ())


class Session:
    """Edits of a project at random, each told before the writer hears of it; by name of the image's file."""

    def __init__(self, folder, images, seed):
        self.folder, self.images, self.rng = folder, images, np.random.default_rng(seed)
        self.told = []
        self.documents = {}

    def work(self):
        self.project = Project.open(self.folder)
        doing = [self.draw] * 8 + [self.undo] * 3 + [self.redo] * 2 + [self.verify, self.save, self.save, self.flush]
        doing += [self.flush, self.add, self.open, self.open, self.leave, self.run, self.remove]
        for name in ("add", "open", "draw", "draw"):
            getattr(self, name)()
        for _ in range(ACTIONS):
            doing[int(self.rng.integers(len(doing)))]()
        self.project.close()
        assert not self.project.writer.pending
        self.told.append(("disk", {name: state_of(document) for name, (_, document) in self.documents.items()}))

    def any(self):
        names = sorted(self.documents)
        return self.documents[names[int(self.rng.integers(len(names)))]] if names else (None, None)

    def follow(self, ref, document):
        name, write = self.project.path_of(ref).as_posix(), document.write
        self.documents[name] = ref, document

        def told(record):
            self.told.append(("state", name, state_of(document)))
            write(record)

        document.write = told

    def draw(self):
        _, document = self.any()
        if document is not None:
            draw(document, int(self.rng.integers(1, 9)), y=float(self.rng.uniform(0, 30)))

    def undo(self):
        _, document = self.any()
        if document is not None:
            document.undo()

    def redo(self):
        _, document = self.any()
        if document is not None:
            document.redo()

    def verify(self):
        _, document = self.any()
        if document is not None:
            document.set_verified([(0, leaf) for leaf in document.leaves()[:2]], bool(self.rng.integers(2)))

    def save(self):
        ref, document = self.any()
        if document is not None:
            self.project.save(ref, document)

    def flush(self):
        assert self.project.writer.flush()
        self.told.append(("disk",))

    def add(self):
        path = self.images[int(self.rng.integers(len(self.images)))]
        self.project.add_known(path)

    def open(self):
        left = [ref for ref in self.project.images if self.project.path_of(ref).as_posix() not in self.documents]
        if left:
            ref = left[int(self.rng.integers(len(left)))]
            self.follow(ref, self.project.open_document(ref, SHAPE))

    def leave(self):
        ref, document = self.any()
        if document is not None:
            self.project.save(ref, document)
            self.project.release_document(ref, document)
            del self.documents[self.project.path_of(ref).as_posix()]

    def run(self):
        """A model's labels take the place of those that are there."""
        ref, _ = self.any()
        if ref is not None:
            labels = np.zeros(SHAPE, np.uint16)
            labels[10:20, 10 : 20 + int(self.rng.integers(1, 30))] = 1
            document = found(labels)
            self.told.append(("state", self.project.path_of(ref).as_posix(), state_of(document)))
            self.project.adopt(ref, document)
            self.follow(ref, document)

    def remove(self):
        """Take an image from the list, as the window does; the labels come back with it."""
        ref, _ = self.any()
        if ref is not None and self.rng.random() < 0.5:
            self.leave_all(ref)
            put_aside(self.project, [ref])
            self.project.forget([ref])

    def leave_all(self, ref):
        document = self.documents.pop(self.project.path_of(ref).as_posix())[1]
        self.project.save(ref, document)
        self.project.release_document(ref, document)


def expected(told, until):
    """What each image may be: its states from the last promise on, to the last that was told."""
    states = {}
    for at, (word, *rest) in enumerate(told):
        if word == "state":
            states.setdefault(rest[0], [NOTHING]).append(rest[1])
        elif at < until:
            for known in states.values():
                del known[:-1]
    return states


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(900)
def test_a_process_that_ends_at_any_file_operation_loses_nothing_that_was_told(tmp_path, monkeypatch, seed):
    folder = tmp_path / "project"
    Project.create(folder).close()
    images = [image(tmp_path / name / "plant.png") for name in ("day1", "day2", "day3")]
    session = Session(folder, images, seed)
    moments = cuts.recorded(folder, session.work, session.told, monkeypatch)
    assert len(moments) > 40
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # nothing depends on it from here on
    problems = []
    for number, moment in enumerate(moments):
        states = expected(session.told, moment.told)
        for word, content in moment.contents():
            place = cuts.rebuild(tmp_path / "found", content)
            wrong = check(place, images, states)
            problems += [f"{number} {moment.operation}, {word}: {problem}" for problem in wrong]
            shutil.rmtree(place)
    assert not problems, "\n".join(problems[:20])


def check(place, images, states):
    """What is wrong with a folder."""
    (place / "lock.json").unlink(missing_ok=True)
    try:
        with Project.open(place) as project:
            for path in images:  # what was removed comes back with its image
                document = project.open_document(project.add_known(path), SHAPE)
                wanted, state = states.get(path.as_posix(), [NOTHING]), state_of(document)
                if state not in wanted:
                    yield f"{path.parent.name}: {leaves(state)} is none of {list(map(leaves, wanted))}"
                while document.undo() is not None:
                    pass
                if document.labels.any():
                    yield f"{path.parent.name}: the history does not begin with nothing"
    except UserError as error:
        yield str(error)


def leaves(state):
    labels = np.frombuffer(state[0], np.uint16)
    return {int(leaf): int((labels == leaf).sum()) for leaf in np.unique(labels) if leaf}
