"""Fine-tuning: what counts of corrections, the runs, the evidence, the new model, and what can go wrong."""

import json
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_leafseg.errors import UserError
from napari_leafseg.finetuning import config, session, trainer
from napari_leafseg.finetuning.config import FinetuneSettings, new_name, resumable_runs, session_folder
from napari_leafseg.finetuning.dataset import (
    CorrectedImage,
    CorrectionDataset,
    load_corrections,
    partial_labels,
    paste_leaf,
)
from napari_leafseg.finetuning.evaluation import HeldOutScore, give_verdict, held_out_precision, held_out_score, summary
from napari_leafseg.finetuning.publish import better_values
from napari_leafseg.finetuning.session import Session, finetune, keep_best, split
from napari_leafseg.finetuning.snapshot import save_snapshot
from napari_leafseg.io import write_image
from napari_leafseg.losses.distance_embedding import contacts, distance_loss
from napari_leafseg.models.store import zoo
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.project import Project
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training import loop
from tests.conftest import discs
from tests.inference.test_query_prediction import planes_of, prediction_of

SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0, border=0.0)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The user's models lie in a folder of the test."""
    folder = tmp_path / "data" / "models"
    for place in (zoo, session, config):
        monkeypatch.setattr(place, "user_folder", lambda: folder)
    return folder


def images_of(count, whole=True):
    found = []
    for number in range(count):
        scene = synthesize(4_000 + number, SCENE)
        labels = scene.labels.astype(np.int32)
        if not whole:
            leaves = np.unique(labels[labels > 0])
            labels = partial_labels(labels, leaves[: max(1, len(leaves) // 2)])
        found.append(CorrectedImage(f"p{number}", f"{number:064d}", scene.image, labels, whole))
    return found


def settings_of(base, **update):
    return FinetuneSettings(
        **{"base": str(base), "name": "mine", "steps": 8, "batch": 2, "crop": 64, "synthetic_share": 0.0, **update}
    )


def drive(settings, images, folder, stop=None):
    events = []
    for event in finetune(settings, images, folder):
        events.append(event)
        if stop is not None and stop(event):
            break
    return events


# -- what counts ---------------------------------------------------------------------------------------------------


def test_only_verified_leaves_and_what_is_close_around_them_are_known():
    labels = np.zeros((60, 60), np.uint16)
    labels[10:20, 10:20], labels[10:20, 20:30], labels[40:50, 40:50] = 1, 2, 3
    known = partial_labels(labels, [1])
    assert (known[labels == 1] == 1).all()
    assert (known[(labels == 2) | (labels == 3)] == -1).all()
    assert known[15, 8] == 0  # close to the verified outline
    assert known[30, 10] == known[45, 38] == -1
    assert (partial_labels(labels, []) == -1).all()


def test_what_nobody_verified_carries_no_gradient():
    known = torch.tensor(partial_labels(discs(), [1]))[None].long()
    predicted = torch.rand(1, 1, 120, 120, requires_grad=True)
    weight = (known >= 0).float() * (1 + contacts(known).float())
    distance_loss(predicted, torch.zeros(1, 1, 120, 120), True, weight[:, None]).backward()
    gradient = predicted.grad[0, 0]
    assert float(gradient[known[0] >= 0].abs().max()) > 0
    assert float(gradient[known[0] < 0].abs().max()) == 0


def test_a_project_is_gathered_by_review_and_by_leaf_and_changed_images_are_noticed(tmp_path):
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"plant{number}.png")
        write_image(paths[-1], synthesize(4_000 + number, SCENE).image)
    with Project.create(tmp_path / "project") as project:
        refs = project.add_images(paths)
        for ref, number in zip(refs, range(4), strict=True):
            document = project.open_document(ref, (96, 96))
            document.labels[:] = synthesize(4_000 + number, SCENE).labels
            if number == 1:
                document.set_verified([(0, 1), (0, 2)], True)
            project.save(ref, document)
            ref.state = ("done", "in progress", "in progress", "done")[number]
        project.save_list()
        write_image(paths[3], np.zeros((96, 96, 3), np.uint8))
        images, notes = load_corrections(project)
    assert [(item.name, item.complete) for item in images] == [("plant0", True), ("plant1", False)]
    assert images[1].leaves == 2
    assert (images[1].labels == -1).any()
    assert len(notes) == 1
    assert "plant3.png was changed since it was corrected" in notes[0]


def test_pasted_leaves_bring_their_pixels_and_a_label_of_their_own():
    first, second = images_of(2)
    changed = 0
    for seed in range(10):
        image, labels = paste_leaf(np.random.default_rng(seed), first, second)
        new = labels == labels.max()
        if labels.max() > first.labels.max():
            changed += 1
            assert not np.array_equal(image[new], first.image[new])
        assert np.array_equal(image[~new], first.image[~new])
        assert np.array_equal(labels[~new], first.labels[~new])
    assert changed == 10
    assert first.labels.max() < labels.max()


def test_the_pool_mixes_in_synthetic_plants_and_keeps_large_images_smaller():
    scene = synthesize(4_000, SceneConfig(size=(700, 700), diameter=(600, 650), blank=0.0, border=0.0))
    large = CorrectedImage("large", "0", scene.image, scene.labels.astype(np.int32), True)
    pool = CorrectionDataset([large], 0.5, 0.0, diameter=100, scenes=2)
    rng = np.random.default_rng(0)
    drawn = [pool.sample(rng) for _ in range(40)]
    own = [item for item in drawn if item.source < 0]
    assert 10 < len(own) < 30
    assert own[0].labels.shape[0] < 300
    assert set(np.unique(own[0].labels)) <= set(np.unique(large.labels))


# -- evidence ------------------------------------------------------------------------------------------------------


def test_images_are_held_out_in_turns_or_once():
    assert split(1, 0) == [([0], [])]
    for count in (2, 3, 5):
        folds = split(count, 0)
        assert len(folds) == min(3, count)
        assert sorted(number for _, held in folds for number in held) == list(range(count))
    ((train_on, held),) = split(10, 0)
    assert (len(train_on), len(held)) == (8, 2)
    for count in (2, 4, 10):
        for train_on, held in split(count, 1):
            assert not set(train_on) & set(held)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([], "not judged"), ([0.1], "better"), ([0.01], "no clear difference"), ([0.03, 0.02, 0.04], "better"),
        ([0.1, -0.1, 0.02], "no clear difference"),
        ([0.009, 0.065, 0.015], "better"), ([0.15, -0.001, 0.02], "no clear difference"),
        ([0.001, 0.04, 0.001], "no clear difference"), ([-0.01, -0.1, -0.01], "worse"),
        ([-0.05, -0.04, -0.06], "worse"), ([0.001] * 5, "no clear difference"),
    ],
)  # fmt: skip
def test_the_verdict_asks_for_more_than_chance(gains, verdict):
    found, words = give_verdict([HeldOutScore(str(n), 0.7, 0.7 + gain) for n, gain in enumerate(gains)])
    assert found == verdict
    assert ("0.700 before" in words) == bool(gains)


def test_held_out_scores_go_by_what_is_known():
    truth = discs()
    prediction = prediction_of(planes_of(truth), [0.9, 0.8, 0.7])
    whole = CorrectedImage("a", "", np.zeros((120, 120, 3), np.uint8), truth, True)
    sbd, dic = held_out_score(prediction, whole, score_threshold=0.75)
    assert dic == -1
    assert sbd < 0.8
    part = CorrectedImage("a", "", whole.image, partial_labels(truth, [1, 2]), False)
    value, dic = held_out_score(prediction, part, score_threshold=0.75)
    assert dic is None
    assert value > 0.95  # the third leaf, which nobody verified, is not missed
    perfect = held_out_precision(prediction, whole)
    assert perfect > 0.85  # masks are coarser than the labels
    assert held_out_precision(prediction_of(planes_of(truth)[:2], [0.9, 0.8]), whole) < perfect - 0.2
    assert held_out_precision(prediction, part) is None


def test_the_sliders_values_change_only_where_more_than_one_image_asks_for_it():
    truth = discs()

    def pairs(*third):  # the score of each image's third leaf
        return [(prediction_of(planes_of(truth), [0.9, 0.8, score]), truth) for score in third]

    default = pairs(0.5)[0][0].defaults()["score_threshold"]
    assert better_values([]) == {}
    assert better_values(pairs(0.7, 0.7, 0.7)) == {}
    low = default - 0.06
    assert better_values(pairs(low, 0.7, 0.7)) == {}  # it could as well be chance
    better = better_values(pairs(low, low, low))
    assert better["score_threshold"] <= low


def test_figures_are_means_of_what_is_known():
    whole, other = HeldOutScore("a", 0.7, 0.9, -1, 0, 0.4, 0.6), HeldOutScore("b", 0.5, 0.6, 2, 1, 0.2, 0.2)
    assert summary([whole, other]) == [
        ("SBD", pytest.approx(0.6), pytest.approx(0.75)), ("AP", pytest.approx(0.3), pytest.approx(0.4)),
        ("|DiC|", 1.5, 0.5),
    ]  # fmt: skip
    assert summary([whole, HeldOutScore("c", 0.5, 0.6)]) == [
        ("score", pytest.approx(0.6), pytest.approx(0.75)), ("AP", 0.4, 0.6), ("|DiC|", 1.0, 0.0)
    ]  # fmt: skip
    assert summary([]) == []


# -- sessions ------------------------------------------------------------------------------------------------------


def test_a_session_holds_out_judges_and_publishes_a_new_model(tmp_path, models, tiny_checkpoint):
    before = tiny_checkpoint.read_bytes()
    events = drive(settings_of(tiny_checkpoint), images_of(3), tmp_path / "s")
    kinds = [event.kind for event in events]
    assert kinds[0] == "start"
    assert "3 images (3 reviewed as a whole)" in events[0].message
    assert kinds[-2:] == ["verdict", "finished"]
    assert {event.fold for event in events if event.kind == "held_out"} == {0, 1, 2}
    assert max(event.fold for event in events) == 3  # the last run is on all images
    assert [event.done for event in events if event.kind == "step"] == sorted(
        event.done for event in events if event.kind == "step"
    )
    assert events[-1].result == models / "mine.safetensors"
    card = read_card(events[-1].result)
    about = card.provenance
    assert about["parent"]["name"] == str(tiny_checkpoint)
    assert [item["name"] for item in about["images"]] == ["p0", "p1", "p2"]
    assert len(about["held_out"]) == 3
    assert about["verdict"] in {"better", "no clear difference", "worse"}
    assert about["curves"][0]["step"] == 1
    assert card.metrics["held_out_after"] >= card.metrics["held_out_before"]  # the best weights, the first included
    assert [name for name, _, _ in events[-1].summary] == ["SBD", "AP", "|DiC|"]
    dic = [abs(item["dic_after"]) for item in about["held_out"]]
    assert card.metrics["held_out_abs_dic_after"] == pytest.approx(np.mean(dic))
    assert card.metrics["held_out_ap_after"] == pytest.approx(np.mean([item["ap_after"] for item in about["held_out"]]))
    assert tiny_checkpoint.read_bytes() == before
    assert "mine" in zoo.list_models()
    with pytest.raises(UserError, match="already"):
        drive(settings_of(tiny_checkpoint), images_of(3), tmp_path / "other")


def test_six_images_are_split_once(tmp_path, models, tiny_checkpoint):
    events = drive(settings_of(tiny_checkpoint, steps=4), images_of(6), tmp_path / "s")
    assert {event.fold for event in events} == {0}
    assert len(read_card(events[-1].result).provenance["held_out"]) == 2


@pytest.mark.parametrize("whole", [True, False])
def test_one_image_is_trained_on_but_not_judged(tmp_path, models, tiny_checkpoint, whole):
    events = drive(settings_of(tiny_checkpoint, steps=4), images_of(1, whole), tmp_path / "s")
    assert events[-1].verdict == "not judged"
    trained, _ = load_checkpoint(events[-1].result)
    base, _ = load_checkpoint(tiny_checkpoint)
    moved = [not torch.equal(a, b) for a, b in zip(trained.parameters(), base.parameters(), strict=True)]
    assert any(moved)


@pytest.mark.parametrize("name", ["solov2", "mask2former"])
def test_query_based_models_are_fine_tuned_with_the_framework(tmp_path, models, name):
    from napari_leafseg.models.build import build_network
    from napari_leafseg.models.query.config import QUERY_SIZES
    from napari_leafseg.models.store.checkpoint import save_checkpoint
    from napari_leafseg.models.store.model_card import ModelCard
    from napari_leafseg.training.unique_config import InstanceUniqueConfig

    config = QUERY_SIZES[f"{name}-tiny"]
    save_checkpoint(
        tmp_path / "q.safetensors", build_network(config), ModelCard("q", "1", config, target_diameter=70.0)
    )
    settings = settings_of(tmp_path / "q.safetensors", steps=5, instance_unique=InstanceUniqueConfig())
    events = drive(settings, images_of(2, whole=False), tmp_path / "s")
    steps = [event for event in events if event.kind == "step"]
    assert {"inter", "equi", "score", "mask"} <= set(steps[0].values)
    assert all(np.isfinite(event.values["total"]) for event in steps)
    assert events[-1].result.exists()
    training = read_card(tmp_path / "s" / "run0" / "run.safetensors").provenance["training"]
    assert training["instance_unique"]["warm_up"] == 1  # a fifth of the run, not the 200 steps of long trainings


def test_a_stopped_session_goes_on_where_it_was(tmp_path, models, tiny_checkpoint):
    settings, images = settings_of(tiny_checkpoint), images_of(2)
    first = drive(settings, images, tmp_path / "s", lambda event: event.fold == 1 and event.kind == "held_out")
    assert not (models / "mine.safetensors").exists()
    later = drive(settings, images, tmp_path / "s")
    steps = [(event.fold, event.done) for event in later if event.kind == "step"]
    done = [(event.fold, event.done) for event in first if event.kind == "step"]
    assert not set(steps) & {item for item in done if item[0] == 0}
    assert later[-1].kind == "finished"
    with pytest.raises(UserError, match="with other settings"):
        drive(settings.model_copy(update={"name": "other"}), images, tmp_path / "s")


def test_what_is_corrected_while_it_trains_is_for_the_next_session(tmp_path, models, tiny_checkpoint):
    settings, images = settings_of(tiny_checkpoint), images_of(3)
    first = drive(settings, images[:2], tmp_path / "s", lambda event: event.kind == "held_out")
    assert not any("for the next one" in event.message for event in first)
    repainted = replace(images[1], labels=np.where(images[1].labels > 1, -1, images[1].labels), complete=False)
    later = drive(settings, [repainted, images[2], images[0]], tmp_path / "s")
    assert sum("for the next one" in event.message for event in later) == 1
    known = read_card(later[-1].result).provenance["images"]
    assert [(item["name"], item["leaves"], item["complete"]) for item in known] == [
        (item.name, item.leaves, True) for item in images[:2]
    ]


def test_a_single_image_gives_less_weight_than_several(tmp_path, models, tiny_checkpoint):
    def share(count, **wanted):
        settings = settings_of(tiny_checkpoint, **wanted)
        return Session(settings, images_of(count), tmp_path / f"{count}{wanted}", "cpu").base_share

    assert (share(1), share(2), share(1, base_share=0.0)) == (0.3, 0.15, 0.0)


@pytest.mark.parametrize("now", ["missing", "another", "smaller"])
def test_a_session_does_not_go_on_without_its_images(tmp_path, models, tiny_checkpoint, now):
    settings, (one, two) = settings_of(tiny_checkpoint), images_of(2)
    drive(settings, [one, two], tmp_path / "s", lambda event: event.kind == "held_out")
    changes = {
        "missing": [one],
        "another": [one, replace(two, sha256="other")],
        "smaller": [one, replace(two, labels=two.labels[:40])],
    }
    with pytest.raises(UserError, match="p1 is missing, was changed"):
        drive(settings, changes[now], tmp_path / "s")
    labels = tmp_path / "s" / "labels.npz"
    labels.write_bytes(labels.read_bytes()[:60])
    with pytest.raises(UserError, match="is damaged"):
        drive(settings, [one, two], tmp_path / "s")
    labels.unlink()
    with pytest.raises(UserError, match="is damaged"):
        drive(settings, [one, two], tmp_path / "s")


def test_nothing_to_learn_from_is_explained(tmp_path, models, tiny_checkpoint):
    empty = CorrectedImage("e", "", np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.int32), True)
    for images in ([], [empty]):
        with pytest.raises(UserError, match="nothing to learn from yet"):
            drive(settings_of(tiny_checkpoint), images, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_short_memory_means_smaller_batches_and_is_said(tmp_path, models, tiny_checkpoint, monkeypatch):
    real = loop._Run.train_step

    def step(self, batch):
        if len(batch["image"]) > 1:
            raise torch.OutOfMemoryError("too much")
        return real(self, batch)

    monkeypatch.setattr(loop._Run, "train_step", step)
    events = drive(settings_of(tiny_checkpoint, steps=3), images_of(1), tmp_path / "s")
    assert [event.message for event in events if event.kind == "announce"] == ["Out of memory: going on with batch 1."]
    assert events[-1].kind == "finished"


def test_losses_that_run_away_mean_a_step_back_at_half_the_rate(tmp_path, models, tiny_checkpoint, monkeypatch):
    real, rates = loop._Run.train_step, []

    def step(self, batch):
        rates.append(self.config.learning_rate)
        found = real(self, batch)
        return {**found, "total": float("nan")} if len(rates) == 3 else found

    monkeypatch.setattr(loop._Run, "train_step", step)
    events = drive(settings_of(tiny_checkpoint, steps=4), images_of(1), tmp_path / "s")
    assert any("half the rate" in event.message for event in events)
    assert rates[-1] == rates[0] / 2
    assert events[-1].kind == "finished"


def test_a_full_disk_does_not_end_the_training(tmp_path, models, tiny_checkpoint, monkeypatch):
    real, calls = loop._Run.save, []

    def save(self):
        calls.append(self.step)
        if len(calls) == 1:
            raise UserError("Cannot write: no space left on device.")
        real(self)

    monkeypatch.setattr(loop._Run, "save", save)
    events = drive(settings_of(tiny_checkpoint, steps=8), images_of(1), tmp_path / "s")
    assert any("no space left" in event.message for event in events if event.kind == "announce")
    assert events[-1].kind == "finished"


def test_looks_that_cannot_be_kept_are_said_and_training_goes_on(tmp_path, models, tiny_checkpoint, monkeypatch):
    real, full = trainer.write_atomically, [False]

    def write(path, content):
        if full[0] and path.name == "looks.json":
            raise UserError(f"Cannot write {path}: no space left on device.")
        real(path, content)

    monkeypatch.setattr(trainer, "write_atomically", write)
    events = []
    for event in finetune(settings_of(tiny_checkpoint), images_of(6), tmp_path / "s"):
        events.append(event)
        full[0] = event.kind == "step" and event.done <= 4
    assert next(event.message for event in events if event.kind == "announce").endswith("no space left on device.")
    assert next(event.values["step"] for event in events if event.kind == "held_out") == 0
    assert events[-1].kind == "finished"


def test_a_disk_that_stays_full_ends_with_words_and_the_session_goes_on_later(
    tmp_path, models, tiny_checkpoint, monkeypatch
):
    real = loop._Run.save

    def save(self):
        raise UserError("Cannot write: no space left on device.")

    monkeypatch.setattr(loop._Run, "save", save)
    settings, images = settings_of(tiny_checkpoint, steps=4), images_of(1)
    with pytest.raises(UserError, match="Free some space, then go on"):
        drive(settings, images, tmp_path / "s")
    assert not list(models.glob("*")) if models.exists() else True
    monkeypatch.setattr(loop._Run, "save", real)
    assert drive(settings, images, tmp_path / "s")[-1].kind == "finished"


def test_curves_that_cannot_be_written_do_not_end_the_training(tmp_path, models, tiny_checkpoint):
    (tmp_path / "s" / "run0" / "curves.jsonl").mkdir(parents=True)  # no file can be written there
    events = []
    for event in finetune(settings_of(tiny_checkpoint, steps=4), images_of(1), tmp_path / "s"):
        events.append(event.kind)
        if event.kind == "verdict":  # the disk has room again
            (tmp_path / "s" / "run0" / "curves.jsonl").rmdir()
    assert events[-1] == "finished"
    assert events.count("step") == 4


def test_a_line_of_the_curves_that_was_cut_short_is_left_out(tmp_path):
    (tmp_path / "curves.jsonl").write_text('{"step": 1, "total": 2.0}\n{"step": 2, "to\n{"step": 3, "total": 1.0}\n')
    assert [line["step"] for line in loop.read_curves(tmp_path)] == [1, 3]


def test_batch_statistics_stay_as_they_came(tmp_path, models, tiny_checkpoint):
    events = drive(settings_of(tiny_checkpoint, steps=4), images_of(1), tmp_path / "s")
    after, before = (load_checkpoint(path)[0].state_dict() for path in (events[-1].result, tiny_checkpoint))
    statistics = [key for key in before if "running" in key]
    assert statistics
    assert all(torch.equal(after[key], before[key].half().float()) for key in statistics)
    assert not all(torch.equal(after[key], before[key].half().float()) for key in before if key not in statistics)


@pytest.mark.parametrize("count", [1, 6])
def test_the_new_weights_hold_a_share_of_the_old(tmp_path, models, tiny_checkpoint, monkeypatch, count):
    scores = iter(np.linspace(0.1, 0.9, 40))
    monkeypatch.setattr(trainer, "held_out_score", lambda prediction, image: (next(scores), 0))  # the last is the best
    settings = settings_of(tiny_checkpoint, steps=4, base_share=0.25, learning_rate=0.02)
    result = drive(settings, images_of(count), tmp_path / "s")[-1].result

    def weights(path):
        return torch.cat([value.flatten() for value in load_checkpoint(path)[0].parameters()]).detach()

    new, trained, base = (
        weights(path) for path in (result, tmp_path / "s" / "run0" / "run.safetensors", tiny_checkpoint)
    )
    assert (new - (0.75 * trained + 0.25 * base)).norm() < 0.05 * (trained - base).norm()


def test_early_stopping_ends_a_run_without_gain(tmp_path, models, tiny_checkpoint, monkeypatch):
    scores = iter([0.9, 0.5, 0.4, 0.3, 0.2] * 4)
    monkeypatch.setattr(trainer, "held_out_score", lambda prediction, image: (next(scores), 0))
    events = drive(settings_of(tiny_checkpoint), images_of(6), tmp_path / "s")
    assert any("stopped early" in event.message for event in events)
    trained, _ = load_checkpoint(events[-1].result)
    base, _ = load_checkpoint(tiny_checkpoint)
    same = [torch.equal(a, b.half().float()) for a, b in zip(trained.parameters(), base.parameters(), strict=True)]
    assert all(same)  # before training it was best: those weights are kept


def finetune_in(folder, base, told):
    """Fine-tune in a process of its own, and write down each event."""
    for place in (zoo, session, config):
        place.user_folder = lambda: folder / "models"
    with told.open("w", buffering=1) as file:
        file.write("ready\n")
        for event in session.finetune(settings_of(base, steps=12), images_of(2), folder / "s"):
            file.write(f"{event.kind} {event.done}\n")


@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine needs half a minute to begin each round
def test_a_killed_session_leaves_nothing_half_written_and_goes_on(tmp_path, tiny_checkpoint, spawn):
    rng = np.random.default_rng(3)
    models, told, ended = tmp_path / "models", tmp_path / "told", 0

    def lines():
        return told.read_text().splitlines() if told.exists() else []

    for _ in range(int(os.environ.get("LEAFSEG_KILL_ROUNDS", "4"))):
        told.unlink(missing_ok=True)
        process = spawn(finetune_in, tmp_path, tiny_checkpoint, told)
        wanted = int(rng.integers(2, 14))
        while process.is_alive() and len(lines()) < wanted:
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.3)))  # between two events as well
        process.kill()
        process.join()
        assert lines(), "it was killed before it began"
        for path in models.glob("*.safetensors") if models.exists() else ():
            load_checkpoint(path)  # whole, or not there
        if (tmp_path / "s" / "session.json").exists():
            json.loads((tmp_path / "s" / "session.json").read_text())
        if (models / "mine.safetensors").exists():  # it came to its end: begin another one
            ended += 1
            shutil.rmtree(models)
            shutil.rmtree(tmp_path / "s")
    print(f"{ended} sessions came to their end between kills")
    process = spawn(finetune_in, tmp_path, tiny_checkpoint, told)
    process.join(600)
    assert process.exitcode == 0
    assert lines()[-1].startswith("finished")
    assert read_card(models / "mine.safetensors").name == "mine"


@pytest.mark.parametrize("count", [1, 6])
def test_a_kill_between_the_last_save_and_its_look_loses_neither(tmp_path, models, tiny_checkpoint, monkeypatch, count):
    monkeypatch.setattr(trainer, "_PATIENCE", 99)
    settings, images = settings_of(tiny_checkpoint, steps=4), images_of(count)
    drive(settings, images, tmp_path / "s", lambda event: event.kind == "step" and event.done == 4)
    # the generator was left at its last step: save as it would have, without looking
    run = tmp_path / "s" / "run0"
    state = torch.load(run / "state.pt", weights_only=True)
    torch.save({**state, "step": 4}, run / "state.pt")
    events = drive(settings, images, tmp_path / "s")
    assert events[-1].kind == "finished"
    assert not [event for event in events if event.kind == "step"]
    if count > 1:
        assert [event.values["step"] for event in events if event.kind == "held_out"] == [4]


def test_a_kill_between_the_two_files_of_a_save_loses_no_weights(tmp_path, models, tiny_checkpoint, monkeypatch):
    written, real = [], {name: getattr(loop, name) for name in ("write_atomically", "save_checkpoint")}

    def once(name):
        def write(*what, **more):
            if written:
                raise KeyboardInterrupt  # as a kill: nothing after it happens
            written.append(name)
            real[name](*what, **more)

        return write

    for name in real:
        monkeypatch.setattr(loop, name, once(name))
    settings, images = settings_of(tiny_checkpoint, steps=1), images_of(1)
    with pytest.raises(KeyboardInterrupt):
        drive(settings, images, tmp_path / "s")
    for name, function in real.items():
        monkeypatch.setattr(loop, name, function)
    assert drive(settings, images, tmp_path / "s")[-1].kind == "finished"


def test_a_stopped_session_is_known_and_its_best_weights_can_be_kept(tmp_path, models, tiny_checkpoint, monkeypatch):
    scores = iter(np.linspace(0.3, 0.9, 60))
    monkeypatch.setattr(trainer, "held_out_score", lambda prediction, image: (float(next(scores)), 0))
    settings, images = settings_of(tiny_checkpoint), images_of(6)
    folder = session_folder(settings.name)
    drive(settings, images, folder, lambda event: event.kind == "held_out" and event.done >= 2)
    assert [item.name for item in resumable_runs()] == ["mine"]
    event = keep_best(settings, images, folder)
    assert event.result == models / "mine.safetensors"
    assert read_card(event.result).provenance["verdict"] == event.verdict


def test_a_session_goes_on_with_the_weights_that_it_began_with(tmp_path, models):
    settings, images = settings_of("leaf"), images_of(2)
    folder = session_folder(settings.name)
    save_snapshot(folder, settings, images)
    assert resumable_runs() == [settings]
    content = json.loads((folder / "session.json").read_text())
    del content["base_version"]  # until version 2026.11.25 of “leaf”, which is “leaf-small” now
    (folder / "session.json").write_text(json.dumps(content))
    (small,) = resumable_runs()
    assert small == settings.model_copy(update={"base": "leaf-small"})
    assert Session(small, images, folder, "cpu").base == find_model("leaf-small")


@pytest.mark.parametrize("name", ["leaf", "leaf-small", "condinst", "solov2", "sotr", "mask2former"])
def test_every_bundled_model_takes_the_crops_of_the_default_settings(tmp_path, models, name):
    settings = FinetuneSettings(base=name, name="mine", steps=1, batch=1, synthetic_share=0.0)
    config = Session(settings, images_of(1), tmp_path / "s", "cpu").config(1, 0)
    found = CorrectionDataset(images_of(1), 0.0, 0.0, config.target_diameter)
    events = list(loop.train(config, tmp_path / "run", "cpu", found))
    assert events[-1].kind == "finished"
    assert np.isfinite(next(event for event in events if event.kind == "step").values["total"])


def test_plants_are_seen_as_the_base_saw_them(tmp_path, models):
    session = Session(settings_of("leaf"), images_of(2), tmp_path / "s", "cpu")
    card, config = read_card(find_model("leaf")), session.config(4, 0)
    assert card.least_leaf > 0
    for entry in ("target_diameter", "least_leaf", "tta_views", "defaults"):
        assert getattr(config, entry) == getattr(card, entry)


def test_keeping_nothing_is_explained(tmp_path, models, tiny_checkpoint):
    settings, images = settings_of(tiny_checkpoint), images_of(2)
    drive(settings, images, tmp_path / "s", lambda event: event.kind == "step")
    with pytest.raises(UserError, match="no weights yet"):
        keep_best(settings, images, tmp_path / "s")


def test_images_without_leaves_are_passed_over_and_a_resumed_preview_begins_with_the_base(
    tmp_path, models, tiny_checkpoint
):
    empty = CorrectedImage("e", "", np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.int32), True)
    settings, images = settings_of(tiny_checkpoint), [empty, *images_of(3)]
    first = drive(settings, images, tmp_path / "s", lambda event: event.kind == "held_out")
    later = drive(settings, images, tmp_path / "s")
    assert later[-1].kind == "finished"
    assert [item["name"] for item in read_card(later[-1].result).provenance["images"]] == ["p0", "p1", "p2"]
    again = next(event for event in later if event.kind == "held_out" and event.fold == 0)
    assert np.array_equal(again.previews[0].before, first[-1].previews[0].before)


def test_names_and_folders(models, tmp_path):
    first = new_name("leaf")
    assert first.startswith("leaf-20")
    models.mkdir(parents=True)
    (models / f"{first}.safetensors").touch()
    assert new_name("leaf") == f"{first}-2"
    assert session_folder(first).parent == models.parent / "finetuning"
