"""SIGKILL of a fine-tuning and of its child: nothing is half-written, it goes on, no orphan stays."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest

from napari_leafseg.finetuning import config, session, snapshot
from napari_leafseg.finetuning.session import finetune
from napari_leafseg.models.store import zoo
from napari_leafseg.models.store.model_card import read_card
from tests.reliability import finetune_kills as kills
from tests.reliability.ledger import read_told
from tests.test_subprocess import gone

KILLS = int(os.environ.get("LEAFSEG_KILLS", "50"))
FORM = [
    pytest.param(3, True, marks=pytest.mark.slow),
    pytest.param(KILLS, True, marks=[pytest.mark.slow, pytest.mark.night]),
    pytest.param(4, False, marks=[pytest.mark.slow, pytest.mark.night]),  # a child that imports everything itself
]


def heard(told, word):
    return told.exists() and [line for line in read_told(told) if line[0] == word]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("rounds", "forks"), FORM)
def test_a_fine_tuning_that_is_killed_goes_on_from_its_last_state(tmp_path, tiny_checkpoint, spawn, rounds, forks):
    rng, data = np.random.default_rng(rounds), tmp_path / "data"
    place = data / "napari-leafseg"
    sessions, counts = place / "finetuning" / "mine", {"parent": 0, "child": 0, "went on": 0, "finished": 0}
    number = -1
    while counts["parent"] + counts["child"] < rounds:
        number += 1
        saved, told = kills.state_steps(sessions), tmp_path / f"told{number}"
        parent = spawn(kills.work, str(tiny_checkpoint), str(data), str(told), forks)
        while not heard(told, "child"):
            assert parent.is_alive(), read_told(told)
            time.sleep(0.01)
        child = heard(told, "child")[0][1]
        least = int(rng.integers(0, 20))
        while parent.is_alive() and len(read_told(told)) < least:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        who = "child" if rng.random() < 0.5 else "parent"
        try:
            os.kill(child if who == "child" else parent.pid, signal.SIGKILL)
        except ProcessLookupError:
            assert heard(told, "finished")
        parent.join(60)
        assert parent.exitcode is not None, "it did not end"
        assert gone(child), "the child lives on"
        lines = read_told(told)
        counts[who] += not heard(told, "finished")  # else it came too late
        if who == "child" and not heard(told, "finished"):
            assert "ended by itself (signal 9)" in heard(told, "failed")[0][1], lines
        elif who == "parent":
            assert not heard(told, "failed"), lines
        kills.check_whole(place)
        for run, step in saved.items():
            first = next((done for word, done, fold in [x for x in lines if x[0] == "step"] if fold == run), None)
            assert first in (None, run * kills.STEPS + step + 1), (run, step, lines)
            counts["went on"] += first is not None
        if not sessions.exists() or heard(told, "finished"):
            model = place / "models" / "mine.safetensors"
            if model.exists():
                assert read_card(model).name == "mine"
                model.unlink()
                counts["finished"] += 1
            shutil.rmtree(sessions, ignore_errors=True)
    told = tmp_path / "last"
    parent = spawn(kills.work, str(tiny_checkpoint), str(data), str(told), forks)
    parent.join()
    assert heard(told, "finished"), read_told(told)
    kills.check_whole(place)
    assert not sessions.exists()
    assert not [path for path in place.rglob(".*") if path.is_file()], "something half-written stays"
    print(json.dumps({"kills": rounds, **counts}))


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "models"
    for module in (zoo, session, config):
        monkeypatch.setattr(module, "user_folder", lambda: folder)
    return folder


def test_a_kill_between_the_new_model_and_the_end_is_no_dead_end(tmp_path, tiny_checkpoint, place):
    settings, images = kills.settings_of(str(tiny_checkpoint)).model_copy(update={"steps": 4}), kills.corrected(2)
    folder = config.session_folder("mine")
    expected = list(finetune(settings, images, folder))[-1]
    before = (place / "mine.safetensors").read_bytes()
    assert config.resumable_runs() == [settings]  # it was killed before its folder went
    (place / ".mine.safetensors.x.leafseg-part").write_bytes(b"half")
    (last,) = session.finetune_and_clean_up(settings, images, "cpu")
    assert (last.kind, last.result, last.verdict, last.summary) == (
        "finished", expected.result, expected.verdict, expected.summary
    )  # fmt: skip
    assert not folder.exists()
    assert config.resumable_runs() == []
    assert (place / "mine.safetensors").read_bytes() == before
    with pytest.raises(session.ModelError, match="already"):  # a new one of the same name
        list(finetune(settings, images, folder))


def test_a_model_of_the_same_name_that_is_another_stays(tmp_path, tiny_checkpoint, place):
    settings, images = kills.settings_of(str(tiny_checkpoint)), kills.corrected(2)
    folder = config.session_folder("mine")
    snapshot.save_snapshot(folder, settings, images)
    place.mkdir(parents=True)
    shutil.copyfile(tiny_checkpoint, place / "mine.safetensors")
    with pytest.raises(session.ModelError, match="already"):
        list(finetune(settings, images, folder))
    assert (place / "mine.safetensors").read_bytes() == tiny_checkpoint.read_bytes()


def test_a_bundled_model_that_nothing_betters_ends_with_its_own_weights(tmp_path, place):
    settings = kills.settings_of("leaf-small").model_copy(update={"steps": 1, "learning_rate": 1e-9})
    last = list(finetune(settings, kills.corrected(2), tmp_path / "s"))[-1]
    assert last.kind == "finished"
    assert read_card(last.result).name == "mine"
