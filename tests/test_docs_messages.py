"""The messages that docs/troubleshooting.md explains are the program's; the pages of formats name all of them."""

import ast
import re
import tomllib

import pytest

from napari_leafseg import errors
from napari_leafseg._extras import PACKAGES
from napari_leafseg.io import image_formats
from napari_leafseg.io.exchange import formats as exchange
from tests.conftest import REPOSITORY

EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
KINDS = {name for name in vars(errors) if isinstance(getattr(errors, name), type)}
PAGE = (REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = [
    re.split(r"(?<!\\)\|", line)[1:3]
    for table in re.findall(r"^\| message \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.M)
    for line in table.splitlines()
]


def texts(code):
    """Messages of the errors that a file raises, with … for what is filled in."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
            text = node.args[0]
            if isinstance(text, ast.JoinedStr | ast.Constant):
                yield plain(written(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
            module, what, *otherwise = map(written, node.args)
            command = errors.install_command(PACKAGES.get(module.partition(".")[0], "…"))
            yield plain(f"{what} needs the package {module}, which is not installed: {command}. {' '.join(otherwise)}")


def written(text):
    """A text as it stands in code, with … for what is filled in."""
    if isinstance(text, ast.JoinedStr):
        return "".join(map(in_words, text.values))
    return text.value if isinstance(text, ast.Constant) else "…"


def in_words(part):
    """A part of a message: as it is, as the command that it is, or … ."""
    if isinstance(part, ast.Constant):
        return part.value
    call = part.value
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "install_command":
        return errors.install_command(call.args[0].value)
    return "…"


def plain(text):
    return re.sub(r"…+", "…", text.strip())


@pytest.fixture(scope="module")
def given():
    files = (REPOSITORY / "src" / "napari_leafseg").rglob("*.py")
    return {text for path in files for text in texts(path.read_text(encoding="utf-8"))}


def test_the_program_gives_every_message_of_the_page(given):
    assert len(ROWS) > 40
    unknown = [message for message, _ in ROWS if not any(text.startswith(plain(message)) for text in given)]
    assert unknown == []


def test_every_message_is_explained():
    assert [message for message, words in ROWS if len(words.split()) < 4] == []


def test_messages_are_found_in_code():
    code = 'raise UserError(f"{a}{b} is {c}.")\nraise ModelError("No")\nraise ValueError("x")'
    assert list(texts(code)) == ["… is ….", "No"]


def test_what_is_missing_is_named_with_its_extra():
    files = list((REPOSITORY / "src" / "napari_leafseg").rglob("*.py"))
    code = {path: path.read_text(encoding="utf-8") for path in files}
    named = {extra for text in code.values() for extra in re.findall(r"install_command\('(\w+)'\)", text)}
    named |= set(PACKAGES.values())
    assert named == {"accelerate", "batch", "formats", "get", "query", "raw", "train", "pyqt5", "pyqt6"}
    assert named <= set(EXTRAS)
    table = (REPOSITORY / "docs" / "installation.md").read_text(encoding="utf-8")
    assert [extra for extra in named if not re.search(rf"^\| (`\w+`, )?`{extra}`", table, re.M)] == []
    assert [path.name for path, text in code.items() if "pip install" in text] == ["errors.py"]


def cells(page, column):
    """A column of the first table of a page."""
    text = (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8")
    table = re.search(r"(?:^\|.*\n)+", text, re.M)[0]
    return [re.split(r"(?<!\\)\|", line)[1:-1][column] for line in table.splitlines()[2:]]


def test_the_pages_of_formats_name_all_that_are_read_and_written():
    named = {name for cell in cells("exchange", 1) for name in re.findall(r"`([\w-]+)`", cell)}
    assert named == set(exchange.FORMATS), "the table of docs/exchange.md has a row for each format"
    listed = [set(re.findall(r"`(\.\w+)`", cell)) | ({"…"} if "…" in cell else set()) for cell in cells("files", 1)]
    assert set().union(*listed) - {ending for form in image_formats.FORMATS for ending in form.endings} == {"…"}
    for form in image_formats.FORMATS:  # of camera raw and the newer photographs, a row has the usual endings
        row = next(row for row in listed if row & set(form.endings))
        assert "…" in row or set(form.endings) <= row, form.name
