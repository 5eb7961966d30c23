"""Mutated label files and exchange files end in labels or in a sentence: ``LEAFSEG_FUZZ=5000`` tries more of each."""

import json
import os
import sys

import pytest

from napari_leafseg.io.exchange.formats import FORMATS
from tests.fuzz import exchange_runner

COUNT = int(os.environ.get("LEAFSEG_FUZZ", "60"))  # of each; 720 in all


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="needs alarms")
@pytest.mark.parametrize("form", [*(name for name, fmt in FORMATS.items() if fmt.read), "cellpose", "roi"])
def test_mutated_files_end_in_labels_or_in_a_sentence(tmp_path, spawn, form):
    (tmp_path / "work").mkdir()
    answer = tmp_path / "answer.json"
    child = spawn(exchange_runner.report, form, str(tmp_path / "work"), 0, COUNT, str(answer))
    child.join(590)
    assert child.exitcode == 0, answer.read_text() if answer.exists() else child.exitcode
    report = json.loads(answer.read_text())
    assert report["failures"] == []
    assert report["refused"] > 0
    assert report["slowest"] < 10
    assert report["memory"] < 2
