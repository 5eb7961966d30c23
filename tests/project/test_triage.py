"""Series of images: their dates, what they have in common, and where the number of leaves jumps."""

import datetime
from pathlib import Path

import pytest

from napari_leafseg.project.review import count_jumps, find_jumps, image_date, natural_key, series_name


@pytest.mark.parametrize(
    ("counts", "jumps"),
    [
        ([4, 8, 11, 12, 13, 13], {}),
        ([8, 8, 9, 4, 9, 10], {3: 9}),
        ([8, 8, 9, 17, 9, 10], {3: 9}),
        ([9, 9, 9, 2], {3: 9}),
        ([9, 2], {}),
        ([0, 0, 0], {}),
        ([5, 6, 5, 6, 5], {}),
        ([3, 5, 8, 11, 14, 17], {}),
    ],
)
def test_jumps_are_found_and_growth_is_none(counts, jumps):
    assert count_jumps(counts) == jumps


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("plant_11_2019-10-22-11-05.png", "plant_11_"),
        ("day01.png", "day"),
        ("20191022_p7.png", "_p7"),
        ("rosette.png", "rosette"),
        ("p3_day12.png", "p3_day"),
    ],
)
def test_images_of_a_series_have_all_but_the_date_in_common(name, series):
    assert series_name(Path("folder") / name) == (Path("folder"), series)


def test_the_date_is_the_name_s_or_else_the_file_s(tmp_path):
    assert image_date(Path("p_2019-10-22-11-05_a.png")) == datetime.datetime(2019, 10, 22, 11, 5).timestamp()
    assert image_date(Path("p_20191022.png")) == datetime.datetime(2019, 10, 22).timestamp()
    file = tmp_path / "p_2019-19-39.png"
    file.write_text("")
    assert image_date(file) == file.stat().st_mtime
    assert image_date(tmp_path / "none.png") == 0.0


def test_jumps_are_looked_for_series_by_series():
    counts = {Path(f"p{plant}_day{day}.png"): 5 + plant for plant in (1, 7) for day in (1, 2, 10, 11)}
    assert find_jumps(counts) == {}
    counts[Path("p7_day10.png")] = 3
    assert find_jumps(counts) == {Path("p7_day10.png"): 12}
    assert sorted(["a10", "a9", "b1"], key=natural_key) == ["a9", "a10", "b1"]
