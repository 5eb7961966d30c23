"""The command ``napari-leafseg data``: its list, and fetching from a server on this computer."""

import zipfile

import pytest
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.pipelines.datasets.convert import READERS, published_data
from tests import data_sets
from tests.web_server import point_hub_to, serve

pytest.importorskip("huggingface_hub", minversion="1.0")


def run(*words, typed=None):
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, ["data", *map(str, words)], input=typed)


@pytest.fixture
def packed(tmp_path):
    """PhenoLeaf-TS's archive, a tiny one."""
    source = data_sets.phenoleaf(tmp_path / "source")
    path = tmp_path / "PhenoLeaf-TS_DS.zip"
    with zipfile.ZipFile(path, "w") as made:
        for file in sorted(source.rglob("*.*")):
            made.write(file, file.relative_to(source))
    return path


def test_the_list_names_every_reader_with_its_terms():
    result = run()
    assert result.exit_code == 0
    entries = published_data()
    assert {entry.kind for entry in entries.values()} == set(READERS)
    for name in entries:
        assert name in result.output


def test_a_data_set_is_fetched_unpacked_and_converted_by_what_is_printed(tmp_path, packed, monkeypatch):
    with serve() as site:
        point_hub_to(site, monkeypatch)
        site.repository("rick77a/PhenoLeaf_TS", {"PhenoLeaf-TS_DS.zip": packed.read_bytes()}, kind="datasets")
        asked = run("get", "phenoleaf-ts", tmp_path / "data", typed="n\n")
        assert asked.exit_code == 1
        assert "license: non-commercial research" in asked.output
        assert not (tmp_path / "data").exists()
        result = run("get", "phenoleaf-ts", tmp_path / "data", "--yes")
        assert result.exit_code == 0, result.output
        count = len(site.asked)
        assert run("get", "phenoleaf-ts", tmp_path / "data", "--yes").exit_code == 0
        assert not [method for method, path, _ in site.asked[count:] if "resolve" in path]  # it is there already
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("napari-leafseg data convert")]
    done = run(*line.split()[2:])
    assert done.exit_code == 0, done.output
    assert "4 images of 2 plants; 2 images held out" in done.output


def test_an_archive_that_was_saved_by_hand_is_unpacked_without_a_connection(tmp_path, packed):
    result = run("get", "phenoleaf-ts", tmp_path / "data", "--from", packed, typed="y\n")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "data/leaf_dataset_colour/leaves_unique_colours.xlsx").exists()


def test_what_only_a_person_can_fetch_says_so(tmp_path):
    for name in ("lsc", "komatsuna", "msu-pid", "coco"):
        error = run("get", name, tmp_path / "data", "--yes").exception
        assert isinstance(error, UserError)
        assert "cannot be fetched by a program" in str(error)
        assert published_data()[name].page in str(error)
    assert not (tmp_path / "data").exists()
