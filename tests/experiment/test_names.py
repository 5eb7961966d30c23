"""What file names say of plants: patterns, and the pattern that many names follow."""

from pathlib import Path

import pytest

from napari_leafseg.experiment import Pattern, PatternError, guess_pattern


@pytest.mark.parametrize(
    ("pattern", "path", "name", "folders"),
    [
        ("{date}_{plant}", "2019-10-22-11-05_11.jpg", {"plant": "11", "time": "2019-10-22T11:05:00"}, {}),
        ("{plant}_{date:%d%m%y}", "a_b_311219.png", {"plant": "a_b", "time": "2019-12-31T00:00:00"}, {}),
        ("plant{plant}_day{day}", "Plant03_Day12.PNG", {"plant": "03", "day": "12"}, {}),
        ("d{day}_{time:%H%M}", "d3_1200.png", {"day": "3.5"}, {}),
        ("{pot}_h{hours}", "A1_h36.png", {"pot": "A1", "day": "1.5"}, {}),
        ("{plant:2}{camera}_*", "07top_x.png", {"plant": "07", "camera": "top"}, {}),
        ("{genotype:l}{plant:d}", "col12.png", {"genotype": "col", "plant": "12"}, {}),
        ("{genotype}/{plant}/{date}.png", "x/wt/p1/2021-05-03.png", {"time": "2021-05-03T00:00:00"},
         {"genotype": "wt", "plant": "p1"}),
        ("{date:%Y/%m-%d}_{plant}", "2019/10-22_1.png", {"plant": "1", "time": "2019-10-22T00:00:00"}, {}),
    ],
)  # fmt: skip
def test_patterns_read_names(pattern, path, name, folders):
    found = Pattern.parse(pattern).read(Path(path))
    assert (dict(found.name), dict(found.folders), found.problem) == (name, folders, "")


@pytest.mark.parametrize(
    ("path", "problem"),
    [("x.png", "does not fit"), ("20191322_1.png", "“20191322” is no date"), ("2019-02-30_1.png", "is no date")],
)
def test_names_that_do_not_fit(path, problem):
    assert problem in Pattern.parse("{date}_{plant}").read(Path(path)).problem


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "is empty"),
        ("plant", "names no field"),
        ("{plant", "before “plant” is never closed"),
        ("plant}", "behind “plant” that closes nothing"),
        ("{plant}{genotype}", "stand side by side"),
        ("{gentoype}", "Is {genotype} meant"),
        ("{plant}_{plant}", "is there twice"),
        ("{area}", "the name of a measurement"),
        ("{my-field!}", "letters, digits"),
        ("{plant:z}", "“z” is unknown"),
        ("{day:x}", "is a number"),
        ("{date:%Q}", "“%Q” is no part of a date"),
        ("{date:Y}", "parts with %"),
        ("{date:%Y}", "no month, %m"),
        ("{date:%m-%d}", "no year, %Y"),
        ("{time:%H-%M}", "no year"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(pattern, said):
    with pytest.raises(PatternError) as raised:
        Pattern.parse(pattern)
    assert said in str(raised.value)


def paths(*patterns, **parts):
    """All combinations of the parts in a name."""
    found = [""]
    for name, values in parts.items():
        found = [f"{text}\0{name}={value}" for text in found for value in values]
    keys = [dict(item.split("=") for item in text.split("\0") if item) for text in found]
    return [Path(pattern.format(**key)) for pattern in patterns for key in keys]


DAYS = ("01", "02", "03")


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (paths("2019-10-{d}-11-05_{p}.jpg", d=("22", "23"), p=("11", "17")), "{date:%Y-%m-%d-%H-%M}_{plant}"),
        (paths("plant{p}_day{d}.png", p=("03", "04"), d=("1", "12")), "plant{plant}_day{day}"),
        (paths("plant_{p}_day_{d}.png", p=("03", "04"), d=("1", "12")), "plant_{plant}_day_{day}"),
        (paths("rep{r}_{g}_2021-05-{d}.tif", r="12", g=("wt", "arf7"), d=DAYS),
         "rep{replicate}_{genotype}_{date:%Y-%m-%d}"),
        (paths("{a}_{n}.png", a=("A1", "B2"), n=("001", "002")), "{pot}_{timepoint}"),
        (paths("Tray1_{a}_DAS{d}.png", a=("A1", "B2"), d="123"), "Tray{tray}_{pot}_DAS{day}"),
        (paths("{p}_d{d}.png", p=("fern", "oak"), d="123"), "{plant}_d{day}"),
        (paths("geno{p}_{h}h.png", p="AB", h=("0", "12")), "{plant}_{hours}h"),
        (paths("x/{g}/{p}/2021-05-{d}.png", g=("abc", "foo"), p="xy", d=DAYS),
         "{genotype}/{plant}/{date:%Y-%m-%d}"),
        (paths("x/{t}/plant{p}_2021-05-{d}.png", t=("control", "drought"), p="12", d=DAYS),
         "{treatment}/plant{plant}_{date:%Y-%m-%d}"),
        (paths("x/2021-05-{d}/{p}.png", d=DAYS, p="12"), "{date:%Y-%m-%d}/{plant}"),
        (paths("x/plant{p}/{n}.png", p="12", n=DAYS), "plant{plant}/{timepoint}"),
        (paths("IMG_202105{d}_1105{d}.jpg", d=DAYS), "IMG_{date:%Y%m%d_%H%M%S}"),
        (paths("2021-05-{d}_IMG_00{d}.jpg", d=DAYS), "{date:%Y-%m-%d}_IMG_*"),
        (paths("{p}_{d}-05-2021.png", p="ab", d=("01", "20")), "{plant}_{date:%d-%m-%Y}"),
        (paths("{p}_05-{d}-2021.png", p="ab", d=("01", "20")), "{plant}_{date:%m-%d-%Y}"),
        (paths("{s}_plant{p}_rgb.png", s=("ara", "tobacco"), p="123"), "{group}_plant{plant}_rgb"),
        (paths("IMG_{d}.JPG", d=DAYS), ""),
        (paths("{d}.png", d=DAYS), ""),
        (paths("{p}.png", p=("fern", "oak")), ""),
        ([], ""),
    ],
)  # fmt: skip
def test_patterns_are_guessed(names, pattern):
    found = guess_pattern(names)
    assert found.pattern == pattern
    if pattern:
        assert found.fitting == found.total == len(names)
        assert all(not Pattern.parse(pattern).read(path).problem for path in names)


def test_names_that_follow_no_pattern_are_counted():
    names = [*paths("plant{p}_day{d}.png", p="12", d=DAYS), Path("tray.png")]
    found = guess_pattern(names)
    assert (found.pattern, found.fitting, found.total) == ("plant{plant}_day{day}", 6, 7)
    assert "6 of 7 names" in str(found)


def test_days_and_months_are_asked_for():
    found = guess_pattern(paths("{p}_{d}-04-2021.png", p="ab", d=("03", "05")))
    assert found.pattern == ""
    assert "03-04-2021 may begin with the day or with the month" in found.question
    assert found.alternatives == ("{plant}_{date:%d-%m-%Y}", "{plant}_{date:%m-%d-%Y}")


def test_ten_thousand_names_are_read():
    names = paths("/d/wt/plant{p}_2021-05-{d}_{n}.png", p=range(100), d=range(10, 20), n=range(10, 20))
    assert guess_pattern(names).fitting == 10_000
