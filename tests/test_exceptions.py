"""No error is caught without a trace."""

import ast
import re

import pytest

from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / "src" / "napari_leafseg"

# where silence is right, and why; by file and function
ALLOWED = {
    "_extras.py:installed": "the error is the answer whether a package is there",
    "_files.py:": "Windows has no fcntl, which is no error",
    "io/exchange/reading.py:_parsed": "the error is the answer which encoding is right",
    "_subprocess.py:run_in_subprocess": "no answer yet: the caller is given a chance to stop, ten times a second",
    "io/decode.py:_decode": "the error is the answer which decoder is right",
    "io/exchange/labelme.py:path_from": "the error is the answer whether both are on one drive",
    "io/exchange/names.py:_is_file": "the error is the answer whether it is a file",
    "io/exchange/names.py:relative_names": "the error is the answer whether all are on one drive",
    "io/exchange/yolo.py:is_yolo": "the error is the answer whether a file is one",
    "io/resolution.py:_of_tiff": "the error is the answer which page states the scale",
    "io/resolution.py:parse_number": "the error is the answer whether a text is a number",
    "io/tiff.py:_decodes": "the error is the answer whether tifffile decodes it",
    "pipelines/processes.py:Pool.map": "no result yet: the caller is given a chance to stop",
    "versions.py:installed_version": "the error is the answer whether a package is installed",
    "widgets/measure/tray_grid.py:TrayGrid._moved": "a corner is being dragged: the grid waits until they make a tray",
    "widgets/images/class_dialog.py:ClassDialog.__init__": "nothing is named after leaves: the dialog asks",
}
LOGS = {"_LOG", "logger", "log_error", "handleError"}


def leaves_trace(handler: ast.ExceptHandler) -> bool:
    """Whether a handler raises, logs, or makes use of the error, as by its text."""
    for node in (inner for statement in handler.body for inner in ast.walk(statement)):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.Raise) or name in LOGS or (name and name == handler.name):
            return True
    return False


def silent(code: str) -> set[str]:
    """Find the functions that catch errors without a trace."""
    found = set()

    def visit(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}".lstrip(".")
        if isinstance(node, ast.ExceptHandler) and not leaves_trace(node):
            found.add(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"suppress", "ignoring"}:
            found.add(function)
        for child in ast.iter_child_nodes(node):
            visit(child, function)

    visit(ast.parse(code), "")
    return found


def names_of_classes(code: str) -> list[str]:
    """Where the name of an error's class is put into words, instead of being compared."""
    found = []

    def visit(node: ast.AST, compared: bool) -> None:
        compared = compared or isinstance(node, ast.Compare)
        if not compared and ast.unparse(node).endswith(".__name__") and "type(" in ast.unparse(node):
            found.append(ast.unparse(node))
            return
        for child in ast.iter_child_nodes(node):
            visit(child, compared)

    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr | ast.BoolOp | ast.List):
            visit(node, False)
    return found


FILES = {"path", "source", "self._path", "place"}
OTHERS = {  # handlers whose errors never name the file, as what they call is not given it
    "pipelines/batch/setups.py",
    "io/exchange/reading.py",
}


def told_twice(code: str) -> list[str]:
    """Messages that name a file and add an error that may name it as well."""
    found = []
    for handler in ast.walk(ast.parse(code)):
        if not isinstance(handler, ast.ExceptHandler) or not handler.name or handler.type is None:
            continue
        if not {"Exception", "OSError", "UserError", "InputFileError"} & set(
            re.findall(r"\w+", ast.unparse(handler.type))
        ):
            continue
        for node in ast.walk(handler):
            if isinstance(node, ast.JoinedStr):
                parts = {ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)}
                if parts & FILES and parts & {handler.name, f"plain_reason({handler.name})"}:
                    found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_no_message_has_a_class_name_or_names_a_file_twice(file):
    code, place = file.read_text(encoding="utf-8"), file.relative_to(SOURCE).as_posix()
    assert place == "_log.py" or names_of_classes(code) == []
    assert place in OTHERS or told_twice(code) == []


def test_class_names_and_files_named_twice_are_found():
    assert names_of_classes('f"{name}: {type(error).__name__}: {error}"')
    assert names_of_classes("what = str(error) or type(error).__name__")
    assert not names_of_classes("type(error).__name__ == 'X' or f'{function.__name__}'")
    code = "try: f()\nexcept {} as error:\n raise InputFileError(f'{{path}} is wrong: {{{}}}')"
    assert told_twice(code.format("OSError", "error"))
    assert told_twice(code.format("(ValueError, UserError)", "plain_reason(error)"))
    assert not told_twice(code.format("UserError", "plain_reason(error, path)"))
    assert not told_twice(code.format("ValueError", "error"))


def test_no_error_is_caught_without_a_trace():
    found = {
        f"{path.relative_to(SOURCE).as_posix()}:{function}"
        for path in SOURCE.rglob("*.py")
        for function in silent(path.read_text(encoding="utf-8"))
    }
    assert not found - ALLOWED.keys(), "log the error, show it, or say in ALLOWED why silence is right"
    assert not ALLOWED.keys() - found, "no longer needed"


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("def f():\n try: g()\n except OSError: return None", True),
        ("def f():\n try: g()\n except OSError as error: pass", True),
        ("def f():\n for x in y:\n  try: g()\n  except (OSError, ValueError): continue", True),
        ("def f():\n with contextlib.suppress(OSError): g()", True),
        ("def f():\n with suppress(OSError), open(x) as file: g()", True),
        ("def f():\n try: g()\n except OSError as error: return str(error)", False),
        ("def f():\n try: g()\n except OSError as error: raise UserError() from error", False),
        ("def f():\n try: g()\n except OSError: _LOG.debug('no', exc_info=True)", False),
        ("def f():\n try: g()\n except OSError as error: log_error(error)", False),
    ],
)
def test_the_search_finds(code, caught):
    assert silent(code) == ({"f"} if caught else set())
