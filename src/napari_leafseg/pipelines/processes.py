"""Several processes of this machine, or of a Dask cluster, that share the work on images."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_leafseg._system import usable_cores
from napari_leafseg.errors import ParameterError, UserError
from napari_leafseg.pipelines.predictors import threads_of

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, WorkerPlugin

_LOG = logging.getLogger(__name__)

# Dask's own setting gives every freed array back to the system: the network then takes 1.6 times as long on a CPU
_WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**30), "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip
_PATIENCE = 10  # seconds for a scheduler to answer, and for a worker that died to be back
_BEGINNING = 300  # seconds that a worker may take to begin, on a busy machine
_DEATHS = 3  # of each worker before it began
_AHEAD = 3  # items handed out to each worker at a time: memory stays flat, workers never wait


def default_workers(device: str) -> int:
    """Count one for each graphics card, else one for each core."""
    import torch

    if device in {"auto", "cuda"} and torch.cuda.is_available():
        return torch.cuda.device_count()
    if device in {"auto", "mps"} and torch.backends.mps.is_available():
        return 1
    return usable_cores()


class Replacement:
    """Puts workers in the place of those that died while they began: Dask begins only those again that had begun.

    Parameters
    ----------
    cluster : distributed.LocalCluster
    count : int
        Workers.
    """

    def __init__(self, cluster: LocalCluster, count: int) -> None:
        self.cluster, self.count, self.replaced = cluster, count, 0
        self._missing: dict[Any, float] = {}  # since when, by name

    def look(self) -> None:
        """Begin those again that are gone for a while.

        Raises
        ------
        UserError
            When they die again and again.
        """
        now = time.monotonic()
        alive = sum(worker.is_alive() for worker in self.cluster.workers.values())
        gone: list[Any] = [name for name, worker in self.cluster.workers.items() if not worker.is_alive()]
        gone += [f"of {self.count}" for _ in range(alive + len(gone), self.count)]  # Dask forgot it
        self._missing = {name: self._missing.get(name, now) for name in gone}
        late = [name for name, since in self._missing.items() if now - since > _PATIENCE]
        if not late:
            return
        if self.replaced >= _DEATHS * self.count:
            raise UserError(
                "The worker processes end as soon as they begin, as when memory runs out. Close other programs or take "
                "fewer workers, then start again: what was done is kept."
            )
        for name in late:
            _LOG.warning("Worker %s died before it could work, and is begun again.", name)
            self.cluster.workers.pop(name, None)
        self.replaced += len(late)
        self._missing.clear()
        self.cluster.scale(self.count)


@dataclass(frozen=True)
class Pool:
    """Workers that are ready."""

    client: Client
    replacement: Replacement | None = None

    def map(
        self, function: Callable[[Any, Any], Any], work: Any, items: Sequence[Any]
    ) -> Generator[tuple[Any, Any, Exception | None] | None, None, None]:
        """Call ``function(work, item)`` in the workers; yields (item, result, error) as they come, and None now and
        then, so that a consumer may stop. A worker's death costs nothing: what it had in hand is done again by another;
        what kills three workers becomes an error."""
        from distributed import wait

        workers = max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))
        threads = max(1, (os.cpu_count() or 1) // workers)
        rest = list(reversed(items))
        waiting: dict[Any, Any] = {}
        try:
            while rest or waiting:
                while rest and len(waiting) < _AHEAD * workers:
                    item = rest.pop()
                    waiting[self.client.submit(_call, threads, function, work, item, pure=False)] = item
                try:
                    finished = wait(list(waiting), timeout=0.25, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    if self.replacement is not None:
                        self.replacement.look()
                    yield None
                    continue
                for future in finished:
                    item, error = waiting.pop(future), future.exception()
                    yield item, None if error is not None else future.result(), error
        finally:
            for future in waiting:
                future.cancel()


def _call(threads: int, function: Callable[[Any, Any], Any], work: Any, item: Any) -> Any:
    with threads_of(threads):
        return function(work, item)


def connect(scheduler: str) -> Client:
    """Connect to a Dask scheduler.

    Raises
    ------
    ParameterError
        When it does not answer.
    """
    from distributed import Client

    try:
        return Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise ParameterError(
            f"No Dask scheduler answers at {scheduler}. Start one with “dask scheduler”, or leave --scheduler out."
        ) from error


@contextlib.contextmanager
def open_pool(workers: int, scheduler: str | None) -> Iterator[Pool]:
    """Start processes on this machine, or connect to a scheduler.

    Raises
    ------
    ParameterError
        When no scheduler answers.
    """
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with connect(scheduler) as client:
            yield Pool(client)
        return
    with (
        dask.config.set(
            {
                "distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT,
                "distributed.deploy.lost-worker-timeout": f"{_BEGINNING} s",
            }
        ),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(_numbering())
        yield Pool(client, Replacement(cluster, workers))


def _numbering() -> WorkerPlugin:
    """Tells each worker, and the one that takes its place when it dies, which it is: it takes that graphics card."""
    from distributed import WorkerPlugin

    class Numbering(WorkerPlugin):
        name = "napari-leafseg numbering"

        def setup(self, worker: Any) -> None:
            os.environ["NAPARI_LEAFSEG_WORKER"] = str(worker.name)

    return Numbering()
