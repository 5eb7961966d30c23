"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(
    prefix="leafseg-tests-"
)  # models and projects of tests are not the user's

import numpy as np
import pytest

from napari_leafseg.synthetic import Scene, SceneConfig, synthesize

REPOSITORY = Path(__file__).parents[1]

# by file or folder; single tests have decorators
MARKS = {
    "gui": ("widgets",),
    "train": ("training", "finetuning/test_finetune.py", "test_cli_finetune.py"),
    "slow": (
        "inference/test_kept_prediction.py", "models/test_pretrained_net.py", "pipelines", "project/test_durability.py",
        "reliability/test_cuts.py", "reliability/test_finetune_kills.py", "reliability/test_folder.py",
        "reliability/test_kills.py", "reliability/test_memory.py", "test_benchmarks.py", "test_cli.py",
        "test_cli_models.py", "test_docs_run.py", "test_imports.py", "test_log.py", "test_subprocess.py",
    ),
}  # fmt: skip


# from the longest on: begun first, they do not keep one process busy when the others are done
LONGEST = (
    "widgets/test_tray.py", "reliability/test_runs.py", "widgets/test_segment.py", "finetuning/test_finetune.py",
    "widgets/test_finetune.py", "widgets/test_correct.py", "inference/test_predictor.py", "pipelines/test_batch.py",
    "widgets/test_layout.py", "widgets/test_measure.py", "widgets/test_timeline.py", "reliability/test_memory.py",
    "files/test_all_files.py", "widgets/test_batch.py", "training/test_distributed.py", "widgets/test_clicks.py",
    "widgets/test_closed_viewers.py", "pipelines/test_correcting.py", "reliability/test_finetune_kills.py",
    "reliability/test_batch_kills.py", "widgets/test_growth.py", "reliability/test_closing.py",
    "widgets/test_unguarded_script.py", "reliability/test_folder.py", "models/test_query_models.py",
    "training/test_training.py", "reliability/test_layers.py", "inference/test_kept_prediction.py",
    "widgets/test_export.py", "files/test_window.py", "training/test_instance_unique.py", "pipelines/test_engine.py",
    "fuzz/test_exchange.py", "test_subprocess.py", "reliability/test_experiments.py",
    "training/test_crossed_equivariance.py", "widgets/test_run_all.py", "widgets/test_project_bar.py",
    "widgets/test_napari_files.py", "widgets/test_segment_queries.py", "pipelines/test_batch_trays.py", "test_cli.py",
    "widgets/test_images.py",
)  # fmt: skip


def place_of(item: pytest.Item) -> str:
    """Name the file of a test, from this folder on."""
    return item.path.relative_to(Path(__file__).parent).as_posix()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as slow, gui or train by where they are (`make test-fast` leaves these out); put long files first."""
    order = {place: number for number, place in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(place_of(item), len(order)))
    for item in items:
        place = place_of(item)
        for mark, places in MARKS.items():
            if any(place == known or place.startswith(f"{known}/") for known in places):
                item.add_marker(mark)


@pytest.fixture(scope="module", autouse=True)
def _own_models():
    """Take away the models that a file of tests left: they are not listed in another."""
    yield
    shutil.rmtree(Path(os.environ["XDG_DATA_HOME"]) / "napari-leafseg" / "models", ignore_errors=True)


@pytest.fixture(scope="session")
def _napari_once():
    """Have what never changes between viewers worked out once."""
    from tests import napari_once

    with pytest.MonkeyPatch.context() as patch:
        for part in napari_once.ALL:
            part(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """Let files be written without waiting for the disk: what a test writes need not outlast a power cut."""
    real = os.fsync
    os.fsync = lambda handle: None
    yield
    os.fsync = real


@pytest.fixture(scope="module")
def _forgotten_viewers():
    """Give back, once a file, what was passed over while it was in use, and is garbage now."""
    gc.unfreeze()


@pytest.fixture
def _quick_collections(_forgotten_viewers):
    """Have the garbage collections of napari's viewers pass over what was there before: modules, mostly."""
    import torch  # noqa: F401  (tests load it sooner or later)

    gc.collect()
    gc.freeze()


@pytest.fixture
def _own_collections(monkeypatch):
    """Let the window leave to `_quick_collections` what garbage collections pass over."""
    monkeypatch.setattr("napari_leafseg.widgets.state.garbage.gc", SimpleNamespace(freeze=int, unfreeze=int))


@pytest.fixture
def make_napari_viewer(_own_collections, _quick_collections, _napari_once, make_napari_viewer):
    """Makes viewers, with napari's checks for leaks."""
    return make_napari_viewer


@pytest.fixture(scope="session")
def spawn():
    """Begins a process with a function and its arguments; a round takes no longer than the work in it."""
    from tests import programs

    return programs.spawn


@pytest.fixture(scope="session")
def scene() -> Scene:
    """One rosette of several leaves, 256 pixels."""
    return synthesize(105, SceneConfig(size=(256, 256), diameter=(190, 210), border=0.0, blank=0.0, background="soil"))


@pytest.fixture(scope="session")
def predictor():
    """The bundled model on the CPU."""
    from napari_leafseg import load_model

    return load_model("leaf", "cpu")


@pytest.fixture(scope="session")
def prediction(predictor, scene):
    """What the bundled model says of `scene`."""
    return predictor.predict(scene.image)


@pytest.fixture
def tiny_checkpoint(tmp_path) -> Path:
    """A small checkpoint with random weights."""
    return save_tiny(tmp_path)


def save_tiny(folder: Path) -> Path:
    """Save a small checkpoint with random weights, which are always the same."""
    import torch

    from napari_leafseg.models.distance_embedding.config import SIZES
    from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet
    from napari_leafseg.models.store.checkpoint import save_checkpoint
    from napari_leafseg.models.store.model_card import ModelCard

    torch.manual_seed(0)
    path = folder / "tiny.safetensors"
    config = SIZES["tiny"]
    save_checkpoint(path, DistanceEmbeddingNet(config), ModelCard("tiny", "1", config, defaults={"angle": 40.0}))
    return path


def discs(size: int = 120, centers: tuple = ((30, 30), (30, 90), (85, 60)), radius: int = 20) -> np.ndarray:
    """Labels of separate discs."""
    yy, xx = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    for number, (y, x) in enumerate(centers, start=1):
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = number
    return labels


@pytest.fixture
def site(monkeypatch):
    """A server on this computer that takes the place of the hub."""
    from tests.web_server import point_hub_to, serve

    with serve() as found:
        point_hub_to(found, monkeypatch)
        yield found


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """The folder of the test in which the user's models lie; downloads lie beside it."""
    from napari_leafseg.models.store import get, user_models, zoo

    folder = tmp_path / "data" / "models"
    for place in (zoo, user_models):
        monkeypatch.setattr(place, "user_folder", lambda: folder)
    monkeypatch.setattr(get, "data_folder", lambda: folder.parent)
    return folder
