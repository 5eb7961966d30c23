"""Processes that are begun at once, as all is imported already."""

import multiprocessing

import pytest


@pytest.fixture(scope="session")
def spawn():
    """Begins a process with a function and its arguments; a round takes no longer than the work in it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.reliability.mixed_kills", "tests.reliability.short_memory", "tests.reliability.full_disk"]
    )

    def start(target, *arguments):
        process = context.Process(target=target, args=arguments)
        process.start()
        return process

    return start
