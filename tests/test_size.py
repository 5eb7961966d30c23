"""Files and functions stay small enough to be read at one sitting."""

import ast

import pytest

from tests.conftest import REPOSITORY

SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 400, 60


def too_long(text: str) -> list[str]:
    """Name what is too long in a file, the file itself first."""
    lines = len(text.splitlines())
    found = [f"{lines} lines"] if lines > FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                found.append(f"{node.name} {length}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY / "src")))
def test_no_file_and_no_function_is_too_long(path):
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_the_measure_finds_what_is_too_long():
    function = "def long():\n" + "    pass\n" * FUNCTION_LINES
    assert too_long(function) == [f"long {FUNCTION_LINES + 1}"]
    assert too_long("x = 1\n" * (FILE_LINES + 1)) == [f"{FILE_LINES + 1} lines"]
    assert too_long("x = 1\n" * FILE_LINES) == []
    assert len(SOURCES) > 100
