"""The Fine-tune widget: what it says, curves and preview while it runs, pause, stop, the new model in Segment."""

import json
import shutil

import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_leafseg.finetuning import config
from napari_leafseg.finetuning.dataset import load_corrections
from napari_leafseg.finetuning.snapshot import save_snapshot
from napari_leafseg.io import write_image
from napari_leafseg.models.store.checkpoint import save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard
from napari_leafseg.models.store.zoo import user_folder
from napari_leafseg.project.review import Tally
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.finetune.held_out import HeldOut, HeldOutImages
from napari_leafseg.widgets.finetune.plots import CurvePlot
from napari_leafseg.widgets.finetune.widget import FinetuneWidget, describe
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.project_controller import ProjectController

SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0, border=0.0)


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """The user's models lie in a folder of the test; a small one is there."""
    import torch

    from napari_leafseg.models.build import build_network
    from napari_leafseg.models.distance_embedding.config import SIZES

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))  # for the process that trains as well
    folder = user_folder()
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    card = ModelCard("tiny", "1", SIZES["tiny"], target_diameter=70.0)
    save_checkpoint(folder / "tiny.safetensors", build_network(SIZES["tiny"]), card)
    return folder


def few(monkeypatch, steps_of_a_run):
    """Let the window ask for runs of a few small steps."""
    as_shown, small = FinetuneWidget.wanted, {"steps": steps_of_a_run, "batch": 2, "crop": 64, "synthetic_share": 0.0}
    monkeypatch.setattr(FinetuneWidget, "wanted", lambda self, name: as_shown(self, name).model_copy(update=small))


@pytest.fixture
def quick(monkeypatch):
    """Runs of 8 steps."""
    few(monkeypatch, 8)


@pytest.fixture
def corrected(viewer, qtbot):
    """Two images, segmented, corrected and reviewed as a whole."""
    segment = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segment, name="Segment")
    segment.choose_model("tiny")
    controller = ProjectController.of(segment.session)
    for number in range(2):
        scene = synthesize(4_000 + number, SCENE)
        viewer.add_image(scene.image, name=f"plant{number}", rgb=True)
        qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy, timeout=60000)
        binding = segment.session.binding(segment.image)
        binding.layer.data_setitem(np.nonzero(scene.labels >= 0), scene.labels.ravel())
        controller.track(binding)
        controller.set_state(binding, "done")
    return segment


def make(viewer):
    widget = FinetuneWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Fine-tune")
    widget.base_box.setCurrentIndex(widget.base_box.findData("tiny"))
    return widget


def test_without_corrections_it_says_what_to_do(viewer):
    widget = make(viewer)
    assert "Correct an image in the Correct tab" in widget.truth_label.text()
    assert not widget.start_button.isEnabled()
    assert widget.name_box.text().startswith("tiny-20")
    assert not widget.instance_unique_box.isVisibleTo(widget)
    widget.base_box.setCurrentIndex(widget.base_box.findData("solov2"))
    assert widget.instance_unique_box.isVisibleTo(widget)


def test_it_counts_what_the_project_holds_while_it_is_corrected_and_when_nothing_is_open(viewer, qtbot, corrected):
    controller, (first, second) = ProjectController.of(corrected.session), corrected.session.bindings()
    widget = make(viewer)
    leaves = len(first.document.leaves()) + len(second.document.leaves())
    qtbot.waitUntil(lambda: f"2 reviewed images ({leaves} leaves)." in widget.truth_label.text(), timeout=5000)
    controller.set_state(second, "in progress")
    second.verify(second.document.leaves(), False)
    second.verify([1, 2], True)
    words = f"1 reviewed image ({len(first.document.leaves())} leaves) and 1 partly corrected image (2 verified"
    qtbot.waitUntil(lambda: words in widget.truth_label.text(), timeout=5000)
    controller.autosave()
    viewer.layers.clear()
    widget.count()
    qtbot.wait(300)
    assert words in widget.truth_label.text()
    assert widget.start_button.isEnabled()


def test_it_trains_shows_curves_and_a_preview_and_the_new_model_is_used(viewer, qtbot, corrected, quick, models):
    widget = make(viewer)
    qtbot.waitUntil(lambda: "2 reviewed images" in widget.truth_label.text(), timeout=5000)
    widget.name_box.setText("mine")
    qtbot.mouseClick(widget.start_button, Qt.MouseButton.LeftButton)
    assert not widget.base_box.isEnabled()
    qtbot.waitUntil(lambda: not widget.job.running, timeout=120000)
    assert widget.event.kind == "finished"
    assert (models / "mine.safetensors").exists()
    assert {"distance", "within", "between"} <= set(widget.loss_plot._curves)
    assert 1 <= len(widget.loss_plot.values("distance")) <= 8  # the last run's
    assert len(widget.score_plot.values("run 1")) >= 2
    assert [title.isVisibleTo(widget) for title in widget.held_out.titles] == [True, True, False]
    for image in (*widget.held_out.before[:2], *widget.held_out.after[:2]):
        assert not image.pixmap().isNull()
    for word in ("before", "SBD", "AP", "|DiC|"):
        assert word in widget.verdict.text()
    assert widget.use_button.isVisibleTo(widget)
    qtbot.mouseClick(widget.use_button, Qt.MouseButton.LeftButton)
    assert corrected.model_name == "mine"
    assert "tiny" in [corrected.model_box.itemData(at) for at in range(corrected.model_box.count())]
    assert not config.session_folder("mine").exists()


def test_pause_stop_and_going_on(viewer, qtbot, corrected, monkeypatch, models):
    few(monkeypatch, 40)
    widget = make(viewer)
    qtbot.waitUntil(lambda: widget.start_button.isEnabled(), timeout=5000)
    widget.name_box.setText("mine")
    qtbot.mouseClick(widget.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.event is not None and widget.event.kind == "step", timeout=60000)
    qtbot.mouseClick(widget.pause_button, Qt.MouseButton.LeftButton)
    qtbot.wait(500)
    waiting = widget.event.done
    qtbot.wait(500)
    assert widget.event.done == waiting
    assert widget.message.text().startswith("Paused.")
    assert widget.start_button.text() == "Go on"
    qtbot.mouseClick(widget.start_button, Qt.MouseButton.LeftButton)
    assert "Paused" not in widget.message.text()
    qtbot.waitUntil(lambda: widget.event.done > waiting, timeout=30000)
    qtbot.mouseClick(widget.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running, timeout=10000)
    assert "was not finished: go on with it" in widget.message.text()
    assert ("use what there is" in widget.message.text()) == widget.keep_button.isEnabled()
    kept = torch.load(next(config.session_folder("mine").glob("run*/state.pt")), weights_only=True)["step"]
    assert kept >= widget.event.done  # nothing that was learned is learned again
    assert widget.start_button.text() == "Go on"
    assert widget.form.isEnabled()
    assert widget.keep_button.isVisibleTo(widget)
    assert not (models / "mine.safetensors").exists()
    assert [item.name for item in config.resumable_runs()] == ["mine"]
    again = make(viewer)  # as after a restart of napari
    assert again.name_box.text() == "mine"
    assert "was not finished" in again.message.text()
    waiting, said = widget.event.done, []
    again.job.progress.connect(lambda event: said.append(getattr(event, "message", "")))
    binding = corrected.session.bindings()[0]
    binding.layer.data_setitem((np.array([1, 1, 2]), np.array([1, 2, 1])), 1)  # corrected in the meantime
    qtbot.waitUntil(lambda: again.start_button.isEnabled(), timeout=5000)
    qtbot.mouseClick(again.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: again.event is not None and again.event.done > waiting, timeout=60000)
    assert any("what was corrected since is for the next one" in message for message in said)
    qtbot.mouseClick(again.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not again.job.running, timeout=10000)


@pytest.fixture
def unfinished(corrected, quick):
    """A fine-tuning that was stopped: none of its runs is better than what it began with."""
    settings = config.FinetuneSettings(base="tiny", name="mine", steps=8, batch=2, crop=64, synthetic_share=0.0)
    project = ProjectController.of(corrected.session).project
    project.writer.flush()
    images, _ = load_corrections(project)
    save_snapshot(config.session_folder("mine"), settings, images)
    return config.session_folder("mine")


def learned(folder, scores):
    """Let a run of a session have been looked at, with weights."""
    run = folder / "run0"
    run.mkdir()
    (run / "looks.json").write_text(
        json.dumps([
            {"step": 4 * at, "mean": mean, "scores": [[mean, 0, None]]} for at, mean in enumerate(scores)
        ])
    )  # fmt: skip
    (run / "curves.jsonl").write_text("")
    shutil.copy(user_folder() / "tiny.safetensors", run / "best.safetensors")


def test_after_a_stop_another_one_can_begin_and_what_there_is_is_used(viewer, qtbot, unfinished, models):
    widget = make(viewer)
    qtbot.waitUntil(widget.start_button.isEnabled)
    assert (widget.name_box.text(), widget.start_button.text()) == ("mine", "Go on")
    assert not widget.keep_button.isEnabled()  # nothing is better yet
    assert widget.message.text() == "“mine” was not finished: go on with it or discard it."
    assert widget.discard_button.isEnabled()
    assert widget.form.isEnabled()
    widget.effort_box.setFocus()
    qtbot.keyClick(widget.effort_box, Qt.Key.Key_Down)
    assert widget.effort_box.currentData() == "thorough"
    assert widget.name_box.text().startswith("tiny-20")  # another one begins
    assert widget.start_button.text() == "Start"
    assert not widget.unfinished.isVisibleTo(widget)
    widget.name_box.setText("mine")
    assert "begun with other settings" in widget.message.text()
    assert not widget.start_button.isEnabled()
    qtbot.keyClick(widget.effort_box, Qt.Key.Key_Up)
    assert (widget.name_box.text(), widget.start_button.text()) == ("mine", "Go on")
    learned(unfinished, (0.5, 0.4))
    widget.count()
    qtbot.waitUntil(lambda: not widget.keep_button.isEnabled())
    shutil.rmtree(unfinished / "run0")
    learned(unfinished, (0.5, 0.7))
    widget.count()
    qtbot.waitUntil(widget.keep_button.isEnabled)
    assert "go on with it, use what there is, or discard it" in widget.message.text()
    qtbot.mouseClick(widget.keep_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running)
    assert (models / "mine.safetensors").exists()
    assert "before" in widget.verdict.text()
    assert not unfinished.exists()
    assert not widget.unfinished.isVisibleTo(widget)


def test_an_unfinished_one_is_discarded_once_that_is_confirmed(viewer, qtbot, unfinished, monkeypatch):
    widget = make(viewer)
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    qtbot.mouseClick(widget.discard_button, Qt.MouseButton.LeftButton)
    assert unfinished.exists()
    qtbot.mouseClick(widget.discard_button, Qt.MouseButton.LeftButton)
    assert widget.unfinished.isHidden()  # nothing to press again while the files go
    assert not widget.start_button.isEnabled()
    assert widget.message.text() == "“mine” is being discarded …"
    qtbot.waitUntil(lambda: widget.name_box.text() != "mine")
    assert widget.start_button.isEnabled() == widget.known
    assert not unfinished.exists()
    assert not widget.unfinished.isVisibleTo(widget)
    assert widget.message.text() == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Tally(), "Nothing to learn from yet"),
        (Tally(1, 9, changed=0), "You changed 0 of 9 leaves: the others are as the model found them"),
        (Tally(1, 9, changed=4), "correct one more"),
        (Tally(3, 20, 1, 7, changed=11), "You changed 11 of 27 leaves; the others"),
        (Tally(3, 27, changed=27), "More corrected images help more than a longer training"),
        (Tally(9, 27, changed=27), "You changed 27 of 27 leaves."),
    ],
)
def test_it_says_what_was_changed_and_what_would_help(found, words):
    assert words in describe(found)


def test_axes_fit_what_they_show_and_names_cover_nothing(qtbot):
    plot = CurvePlot("held-out score")
    qtbot.addWidget(plot)
    plot.show()
    for step, score in ((0, 0.991), (8, 0.999)):
        plot.add(step, {"run 1": score}, marks=True)
    plot._draw()
    axis = plot.getAxis("left")
    plot.grab()  # draws
    assert axis.width() >= axis.label.boundingRect().height() + axis.textWidth  # its name beside its numbers
    low, high = plot.getViewBox().viewRange()[1]
    assert low < 0.991 < 0.999 < high
    assert high - low < 0.03
    assert "run 1" in plot.getPlotItem().titleLabel.text
    assert plot.getPlotItem().legend is None
    losses = CurvePlot("losses", logarithmic=True)
    qtbot.addWidget(losses)
    losses.add(0, {"a": 10.0, "b": 0.1})
    losses._draw()
    low, high = losses.getViewBox().viewRange()[1]
    assert low < -1 < 1 < high
    numbers = np.log10([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert [bool(text) for text in losses.getAxis("left").tickStrings(numbers, 1, 1)] == [
        digit in {1, 2, 5, 10} for digit in range(1, 11)
    ]
    losses.add(1, dict.fromkeys(("distance", "within", "between", "foreground", "center", "overlap"), 0.2))
    assert losses.getPlotItem().titleLabel.text.count("<br>") == 1


def test_up_to_three_held_out_images_are_side_by_side(qtbot):
    images = HeldOutImages()
    qtbot.addWidget(images)
    images.show()
    pixels = np.zeros((240, 200, 3), np.uint8)
    images.add([HeldOut(f"plant{number}", pixels, pixels) for number in range(2)])
    wide = images.before[0].pixmap().height()
    images.add([HeldOut(f"plant{number}", pixels, pixels) for number in (1, 2, 3)])
    assert [title.text() for title in images.titles] == ["plant1", "plant2", "plant3"]
    assert images.before[0].pixmap().height() < wide
    assert images.sizeHint().width() <= 384  # of a panel of 400


def test_a_name_that_is_none_is_refused(viewer, qtbot, corrected, quick, errors):
    widget = make(viewer)
    qtbot.waitUntil(lambda: widget.start_button.isEnabled(), timeout=5000)
    for name in ("", "a/b"):
        widget.name_box.setText(name)
        qtbot.mouseClick(widget.start_button, Qt.MouseButton.LeftButton)
    assert len(errors) == 2
    assert not widget.job.running
    widget.name_box.setText("tiny")
    qtbot.mouseClick(widget.start_button, Qt.MouseButton.LeftButton)
    assert not widget.job.running
    assert "already" in errors[-1]
    assert widget.message.text() == errors[-1]


def test_after_training_the_other_images_are_looked_at_and_the_least_certain_is_a_click_away(
    viewer, qtbot, corrected, quick, tmp_path
):
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    for number in range(3):
        write_image(tmp_path / f"other{number}.png", synthesize(5_000 + number, SCENE).image)
    images.add([tmp_path / f"other{number}.png" for number in range(3)])
    qtbot.waitUntil(lambda: not images.loader.running and not images.thumbnails.running, timeout=20000)
    widget = make(viewer)
    widget.name_box.setText("mine")
    qtbot.waitUntil(lambda: widget.start_button.isEnabled(), timeout=5000)
    qtbot.mouseClick(widget.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running and widget.event.kind == "finished", timeout=120000)
    qtbot.waitUntil(lambda: not widget.next.job.running, timeout=60000)
    assert widget.next.list.count() == 3
    sure = [entry.confidence for entry in widget.session.images]
    assert all(0 <= value <= 1 for value in sure)
    first = widget.next.list.item(0)
    least = min(range(3), key=lambda number: (sure[number], widget.session.images[number].path.name))
    assert first.text().startswith(f"other{least}.png: ")
    assert f"confidence {sure[least]:.2f}" in first.text() or first.text().endswith("no leaves")
    assert f"least certain leaf {sure[least]:.2f}" in images.list.text(least)
    images.list.setCurrentRow((least + 1) % 3)
    qtbot.waitUntil(lambda: not images.loader.running, timeout=20000)
    place = widget.next.list.visualItemRect(first).center()
    qtbot.mouseClick(widget.next.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert images.list.currentRow() == least
    qtbot.waitUntil(lambda: not images.loader.running, timeout=20000)
    assert viewer.layers.selection.active.name == f"other{least}"
    correct = CorrectWidget(viewer)  # and the review's button knows it as well
    images.list.setCurrentRow((least + 1) % 3)
    correct.review.least_certain_image()
    assert images.list.currentRow() == least
    qtbot.waitUntil(lambda: not images.loader.running, timeout=20000)


def test_looking_through_images_needs_no_training_and_can_be_stopped(viewer, qtbot, tmp_path):
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    widget = make(viewer)
    assert not widget.next.isVisibleTo(widget)
    for number in range(8):
        write_image(tmp_path / f"other{number}.png", synthesize(5_000 + number, SCENE).image)
    images.add([tmp_path])
    assert widget.next.isVisibleTo(widget)
    qtbot.mouseClick(widget.next.rank_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.next.list.count() > 0, timeout=60000)
    qtbot.mouseClick(widget.next.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.next.job.running, timeout=20000)
    assert 1 <= widget.next.list.count() <= 6
    assert not widget.next.stop_button.isVisibleTo(widget)
    qtbot.waitUntil(lambda: not images.loader.running and not images.thumbnails.running, timeout=20000)


def test_labels_that_cannot_be_read_are_named(corrected, viewer, qtbot):
    widget = make(viewer)
    qtbot.waitUntil(lambda: "2 reviewed images" in widget.truth_label.text())
    controller = widget.controller
    viewer.layers.clear()  # what is on the screen is known without its file
    controller.project.writer.flush()
    controller.project.labels_path(controller.project.images[1]).write_bytes(b"no image")
    widget.count()
    qtbot.waitUntil(lambda: "1 reviewed image " in widget.truth_label.text())
    assert "Not counted, as their labels cannot be read: “plant1” (" in widget.truth_label.text()
