"""Many images on one machine or on a cluster: the same code, resumable, with errors collected."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError, ParameterError, UserError
from napari_leafseg.inference.tta import find_preset
from napari_leafseg.io import list_images
from napari_leafseg.io.exchange.formats import find_format
from napari_leafseg.models.parameters import check_values
from napari_leafseg.models.store.zoo import describe_model, find_model
from napari_leafseg.pipelines.batch.config import BatchSettings, file_hash
from napari_leafseg.pipelines.batch.image_task import Task, cached_result, process_image
from napari_leafseg.pipelines.batch.report import write_exports, write_report, write_tables
from napari_leafseg.versions import software_versions, timestamp

if TYPE_CHECKING:
    from distributed import Client

# Dask's own setting gives every freed array back to the system: the network then takes 1.6 times as long on a CPU
_WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**30), "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip
_PATIENCE = 10  # seconds for a scheduler to answer
_AHEAD = 3  # images handed out to each worker at a time: memory stays flat, workers never wait


@dataclass(frozen=True)
class BatchEvent:
    """Progress of an experiment.

    Attributes
    ----------
    done, total : int
        Images.
    message : str
    result : dict or None
        Of the image that was just done (or skipped, as it had been done before), see `process_image`.
    report : pathlib.Path or None
        With the last event.
    skipped : bool
        The image had been done before.
    """

    done: int
    total: int
    message: str
    result: dict[str, Any] | None = None
    report: Path | None = None
    skipped: bool = False


def find_tasks(patterns: Iterable[str | Path]) -> tuple[list[Task], list[dict[str, Any]]]:
    """Images of files, folders and patterns (``plants/**/*.jpg``), and complaints about what is not there.

    Raises
    ------
    UserError
        When there is no image at all.
    """
    files: dict[Path, None] = {}
    errors = []
    for pattern in patterns:
        text = str(pattern)
        found: list[str | Path] = sorted(glob(text, recursive=True)) if set(text) & set("*?[") else [pattern]
        if not found:
            errors.append({"name": text, "path": text, "error": f"No file has a name like {text}."})
        for item in found:
            try:
                files.update(dict.fromkeys(list_images([item])))
            except UserError as error:
                errors.append({"name": str(item), "path": str(item), "error": str(error)})
    if not files:
        raise InputFileError(errors[0]["error"] if errors else "There are no images. Give files, folders or patterns.")
    often = Counter(path.stem for path in files)
    common = Path(os.path.commonpath([path.resolve().parent for path in files]))
    tasks = []
    for path in files:
        inside = path.resolve().relative_to(common).with_suffix("")
        name = path.stem if often[path.stem] == 1 else "__".join(inside.parts)
        tasks.append(Task(str(path), name))
    twice = [name for name, times in Counter(task.name for task in tasks).items() if times > 1]
    tasks = [
        task._replace(name=f"{task.name}{Path(task.path).suffix.replace('.', '_')}") if task.name in twice else task
        for task in tasks
    ]
    return tasks, errors


def default_workers(device: str) -> int:
    """One for each graphics card, else one for each core."""
    import torch

    if device in {"auto", "cuda"} and torch.cuda.is_available():
        return torch.cuda.device_count()
    if device in {"auto", "mps"} and torch.backends.mps.is_available():
        return 1
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def run_batch(
    patterns: Iterable[str | Path],
    output: str | Path,
    settings: BatchSettings,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator[BatchEvent]:
    """Predict, measure and report images; may be stopped after any event, and goes on where it was.

    Written into `output`: ``labels/NAME_label.tif`` and ``.json`` (the record that `rerun` takes),
    ``overlays/NAME.jpg``, ``leaves.csv``, ``plants.csv``, ``images.csv``, ``errors.csv``, ``report.html`` and
    ``batch.json``; ``parts/`` holds what a restart needs.

    Parameters
    ----------
    patterns : iterable of path or str
        Files, folders, patterns.
    output : path
    settings : BatchSettings
    workers : int, optional
        Processes on this machine; 0 works in this one. `default_workers` when None.
    scheduler : str, optional
        Address of a Dask scheduler: the work is done by its workers, which see the same files.

    Yields
    ------
    BatchEvent
        An image that cannot be done yields its error; the others go on.

    Raises
    ------
    UserError
        When nothing can be done at all: no image, no such model, a folder that cannot be written, no scheduler.
    """
    place = Path(output)
    tasks, errors = find_tasks(patterns)
    digest = settings.digest()
    _write_settings(place, settings, len(tasks))
    total, results, left = len(tasks) + len(errors), list(errors), []
    for number, error in enumerate(errors, start=1):
        yield BatchEvent(number, total, error["error"], error)
    for task in tasks:
        known = cached_result(place, task, digest)
        if known is None:
            left.append(task)
        else:
            results.append(known)
            yield BatchEvent(len(results), total, f"{task.name}: done before", known, skipped=True)
    if scheduler is not None or workers != 0:
        yield BatchEvent(len(results), total, "Starting the workers")
    with contextlib.closing(_work(left, str(place), settings, digest, workers, scheduler)) as events:
        for result in events:
            if result is None:
                yield BatchEvent(len(results), total, "Working")
                continue
            results.append(result)
            yield BatchEvent(len(results), total, result.get("error", result["name"]), result)
    order = {task.name: number for number, task in enumerate(tasks)}
    yield from _report(place, sorted(results, key=lambda item: order.get(item["name"], -1)), settings)


def _report(place: Path, results: list[dict[str, Any]], settings: BatchSettings) -> Iterator[BatchEvent]:
    """Write tables, exports and the report."""
    total = len(results)
    yield BatchEvent(total, total, "Writing tables and report")
    leaves = write_tables(place, results)
    for name in write_exports(place, results, settings.exports):
        yield BatchEvent(total, total, f"Exporting {name}")
    report = write_report(place, results, leaves, settings)
    yield BatchEvent(total, total, "Done", report=report)


def _write_settings(place: Path, settings: BatchSettings, images: int) -> None:
    """Write ``batch.json``, once the settings can be followed."""
    for fmt in settings.exports:
        find_format(fmt)
    card = describe_model(settings.model)
    check_values(card.family.settable, settings.values)
    find_preset(settings.tta)
    content = {
        "settings": settings.model_dump(),
        "digest": settings.digest(),
        "images": images,
        "model": {"name": card.name, "version": card.version, "sha256": file_hash(find_model(settings.model))},
        "software": software_versions(),
        "created": timestamp(),
    }
    write_atomically(place / "batch.json", (json.dumps(content, indent=1) + "\n").encode())


def _work(
    tasks: list[Task], output: str, settings: BatchSettings, digest: str, workers: int | None, scheduler: str | None
) -> Generator[dict[str, Any] | None, None, None]:
    """Results as they come, from this process, processes of this machine or a scheduler's workers."""
    if scheduler is None and workers == 0:
        yield from _here(tasks, output, settings, digest)
    elif tasks:
        with _client(min(workers or default_workers(settings.device), len(tasks)), scheduler) as client:
            yield from _distributed(client, tasks, output, settings, digest)


def _here(tasks: list[Task], output: str, settings: BatchSettings, digest: str) -> Iterator[dict[str, Any] | None]:
    for task in tasks:
        yield process_image(task, output, settings, digest)


@contextlib.contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Client]:
    """A connection to a scheduler, or to a cluster of processes on this machine."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=_PATIENCE)
        except (OSError, ValueError, TimeoutError) as error:
            raise ParameterError(
                f"No Dask scheduler answers at {scheduler}. Start one with “dask scheduler”, or leave --scheduler out."
            ) from error
        try:
            yield client
        finally:
            client.close()
        return
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(_number_worker, list(client.scheduler_info(n_workers=-1)["workers"]))
        yield client


def _number_worker(addresses: list[str], dask_worker: Any = None) -> None:
    """Tell a worker which one it is: it takes that graphics card."""
    os.environ["NAPARI_LEAFSEG_WORKER"] = str(addresses.index(dask_worker.address))


def _distributed(
    client: Client, tasks: list[Task], output: str, settings: BatchSettings, digest: str
) -> Iterator[dict[str, Any] | None]:
    """Results as they come; None now and then, so that a consumer may stop. A worker's death costs nothing: what it had
    in hand is done again by another; what kills three workers becomes an error."""
    from distributed import wait

    workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    threads = settings.threads or max(1, (os.cpu_count() or 1) // workers)
    own = settings.model_copy(update={"threads": threads})
    rest = list(reversed(tasks))
    waiting: dict[Any, Task] = {}
    try:
        while rest or waiting:
            while rest and len(waiting) < _AHEAD * workers:
                task = rest.pop()
                waiting[client.submit(process_image, task, str(Path(output).resolve()), own, digest, pure=False)] = task
            try:
                finished = wait(list(waiting), timeout=0.25, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                yield None
                continue
            for future in finished:
                task = waiting.pop(future)
                error = future.exception()
                if error is None:
                    yield future.result()
                else:
                    sentence = f"{task.path} could not be done: {type(error).__name__}: {error}"
                    yield {"name": task.name, "path": task.path, "error": sentence}
    finally:
        for future in waiting:
            future.cancel()
