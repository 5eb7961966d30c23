"""Memory runs out: it is said in words, nothing is half-written, and the process lives on."""

import sys

import pytest

from napari_leafseg.errors import InputFileError, NotEnoughMemory, in_words, short_of_memory
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
    print(answer.read_text())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(), RuntimeError("could not create a primitive"), OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
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
