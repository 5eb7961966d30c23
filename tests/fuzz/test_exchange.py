"""Mutated label files and exchange files end in labels or in a sentence: ``LEAFSEG_FUZZ=5000`` tries more of each."""

import json
import os
import subprocess
import sys

import pytest

from napari_leafseg.io.exchange.formats import FORMATS
from tests.conftest import REPOSITORY

COUNT = int(os.environ.get("LEAFSEG_FUZZ", "60"))  # of each; 720 in all


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="needs alarms")
@pytest.mark.parametrize("form", [*(name for name, fmt in FORMATS.items() if fmt.read), "cellpose", "roi"])
def test_mutated_files_end_in_labels_or_in_a_sentence(tmp_path, form):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.exchange_runner", form, str(tmp_path), "0", str(COUNT)],
        capture_output=True, text=True, cwd=REPOSITORY, timeout=590,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["failures"] == []
    assert report["refused"] > 0
    assert report["slowest"] < 10
    assert report["memory"] < 2
