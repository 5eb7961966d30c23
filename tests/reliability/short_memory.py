"""What is done in a process whose address space is limited; each function asserts, and says what it saw."""

from __future__ import annotations

import resource
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from napari_leafseg.editing import operations as ops
from napari_leafseg.errors import NotEnoughMemory, UserError
from napari_leafseg.finetuning import session as finetuning
from napari_leafseg.finetuning.config import FinetuneSettings
from napari_leafseg.finetuning.dataset import CorrectedImage
from napari_leafseg.io import write_image
from napari_leafseg.models.store.zoo import user_folder
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.pipelines.predictors import get_predictor
from napari_leafseg.project import Project
from napari_leafseg.synthetic import SceneConfig, synthesize

LARGE = 16  # plants in a row
_SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), border=0.0, blank=0.0)


def run(what: str, folder: str, answer: str) -> None:
    """Do one of the functions below; ``answer`` is a file that gets "ok", or what went wrong."""
    torch.set_num_threads(1)
    try:
        said = _ALL[what](Path(folder)) or ""
    except BaseException:
        said = traceback.format_exc()
    else:
        said = f"ok {said}"
    Path(answer).write_text(said)


@contextmanager
def limited(megabytes: int) -> Iterator[None]:
    """Give the process so much more address space than it has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _plant(seed: int) -> tuple[np.ndarray, np.ndarray]:
    scene = synthesize(seed, _SCENE)
    return scene.image, scene.labels


def predict(_folder: Path) -> str:
    """Segment an image that is too large; then one that is not."""
    small, _ = _plant(1)
    predictor = get_predictor("leaf-small", "cpu", threads=1)
    expected = predictor.predict(small, scale=1.0).labels()
    large = np.tile(small, (LARGE, LARGE, 1))
    with limited(20):
        try:
            predictor.predict(large, scale=1.0, name="plate7.png")
        except NotEnoughMemory as error:
            said = str(error)
            assert "plate7.png" in said, said
            assert "too little memory" in said, said
        else:
            raise AssertionError("nothing was said")
    assert np.array_equal(predictor.predict(small, scale=1.0).labels(), expected)
    return said


def batch(folder: Path) -> str:
    """Do several images of which one is too large."""
    for name in ("a", "c"):
        write_image(folder / "in" / f"{name}.png", _plant(1)[0])
    write_image(folder / "in" / "b.png", np.tile(_plant(1)[0], (LARGE, LARGE, 1)))
    settings = BatchSettings(model="leaf-small", device="cpu", scale=1.0, threads=1)
    list(run_batch([folder / "in" / "a.png"], folder / "warm", settings, workers=0))
    events, work = [], run_batch([folder / "in"], folder / "out", settings, workers=0)
    with limited(40):
        for event in work:
            events.append(event)
            if event.result is not None and event.result["name"] == "b":
                break
    events += work  # with memory again
    results = {event.result["name"]: event.result for event in events if event.result is not None}
    assert "memory" in results["b"]["error"], results["b"]
    assert "error" not in results["a"], results["a"]
    assert "error" not in results["c"], results["c"]
    assert not list((folder / "out").rglob("b[._]*")), "something of it is there"
    assert not list((folder / "out").rglob(".*")), "something half-written is there"
    (folder / "in" / "b.png").unlink()
    write_image(folder / "in" / "b.png", _plant(2)[0])
    again = [
        event for event in run_batch([folder / "in"], folder / "out", settings, workers=0) if event.result is not None
    ]
    assert sorted(event.result["name"] for event in again if event.skipped) == ["a", "c"], again
    assert not any("error" in event.result for event in again), again
    return ""


def train(folder: Path) -> str:
    """Fine-tune where not even one small crop fits; then with enough."""
    images = [CorrectedImage(f"p{number}", f"{number:064d}", *_corrected(number)) for number in range(1)]
    settings = FinetuneSettings(base="leaf-small", name="mine", steps=4, batch=2, crop=64, synthetic_share=0.0)
    saved, said = False, ""
    for event in finetuning.finetune(settings, images, folder / "session"):
        saved = saved or event.kind == "step"
        if saved:
            break
    try:
        with limited(20):
            list(finetuning.finetune(settings, images, folder / "session"))
    except UserError as error:
        said = str(error)
    assert "memory" in said, said or "nothing was said"
    assert not list(folder.rglob(".*")), "something half-written is there"
    assert not (user_folder() / "mine.safetensors").exists()
    events = list(finetuning.finetune(settings, images, folder / "session"))
    assert events[-1].kind == "finished"
    assert get_predictor(str(events[-1].result), "cpu", threads=1).predict(_plant(2)[0], scale=1.0) is not None
    return said


def _corrected(number: int) -> tuple[np.ndarray, np.ndarray, bool]:
    image, labels = _plant(number)
    return image, labels.astype(np.int32), True


def save(folder: Path) -> str:
    """Correct a large image of which no copy fits into memory; then there is memory again."""
    from napari_leafseg.project import writer

    writer.RETRY = 0.05
    write_image(folder / "a.png", np.zeros((6000, 6000), np.uint8))
    told: list[str] = []
    project = Project.create(folder / "project", failed=told.append)
    (ref,) = project.add_images([folder / "a.png"])
    document = project.open_document(ref, (6000, 6000))
    found = np.zeros((6000, 6000), np.uint16)
    found[100:200, 100:200], found[2000:2900, 500:900] = 1, 2
    document.commit(ops.difference(document.labels, None, found, "segment"), verify=False)
    assert project.writer.flush()
    square = np.array([[1.0, 1], [1, 90], [90, 90], [90, 1]])
    document.commit(ops.draw_polygon(document.labels, square, 61_000))
    with limited(4):
        project.save(ref, document)
        assert not project.writer.flush(), "it was written all the same"
        assert "no memory left" in project.writer.error, project.writer.error
    assert project.writer.flush(120), project.writer.error
    assert told[0], told
    assert told[-1] == "", told
    project.close()
    with Project.open(folder / "project") as again:
        found = again.open_document(again.images[0], (6000, 6000))
        assert np.array_equal(found.labels, document.labels)
        assert len(found.history) == 2
    return told[0]


_ALL: dict[str, Callable[[Path], str]] = {
    "predict": predict, "batch": batch, "train": train, "save": save
}  # fmt: skip
