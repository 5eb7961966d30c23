"""A project that goes on in another folder: whole, or not there at all."""

import numpy as np
import pytest

from napari_leafseg.errors import ProjectError
from napari_leafseg.project import Project
from napari_leafseg.project.elsewhere import copy_elsewhere
from tests.reliability.kept import SHAPE, draw, image, on_disk, same


@pytest.fixture
def project(tmp_path):
    paths = [image(tmp_path / f"{name}.png") for name in "abc"]
    with Project.create(tmp_path / "p") as project:
        project.add_images(paths)
        for ref in project.images[1:]:
            draw(project.open_document(ref, SHAPE), 3)
        project.predictions.put(project.images[1].id, lambda: b"maps")
        assert project.predictions.flush()
        assert project.writer.flush()
        yield project


def test_every_image_is_told_and_everything_is_there(project, tmp_path):
    document = project.open_document(project.images[0], SHAPE)
    draw(document, 1)
    *events, last = copy_elsewhere(project, tmp_path / "q", {project.images[0].id: document})
    assert [(event.done, event.total, event.name) for event in events] == [
        (0, 3, "a"),
        (1, 3, "b"),
        (2, 3, "c"),
        (3, 3, ""),
    ]
    with last.project as other:
        draw(document, 2)
        assert other.writer.flush()
        assert same(on_disk(other.folder, 0), document)
        assert other.predictions.read("b") == b"maps"
        for at in (1, 2):
            assert same(on_disk(other.folder, at), on_disk(project.folder, at))


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_stopped_it_leaves_nothing_and_work_goes_on_where_it_was(project, tmp_path, there, after):
    document = project.open_document(project.images[0], SHAPE)
    draw(document, 1)
    target = tmp_path / "q"
    if there:
        target.mkdir()
    events = copy_elsewhere(project, target, {project.images[0].id: document})
    for _ in range(after + 1):
        next(events)
    events.close()
    assert target.exists() is there
    assert not there or not list(target.iterdir())
    draw(document, 2)
    assert project.writer.flush()
    assert same(on_disk(project.folder, 0), document)


def test_a_disk_that_is_full_leaves_nothing_and_work_goes_on_where_it_was(project, tmp_path, monkeypatch):
    document = project.open_document(project.images[0], SHAPE)
    draw(document, 1)
    real = Project.adopt

    def broken(other, ref, adopted):
        real(other, ref, adopted)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Project, "adopt", broken)
        with pytest.raises(ProjectError, match="cannot be saved"):
            list(copy_elsewhere(project, tmp_path / "q", {project.images[0].id: document}))
    assert not (tmp_path / "q").exists()
    draw(document, 2)
    assert project.writer.flush()
    found = on_disk(project.folder, 0)
    assert np.array_equal(found.labels, document.labels)
    assert found.undo().edits
