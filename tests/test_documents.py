"""Links of the documents lead somewhere; the citation and the glossary are what the package is."""

import re
import tomllib

import pytest
import yaml

from tests.conftest import REPOSITORY

PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), *(REPOSITORY / "benchmarks").rglob("*.md")]
)
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def anchors(text):
    """Names of the headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name)
def test_every_page_is_linked(page):
    others = "".join(other.read_text(encoding="utf-8") for other in PAGES if other != page)
    assert page.name == "CHANGELOG.md" or page.name in others


def test_the_citation_is_the_packages():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    said = [citation[key] for key in ("title", "version", "license", "abstract", "keywords")]
    assert said == [PROJECT[key] for key in ("name", "version", "license", "description", "keywords")]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    assert "](docs/citing.md)" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    page = " ".join((REPOSITORY / "docs" / "citing.md").read_text(encoding="utf-8").split())
    assert all(paper["title"] in page and paper["url"] in page for paper in citation["references"])


def test_the_readme_is_one_screen_and_has_the_two_commands():
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    commands = [line.split("#")[0].strip() for line in lines if line.startswith("make ")]
    assert commands == ["make demo", "make test"]
    assert "make lint test" in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")


def test_the_glossary_is_in_order():
    words = re.findall(r"^\| \*\*([^*]+)\*\*", (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M)
    assert len(words) > 40
    assert words == sorted(words, key=str.lower)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    paths = re.findall(r"`((?:\w[\w-]*/)+[\w-]+\.(?:py|md|yaml|json|safetensors|txt|toml))`", text)
    own = ("labels/", "records/", "journal/", "experiment/", "exports/")  # what the program writes
    paths = [path for path in paths if "NAME" not in path and not path.startswith(own)]
    package = REPOSITORY / "src" / "napari_leafseg"
    roots = (page.parent, REPOSITORY, package, package / "widgets")
    assert not [path for path in paths if not any((root / path).exists() for root in roots)]
