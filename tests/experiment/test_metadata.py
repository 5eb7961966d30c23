"""What is known of images: who is believed, tables, EXIF, plants in order of time."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.experiment import (
    AmbiguousDates,
    Described,
    Experiment,
    ImageMetadata,
    Source,
    add_metadata,
    group_series,
    match_table,
    merge,
    read_table,
)
from napari_leafseg.experiment.dates import AmbiguousDate, read_moment, write_moment
from napari_leafseg.experiment.exif import read_exif
from napari_leafseg.experiment.metadata import canonical

PATHS = [Path(f"/d/2019-10-{day}-11-05_{plant}.jpg") for day in (22, 23) for plant in (11, 17)]


def test_who_is_believed():
    layers = {source: {"plant": source.name, source.name.lower(): "x"} for source in reversed(Source)}
    assert merge(layers).metadata.plant == "HAND"
    assert merge(layers).sources["plant"] == Source.HAND
    del layers[Source.HAND]
    for source in (Source.TABLE, Source.NAME, Source.FOLDER, Source.EXIF):
        assert merge(layers).metadata.plant == source.name
        del layers[source]


def test_nothing_said_by_hand_is_believed():
    known = merge({Source.HAND: {"plant": ""}, Source.NAME: {"plant": "7"}})
    assert known == (ImageMetadata(), {})


@pytest.mark.parametrize(
    ("text", "day_first", "found"),
    [
        ("2021-05-03", None, "2021-05-03"),
        ("2021-05-03T11:05:07", None, "2021-05-03 11:05:07"),
        ("2021-05-03 11:05+02:00", None, "2021-05-03 11:05+02:00"),
        ("20210503", None, "2021-05-03"),
        ("2021/5/3 11h05", None, "2021-05-03 11:05"),
        ("2021:05:03 11:05:00", None, "2021-05-03 11:05"),
        ("3.5.2021", None, "2021-05-03"),
        ("13/5/21 1:05 pm", None, "2021-05-13 13:05"),
        ("5/13/2021", None, "2021-05-13"),
        ("03/05/2021", True, "2021-05-03"),
        ("03/05/2021", False, "2021-03-05"),
        ("4/4/2021", None, "2021-04-04"),
    ],
)
def test_dates_as_people_write_them(text, day_first, found):
    assert write_moment(read_moment(text, day_first)) == found


@pytest.mark.parametrize("text", ["31.02.2020", "2021-13-01", "43760", "May", "1021-05-03", "2021-05-03 25:00"])
def test_what_is_no_date(text):
    with pytest.raises(ValueError, match=r"no date|lies in the year"):
        read_moment(text)
    with pytest.raises(AmbiguousDate, match="the day or with the month"):
        read_moment("03/05/2021")


def test_days_and_decimal_commas():
    assert [canonical("day", text) for text in ("12", "12,5", "DAS12", "d3", "0.25")] == [
        "12",
        "12.5",
        "12",
        "3",
        "0.25",
    ]
    with pytest.raises(ValueError, match="no number of days"):
        canonical("day", "twelve")


def test_exif_is_read_from_the_header(tmp_path):
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0110] = "D 90\0"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:03 11:05:07"
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_exif(tmp_path / "a.jpg") == {"time": "2021-05-03T11:05:07", "camera": "D 90"}
    exif.get_ifd(0x8769)[0x9011] = "+02:00"
    image.save(tmp_path / "b.jpg", exif=exif)
    assert read_exif(tmp_path / "b.jpg")["time"] == "2021-05-03T11:05:07+02:00"
    exif.get_ifd(0x8769)[0x9003] = "0000:00:00 00:00:00"
    image.save(tmp_path / "c.jpg", exif=exif)
    assert "time" not in read_exif(tmp_path / "c.jpg")
    (tmp_path / "d.jpg").write_bytes(b"none at all")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "e.jpg").write_bytes(content[:40])
    assert read_exif(tmp_path / "d.jpg") == read_exif(tmp_path / "e.jpg") == read_exif(tmp_path / "f.jpg") == {}
    (tmp_path / "g.jpg").write_bytes(content[: content.index(b"\xff\xda") + 20])  # the pixels are not looked at
    assert read_exif(tmp_path / "g.jpg") == read_exif(tmp_path / "a.jpg")


def table(tmp_path, text, encoding="utf-8", **options):
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    return read_table(tmp_path / "t.csv", **options)


NAMES = [path.name for path in PATHS]
ROWS = [f"{name};{genotype}" for name, genotype in zip(NAMES, ("wt", "ko", "wt", "ko"), strict=True)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_table_as_spreadsheets_write_it(tmp_path, encoding):
    lines = [f"{row};12,5;größer;" for row in ROWS]
    found = table(tmp_path, "\r\n".join(["File name;Line;DAS;Tray note;", *lines, ""]), encoding)
    values, notes = match_table(found, PATHS)
    assert values[PATHS[0]] == {"genotype": "wt", "day": "12.5", "tray_note": "größer"}
    assert (len(values), notes) == (4, [])


def test_a_table_with_date_and_time_apart(tmp_path):
    found = table(tmp_path, f"image,Time,Date\n{NAMES[0]},11:05,13/05/2021\n{NAMES[1]},12:05,01/05/2021\n")
    assert [row["time"] for row in found.rows.values()] == ["2021-05-13T11:05:00", "2021-05-01T12:05:00"]


def test_a_table_of_plants(tmp_path):
    found = table(tmp_path, "plant\tgenotype\n011\tcol\n17\tko\n18\tko\n")
    values, notes = match_table(found, PATHS, Experiment().plants(PATHS))
    assert [values[path]["genotype"] for path in PATHS] == ["col", "ko", "col", "ko"]
    assert notes == ["1 row of t.csv names no plant that is here: 18."]
    with pytest.raises(UserError, match="not known which plant"):
        match_table(found, PATHS, Experiment("").plants(PATHS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("genotype\nwt", "no column “image” with the files’ names, nor “plant” or “pot”. It has genotype"),
        ("image\na.png", "says nothing of its images"),
        ("image,gentype\na,b", "a column “gentype”, which is unknown. Is “genotype” meant"),
        ("image,area_px2\na,b", "the name of a measurement"),
        ("image,line,genotype\na,b,c", "says the genotype twice, in the columns line and genotype"),
        ("image,date\na.png,2021-05-01\nb.png,31.02.2020", "t.csv, line 3, column “date”: “31.02.2020” is no date"),
        ("image,day\na,x", "line 2, column “day”: “x” is no number of days"),
        ("image,date\na,13/05/2021\nb,05/13/2021", "line 2 begins with the day, line 3 with the month"),
        ("image,plant\n,2", "line 2: the column “image” is empty"),
        ("image,plant\na,1\na,2", "lines 2 and 3 say different things of “a”"),
        ("image,plant\na,1,2,3", "line 2: there are 4 cells, but 2 columns. Mend"),
        ("image,plant\n", "has no rows"),
        ("", "is empty"),
        ('image,plant\n"a,1', "cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_words(tmp_path, text, said):
    with pytest.raises(UserError) as raised:
        table(tmp_path, text)
    assert said in str(raised.value)
    assert "t.csv" in str(raised.value)


def test_days_and_months_are_asked_for_or_said(tmp_path):
    text = "image,date\na,03/05/2021\nb,04/05/2021"
    with pytest.raises(AmbiguousDates, match="line 2: “03/05/2021” may begin"):
        table(tmp_path, text)
    assert table(tmp_path, text, day_first=False).rows["a"]["time"] == "2021-03-05T00:00:00"
    assert table(tmp_path, text + "\nc,13/05/2021").rows["a"]["time"] == "2021-05-03T00:00:00"


def test_rows_and_images_that_do_not_meet(tmp_path):
    whole = table(tmp_path, "image,genotype\n" + "\n".join(f"{name},wt" for name in NAMES))
    values, notes = match_table(whole, PATHS[:2])
    assert (len(values), notes) == (2, [f"2 rows of t.csv name no image that is here: {NAMES[2]}, {NAMES[3]}."])
    few = table(tmp_path, f"image,genotype\n{NAMES[0]},wt")
    assert match_table(few, PATHS[:2])[1] == [f"1 image has no row in t.csv: {NAMES[1]}."]
    wrong = table(tmp_path, f"image,genotype\n{NAMES[0]},wt\n2019-10-22-11-05_12.jpg,ko")
    with pytest.raises(
        UserError, match=r"1 row of t.csv names no image.*1 image has no row.*Is .*_17.jpg meant in line 3"
    ):
        match_table(wrong, PATHS[:2])


def test_images_of_one_name_are_told_apart_by_folders(tmp_path):
    paths = [Path("/x/wt/a.png"), Path("/x/ko/a.png")]
    values, _ = match_table(table(tmp_path, "image,plant\nwt/a.png,1\nko\\A,2\n"), paths)
    assert [values[path]["plant"] for path in paths] == ["1", "2"]
    with pytest.raises(UserError, match=r"line 2: “a.png” may be .*Write the folder"):
        match_table(table(tmp_path, "image,plant\na.png,1\n"), paths)


def test_two_plants_in_one_folder_are_two_series_over_dates():
    known = Experiment().describe(PATHS)
    grouping = group_series([known[path] for path in PATHS], NAMES)
    assert [(one.name, one.places, one.days) for one in grouping.series] == [
        ("11", (0, 2), (0.0, 1.0)), ("17", (1, 3), (0.0, 1.0))
    ]  # fmt: skip
    assert grouping.dated
    assert grouping.notes == ()
    assert known[PATHS[0]].sources == {"plant": Source.NAME, "time": Source.NAME}


def described(**values):
    return Described(ImageMetadata(**values))


def test_series_are_sorted_by_time_and_told_apart():
    start = datetime(2021, 5, 3, tzinfo=timezone(timedelta(hours=2)))
    items = [described(plant="1", genotype=genotype, time=start + timedelta(hours=hours))
             for genotype in ("wt", "ko") for hours in (36, 0, 12)]  # fmt: skip
    found = group_series(items, "abcdef").series
    assert [one.places for one in found] == [(1, 2, 0), (4, 5, 3)]
    assert found[0].days == (0.0, 0.5, 1.5)


def test_relative_days_are_kept():
    found = group_series([described(plant="1", day=14.0), described(plant="1", day=12.0)], "ab").series
    assert found[0].places == (1, 0)
    assert found[0].days == (12.0, 14.0)


def test_images_without_a_date_keep_their_order_and_that_is_said():
    items = [described(plant="1", time=datetime(2021, 5, day)) for day in (3, 1)] + [described(plant="1")]
    found = group_series(items, "abc")
    assert (found.series[0].places, found.series[0].days) == ((0, 1, 2), None)
    assert "1 image without a date" in found.notes[0]
    mixed = [described(time=datetime(2021, 5, 3)), described(time=datetime(2021, 5, 3, tzinfo=UTC))]
    assert "time zone" in group_series(mixed, "ab").notes[0]
    same = [described(time=datetime(2021, 5, 3))] * 2
    assert "two images of one moment" in group_series(same, "ab").notes[0]


def test_images_of_unknown_plants_are_by_themselves():
    found = group_series([described(plant="1"), described(), described(plant="1"), described()], "abcd")
    assert [one.places for one in found.series] == [(0, 2), (1,), (3,)]
    assert "2 images of no known plant" in found.notes[0]
    assert [one.places for one in group_series([described()] * 3, "abc").series] == [(0, 1, 2)]


def test_columns_of_tables():
    frame = pd.DataFrame({"frame": [0, 0, 1], "image": list("aab"), "area_px2": [1, 2, 3], "tray": 0})
    known = {0: ImageMetadata(plant="7", time=datetime(2021, 5, 3, 11, 5), extra={"tray": "x"}), 1: ImageMetadata()}
    found = add_metadata(frame, "frame", known, {0: 0.0, 1: 1.5})
    assert list(found.columns) == ["frame", "image", "plant_id", "date", "day", "tray_of_image", "area_px2", "tray"]
    assert found["plant_id"].tolist() == ["7", "7", ""]
    assert found["date"].tolist() == ["2021-05-03 11:05", "2021-05-03 11:05", ""]
    assert found["day"].tolist() == [0.0, 0.0, 1.5]
    assert add_metadata(frame, "frame", {0: ImageMetadata()}) is frame
