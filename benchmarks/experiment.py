"""Throughput and memory of `napari-leafseg batch` on images of 512 x 512.

Run ``python -m benchmarks.experiment FOLDER [--images 1000] [--small 100]``. Measured in one run, each network with one
thread: (1) predictions alone in one process, against predicting, measuring and writing in the same process; (2) one
worker against two; (3) the largest memory of all processes together after few and after many images.
"""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from benchmarks.record import add_record_option, write_result
from napari_leafseg.io import read_image, write_image
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.image_task import Task, process_image
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.pipelines.engine import finish
from napari_leafseg.pipelines.predictors import get_predictor
from napari_leafseg.synthetic import SceneConfig, synthesize

SETTINGS = BatchSettings(device="cpu", threads=1)
DRAWN = 40


def images(folder: Path, count: int) -> list[Path]:
    """As many images as wanted; forty different ones, again and again."""
    config = SceneConfig(size=(512, 512), diameter=(300, 460), border=0.0, blank=0.0)
    found = []
    for number in range(count):
        path = folder / f"plant{number:04d}.png"
        if not path.exists():
            if number < DRAWN:
                write_image(path, synthesize(9_000_000 + number, config).image)
            else:
                shutil.copy(folder / f"plant{number % DRAWN:04d}.png", path)
        found.append(path)
    return found


def seconds(job: Callable[[], object]) -> float:
    """Time of a job."""
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


class Memory(threading.Thread):
    """Watches the memory of this process and its children."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.largest, self.going = 0, True

    def run(self) -> None:
        """Look now and then."""
        me = psutil.Process()
        while self.going:
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.largest = max(self.largest, total)
            time.sleep(4)  # looking costs the time that is measured


def batch(files: list[Path], output: Path, workers: int) -> tuple[float, float]:
    """Images a second once the workers are warm, and the largest memory in GiB."""
    shutil.rmtree(output, ignore_errors=True)
    memory = Memory()
    memory.start()
    marks = [time.perf_counter() for event in run_batch(files, output, SETTINGS, workers) if event.result is not None]
    memory.going = False
    memory.join()
    warm = max(2 * workers, len(marks) // 10)
    return (len(marks) - warm) / (marks[-1] - marks[warm - 1]), memory.largest / 2**30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--small", type=int, default=100)
    add_record_option(parser, "experiment")
    args = parser.parse_args()
    files = images(args.folder / "images", args.images)
    digest = SETTINGS.digest()
    out = str(args.folder / "alone")
    predictor = get_predictor(SETTINGS.model, SETTINGS.device, SETTINGS.tta, SETTINGS.threads)
    finish(process_image(Task(str(files[0]), "warm"), out, SETTINGS, digest))
    alone, whole = [], []
    for path in files[:DRAWN]:
        array = read_image(path).array
        alone.append(seconds(lambda array=array: predictor.predict(array)))
        task = Task(str(path), path.stem)
        whole.append(seconds(lambda task=task: finish(process_image(task, out, SETTINGS, digest))))
    print(
        f"one process: network {np.sum(alone) / DRAWN:.3f} s an image, with measuring and writing "
        f"{np.sum(whole) / DRAWN:.3f} s: {np.sum(alone) / np.sum(whole):.2f} of its throughput",
        flush=True,
    )
    one, _ = batch(files[: args.small], args.folder / "one", 1)
    two, little = batch(files[: args.small], args.folder / "two", 2)
    print(f"one worker {one:.2f}, two {two:.2f} images a second: {two / one:.2f} x", flush=True)
    rate, much = batch(files, args.folder / "all", 2)
    print(
        f"{args.images} images, two workers: {rate:.2f} a second, "
        f"{rate / (2 / (np.sum(alone) / DRAWN)):.2f} of two networks alone; largest memory {much:.2f} GiB, "
        f"{little:.2f} GiB with {args.small}"
    )
    if args.record:
        network, everything = np.sum(alone) / DRAWN, np.sum(whole) / DRAWN
        rows = {
            "one process: predicting alone, s an image": round(network, 3),
            "one process: predicting, measuring and writing, s an image": round(everything, 3),
            "one worker, images a second": round(one, 2), "two workers, images a second": round(two, 2),
            f"{args.images} images, two workers, images a second": round(rate, 2),
            "the same, share of two networks alone": round(rate * network / 2, 2),
            f"largest memory of all processes, {args.small} images, GiB": round(little, 2),
            f"largest memory of all processes, {args.images} images, GiB": round(much, 2),
        }  # fmt: skip
        write_result(args.record, [{"what": what, "measured": str(value)} for what, value in rows.items()])


if __name__ == "__main__":
    main()
