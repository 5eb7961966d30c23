"""What the site shows besides the pages in `docs/`: pages that lie elsewhere, and what the program says of itself.

Pages link to files as they lie in the repository; links to what lies outside of `docs/` lead to the site's copy here.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/peers/README.md": "peers.md",
    **{f"resources/models/{path.name}": f"models/{path.name}" for path in (ROOT / "resources" / "models").glob("*.md")},
}
SOURCES = {place: source for source, place in ELSEWHERE.items() if source != "README.md"}
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.S)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
PART = re.compile(r"<!-- program: (\w+) -->")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie elsewhere, and the files that any page links to."""
    from mkdocs.structure.files import File  # where the site is built, and not where the tests read this file

    for place, source in SOURCES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    for file in list(files.documentation_pages()):
        source = source_of(file.src_uri)
        for target in links((ROOT / source).read_text(encoding="utf-8")):
            path = repository_path(source, target)
            place = place_of(path)
            if (ROOT / path).is_file() and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "leaf.svg", abs_src_path=str(ROOT / "resources" / "icons" / "leaf.svg")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where the site has their files, and fill in what the program says."""
    source = source_of(page.file.src_uri)
    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(lambda found: rewritten(found, source, page.file.src_uri), part) for part in parts[::2]]
    return PART.sub(lambda found: program_says()[found[1]], "".join(parts))


def links(markdown: str) -> list[str]:
    """List the targets of a page's links within the repository."""
    found = [match[2] for part in CODE.split(markdown)[::2] for match in LINK.finditer(part)]
    return [target for target in found if not re.match(r"\w+:|#", target)]


def rewritten(found: re.Match[str], source: str, place: str) -> str:
    """Write a link anew, relative to the page's place on the site."""
    target = found[2]
    if re.match(r"\w+:|#", target):
        return found[0]
    _, mark, anchor = target.partition("#")
    there = place_of(repository_path(source, target))
    return f"{found[1]}{posixpath.relpath(there, posixpath.dirname(place) or '.')}{mark}{anchor}{found[3]}"


def source_of(place: str) -> str:
    """Return where the source of a page of the site lies in the repository."""
    return SOURCES.get(place, f"docs/{place}")


def repository_path(source: str, target: str) -> str:
    """Return what a link of a file leads to, from the repository's root on."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target.partition("#")[0]))


def place_of(path: str) -> str:
    """Return where the site has a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return ELSEWHERE.get(path, f"files/{path}")


@cache
def program_says() -> dict[str, str]:
    """Ask the program for the parts of pages that it writes itself, in the Python where it is installed."""
    python = os.environ.get("LEAFSEG_PYTHON", sys.executable)
    command = [python, str(Path(__file__).with_name("program.py"))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)
