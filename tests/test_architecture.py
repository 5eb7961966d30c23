"""docs/architecture.md is what the tree and the import contracts are."""

import re
import tomllib

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "napari_leafseg"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)[1]


def table(number):
    """Rows of a table of the section on packages: names in the first cell, and the second cell."""
    tables = re.findall(r"(?:^\|.*\n)+", section("Packages"), re.M)
    rows = [re.split(r"(?<!\\)\|", line)[1:3] for line in tables[number].splitlines()[2:]]
    return [(re.findall(r"`([\w./]+?)/?`", first), second) for first, second in rows]


def modules(folder):
    """Names of the modules and packages in a folder."""
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return found - {"__init__"}


def short(name, parent="napari_leafseg"):
    return name.strip().removeprefix(f"{parent}.")


def layers_of(contract, parent):
    return [[short(name, parent) for name in line.split("|")] for line in contract["layers"]]


def contract(name):
    (found,) = [item for item in CONTRACTS if item["name"] == name]
    return found


def test_every_package_is_named_and_no_other():
    named = [name for names, _ in table(0) for name in names]
    assert sorted(named) == sorted(modules(PACKAGE))


def test_every_package_of_the_widgets_is_named():
    named = {name for names, _ in table(1) for name in names}
    assert named == modules(PACKAGE / "widgets")


ROWS = [(names[0], words) for names, words in table(0) if len(names) == 1 and (PACKAGE / names[0]).is_dir()]


@pytest.mark.parametrize(("name", "words"), ROWS, ids=[name for name, _ in ROWS])
def test_packages_within_a_package_are_named_and_every_module_named_is_there(name, words):
    folder = PACKAGE / name
    if name != "widgets":  # these have a table of their own
        assert not [path.parent for path in folder.rglob("*/__init__.py") if f"`{path.parent.name}/`" not in words]
        assert re.search(r"`[a-z_]+/?`", words), "nothing of it is named"
    inner = {path.stem for path in folder.rglob("*.py")} | {path.parent.name for path in folder.rglob("*/*.py")}
    assert set(re.findall(r"`([a-z_]+)/?`", words)) <= inner


def test_files_that_the_page_names_are_there():
    paths = re.findall(r"`((?:[\w-]+/)+[\w-]+\.\w+)`", PAGE)
    assert paths
    roots = (REPOSITORY, PACKAGE, PACKAGE / "widgets")
    assert not [path for path in paths if not any((root / path).exists() for root in roots)]


def test_the_layers_are_those_of_the_contracts():
    blocks = re.findall(r"```text\n(.*?)```", section("Who may import whom"), re.S)
    said = [[[name.strip() for name in line.split("|")] for line in block.splitlines()] for block in blocks]
    kept = [item for item in CONTRACTS if item["type"] == "layers"]
    parents = ("napari_leafseg", "napari_leafseg.widgets")
    assert said == [layers_of(item, parent) for item, parent in zip(kept, parents, strict=True)]


def test_every_module_has_a_layer():
    kept = [item for item in CONTRACTS if item["type"] == "layers"]
    for item, folder in zip(kept, (PACKAGE, PACKAGE / "widgets"), strict=True):
        parent = "napari_leafseg" if folder == PACKAGE else "napari_leafseg.widgets"
        assert sorted(name for line in layers_of(item, parent) for name in line) == sorted(modules(folder))


def test_no_dock_widget_imports_another():
    (features,) = [item for item in CONTRACTS if item["type"] == "independence"]
    layer = layers_of(
        contract("Dock widgets stand on what they share, and none knows another"), "napari_leafseg.widgets"
    )
    assert [short(name, "napari_leafseg.widgets") for name in features["modules"]] == layer[1]


def test_what_is_forbidden_is_what_the_contracts_forbid():
    said = {}
    for bullet in re.findall(r"^- \*\*(.*?)(?=^- |^\n)", section("Who may import whom"), re.S | re.M):
        name, words = bullet.split("**: ")
        said[name] = [re.findall(r"`(\w+)`", part) for part in re.split(r"imports? none of", words)]
    kept = {
        item["name"]: [[short(name) for name in item[key]] for key in ("source_modules", "forbidden_modules")]
        for item in CONTRACTS
        if item["type"] == "forbidden"
    }
    assert said == kept
