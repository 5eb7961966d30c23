"""Memory runs out: it is said in words, nothing is half-written, and the process lives on."""

import sys

import numpy as np
import pytest
import torch

from napari_leafseg.errors import InputFileError, NotEnoughMemory, in_words, short_of_memory
from napari_leafseg.inference.tiling import TiledNetwork
from napari_leafseg.models.normalize import brightness_statistics
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.reliability import short_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", list(short_memory._ALL))
def test_memory_that_runs_out_is_said_and_the_process_lives(tmp_path, spawn, what):
    answer = tmp_path / "answer"
    child = spawn(short_memory.run, what, str(tmp_path / "work"), str(answer))
    child.join()
    assert answer.exists(), f"the process ended with {child.exitcode}"
    assert answer.read_text().startswith("ok"), answer.read_text()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(), RuntimeError("could not create a primitive"), OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("CUDA error: out of memory"), RuntimeError("can't start new thread"), NotEnoughMemory("x"),
    ],
)  # fmt: skip
def test_memory_that_runs_out_is_known_whichever_library_says_so(error):
    assert short_of_memory(error)
    told = in_words(error)
    assert isinstance(told, NotEnoughMemory)
    assert told is error or "Close other programs" in str(told)


@pytest.mark.parametrize(
    "error", [RuntimeError("shape"), OSError(28, "No space left"), InputFileError("a.png: out of memory")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert not short_of_memory(error)
    assert in_words(error) is (error if isinstance(error, InputFileError) else None)


class _Refuses(torch.nn.Module):
    """A network that short memory hits as it does on a CPU: above a size, or wherever oneDNN is asked."""

    def __init__(self, network, refuses):
        super().__init__()
        self.network, self.refuses = network, refuses
        self.config, self.stride, self.embed = network.config, network.stride, getattr(network, "embed", None)

    def place(self, _device):
        return self

    def forward(self, images):
        if self.refuses(images.shape[-1] * images.shape[-2]):
            raise RuntimeError("could not create a primitive")
        return self.network(images)


@pytest.mark.parametrize(
    ("refuses", "tile", "size"),
    [(lambda pixels: pixels > 400 * 400, 384, 420), (lambda _pixels: torch.backends.mkldnn.enabled, 256, 280)],
)
def test_a_cpu_takes_smaller_tiles_and_then_does_without_onednn(refuses, tile, size):
    network, _ = load_checkpoint(find_model("leaf-small"))
    image = synthesize(1, SceneConfig(size=(size, size), diameter=(200, 260))).image
    said, statistics = [], brightness_statistics(image)
    tiled = TiledNetwork(_Refuses(network, refuses), torch.device("cpu"), said.append)
    maps = tiled.maps(image, statistics)
    assert tiled.tile == tile
    assert f"tiles of {tile}" in said[-1]
    assert torch.backends.mkldnn.enabled
    expected = TiledNetwork(network, torch.device("cpu"), said.append).maps(image, statistics)
    assert np.mean(np.abs(maps.distance.astype(int) - expected.distance) > 12) < 0.03
