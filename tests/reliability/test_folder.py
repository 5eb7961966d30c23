"""The folder under an open project goes, or somebody else takes it: noticed before the next write."""

import contextlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError, ProjectError, UserError
from napari_leafseg.project import Project
from napari_leafseg.project import lock as locks
from napari_leafseg.project.lock import Lock, Owner, ProjectLocked

from .kept import SHAPE, draw, image, on_disk, same


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A project, its document, and what was told."""
    monkeypatch.setattr("napari_leafseg.project.writer.RETRY", 0.02)
    told = []
    project = Project.create(tmp_path / "x" / "proj", failed=told.append)
    (ref,) = project.add_images([image(tmp_path / "a.png")])
    document = project.open_document(ref, SHAPE)
    draw(document, 1)
    assert project.writer.flush()
    yield project, ref, document, told
    project.close()


@pytest.mark.parametrize("how", ["renamed", "deleted", "parent moved", "unmounted"])
def test_nothing_is_written_where_the_project_was(work, tmp_path, how):
    import shutil

    project, ref, document, told = work
    place = project.folder
    if how == "deleted":
        shutil.rmtree(place)
    else:
        (place.parent if how == "parent moved" else place).rename(tmp_path / "away")
    if how == "unmounted":
        place.mkdir()  # the empty place where a disk was
    draw(document, 2)
    project.save(ref, document)
    assert not project.writer.flush()
    assert "no longer there" in told[0]
    assert "Save elsewhere" in told[0]
    assert not place.exists() or not list(place.iterdir())
    with pytest.raises(ProjectError, match="no longer there"):
        project.save_list()
    with project.save_elsewhere(tmp_path / "stick", {ref.id: document}) as other:
        assert same(on_disk(other.folder), document)


def test_a_project_that_is_back_gets_what_waited(work, tmp_path):
    project, _ref, document, told = work
    project.folder.rename(tmp_path / "away")
    draw(document, 2)
    assert not project.writer.flush()
    (tmp_path / "away").rename(project.folder)
    assert project.writer.flush()
    assert told[1:] == [""]
    assert same(on_disk(project.folder), document)


def test_a_renamed_project_can_be_opened_under_its_new_name(work, tmp_path):
    project, _ref, document, _told = work
    project.folder.rename(tmp_path / "renamed")
    project.close()
    with Project.open(tmp_path / "renamed") as other:
        assert np.array_equal(other.open_document(other.images[0], SHAPE).labels, document.labels)


def test_opened_by_force_elsewhere_the_first_writes_nothing_more(work, tmp_path):
    project, ref, document, told = work
    lock = json.loads((project.folder / "lock.json").read_text())
    (project.folder / "lock.json").write_text(json.dumps(lock | {"host": "elsewhere", "key": "theirs"}))
    with Project.open(project.folder, force=True) as other:
        theirs = other.open_document(other.images[0], SHAPE)
        draw(theirs, 4)
        draw(theirs, 5)
        other.save(other.images[0], theirs)
        assert other.writer.flush()
        draw(document, 6)
        project.save(ref, document)
        assert not project.writer.flush()
        assert "opened elsewhere" in told[0]
        draw(theirs, 7)
        assert other.writer.flush()
        assert same(on_disk(project.folder), theirs)
    assert not project.writer.flush()  # nor after the other one has gone
    assert on_disk(project.folder).leaves() == [1, 4, 5, 7]


def other_owner(**changes):
    me = Owner.me()
    return {
        name: getattr(me, name) for name in ("user", "host", "process", "since", "boot", "started", "key")
    } | changes


OLD = "2020-01-01T00:00:00Z"
DEAD = {
    "our own number, of an earlier version": {"since": OLD, "boot": "", "started": "", "key": ""},
    "our own number": {"started": "1"},
    "our own number and start": {},
    "number of a process that began later": {"process": 1, "since": OLD, "boot": "", "started": "", "key": ""},
    "number in use, other start": {"process": os.getppid(), "started": "1"},
    "other start of the computer": {"process": os.getppid(), "boot": "another"},
    "no such process": {"process": 2**22 + 1},
}


@pytest.mark.parametrize("case", DEAD)
def test_a_dead_owner_locks_nobody_out_and_what_it_left_is_offered(tmp_path, monkeypatch, case):
    from napari_leafseg.widgets.state import project_controller

    folder = tmp_path / "unsaved" / "2026"
    with Project.create(folder) as project:
        (ref,) = project.add_images([image(tmp_path / "a.png")])
        draw(project.open_document(ref, SHAPE), 1)
    if case.startswith("number of a process"):
        monkeypatch.setattr(locks, "_began_after", lambda process, since: process == 1 and since == OLD)
    (folder / "lock.json").write_text(json.dumps(other_owner(**DEAD[case])))
    monkeypatch.setattr(project_controller, "unsaved_folder", lambda: tmp_path / "unsaved")
    assert project_controller.recoverable_projects() == [folder]
    with Project.open(folder) as project:
        assert project.open_document(project.images[0], SHAPE).leaves() == [1]


def test_when_a_process_began_is_told():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert locks._began_after(child.pid, OLD)
        assert not locks._began_after(child.pid, "2999-01-01T00:00:00Z")
        assert not locks._began_after(child.pid, "a while ago")
    finally:
        child.communicate(b"\n")
    assert not locks._began_after(child.pid, OLD)


def test_an_owner_that_lives_is_believed(tmp_path):
    Project.create(tmp_path / "p").close()
    child = subprocess.Popen(
        [sys.executable, "-c", f"""
from napari_leafseg.project.lock import Lock
from pathlib import Path
Lock(Path({str(tmp_path / "p")!r})).take()
print("taken", flush=True)
input()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdout.readline().strip() == "taken"
    with pytest.raises(ProjectLocked, match=f"process {child.pid}"):
        Project.open(tmp_path / "p")
    child.kill()
    child.wait()
    Project.open(tmp_path / "p").close()


@pytest.mark.parametrize("kind", ["stale", "none", "half-written"])
@pytest.mark.parametrize("tries", [15, pytest.param(150, marks=[pytest.mark.slow, pytest.mark.night])])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_of_several_that_take_a_lock_at_once_one_gets_it(tmp_path, kind, tries):
    folder = tmp_path / "p"
    Project.create(folder).close()
    for _ in range(tries):
        content = {"stale": json.dumps(other_owner(process=2**22 + 1)), "none": None, "half-written": '{"us'}[kind]
        (folder / "lock.json").unlink(missing_ok=True)
        if content is not None:
            (folder / "lock.json").write_text(content)
        start, children = time.time() + 0.03, []
        (read, write), (wait, hold) = os.pipe(), os.pipe()
        for _child in range(3):
            pid = os.fork()
            if not pid:
                os.close(hold)
                said = b"0"
                try:
                    time.sleep(max(0.0, start - 0.002 - time.time()))
                    while time.time() < start:
                        pass
                    Lock(folder).take()
                    said = b"1"
                finally:
                    os.write(write, said)
                    os.read(wait, 1)  # an owner that ends would be a dead one to the slowest
                    os._exit(0)
            children.append(pid)
        said = b""
        while len(said) < 3:
            said += os.read(read, 3)
        for handle in (hold, wait, read, write):
            os.close(handle)
        for pid in children:
            os.waitpid(pid, 0)
        assert said.count(b"1") == 1


def test_a_full_disk_at_new_project_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    real = os.fsync

    def full(_handle):
        raise OSError(28, "No space left on device")

    for folder in (tmp_path / "new", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="No space left"):
            Project.create(folder)
        assert folder.exists() == (folder.name == "empty")
        monkeypatch.setattr(os, "fsync", real)
        Project.create(folder).close()


def test_closing_on_a_disk_that_became_read_only_raises_nothing(work, monkeypatch):
    from pathlib import Path

    project, *_ = work

    def refuse(self, missing_ok=False):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    project.close()
    monkeypatch.undo()
    Project.open(project.folder).close()  # what is left of the lock keeps nobody out


def test_opening_deletes_only_what_was_being_written(work, monkeypatch):
    project, *_ = work
    project.close()
    ours = [".gitlab-ci.yml", ".pre-commit-config.yaml", "._AppleDouble.png", "labels/.a.tif.abc.swp", "images/.x.y"]
    (project.folder / "images").mkdir(exist_ok=True)
    (project.folder / "labels").mkdir(exist_ok=True)
    for name in ours:
        (project.folder / name).write_text("mine")
    (project.folder / ".cache.d").mkdir()
    (project.folder / ".a.leafseg-part").mkdir()

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    for target in (project.folder / "project.json", project.folder / "labels" / "a.tif"):
        with pytest.raises(KeyboardInterrupt):
            write_atomically(target, b"half")
    monkeypatch.undo()
    assert len([path for path in project.folder.rglob(".*.leafseg-part") if path.is_file()]) == 2
    Project.open(project.folder).close()
    assert not [path for path in project.folder.rglob(".*.leafseg-part") if path.is_file()]
    assert all((project.folder / name).read_text() == "mine" for name in ours)
    assert (project.folder / ".cache.d").is_dir()


def test_pipes_and_devices_are_not_opened(work):
    project, *_ = work
    project.close()
    list_file = project.folder / "project.json"
    list_file.unlink()
    os.mkfifo(list_file)
    with pytest.raises(UserError, match="is a pipe or device, not a file"):
        Project.open(project.folder)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputFileError, match="Cannot write"):
        write_atomically(tmp_path / "file" / "x", b"")
    with pytest.raises(InputFileError, match="Cannot write"):
        write_atomically(tmp_path / "none" / "deep" / "x", b"", parents=False)
    assert not (tmp_path / "none").exists()


def test_a_project_whose_making_was_cut_short_can_be_made_in_the_same_folder(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "lock.json").write_text('{"user": "a", "host": "gone", "process": 1, "since": "x"')
    (folder / "lock.guard").write_text("")
    (folder / ".project.json.ab.leafseg-part").write_text("{")
    Project.create(folder).close()
    Project.open(folder).close()
    assert not list(folder.glob(".*"))
    (folder / "project.json").unlink()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ProjectError, match="not an empty folder"):
        Project.create(folder)


@pytest.mark.parametrize("exists", [False, True])
def test_after_a_copy_that_failed_everything_goes_on_where_it_was(work, tmp_path, monkeypatch, exists):
    project, ref, document, _told = work
    stick, real = tmp_path / "stick", os.fsync
    if exists:
        stick.mkdir()
    draw(document, 1)

    def full(handle):
        if str(stick) in os.readlink(f"/proc/self/fd/{handle}") and "journal" in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProjectError, match="cannot be saved in"):
        project.save_elsewhere(stick, {ref.id: document})
    monkeypatch.undo()
    assert stick.exists() is exists
    assert not exists or not list(stick.iterdir())
    draw(document, 2)
    document.undo()
    draw(document, 3)
    project.save(ref, document)
    assert project.writer.flush()
    assert same(on_disk(project.folder), document)
    with project.save_elsewhere(stick, {ref.id: document}) as other:
        assert same(on_disk(other.folder), document)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("name", ["labels", "records", "journal", "predictions", "removed", "images"])
def test_nothing_is_written_through_a_link_in_a_strangers_project(tmp_path, name):
    folder, outside = tmp_path / "project", tmp_path / "outside"
    Project.create(folder).close()
    outside.mkdir()
    (folder / name).symlink_to(outside)
    if name != "images":
        with pytest.raises(ProjectError, match="is a link to another folder"):
            Project.open(folder)
    else:
        with Project.open(folder) as project:
            with pytest.raises(ProjectError, match="is a link to another folder"):
                project.add_images([image(tmp_path / "a.png")], copy=True)
            ref = project.add_known(folder / "images" / "layer.tif", name="layer")
            project.put_image(ref, np.zeros(SHAPE, np.uint8), False)
            assert not project.writer.flush()
            assert "is a link to another folder" in project.writer.error
            project.writer.drop()
    assert list(outside.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
@pytest.mark.parametrize("name", ["lock.json", "lock.guard", "removed/a.image.json", "predictions", "journal"])
def test_a_pipe_in_a_strangers_project_is_not_waited_for(tmp_path, name):
    folder = tmp_path / "project"
    with Project.create(folder) as project:
        (ref,) = project.add_images([image(tmp_path / "a.png")])
    (folder / name).unlink(missing_ok=True)
    (folder / name).parent.mkdir(exist_ok=True)
    os.mkfifo(folder / name)
    with contextlib.suppress(ProjectError), Project.open(folder) as project:
        draw(project.open_document(ref, SHAPE), 1)
        project.writer.flush()
        project.writer.drop()
