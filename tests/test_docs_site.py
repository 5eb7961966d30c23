"""The documentation's site: its menu, links out of docs/, and what the program says of itself."""

import json
import re
import runpy
import subprocess
import sys

import pytest
import yaml

import napari_leafseg
from napari_leafseg import errors
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
HOOKS = runpy.run_path(str(DOCS / "site" / "hooks.py"))
CHECK = runpy.run_path(str(DOCS / "site" / "check.py"))
SETTINGS = yaml.load(
    re.sub(r"!!python\S+", "", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")), Loader=yaml.SafeLoader
)
PAGES = sorted({path.name for path in DOCS.glob("*.md")} | set(HOOKS["SOURCES"]))


def places(entries):
    for entry in entries:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else places(value)


def test_the_menu_has_every_page_once():
    assert sorted(places(SETTINGS["nav"])) == PAGES


def test_every_card_of_a_model_is_a_page():
    cards = {f"models/{path.stem}.md" for path in (REPOSITORY / "resources" / "models").glob("*.json")}
    assert cards <= set(PAGES)
    overview = (DOCS / "models.md").read_text(encoding="utf-8")
    assert all(f"(../resources/{card})" in overview for card in cards)


@pytest.mark.parametrize("place", PAGES)
def test_links_lead_to_the_sites_copy(place):
    source = HOOKS["source_of"](place)
    for target in HOOKS["links"]((REPOSITORY / source).read_text(encoding="utf-8")):
        path = HOOKS["repository_path"](source, target)
        there = HOOKS["place_of"](path)
        assert (REPOSITORY / path).is_file(), target
        assert not path.endswith(".md") or there in PAGES, f"{target} is no page of the site"


def test_links_are_written_anew():
    page = type("Page", (), {"file": type("File", (), {"src_uri": "models/leaf.md"})})
    text = "[a](../training/condinst.yaml) [b](../../docs/training.md#x) [c](https://x.org) `[d](../../README.md)`"
    assert HOOKS["on_page_markdown"](text, page) == (
        "[a](../files/resources/training/condinst.yaml) [b](../training.md#x) [c](https://x.org) `[d](../../README.md)`"
    )


def test_the_site_loads_nothing_from_outside():
    assert SETTINGS["strict"]
    assert SETTINGS["theme"]["font"] is False
    assert not {"analytics", "extra", "extra_javascript", "extra_css", "repo_url"} & set(SETTINGS)


@pytest.mark.slow
def test_the_programs_parts_are_whole():
    command = [sys.executable, str(DOCS / "site" / "program.py")]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=REPOSITORY).stdout)
    wanted = {name for page in DOCS.glob("*.md") for name in HOOKS["PART"].findall(page.read_text(encoding="utf-8"))}
    assert wanted == set(said)
    from napari_leafseg.cli import app
    from napari_leafseg.editing.tools import TOOLS

    names = [item.name or item.callback.__name__ for item in app.registered_commands]
    assert all(f"\n## `napari-leafseg {name}`\n" in said["commands"] for name in names)
    assert "{formats}" not in said["commands"]
    assert all(f"| **{tool.key.replace('-', '+')}** | {tool.label}: " in said["keys"] for tool in TOOLS)


def test_the_reference_has_everything_public():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: napari_leafseg\.([\w.]+)", text, re.M))
    paths = {name: path.replace(":", ".") for name, path in napari_leafseg._LAZY.items()}
    moved = {"Project": "project.store.Project", "measure": "traits.measure.measure"}  # where these are defined
    public = {name for name in napari_leafseg.__all__ if name != "__version__" and not hasattr(errors, name)}
    assert shown == {moved.get(name, paths.get(name, name)) for name in public} | {"errors"}
    kinds = {name for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, Exception)}
    assert set(re.search(r"napari_leafseg\.errors\n.*members: \[(.*?)\]", text)[1].split(", ")) == kinds


def test_faults_of_a_site_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#x">b</a><a href="#top">a</a><a href="c.html">c</a><a href="https://x.org">x</a>'
        '<script src="https://x.org/x.js"></script><link rel="stylesheet" href="s.css"><img src="none.png">'
    )
    (tmp_path / "b.html").write_text('<a href="a.html#top">a</a>')
    (tmp_path / "s.css").write_text("@import 'https://x.org/font.css'; a {background: url(x.png)}")
    assert CHECK["faults"](tmp_path) == [
        "a.html loads https://x.org/x.js", "a.html links to b.html#x", "a.html links to c.html",
        "a.html links to none.png", "s.css loads https://x.org/font.css",
    ]  # fmt: skip
    assert "no page" in CHECK["faults"](tmp_path / "none")[0]
