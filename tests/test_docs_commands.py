"""Every command in the docs is one that there is; napari-leafseg's are read by its own parser."""

import importlib.util
import re
import shlex
import tomllib

import pytest
import typer

from napari_leafseg.cli import app
from tests.conftest import REPOSITORY

PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), *REPOSITORY.glob("resources/models/*.md")]
)
TARGETS = set(re.findall(r"^([a-z][\w-]*(?: [a-z][\w-]*)*):(?!=)", (REPOSITORY / "Makefile").read_text(), re.M))
TARGETS = {name for names in TARGETS for name in names.split()}
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OF_OTHERS = {"dask", "srun", "git"}
STARTS = {"napari-leafseg", "make", "python", "pip", "pytest", "accelerate", "xvfb-run"}


class UnknownCommandError(Exception):
    """A command that is none."""


def blocks(text):
    """Commands of the blocks that are to be typed, one a string."""
    found = []
    for block in re.findall(r"^ *```(?:sh|bash|console)\n(.*?)^ *```", text, re.S | re.M):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            words = line.split("  #")[0].rstrip()
            if found and line.startswith("  "):
                found[-1] += " " + words.strip()
            elif words and not words.startswith("#"):
                found.append(words)
    return found


def inline(text):
    """Commands within sentences and tables, which may be cut short."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    codes = re.findall(r"`([^`\n]+)`", text)
    return [code for code in codes if len(code.split()) > 1 and without_settings(code)[0] in STARTS]


def without_settings(command):
    """A command's words, without the variables set before it; [optional] words are given, of a|b the first."""
    words = shlex.split(re.sub(r"(?<=\s)\[|(?<=\S)\](?=\s|$)", "", command), comments=True)
    while len(words) > 1 and re.match(r"\w+=", words[0]):
        words = words[1:]
    return [re.sub(r"^(\w+)\|[\w|]+$", r"\1", word) for word in words]


def check(command, whole=True):
    """Raise `UnknownCommandError` for what is no command; a command within a sentence need not be whole."""
    for part in command.split(" && ")[1:]:
        check(part, whole)
    words = without_settings(command.split(" && ")[0])
    name = words[0].rpartition("/")[2]
    if name == "xvfb-run":
        first = next(place for place, word in enumerate(words) if place and not word.startswith("-"))
        return check(shlex.join(words[first:]), whole)
    if "-m" in words and words[words.index("-m") + 1] in {"napari_leafseg", "napari_leafseg.cli"}:
        name, words = "napari-leafseg", words[words.index("-m") + 1 :]
    if name == "napari-leafseg":
        check_ours(words[1:], whole)
    elif name == "make":
        unknown = [word for word in words[1:] if word not in TARGETS and "=" not in word]
        if unknown:
            raise UnknownCommandError(f"make {unknown}")
    elif name.startswith("python"):
        check_python(words[1:])
    elif name == "pytest":
        check_paths(words[1:])
    elif name == "pip":
        extras = ",".join(re.findall(r"\[([\w,]+)\]", command)).split(",")
        if set(filter(None, extras)) - set(EXTRAS):
            raise UnknownCommandError(f"no such extra: {extras}")
    elif name not in OF_OTHERS | {"accelerate", "napari", "pre-commit"}:
        raise UnknownCommandError(command)
    return None


def check_ours(words, whole):
    """Let the program's own parser read a command, as far as it can be read without running it."""
    command, context, name = typer.main.get_command(app), None, "napari-leafseg"
    while words or context:
        try:
            context = command.make_context(name, list(words), parent=context)
        except Exception as error:
            if type(error).__name__ == "Exit" or (not whole and type(error).__name__ == "MissingParameter"):
                return  # --version and --help end there
            raise UnknownCommandError(f"{name} {words}: {error}") from error
        first = getattr(context, "_protected_args", None) or getattr(context, "protected_args", [])
        rest = [*first, *context.args]
        if not hasattr(command, "resolve_command") or not rest:
            return
        try:
            name, command, words = command.resolve_command(context, rest)
        except Exception as error:
            raise UnknownCommandError(f"{rest}: {error}") from error


def check_python(words):
    if words and words[0] == "-m":
        module = words[1].partition("{")[0]
        if module == "pytest":
            check_paths(words[2:])
        elif module not in {"benchmarks.NAME", "venv", "http.server"} and importlib.util.find_spec(module) is None:
            raise UnknownCommandError(f"python -m {module}")
    elif words and words[0].endswith(".py"):
        check_paths(words[:1])


def check_paths(words):
    missing = [word for word in words if "/" in word and not (REPOSITORY / word.partition("::")[0]).exists()]
    if missing:
        raise UnknownCommandError(f"no such file: {missing}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one(page):
    text = page.read_text(encoding="utf-8")
    for command in blocks(text):
        check(command)
    for command in inline(text):
        check(command, whole=False)


def test_the_pages_have_commands():
    found = [command for page in PAGES for command in blocks(page.read_text(encoding="utf-8"))]
    assert len(found) > 40
    assert sum(command.startswith("napari-leafseg") for command in found) > 25


@pytest.mark.parametrize(
    "command",
    [
        "napari-leafseg predict images",
        "napari-leafseg predict images --output out --seeds 3",
        "napari-leafseg segment x",
        "napari-leafseg models burn x",
        "napari-leafseg batch plants --output out --workers many",
        "python -m napari_leafseg.cli predict",
        "xvfb-run -a napari-leafseg dema",
        "make everything",
        "python -m benchmarks.nothing",
        "pytest tests/nothing.py",
        'pip install "napari-leafseg[moon]"',
        "leafseg x",
    ],
)
def test_a_command_that_is_none_is_found(command):
    with pytest.raises(UnknownCommandError):
        check(command)


def test_a_command_may_be_cut_short_within_a_sentence():
    check("napari-leafseg predict … --full-masks", whole=False)
    check("QT=pyqt6 make test")
    check("napari-leafseg evaluate --prediction a --truth b [--metric coco|lvis] [--json scores.json]")
    with pytest.raises(UnknownCommandError):
        check("napari-leafseg predict … --fill-masks", whole=False)
