"""Disks that answer with errors, names and links that are the same on some disks, files that are exchanged."""

import errno
import os
import shutil
import sys
import unicodedata

import numpy as np
import pytest

from napari_leafseg._files import RealPlaces
from napari_leafseg.errors import ProjectError
from napari_leafseg.io import write_image
from napari_leafseg.project import Project, lock
from napari_leafseg.project.files import folded
from tests.widgets.conftest import _own_settings, errors, qtbot  # noqa: F401

from .kept import SHAPE, draw, image, on_disk, same

NAMES = [
    tuple(unicodedata.normalize(form, "Blätter 각") for form in ("NFC", "NFD")), ("Leaf", "leaf"),
    ("straße", "STRASSE"), ("ΣΟΦΟΣ", "σοφος"), ("con", "CON"), ("a:b", "a?b"), ("plant ", "plant."),
]  # fmt: skip


@pytest.mark.parametrize("names", NAMES, ids=ascii)
def test_names_that_are_one_on_some_disk_get_files_of_their_own(tmp_path, names):
    with Project.create(tmp_path / "p") as project:
        refs = project.add_all([(tmp_path / str(at) / f"{name}.png", "") for at, name in enumerate(names)])
        for leaf, ref in enumerate(refs, start=1):
            draw(project.open_document(ref, SHAPE), leaf)
    assert len({folded(ref.id) for ref in refs}) == 2
    for at in range(2):
        assert set(np.unique(on_disk(tmp_path / "p", at).labels)) == {0, at + 1}


@pytest.mark.parametrize("hashed", [True, False])
def test_images_that_moved_are_found_again_in_another_form_of_their_name(tmp_path, hashed):
    first, second = (unicodedata.normalize(form, "Blätter 각.png") for form in ("NFD", "NFC"))
    with Project.create(tmp_path / "p") as project:
        path = image(tmp_path / "old" / first)
        (ref,) = project.add_images([path]) if hashed else project.add_all([(path, "")])
        draw(project.open_document(ref, SHAPE), 1)
    (tmp_path / "new").mkdir()
    path.rename(tmp_path / "new" / second)
    with Project.open(tmp_path / "p") as project:
        assert [ref.id for ref in project.relink(tmp_path / "new")] == [ref.id]
        assert not project.missing()


def test_of_several_files_of_its_name_none_is_taken_for_an_image_that_nobody_read(tmp_path):
    with Project.create(tmp_path / "p") as project:
        project.add_all([(tmp_path / "old" / "a.png", "")])
        for folder in ("x", "y"):
            image(tmp_path / "new" / folder / "a.png")
        assert not project.relink(tmp_path / "new")


@pytest.mark.skipif(sys.platform == "win32", reason="links take rights there")
def test_a_file_behind_a_link_is_the_same_image(tmp_path):
    image(tmp_path / "real" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with Project.create(tmp_path / "p") as project:
        first, *_ = project.add_all([(tmp_path / "real" / "a.png", ""), (tmp_path / "real" / "b.png", "")])
        assert project.add_known(tmp_path / "link" / "a.png") is first
        assert project.add_known(tmp_path / "link" / "c.png") is project.add_known(tmp_path / "real" / "c.png")
        assert len(project.images) == 3
    assert RealPlaces().of(tmp_path / "link" / "a.png") == RealPlaces().of(tmp_path / "real" / "a.png")


@pytest.mark.skipif(sys.platform == "win32", reason="links take rights there")
def test_a_project_is_open_once_whichever_way_leads_to_it(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "p")
    with Project.create(tmp_path / "p"), pytest.raises(ProjectError, match="open already"):
        Project.open(tmp_path / "link")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_disk_that_answers_with_errors_is_no_other_owner(tmp_path, monkeypatch, code):
    project = Project.create(tmp_path / "p")
    (ref,) = project.add_images([image(tmp_path / "a.png")])
    document = project.open_document(ref, SHAPE)

    def fail(path, *_more):
        raise OSError(code, os.strerror(code), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(lock, "read_json", fail)
        draw(document, 1)
        assert not project.writer.flush()
        assert "cannot be reached" in project.writer.error
        assert os.strerror(code) in project.writer.error
        with pytest.raises(ProjectError, match=os.strerror(code)):
            Project.open(tmp_path / "p")
    assert project.writer.flush()
    assert same(on_disk(tmp_path / "p"), document)
    project.close()


def test_a_project_does_not_go_on_inside_of_itself(tmp_path):
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([image(tmp_path / "a.png")])
        document = project.open_document(ref, SHAPE)
        draw(document, 1)
        for inside in (tmp_path / "p" / "labels", tmp_path / "p" / "labels" / "x", tmp_path / "p" / "copy"):
            with pytest.raises(ProjectError, match="inside of the project"):
                project.save_elsewhere(inside, {ref.id: document})
        draw(document, 2)
    assert same(on_disk(tmp_path / "p"), document)


@pytest.mark.gui
def test_another_image_under_a_name_is_said(make_napari_viewer, qtbot, tmp_path, monkeypatch):  # noqa: F811
    from napari_leafseg.widgets.images.widget import ImagesWidget
    from napari_leafseg.widgets.state import project_labels

    told = []
    monkeypatch.setattr(project_labels, "show_warning", told.append)
    path = image(tmp_path / "a.png")
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([path])
        draw(project.open_document(ref, SHAPE), 1)
    images = ImagesWidget(make_napari_viewer())

    def opened():
        images.controller.open(tmp_path / "p")
        images.go_to(images.session.images[0])
        qtbot.waitUntil(lambda: images.session.focused_binding() is not None)
        images.controller.close()

    opened()
    assert not told
    write_image(path, np.zeros((*SHAPE, 3), np.uint8))
    opened()
    assert len(told) == 1
    assert "another image" in told[0]
    opened()
    assert len(told) == 1
    images.close()


@pytest.mark.gui
@pytest.mark.skipif(sys.platform == "win32", reason="links take rights there")
def test_the_list_takes_a_file_once_whichever_way_leads_to_it(make_napari_viewer, qtbot, tmp_path):  # noqa: F811
    from napari_leafseg.widgets.images.widget import ImagesWidget

    image(tmp_path / "real" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    images = ImagesWidget(make_napari_viewer())
    images.add([tmp_path / "real"])
    images.add([tmp_path / "link" / "a.png", tmp_path / "link"])
    assert len(images.session.images) == 1
    qtbot.waitUntil(lambda: len(images.viewer.layers) == 1)
    images.controller.close()
    images.close()


@pytest.mark.gui
def test_moved_images_are_looked_for_beside_the_window(make_napari_viewer, qtbot, tmp_path, monkeypatch):  # noqa: F811
    from qtpy.QtWidgets import QFileDialog

    from napari_leafseg.widgets.images.widget import ImagesWidget

    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([image(tmp_path / "old" / "a.png")])
        draw(project.open_document(ref, SHAPE), 1)
    shutil.move(tmp_path / "old", tmp_path / "new")
    images = ImagesWidget(make_napari_viewer())
    images.controller.open(tmp_path / "p")
    assert images.session.images[0].missing
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "new"))
    images.project_bar.actions_by_name["relink"].trigger()
    qtbot.waitUntil(lambda: bool(images.session.images) and not images.session.images[0].missing)
    images.controller.close()
    images.close()
