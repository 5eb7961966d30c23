"""What the docs say is to be typed does what they say: Python in all pages, the tutorial's commands."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.test_docs_commands import blocks

PYTHON = {
    f"{page.stem}-{number}": code
    for page in sorted((REPOSITORY / "docs").glob("*.md"))
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M))
}


@pytest.mark.parametrize("code", PYTHON.values(), ids=PYTHON)
def test_the_python_of_a_page_runs(code, tmp_path, monkeypatch):
    (tmp_path / "sample_data").symlink_to(REPOSITORY / "sample_data")
    (tmp_path / "plants.csv").write_text("genotype,treatment,day,area_mm2\nwt,mock,1,5.0\nwt,mock,1,7.0\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), {})


@pytest.mark.night
def test_the_commands_of_the_tutorial_do_what_it_says(tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "napari-leafseg"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m napari_leafseg "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    commands = blocks((REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    assert len(commands) == 4
    for command in commands:
        subprocess.run(command, shell=True, cwd=tmp_path, env=environment, check=True, timeout=200)
    assert (tmp_path / "experiment" / "report.html").is_file()
    assert len(list((tmp_path / "labels").glob("day0?_label.tif"))) == 6
