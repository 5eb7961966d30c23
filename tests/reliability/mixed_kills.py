"""A process that works on projects at random until it is killed; `ledger` says what must be on the disk then.

The child tells, in one file that outlives it: each state of an image as soon as its labels have it, before the writer
gets the record; what is on the disk once it was told so. So whatever is found after a kill was told, and is no older
than what was promised.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.editing import operations as ops
from napari_leafseg.io import write_image
from napari_leafseg.io.exchange.formats import FORMATS
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.project.transfer import export_labels, import_labels
from napari_leafseg.synthetic import SceneConfig, synthesize

SIZE = 96
SHAPE = (SIZE, SIZE)
EMPTY = np.zeros(SHAPE, np.uint16)
IMAGES, PROJECTS = 4, 3
_SCENE = SceneConfig(size=SHAPE, diameter=(60, 80), border=0.0, blank=0.0)


def make_images(folder: Path) -> None:
    """Write the images that projects are made of, and label images to import."""
    for number in range(IMAGES):
        scene = synthesize(300 + number, _SCENE)
        write_image(folder / "images" / f"plant{number}.png", scene.image)
        write_image(folder / "labels" / f"plant{number}_label.png", scene.labels.astype(np.uint16))


def state_of(document: Document) -> str:
    """Hash labels and marks."""
    content = document.labels.tobytes() + repr(sorted(document.verified)).encode()
    return hashlib.sha256(content).hexdigest()[:16]


class Child:
    """Works on the projects of a folder; never returns by itself.

    Parameters
    ----------
    root : pathlib.Path
    told : pathlib.Path
        File of what is told, line by line.
    seed : int
    """

    def __init__(self, root: Path, told: Path, seed: int) -> None:
        self.root, self.rng = root, np.random.default_rng(seed)
        self._told = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.documents: dict[str, Document] = {}
        self.project: Project | None = None
        self.count = 0

    def say(self, *words: str) -> None:
        """Tell something, in one write."""
        os.write(self._told, (json.dumps(words) + "\n").encode())

    def work(self) -> None:
        """Do things at random until the end of the process."""
        self._listen()
        self.begin()
        doing = [getattr(self, name) for name, weight in _WEIGHTS.items() for _ in range(weight)]
        while True:
            self.count += 1
            doing[int(self.rng.integers(len(doing)))]()

    def _listen(self) -> None:
        """Have every document tell its states before its records go to the writer."""
        child, opened, adopt = self, Project.open_document, Project.adopt

        def follow(project: Project, ref: Any, document: Document) -> None:
            write = document.write
            assert write is not None

            def told(record: Any) -> None:
                child.say("state", project.folder.name, ref.id, state_of(document))
                write(record)

            document.write = told

        def open_document(project: Project, ref: Any, shape: tuple[int, ...]) -> Document:
            document = opened(project, ref, shape)
            follow(project, ref, document)
            return document

        def adopted(project: Project, ref: Any, document: Document) -> None:
            child.say("state", project.folder.name, ref.id, state_of(document))
            adopt(project, ref, document)
            follow(project, ref, document)

        Project.open_document, Project.adopt = open_document, adopted  # type: ignore[method-assign]

    # -- projects ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open a project; make one where there is none."""
        known = sorted(path.parent for path in self.root.glob("p*/project.json"))
        if not known:
            self.create()
            return
        self.project = Project.open(known[int(self.rng.integers(len(known)))])
        self.say("opened", self.project.folder.name)

    def create(self) -> None:
        """Make a project where there are not enough."""
        if len(list(self.root.glob("p*"))) >= PROJECTS:
            return
        self.leave()
        folder = self._new_folder()
        self.say("making", folder.name)
        self.project = Project.create(folder)
        self.say("made", folder.name)

    def _new_folder(self) -> Path:
        return self.root / f"p{os.getpid()}_{self.count}"

    def leave(self) -> None:
        """Close the project."""
        if self.project is None:
            return
        for identity, document in self.documents.items():
            self.project.save(self.project.ref(identity), document)
        self.project.close()
        if not self.project.writer.pending:
            self.say("disk", self.project.folder.name)
        self.documents, self.project = {}, None

    def switch(self) -> None:
        """Close the project and open one."""
        self.leave()
        self.begin()

    def elsewhere(self) -> None:
        """Go on in another folder; the project there is as this one."""
        assert self.project is not None
        if len(list(self.root.glob("p*"))) >= PROJECTS:
            return
        folder, old = self._new_folder(), self.project
        self.say("copying", old.folder.name, folder.name)
        self.project = old.save_elsewhere(folder, self.documents)
        self.say("copied", old.folder.name, folder.name)
        old.close()

    # -- images --------------------------------------------------------------------------------------------------------

    def add(self) -> None:
        """Add an image to the list."""
        assert self.project is not None
        number = int(self.rng.integers(IMAGES))
        self.say("adding", self.project.folder.name, f"plant{number}")
        self.project.add_images([self.root / "images" / f"plant{number}.png"], copy=bool(number % 2))
        self.say("added", self.project.folder.name, f"plant{number}")

    def open(self) -> None:
        """Show an image: its labels are read."""
        assert self.project is not None
        left = [ref for ref in self.project.images if ref.id not in self.documents]
        if left:
            ref = left[int(self.rng.integers(len(left)))]
            self.documents[ref.id] = self.project.open_document(ref, SHAPE)

    def remove(self) -> None:
        """Take an image from the screen: its labels are saved, and nobody works on them any more."""
        name = self._any()
        if name is not None and self.project is not None:
            ref, document = self.project.ref(name), self.documents.pop(name)
            self.project.save(ref, document)
            self.project.release_document(ref, document)

    def _any(self) -> str | None:
        names = sorted(self.documents)
        return names[int(self.rng.integers(len(names)))] if names else None

    def predict(self) -> None:
        """Run a model on an image; what it finds takes the place of what was there."""
        from napari_leafseg.io import read_image
        from napari_leafseg.pipelines.predictors import get_predictor

        name = self._any()
        if name is None or self.project is None:
            return
        ref = self.project.ref(name)
        image = read_image(self.project.path_of(ref)).array
        prediction = get_predictor("leaf-small", "cpu", threads=1).predict(image, scale=1.0)
        labels = prediction.labels(angle=float(self.rng.integers(25, 60))).astype(np.uint16)
        document = Document(np.zeros_like(labels))
        document.commit(ops.difference(document.labels, None, labels, "segment"), verify=False)
        self.documents[name] = document
        self.project.adopt(ref, document)

    # -- edits ---------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw a leaf."""
        name = self._any()
        if name is not None:
            document, points = self.documents[name], self.rng.uniform(0, SIZE, (4, 2))
            document.commit(ops.draw_polygon(document.labels, points, int(self.rng.integers(1, 30))))

    def undo(self) -> None:
        """Take a step back."""
        name = self._any()
        if name is not None:
            self.documents[name].undo()

    def redo(self) -> None:
        """Make it again."""
        name = self._any()
        if name is not None:
            self.documents[name].redo()

    def verify(self) -> None:
        """Lock or unlock leaves."""
        name = self._any()
        if name is not None:
            document = self.documents[name]
            document.set_verified([(0, leaf) for leaf in document.leaves()[:2]], bool(self.rng.integers(2)))

    # -- files ---------------------------------------------------------------------------------------------------------

    def autosave(self) -> None:
        """Save what changed, as the window does every two seconds."""
        assert self.project is not None
        for name, document in self.documents.items():
            if document.changed:
                self.project.save(self.project.ref(name), document)

    def flush(self) -> None:
        """Wait until everything is on the disk."""
        assert self.project is not None
        if self.project.writer.flush():
            self.say("disk", self.project.folder.name)

    def take_in(self) -> None:
        """Import the labels of an image, open or not."""
        assert self.project is not None
        if self.project.images:
            ref = self.project.images[int(self.rng.integers(len(self.project.images)))]
            self.say("importing", self.project.folder.name, ref.id)
            file = self.root / "labels" / f"plant{ref.id[-1]}_label.png"
            list(import_labels(self.project, [file], bool(self.rng.integers(2)), replace=True))

    def export(self) -> None:
        """Export all labels in some format."""
        assert self.project is not None
        self.autosave()
        if not self.project.writer.flush() or not any(map(self._has_labels, self.project.images)):
            return
        self.say("disk", self.project.folder.name)
        form = sorted(FORMATS)[int(self.rng.integers(len(FORMATS)))]
        folder = self.root / "exports" / f"{os.getpid()}_{self.count}_{form}"
        list(export_labels(self.project, folder, form))
        self.say("exported", self.project.folder.name, folder.name)

    def _has_labels(self, ref: Any) -> bool:
        assert self.project is not None
        return self.project.labels_path(ref).exists()


_WEIGHTS = {
    "draw": 12, "undo": 4, "redo": 3, "verify": 3, "autosave": 3, "flush": 3, "predict": 2, "take_in": 2, "export": 2,
    "add": 3, "open": 4, "remove": 2, "switch": 1, "create": 1, "elsewhere": 1,
}  # fmt: skip


def work(root: str, told: str, seed: int) -> None:
    """Begin the child."""
    import torch

    torch.set_num_threads(1)
    Child(Path(root), Path(told), seed).work()
