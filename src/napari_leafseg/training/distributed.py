"""Several processes that train together, each on a device of its own; started by ``accelerate launch``."""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from napari_leafseg._extras import require
from napari_leafseg.errors import ParameterError, UserError

_Kind = TypeVar("_Kind")


class ProcessGroup:
    """One process alone; what several processes do together costs nothing here.

    Attributes
    ----------
    device : torch.device
        Of this process.
    rank, size : int
        Which process this is, and how many there are.
    """

    rank, size = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and looks at held-out images."""
        return self.rank == 0

    def shard(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return this process's share of a batch.

        Raises
        ------
        ParameterError
            When there are more processes than images.
        """
        count = len(batch["image"])
        if count < self.size:
            raise ParameterError(
                f"A batch of {count} cannot be shared by {self.size} processes. Start fewer processes."
            )
        return {key: value[self.rank :: self.size] for key, value in batch.items()}

    def all_reduce_mean(self, tensors: Iterable[torch.Tensor]) -> None:
        """Put the processes' mean into each tensor."""

    def broadcast(self, value: _Kind) -> _Kind:
        """Tell what the first process has."""
        return value

    def run_on_main(self, action: Callable[[], object]) -> str:
        """Let the first process write something; all learn what went wrong, or "": training goes on."""
        trouble = ""
        if self.is_main:
            try:
                action()
            except UserError as error:
                trouble = str(error)
        return self.broadcast(trouble)

    def barrier(self) -> None:
        """Wait until all are here."""


class AcceleratedProcessGroup(ProcessGroup):
    """Processes that ``accelerate launch`` started."""

    def __init__(self, device: torch.device) -> None:
        # imported later, as an optimizer does, it would keep the group as a default of its functions, threads and all
        importlib.import_module("torch.distributed.nn.functional")
        accelerate = require("accelerate", "Training on several graphics cards")
        self._tools = require("accelerate.utils", "Training on several graphics cards")
        self._state = accelerate.PartialState(cpu=device.type == "cpu")
        super().__init__(device if device.type == "cpu" else self._state.device)
        self.rank, self.size = self._state.process_index, self._state.num_processes
        atexit.unregister(_leave)  # once, however often the group is asked for
        atexit.register(_leave)

    def all_reduce_mean(self, tensors: Iterable[torch.Tensor]) -> None:
        tensors = list(tensors)
        together = self._tools.reduce(torch.cat([item.detach().float().flatten() for item in tensors]), "mean")
        for item, mean in zip(tensors, together.split([item.numel() for item in tensors]), strict=True):
            item.copy_(mean.view_as(item))

    def broadcast(self, value: _Kind) -> _Kind:
        shared = [value]
        self._tools.broadcast_object_list(shared)
        return shared[0]

    def barrier(self) -> None:
        self._state.wait_for_everyone()


def _leave() -> None:
    """End the group's threads while the interpreter still stands: one that asks for its lock later ends the process."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def process_group_of(device: str | torch.device) -> ProcessGroup:
    """Return the processes that train together: those that ``accelerate launch`` started, or this one alone."""
    device = torch.device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return ProcessGroup(device)
    return AcceleratedProcessGroup(device)
