"""What is done where files may not grow beyond a size, as on a disk that is full; each function asserts."""

from __future__ import annotations

import errno
import os
import resource
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_leafseg.editing import operations as ops
from napari_leafseg.errors import UserError
from napari_leafseg.finetuning.session import finetune
from napari_leafseg.io import write_image
from napari_leafseg.io.exchange.formats import FORMATS
from napari_leafseg.models.store.zoo import user_folder
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import export_labels
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.reliability.finetune_kills import check_whole, corrected, settings_of

_SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), border=0.0, blank=0.0)


def run(what: str, folder: str, base: str, answer: str) -> None:
    """Do one of the functions below; ``answer`` is a file that gets "ok", or what went wrong."""
    torch.set_num_threads(1)
    os.environ["XDG_DATA_HOME"] = str(Path(folder) / "data")
    try:
        ALL[what](Path(folder), base)
    except BaseException:
        Path(answer).write_text(traceback.format_exc())
    else:
        Path(answer).write_text("ok")


@contextmanager
def full(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, with the error of a full disk."""
    real = os.fsync

    def fsync(handle: int) -> None:
        if os.fstat(handle).st_size > size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    os.fsync = fsync
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.fsync = real


def _nothing_half_written(folder: Path) -> None:
    assert not [path for path in folder.rglob(".*") if path.is_file()], "something half-written stays"


def save(folder: Path, _base: str) -> None:
    """Correct an image; then there is room again."""
    from napari_leafseg.project import writer

    writer.RETRY = 0.05
    write_image(folder / "a.png", np.zeros((300, 300), np.uint8))
    told: list[str] = []
    project = Project.create(folder / "project", failed=told.append)
    (ref,) = project.add_images([folder / "a.png"])
    document = project.open_document(ref, (300, 300))
    noise = np.random.default_rng(0).integers(1, 60_000, (300, 300)).astype(np.uint16)
    with full(5_000):
        document.commit(ops.difference(document.labels, None, noise, "segment"), verify=False)
        project.save(ref, document)
        assert not project.writer.flush()
        assert "Cannot write" in project.writer.error, project.writer.error
        _nothing_half_written(folder / "project")
    assert project.writer.flush(60)
    assert told[-1] == "", told
    project.close()
    with Project.open(folder / "project") as again:
        assert np.array_equal(again.open_document(again.images[0], (300, 300)).labels, noise)


def export(folder: Path, _base: str) -> None:
    """Export in every format; what is there is whole, and what was there before stays."""
    scene = synthesize(1, SceneConfig(size=(300, 300), plants=(4, 4), diameter=(90, 130)))
    write_image(folder / "plant.png", scene.image)
    with Project.create(folder / "project") as project:
        (ref,) = project.add_images([folder / "plant.png"])
        document = project.open_document(ref, (300, 300))
        document.commit(ops.difference(document.labels, None, scene.labels.astype(np.uint16), "segment"), verify=False)
        project.save(ref, document)
        for form in FORMATS:
            list(export_labels(project, folder / "out" / form, form))
            before = {path: path.read_bytes() for path in (folder / "out" / form).rglob("*") if path.is_file()}
            with full(min(max(map(len, before.values())) // 2, 200)):
                for place in (form, f"{form} again"):
                    with pytest.raises(UserError, match="Cannot write"):
                        list(export_labels(project, folder / "out" / place, form))
            assert {path: path.read_bytes() for path in before} == before, form
            _nothing_half_written(folder / "out")
            check_whole(folder / "out")


def train(folder: Path, base: str) -> None:
    """Fine-tune; then there is room again."""
    images, settings = corrected(2), settings_of(base)
    said = ""
    try:
        with full(3_000):
            list(finetune(settings, images, folder / "session"))
    except UserError as error:
        said = str(error)
    assert "write" in said or "written" in said or "saved" in said, said or "nothing was said"
    _nothing_half_written(folder / "session")
    assert not (user_folder() / "mine.safetensors").exists()
    events = list(finetune(settings, images, folder / "session"))
    assert events[-1].kind == "finished"
    check_whole(folder / "data")


def batch(folder: Path, base: str) -> None:
    """Do images; then there is room again."""
    for number in range(3):
        write_image(folder / "in" / f"p{number}.png", synthesize(700 + number, _SCENE).image)
    settings = BatchSettings(model=base, device="cpu", scale=1.0, threads=1)
    out, said = folder / "out", []
    try:
        with full(3_000):
            for event in run_batch([folder / "in"], out, settings, workers=0):
                said += [event.result["error"]] if event.result is not None and "error" in event.result else []
    except UserError as error:
        said.append(str(error))
    assert said
    assert all("Cannot write" in sentence for sentence in said), said
    _nothing_half_written(out)
    check_whole(out)
    events = list(run_batch([folder / "in"], out, settings, workers=0))
    assert not [event for event in events if event.result is not None and "error" in event.result]
    assert events[-1].report is not None


ALL: dict[str, Callable[[Path, str], None]] = {"save": save, "export": export, "train": train, "batch": batch}
