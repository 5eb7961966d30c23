"""The benchmarks' imports, those within functions too: nothing else runs them all."""

import ast
import importlib

import pytest

from tests.conftest import REPOSITORY

FILES = sorted((REPOSITORY / "benchmarks").rglob("*.py"))


def imported(file):
    """(module, name) of everything that a file takes from the package or from another benchmark."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("napari_leafseg", "benchmarks"):
            yield from ((node.module, item.name) for item in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_benchmark_takes_is_there(file):
    for module, name in imported(file):
        found = importlib.import_module(module)
        if not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
