"""Tables in the forms that other programs like, each with a data dictionary."""

import numpy as np
import pandas as pd
import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.experiment import ImageMetadata, add_metadata
from napari_leafseg.experiment.growth import last_of, summarize_tracks
from napari_leafseg.traits import measure, table_files
from napari_leafseg.traits.dictionary import data_dictionary, meaning_of, split_unit
from napari_leafseg.traits.table_files import TableStyle, long_form, write_table, write_tables
from napari_leafseg.traits.tracking import growth, track_leaves
from tests.conftest import discs


@pytest.fixture(scope="module")
def tables():
    """Leaves, plants, growth and tracks of a series of three days, in millimeters."""
    image = np.full((*discs().shape, 3), 90, np.uint8)
    frames = [measure(discs(radius=radius), image, confidence={1: 0.5}, verified=[2]) for radius in (8, 9, 10)]
    tracks = track_leaves(frames)
    curves = growth(tracks, frames)
    curves["lasts"] = last_of(curves, [(0, 1, 2)])
    known = {frame: ImageMetadata(plant="p1", genotype="=wt", day=float(frame)) for frame in range(3)}
    leaves = pd.concat([item.leaves.assign(frame=frame) for frame, item in enumerate(frames)], ignore_index=True)
    leaves = add_metadata(leaves, "frame", known)
    plants = pd.concat([item.plants for item in frames], ignore_index=True)
    followed = summarize_tracks(curves, [(0, 1, 2)], "area_px2")
    return {"leaves": leaves, "plants": plants, "growth": curves, "tracks": followed}


def test_every_column_has_a_meaning_and_those_with_a_unit_say_it(tables):
    told = data_dictionary({name: list(table.columns) for name, table in tables.items()})
    unknown = told.loc[told["meaning"].str.contains("a table of yours"), "column"].tolist()
    assert unknown == [], "say what they mean in MEANINGS of traits/dictionary.py, without their unit"
    assert set(told["table"]) == set(tables)
    of_leaves = told[told["table"] == "leaves"].set_index("column")
    assert of_leaves.loc["area_px2", "unit"] == "px²"
    assert of_leaves.loc["azimuth_deg", "unit"] == "°"
    assert of_leaves.loc["mean_hue", "meaning"] == "mean over the leaf’s pixels: hue, circular"
    assert meaning_of("spikes") is None
    assert split_unit("curvature_per_mm") == ("curvature", "1/mm")


def test_long_tables_hold_every_value(tables):
    leaves = tables["leaves"]
    long = long_form(leaves)
    assert list(long.columns[-3:]) == ["trait", "value", "unit"]
    wide = long.pivot(index=["frame", "leaf"], columns="trait", values="value")
    for name in ("area_px2", "length_px", "mean_green", "azimuth_deg"):
        expected = leaves.set_index(["frame", "leaf"])[name].sort_index()
        assert np.allclose(wide[split_unit(name)[0]].sort_index(), expected)
    assert (long[long["trait"] == "area"]["unit"] == "px²").all()
    assert len(long[long["trait"] == "confidence"]) == leaves["confidence"].notna().sum()
    assert long["plant_id"].eq("p1").all()
    assert long["value"].dtype == float
    assert sorted(long[long["trait"] == "verified"]["value"].unique()) == [0, 1]


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_decimal_commas_and_a_row_of_units(tables, tmp_path, ending):
    write_tables(tmp_path, tables, TableStyle(ending, "wide", "row", ","))
    separator = ";" if ending == ".csv" else "\t"
    text = (tmp_path / f"leaves{ending}").read_text().splitlines()
    names, units = text[0].split(separator), text[1].split(separator)
    assert dict(zip(names, units, strict=True))["area"] == "px²"
    assert "'=wt" in text[2]
    read = pd.read_csv(tmp_path / f"leaves{ending}", sep=separator, decimal=",", skiprows=[1])
    assert np.allclose(read["length"], tables["leaves"]["length_px"], rtol=1e-6)
    told = pd.read_csv(tmp_path / f"data_dictionary{ending}", sep=separator)
    assert set(told["table"]) == set(tables)


def test_excel_has_a_sheet_for_each_table(tables, tmp_path):
    (path,) = write_tables(tmp_path, tables, TableStyle(".xlsx"), "plants of May")
    assert path.name == "plants of May.xlsx"
    sheets = pd.read_excel(path, sheet_name=None)
    assert list(sheets) == [*tables, "data_dictionary"]
    assert np.allclose(sheets["growth"]["area_px2"], tables["growth"]["area_px2"])
    assert sheets["leaves"]["genotype"].eq("'=wt").all()


def test_units_in_a_row_of_a_sheet(tables, tmp_path):
    (path,) = write_tables(tmp_path, tables, TableStyle(".xlsx", units="row"))
    sheet = pd.read_excel(path, sheet_name="leaves")
    assert sheet.loc[0, "area"] == "px²"
    assert np.allclose(sheet["area"][1:].astype(float), tables["leaves"]["area_px2"])


def test_parquet_keeps_everything(tables, tmp_path):
    write_tables(tmp_path, tables, TableStyle(".parquet"))
    assert pd.read_parquet(tmp_path / "plants.parquet").equals(tables["plants"])
    write_tables(tmp_path / "long", tables, TableStyle(".parquet", "long"))
    assert list(pd.read_parquet(tmp_path / "long" / "plants.parquet").columns[-3:]) == ["trait", "value", "unit"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx", ".parquet"])
def test_one_table_is_written_by_its_ending(tables, tmp_path, ending):
    write_table(tmp_path / f"mine{ending}", tables["plants"], TableStyle(ending))
    assert [path.name for path in tmp_path.iterdir()] == [f"mine{ending}"]


def test_what_cannot_be_is_refused_and_leaves_nothing(tables, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"saved as \.csv, \.tsv"):
        TableStyle(".doc")
    with pytest.raises(UserError, match="no row for units"):
        TableStyle(".parquet", units="row")
    monkeypatch.setattr(table_files, "_MOST_ROWS", 5)
    with pytest.raises(UserError, match="a sheet 6 at most"):
        write_tables(tmp_path, tables, TableStyle(".xlsx"))
    assert not list(tmp_path.iterdir())


def test_long_tables_have_decimal_commas_beside_yes_and_no(tables, tmp_path):
    assert tables["leaves"]["verified"].dtype == bool
    write_table(tmp_path / "leaves.csv", tables["leaves"], TableStyle(form="long", decimal=","))
    read = pd.read_csv(tmp_path / "leaves.csv", sep=";", decimal=",")
    assert pd.api.types.is_float_dtype(read["value"])
    assert set(read.loc[read["trait"] == "verified", "value"]) == {0.0, 1.0}


def test_excel_takes_names_with_control_characters(tmp_path):
    write_table(tmp_path / "a.xlsx", pd.DataFrame({"genotype": ["w\x0bt\x00"], "area_px2": [1.5]}), TableStyle(".xlsx"))
    assert pd.read_excel(tmp_path / "a.xlsx")["genotype"].tolist() == ["w t "]


def test_a_table_that_has_a_row_a_value_stays_so():
    table = pd.DataFrame({"group": ["wt"], "trait": ["area_mm2"], "mean": [2.0], "sd": [1.0]})
    assert long_form(table).equals(table)
