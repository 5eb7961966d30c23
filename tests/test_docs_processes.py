"""Commands in the docs that need other processes: a Dask cluster by its own programs, and several graphics cards."""

import json
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.conftest import save_tiny
from tests.docs_folders import plant, project
from tests.programs import run_command
from tests.training.test_distributed import launch

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path):
    """The address of ``dask scheduler``, for which ``dask worker`` works, on this machine."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    said = (tmp_path / "dask.log").open("wb")
    options = ["--scheduler-file", str(file), "--no-dashboard"]
    began = [subprocess.Popen([*dask, "scheduler", *options, "--port", "0"], stdout=said, stderr=said)]
    try:
        end = time.monotonic() + 150
        while not file.exists():
            assert began[0].poll() is None, (tmp_path / "dask.log").read_text()
            assert time.monotonic() < end, "the scheduler did not begin"
            time.sleep(0.1)
        workers = ["worker", *options, "--nworkers", "1", "--nthreads", "1"]
        began.append(subprocess.Popen([*dask, *workers], stdout=said, stderr=said, cwd=tmp_path))
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(began):
            process.terminate()
            process.wait(60)
        said.close()


@pytest.mark.timeout(600)
def test_dask_on_the_command_line_computes_a_batch(cluster, tmp_path):
    plant(tmp_path / "day1" / "a" / "p1.jpg")
    command = ["batch", "day*/**/*.jpg", "--output", "experiment", "--scheduler", cluster]
    said = tmp_path / "said.txt"
    assert run_command(command, tmp_path, said, 400) == 0, said.read_text()
    assert len(pd.read_csv(tmp_path / "experiment" / "images.csv")) == 1


PROGRAM = """
    import runpy
    import torch
    torch.set_num_threads(1)
    from napari_leafseg.finetuning import config, session
    from napari_leafseg.models.store import zoo
    for place in (zoo, session, config):
        place.user_folder = lambda: OUT / "models"
    class Few(config.FinetuneSettings):
        steps: int | None = 2
        batch: int = 2
        crop: int = 64
        synthetic_share: float = 0.0
    config.FinetuneSettings = Few
    options = ["--base", str(OUT / "tiny.safetensors"), "--name", "mine", "--device", "cpu", "--suggest", "0"]
    sys.argv = ["napari-leafseg", "finetune", str(OUT / "PROJECT"), *options]
    runpy.run_module("napari_leafseg.cli", run_name="__main__", alter_sys=True)
"""


@pytest.mark.train
@pytest.mark.timeout(400)
def test_two_processes_fine_tune_a_project_by_the_command_line(tmp_path):
    save_tiny(tmp_path)
    project(tmp_path / "PROJECT")
    launch(tmp_path, PROGRAM)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine.safetensors"]
