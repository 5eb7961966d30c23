"""Numbers of things are written as people write them, everywhere."""

import re

import pytest

from napari_leafseg._counts import counted
from tests.conftest import REPOSITORY

# in the window, one image or one leaf is usual
_FIXED = re.compile(r"\{(?![^{}]*name)[^{}]+\} (?:images|leaves)\b(?!’| project)")


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(0, "leaf", "0 leaves"), (1, "leaf", "1 leaf"), (1, "image", "1 image"), (1200, "image", "1,200 images")],
)
def test_counted(number, noun, text):
    assert counted(number, noun) == text


def test_no_text_of_the_window_has_a_fixed_plural():
    found = []
    for path in (REPOSITORY / "src" / "napari_leafseg" / "widgets").rglob("*.py"):
        found += [f"{path.name}: {line.strip()}" for line in path.read_text().splitlines() if _FIXED.search(line)]
    assert not found
