"""The screenshots in the docs are those that ``make pictures`` takes, and small."""

import re

import numpy as np
import pytest
from benchmarks import screenshot_record
from benchmarks.screenshots import SCREENSHOTS, with_few_colors
from PIL import Image

from napari_leafseg.widgets.state.colors import PALETTE
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


@pytest.mark.parametrize("name", sorted(OF_THE_WINDOW))
def test_a_screenshot_was_taken_by_the_program(name):
    taken = screenshot_record.read_record()[name]
    path = REPOSITORY / "docs" / "images" / f"{name}.png"
    assert taken["image"] == screenshot_record.file_hash(path), "run `make pictures`"


def test_what_a_screenshot_shows_is_known():
    assert set(screenshot_record.SHOWN) == set(screenshot_record.read_record()) == OF_THE_WINDOW
    packages = {package for shown in screenshot_record.SHOWN.values() for package in shown}
    assert all((screenshot_record.WIDGETS / package).is_dir() for package in packages)


@pytest.mark.night
@pytest.mark.parametrize("name", sorted(OF_THE_WINDOW))
def test_no_screenshot_is_older_than_its_widget(name):
    shown = screenshot_record.code_hash(screenshot_record.SHOWN[name])
    assert screenshot_record.read_record()[name]["widgets"] == shown, f"make pictures NAMES={name}"


def test_the_hash_is_of_code_that_does_something(tmp_path):
    for package in ("main", "measure"):
        (tmp_path / package).mkdir()
    path = tmp_path / "measure" / "form.py"
    hashes = []
    for code in ('def f():\n    """Do."""\n    return 1', "def f():  # yes\n    return 1", "def f():\n    return 2"):
        path.write_text(code)
        hashes.append(screenshot_record.code_hash(("measure",), tmp_path))
    assert hashes[0] == hashes[1] != hashes[2]


def test_outlines_keep_their_colors_where_a_screenshot_has_few():
    rng = np.random.default_rng(0)
    shot = rng.integers(20, 120, (300, 400, 1)).repeat(3, 2).astype(np.uint8) + rng.integers(0, 40, 3).astype(np.uint8)
    for number, color in enumerate(np.round(255 * PALETTE)):
        shot[20 * number + 5, 50:350] = color
    few = np.asarray(with_few_colors(shot).convert("RGB"))
    for number, color in enumerate(np.round(255 * PALETTE)):
        assert np.abs(few[20 * number + 5, 60] - color).max() < 12
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 256
