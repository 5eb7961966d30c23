"""The same answers on the command line, in a batch and from a record."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines.batch.rerun import read_records, rerun
from tests.files.cases import GRAY, RGB

pytestmark = pytest.mark.slow
MANY = np.stack([GRAY, *RGB.transpose(2, 0, 1)])


@pytest.fixture
def run(tiny_checkpoint):
    def call(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--model", str(tiny_checkpoint), "--device", "cpu"])

    return call


@pytest.fixture
def folder(tmp_path):
    """A plain image, one of four channels in two planes, and a film."""
    folder = tmp_path / "plants [2024]"
    write_image(folder / "plain[1].png", RGB)
    stack = np.stack([MANY, MANY // 2])
    tifffile.imwrite(folder / "many.ome.tif", stack, photometric="minisblack", metadata={"axes": "ZCYX"})
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    return folder


def test_predict_says_what_it_did_not_take(run, folder, tmp_path):
    out = tmp_path / "out"
    result = run("predict", folder, "--output", out, "--scale", "0.5")
    assert result.exit_code == 2
    assert "Not taken: film.mp4 (films" in result.output
    assert "4 channels" in result.output
    assert "plain[1]_label.tif" in result.output
    result = run("predict", folder, "--output", out, "--scale", "0.5", "--channels", "2,3,4", "--z", "1")
    assert result.exit_code == 3
    assert "Plane 1 of 2" in result.output
    assert "Channels 2, 3, 4 of 4" in result.output
    assert np.array_equal(read_labels(out / "many.ome_label.tif"), read_labels(out / "plain[1]_label.tif"))
    record = json.loads((out / "many.ome_label.json").read_text())
    assert (record["image"]["channels"], record["image"]["z"]) == ([2, 3, 4], 1)
    (folder / "film.mp4").unlink()
    assert run("predict", folder / "plain[1].png", "--output", out, "--scale", "0.5").exit_code == 0


def test_batch_says_what_it_did_not_take(run, folder, tmp_path):
    out = folder / "out"
    options = ("--scale", "0.5", "--channels", "2,3,4", "--workers", "0", "--px-per-mm", "0,5")
    for _ in range(2):  # its own overlays are never images
        result = run("batch", folder, "--output", out, *options)
        assert result.exit_code == 3
        assert "Not taken: film.mp4 (films" in result.output
        assert "2 images done, 0 not" in result.output
    record = json.loads((out / "labels" / "many.ome_label.json").read_text())
    assert record["image"]["channels"] == [2, 3, 4]
    assert record["px_per_mm"] == 0.5
    (folder / "cut.png").write_bytes(b"\x89PNG")
    (item,) = read_records(out / "labels" / "many.ome_label.json")
    item.content["image"]["path"] = "/gone"
    assert rerun(item, folder, "cpu").same
    assert "maximum" in json.loads((out / "parts" / "many.ome.json").read_text())["notes"][0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--channels", "a"), "numbers like 3,2,1"),
        (("--channels", "1,2"), "one number or three"),
        (("--z", "top"), "or max"),
    ],
)
def test_wrong_choices_are_refused(run, folder, tmp_path, options, words):
    result = run("predict", folder, "--output", tmp_path / "out", *options)
    assert result.exit_code
    assert words in str(result.exception or result.output)
