"""How the window's packages stand on each other, what its widgets share, and that nothing is known by `id()`."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter

import pytest

from tests.conftest import LONGEST, REPOSITORY

PACKAGE = REPOSITORY / "src" / "napari_leafseg"
WIDGETS = PACKAGE / "widgets"
FLOORS = 4
PREFIX = "napari_leafseg.widgets."


def imported(code: str) -> set[str]:
    """Name the modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def rooms() -> dict[str, set[str]]:
    """Tell which packages and modules of the window import which others of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in WIDGETS.rglob("*.py"):
        room = path.relative_to(WIDGETS).parts[0].removesuffix(".py")
        if room != "__init__":
            others = {name.removeprefix(PREFIX).split(".")[0] for name in imported(path.read_text()) if PREFIX in name}
            found[room] |= others - {room}
    return dict(found)


def floors(graph: dict[str, set[str]]) -> int:
    """Count the packages on the longest way down; a circle raises `graphlib.CycleError`."""
    height: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        height[room] = 1 + max((height[other] for other in graph.get(room, ())), default=0)
    return max(height.values())


def identity_keys(code: str) -> list[str]:
    """Find each use of `id()`, as a call or handed on: whoever keeps the number may meet another object by it."""
    return [
        f"line {node.lineno}"
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and node.id == "id" and isinstance(node.ctx, ast.Load)
    ]


def test_the_window_has_few_floors():
    graph = rooms()
    assert len(graph) > 10
    assert floors(graph) <= FLOORS


def test_the_measure_counts_floors():
    assert floors({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == 3


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_is_known_by_its_address(path):
    assert identity_keys(path.read_text(encoding="utf-8")) == []


def test_the_search_finds_addresses():
    assert identity_keys("kept[id(layer)] = 1\nset(map(id, layers))\nid = 3\nlayer.id()") == ["line 1", "line 2"]


def classes() -> dict[str, ast.ClassDef]:
    """List the window's classes by name."""
    return {
        node.name: node
        for path in WIDGETS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }


def has_header(node: ast.ClassDef) -> bool:
    """Tell whether a class takes a viewer as napari's menu gives it, or finds the session of one."""
    begin = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    given = [argument.arg for item in begin for argument in item.args.args]
    return "napari_viewer" in given or finds_session(node)


def finds_session(node: ast.ClassDef) -> bool:
    """Tell whether a class finds the session of a viewer by itself."""
    return any(isinstance(call, ast.Call) and ast.unparse(call.func) == "Session.of" for call in ast.walk(node))


def test_dock_widgets_share_their_header():
    """Viewer, session and project come from `LeafsegWidget` alone."""
    known = classes()

    def shared(name: str) -> bool:
        bases = [ast.unparse(base) for base in known[name].bases] if name in known else []
        return name == "LeafsegWidget" or any(map(shared, bases))

    assert sum(map(shared, known)) > 10
    assert [name for name, node in known.items() if has_header(node) and not shared(name)] == []
    assert [name for name, node in known.items() if finds_session(node)] == ["LeafsegWidget"]


def test_the_search_finds_headers():
    one, two, three = ast.parse(
        "class A(QWidget):\n def __init__(self, napari_viewer): pass\n"
        "class B:\n def __init__(self, viewer): self.session = Session.of(viewer)\n"
        "class C:\n def __init__(self, session): pass"
    ).body
    assert [has_header(node) for node in (one, two, three) if isinstance(node, ast.ClassDef)] == [True, True, False]


def test_the_files_that_take_long_are_there():
    assert [place for place in LONGEST if not (REPOSITORY / "tests" / place).is_file()] == []
