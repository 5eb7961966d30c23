"""Several processes that train together, started as a user would start them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from napari_leafseg.errors import UserError
from napari_leafseg.training.distributed import ProcessGroup, process_group_of
from tests.programs import begin_source

ROOT = Path(__file__).parents[2]


def write_script(folder, *bodies):
    """Write a script that knows the tests and the folder ``OUT``; returns its path."""
    script = folder / "run.py"
    head = f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(ROOT)!r})\nOUT = Path({str(folder)!r})\n"
    script.write_text(head + "".join(textwrap.dedent(body) for body in bodies))
    return script


def launch(folder, *bodies, processes=2):
    """Run a script under ``accelerate launch`` with several CPU processes."""
    script = write_script(folder, *bodies)
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes),
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
        str(script),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=220, cwd=folder)
    assert done.returncode == 0, done.stderr[:4000]


def test_one_process_alone_shares_with_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    processes = process_group_of("cpu")
    assert type(processes) is ProcessGroup
    assert processes.is_main
    value = torch.tensor([1.0, 2.0])
    processes.all_reduce_mean([value])
    assert value.tolist() == [1.0, 2.0]
    assert processes.broadcast("x") == "x"
    assert len(processes.shard({"image": torch.zeros(3, 1)})["image"]) == 3


def test_too_many_processes_for_a_batch_are_refused():
    processes = ProcessGroup(torch.device("cpu"))
    processes.rank, processes.size = 1, 4
    with pytest.raises(UserError, match="batch of 3 cannot be shared by 4"):
        processes.shard({"image": torch.zeros(3, 1)})


THREADS = """
    import atexit
    import torch
    def threads():
        return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    def last():
        left = [name for name in threads() if "gloo" in name.lower()]
        text = f"{torch.distributed.is_initialized()} {left} {bool(before)}"
        (OUT / f"left{processes.rank}.txt").write_text(text)
    if Path("/proc/self/task").is_dir():
        atexit.register(last)  # runs after those that were registered later
    from napari_leafseg.training.distributed import process_group_of
    processes = process_group_of("cpu")
    process_group_of("cpu").barrier()
    before = [name for name in threads() if "gloo" in name.lower()]
"""
SHARE = """
    import json
    first, second = torch.full((2, 2), float(processes.rank)), torch.tensor(4.0 * processes.rank)
    processes.all_reduce_mean([first, second])
    part = processes.shard({"image": torch.arange(4)[:, None], "labels": torch.arange(4)})
    said = processes.broadcast({"who": processes.rank})
    processes.barrier()
    out = dict(size=processes.size, first=first.tolist(), second=float(second), said=said)
    out["part"] = part["labels"].tolist()
    (OUT / f"out{processes.rank}.json").write_text(json.dumps(out))
"""
SESSION = """
    import hashlib, json
    import torch
    torch.set_num_threads(1)
    from napari_leafseg.models.store import zoo
    from napari_leafseg.models.build import build_network
    from napari_leafseg.models.store.model_card import ModelCard
    from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
    from napari_leafseg.training import loop
    from napari_leafseg.finetuning import config, session
    from napari_leafseg.training.config import InstanceUniqueConfig, TrainingConfig
    from napari_leafseg.training.distributed import process_group_of
    from tests.finetuning.test_finetune import images_of, settings_of
    processes = process_group_of("cpu")
    folder = OUT / f"of{processes.size}"
    for place in (zoo, session, config):
        place.user_folder = lambda: folder / "models"
    base = folder / "base.safetensors"
    if processes.is_main:
        torch.manual_seed(0)
        network = TrainingConfig(model=MODEL).network()
        save_checkpoint(base, build_network(network), ModelCard(name="base", version="1", config=network))
    processes.barrier()
    runs, start = [], loop._Run.__init__
    def begin(self, *arguments):
        start(self, *arguments)
        runs.append(self)
    loop._Run.__init__ = begin
    unique = InstanceUniqueConfig(warm_up=0) if MODEL != "tiny" else None
    settings = settings_of(base, steps=4, batch=4, instance_unique=unique)
    events = [(e.kind, e.done, e.message) for e in session.finetune(settings, images_of(2), folder / "s", "cpu")]
    values = torch.cat([v.flatten() for v in runs[-1].network.state_dict().values() if v.is_floating_point()])
    memory = len(runs[-1].instance_unique.memory) if runs[-1].instance_unique else 0
    digest = hashlib.sha256(values.numpy().tobytes()).hexdigest()
    out = dict(events=[e[:2] for e in events], sum=digest, memory=memory)
    (folder / f"out{processes.rank}.json").write_text(json.dumps(out))
    before_training, _ = load_checkpoint(base)
    first = torch.cat([v.flatten() for v in before_training.state_dict().values() if v.is_floating_point()])
    torch.save(values - first, folder / f"moved{processes.rank}.pt")
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Two processes that are started once: they share, train a tiny network, and end."""
    folder = tmp_path_factory.mktemp("together")
    launch(folder, THREADS, SHARE, "MODEL = 'tiny'\n", SESSION)
    return folder


def test_two_processes_share_batches_and_average(together):
    found = [json.loads((together / f"out{rank}.json").read_text()) for rank in range(2)]
    for item in found:
        assert item["size"] == 2
        assert item["first"] == [[0.5, 0.5], [0.5, 0.5]]
        assert item["second"] == 2.0
        assert item["said"] == {"who": 0}
    assert [item["part"] for item in found] == [[0, 2], [1, 3]]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux lists them")
def test_no_thread_of_the_group_outlives_the_interpreter(together):
    assert [(together / f"left{rank}.txt").read_text() for rank in range(2)] == ["False [] True"] * 2


@pytest.mark.parametrize("model", ["tiny", pytest.param("solov2-tiny", marks=pytest.mark.night)])
def test_a_session_on_two_processes_makes_one_model_like_that_of_one_process(request, tmp_path, model):
    folder = request.getfixturevalue("together") if model == "tiny" else tmp_path
    if model != "tiny":
        launch(folder, f"MODEL = {model!r}\n", SESSION)
    script = write_script(folder, f"MODEL = {model!r}\n", SESSION)
    assert begin_source(script.read_text()).wait(220) == 0, "it says on standard error what went wrong"
    one, two = (json.loads((folder / "of2" / f"out{rank}.json").read_text()) for rank in range(2))
    assert one["sum"] == two["sum"]  # all processes hold the same weights
    assert one["events"] == two["events"]
    assert one["events"][-1][0] == "finished"
    assert [path.name for path in (folder / "of2" / "models").iterdir()] == ["mine.safetensors"]
    both, single = (torch.load(folder / name / "moved0.pt") for name in ("of2", "of1"))
    assert both @ single > 0.8 * both.norm() * single.norm()  # they learned the same
    if model != "tiny":
        assert one["memory"] == two["memory"] == json.loads((folder / "of1" / "out0.json").read_text())["memory"]
