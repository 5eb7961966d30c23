"""The screenshots in the docs are those that ``make pictures`` takes, and small."""

import re

import pytest
from benchmarks.screenshots import SCREENSHOTS
from PIL import Image

from tests.conftest import REPOSITORY

SHOWN = {
    name
    for page in (REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md"))
    for name in re.findall(r"\]\((?:docs/)?images/(\w+)\.png\)", page.read_text())
}
OF_FIGURES = {"ablation", "growth_counts"}  # drawn by benchmarks that measure
OF_THE_WINDOW = {*SCREENSHOTS, "contact_sheet"}


def test_every_screenshot_is_shown_and_there():
    there = {path.stem for path in (REPOSITORY / "docs" / "images").glob("*.png")}
    assert there == SHOWN
    assert there - OF_FIGURES == OF_THE_WINDOW


@pytest.mark.parametrize("name", sorted(OF_THE_WINDOW))
def test_a_screenshot_loads_fast_and_is_of_a_small_screen(name):
    path = REPOSITORY / "docs" / "images" / f"{name}.png"
    assert path.stat().st_size < 300_000
    assert Image.open(path).width <= 1366
