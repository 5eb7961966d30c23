"""What the tests of reliability share: an image, strokes, and what another process would find on the disk."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from napari_leafseg.editing import operations as ops
from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document

SHAPE = (48, 64)


def image(path, shape=SHAPE):
    write_image(path, np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8))
    return path


def draw(document, leaf, y=2.0, x=None):
    """Draw a leaf by hand, 5 × 15 pixels."""
    x = 6.0 * (leaf - 1) % 54 if x is None else x
    corners = np.array([[y, x], [y, x + 5], [y + 15, x + 5], [y + 15, x]])
    return document.commit(ops.draw_polygon(document.labels, corners, leaf))


def found(labels):
    """A document of labels that a model found."""
    document = Document(np.zeros_like(labels))
    document.commit(ops.difference(document.labels, None, labels, "segment"), verify=False)
    return document


def on_disk(folder, at=0, shape=SHAPE):
    """What another process would find now; the folder itself is left alone."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        shutil.copytree(folder, copy)
        (copy / "lock.json").unlink(missing_ok=True)
        with Project.open(copy) as project:
            return project.read_document(project.images[at], shape)


def same(one, other):
    """Whether two documents are the same: labels, marks, and all that undo and redo would bring."""
    if not (np.array_equal(one.labels, other.labels) and one.verified == other.verified):
        return False
    for side in ("done", "undone"):
        ours, theirs = getattr(one.history, side), getattr(other.history, side)
        if [step.key for step in ours] != [step.key for step in theirs]:
            return False
    return True
