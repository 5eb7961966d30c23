"""Several processes of this machine, or of a Dask cluster, that share the work on images."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_leafseg._extras import require
from napari_leafseg._system import usable_cores
from napari_leafseg.errors import ParameterError, UserError
from napari_leafseg.pipelines.predictors import threads_of

if TYPE_CHECKING:
    from distributed import Client

_LOG = logging.getLogger(__name__)

# Dask's own setting gives every freed array back to the system: the network then takes 1.6 times as long on a CPU
_WORKER_ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**30), "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip
_PATIENCE = 10  # seconds for a scheduler to answer, and for a worker to end
_STARTING = 180  # seconds for a worker to start
_DEATHS = 3  # of each worker program
_AHEAD = 3  # items handed out to each worker at a time: memory stays flat, workers never wait


def default_workers(device: str) -> int:
    """Count one for each graphics card, else one for each core."""
    import torch

    if device in {"auto", "cuda"} and torch.cuda.is_available():
        return torch.cuda.device_count()
    if device in {"auto", "mps"} and torch.backends.mps.is_available():
        return 1
    return usable_cores()


class WorkerPrograms:
    """Workers of this machine, each a program of its own, which begins its worker again when that dies.

    Processes that the library forks or spawns import the user's main module, and with it open the user's window once
    more. Each worker knows its number: it takes that graphics card.

    Parameters
    ----------
    count : int
    address : str
        The scheduler's.
    """

    def __init__(self, count: int, address: str) -> None:
        self.count, self.address, self.replaced = count, address, 0
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> WorkerPrograms:
        self._running = [self._begin(number) for number in range(self.count)]
        return self

    def __exit__(self, *_error: object) -> None:
        for program in self._running:  # each ends its worker, and with it what the worker computes
            program.terminate()
        for program in self._running:
            try:
                program.wait(_PATIENCE)
            except subprocess.TimeoutExpired as error:
                _LOG.warning("A worker does not end, and is killed: %s", error)
                program.kill()
                program.wait()

    def look(self) -> None:
        """Begin those again that have ended.

        Raises
        ------
        UserError
            When they end again and again.
        """
        ended = [number for number, program in enumerate(self._running) if program.poll() is not None]
        if self.replaced + len(ended) > _DEATHS * self.count:
            raise UserError(
                "The worker processes end as soon as they begin, as when memory runs out. Close other programs or take "
                "fewer workers, then start again: what was done is kept."
            )
        for number in ended:
            _LOG.warning("Worker %d ended (exit code %s), and is begun again.", number, self._running[number].poll())
            self._running[number] = self._begin(number)
        self.replaced += len(ended)

    def wait(self, client: Client) -> None:
        """Wait until all have reported.

        Raises
        ------
        UserError
            When they end again and again, or one has not reported after minutes.
        """
        end = time.monotonic() + _STARTING
        while len(client.scheduler_info(n_workers=-1)["workers"]) < self.count:
            self.look()
            if time.monotonic() > end:
                raise UserError(
                    f"A worker did not report in {_STARTING} s. Close other programs, or choose fewer workers, and "
                    "start again."
                )
            time.sleep(0.05)

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**_WORKER_ENVIRONMENT, **os.environ, "PYTHONPATH": path,
                       "DASK_LOGGING__DISTRIBUTED": "critical", "NAPARI_LEAFSEG_WORKER": str(number)}  # fmt: skip
        hidden: dict[str, Any] = {}
        if sys.platform == "win32":
            hidden["creationflags"] = subprocess.CREATE_NO_WINDOW
        return subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, env=environment, **hidden)

    def command(self) -> list[str]:
        """Return what starts a worker."""
        limit = _distributed().system.MEMORY_LIMIT
        return [sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--nthreads=1", "--no-dashboard",
                f"--memory-limit={limit // self.count}", f"--death-timeout={_STARTING}"]  # fmt: skip


@dataclass(frozen=True)
class Pool:
    """Workers that are ready."""

    client: Client
    programs: WorkerPrograms | None = None

    def map(
        self, function: Callable[[Any, Any], Any], work: Any, items: Sequence[Any]
    ) -> Generator[tuple[Any, Any, Exception | None] | None, None, None]:
        """Call ``function(work, item)`` in the workers; yields (item, result, error) as they come, and None now and
        then, so that a consumer may stop. A worker's death costs nothing: what it had in hand is done again by another;
        what kills three workers becomes an error."""
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
                    finished = _distributed().wait(list(waiting), timeout=0.25, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    if self.programs is not None:
                        self.programs.look()
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


def _distributed() -> Any:
    return require("distributed", "Work in several processes", "Or let one process do it: --workers 0.")


def connect(scheduler: str) -> Client:
    """Connect to a Dask scheduler.

    Raises
    ------
    ParameterError
        When it does not answer.
    """
    distributed = _distributed()
    try:
        client: Client = distributed.Client(scheduler, timeout=_PATIENCE)
        return client
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
    UserError
        When the workers do not start.
    """
    distributed = _distributed()
    if scheduler is not None:
        with connect(scheduler) as client:
            yield Pool(client)
        return
    with (
        distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
        WorkerPrograms(workers, cluster.scheduler_address) as programs,
    ):
        programs.wait(client)
        yield Pool(client, programs)
