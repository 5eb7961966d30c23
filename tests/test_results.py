"""docs/results.md is what the JSON files say, and benchmarks write such files."""

import argparse
import json

import pytest
import yaml
from benchmarks import record, results

from tests.conftest import REPOSITORY

FILES = sorted(record.RESULTS.glob("*.json"))


def test_the_page_is_what_the_results_make_it():
    assert results.PAGE.read_text(encoding="utf-8") == results.page(), "run `make results`"


def test_the_page_shows_every_result_once():
    spec = yaml.safe_load((record.RESULTS / "page.yaml").read_text(encoding="utf-8"))
    shown = [item["result"] for section in spec["sections"] for item in section["tables"]]
    assert sorted(shown) == sorted(path.stem for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_result_says_how_it_was_measured(path):
    entry = results.read_result(path.stem)
    assert list(entry) == list(record.FIELDS)
    assert all(list(row) == list(entry["rows"][0]) for row in entry["rows"])
    for word in entry["command"].split():
        if word.startswith("benchmarks."):
            assert (REPOSITORY / f"{word.replace('.', '/')}.py").is_file()


def test_a_benchmark_writes_a_result_that_the_page_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(REPOSITORY / "benchmarks" / "sweep.py"), "--record", "twice", "--images", "3"])
    record.write_result("twice", [{"SBD": 0.5, "leaves": 3}, {"SBD": 0.123, "leaves": None}], folder=tmp_path)
    entry = results.read_result("twice", tmp_path)
    assert entry["command"] == "python -m benchmarks.sweep --images 3"
    assert entry["commit"].rstrip("+")
    assert entry["machine"]
    assert entry["torch"][0].isdigit()
    assert results.table(entry["rows"]).splitlines()[2:] == ["| 0.500 | 3 |", "| 0.123 | – |"]
    assert results.table(entry["rows"], ["leaves"]).splitlines() == ["| leaves |", "| --- |", "| 3 |", "| – |"]


@pytest.mark.parametrize("rows", [[], [{"a": 1}, {"b": 1}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]])
def test_a_table_that_is_none_is_refused(rows, tmp_path):
    with pytest.raises(ValueError, match="same columns"):
        record.write_result("x", rows, "command", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_result_without_its_source_is_refused(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"command": "c", "rows": [{"a": 1}]}))
    with pytest.raises(ValueError, match="lacks commit, date, machine, torch"):
        results.read_result("x", tmp_path)


@pytest.mark.parametrize(
    ("words", "wanted"), [([], None), (["--record"], "usual"), (["--record", "mine"], "mine")], ids=str
)
def test_the_record_option(words, wanted):
    parser = argparse.ArgumentParser()
    record.add_record_option(parser, "usual")
    assert parser.parse_args(words).record == wanted


def test_cells():
    assert results.cell(-1, 3) == "−1"
    assert results.cell(-0.5, 2) == "−0.50"
    assert results.cell("2019-10-24", 0) == "2019-10-24"
    assert results.cell("non-zero | x", 0) == "non-zero \\| x"


def test_pytest_benchmarks_report(tmp_path):
    found = [
        {"name": "test_angle[512]", "stats": {"median": 0.00134}},
        {"name": "test_ratio", "stats": {"median": 1.0}, "extra_info": {"ratio": 391.7}},
    ]
    (tmp_path / "report.json").write_text(json.dumps({"benchmarks": found}))
    rows = record.pytest_rows(tmp_path / "report.json")
    assert [row["median"] for row in rows] == ["1.34 ms", "392 ×"]
    assert rows[0]["what"] == "angle[512]"


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((REPOSITORY / "benchmarks").glob("*.py")) if "\ndef main(" in path.read_text()],
    ids=lambda path: path.stem,
)
def test_every_benchmark_can_record(path):
    assert path.stem in {"results", "screenshots"} or "write_result(" in path.read_text()
