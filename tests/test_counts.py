"""Numbers of things are written as people write them, everywhere."""

import re

import numpy as np
import pytest

from napari_leafseg._counts import counted, first_few, listed
from napari_leafseg._same import Same
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


def test_the_first_few_of_many_names_and_lists_as_sentences_have_them():
    assert first_few([]) == ""
    assert first_few(list("abcd")) == "a, b, c, d"
    assert first_few(list("abcdef")) == "a, b, c, d and 2 more"
    assert first_few(list("abc"), 2) == "a, b and 1 more"
    assert [listed(list(words), "or") for words in ("", "a", "ab", "abc")] == ["", "a", "a or b", "a, b or c"]


def test_a_key_by_identity_is_of_one_object_and_keeps_it():
    one, other = np.zeros(3), np.zeros(3)
    assert Same(one) == Same(one)
    assert Same(one) != Same(other)
    assert {Same(one): 1, Same(other): 2}[Same(one)] == 1
    assert Same(one).thing is one
    assert len({Same(one), Same(one), Same(other)}) == 2
