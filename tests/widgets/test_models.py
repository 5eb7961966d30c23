"""The Models widget: what it lists, two side by side, names, deleting and restoring, files."""

import pytest
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtWidgets import QFileDialog, QLineEdit, QMessageBox

from napari_leafseg.models.store import user_models, zoo
from napari_leafseg.models.store.checkpoint import save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard, read_card
from napari_leafseg.widgets.models import widget as module
from napari_leafseg.widgets.models.widget import ModelsWidget
from napari_leafseg.widgets.parameter_search.widget import ParameterSearchWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.preferences import preferences


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Two models of the user's."""
    import torch

    from napari_leafseg.models.build import build_network
    from napari_leafseg.models.distance_embedding.config import SIZES

    found = tmp_path / "data" / "models"
    for place in (zoo, user_models):
        monkeypatch.setattr(place, "user_folder", lambda: found)
    monkeypatch.setattr("napari_leafseg.widgets.segment.form.user_folder", lambda: found)
    found.mkdir(parents=True)
    torch.manual_seed(0)
    about = {
        "parent": {"name": "leaf", "sha256": "0"}, "images": [{}, {}], "date": "2026-11-20T10:00:00",
        "verdict_in_words": "Better: 0.800 before, 0.900 after, on 2 held-out images.",
    }  # fmt: skip
    for name in ("alpha", "beta"):
        metrics = {"held_out_before": 0.8, "held_out_after": 0.9} if name == "alpha" else {}
        card = ModelCard(name, "1", SIZES["tiny"], metrics=metrics, provenance=about if name == "alpha" else {})
        save_checkpoint(found / f"{name}.safetensors", build_network(SIZES["tiny"]), card)
    return found


@pytest.fixture
def widget(viewer):
    made = ModelsWidget(viewer)
    viewer.window.add_dock_widget(made, name="Models")
    return made


def row_of(widget, name):
    return next(number for number, row in enumerate(widget.rows) if row["model"] == name)


def click(qtbot, widget, name, modifier=Qt.KeyboardModifier.NoModifier):
    """Click on a model in the table."""
    index = widget.view.proxy.mapFromSource(widget.view.frame.index(row_of(widget, name), 0))
    widget.view.scrollTo(index)
    place = widget.view.visualRect(index).center()
    qtbot.mouseClick(widget.view.viewport(), Qt.MouseButton.LeftButton, modifier, pos=place)


def names_in(box):
    return [box.itemData(number) for number in range(box.count())]


def test_it_lists_all_models_and_says_what_is_known_of_one(widget, qtbot):
    assert {row["model"] for row in widget.rows} >= {"leaf", "solov2", "alpha", "beta"}
    assert "Choose a model" in widget.text.text()
    assert not widget.use_button.isEnabled()
    click(qtbot, widget, "alpha")
    assert "0.800 before, 0.900 after" in widget.text.text()
    row = widget.rows[row_of(widget, "alpha")]
    assert (row["began with"], row["images"], row["SBD"], row["date"]) == (
        "leaf", "2", "0.800 → 0.900", "2026-11-20",
    )  # fmt: skip
    assert widget.delete_button.isEnabled()
    assert widget.rows[row_of(widget, "mask2former")]["began with"] == ""  # an earlier state of the same
    click(qtbot, widget, "leaf")  # comes with the program
    assert widget.use_button.isEnabled()
    assert not widget.delete_button.isEnabled()
    assert not widget.rename_button.isEnabled()


def test_two_models_are_compared(widget, qtbot):
    click(qtbot, widget, "alpha")
    assert not widget.difference.isVisibleTo(widget)
    click(qtbot, widget, "leaf", Qt.KeyboardModifier.ControlModifier)
    assert widget.difference.isVisibleTo(widget)
    table = widget.difference.table
    assert set(table.columns[1:]) == {"alpha", "leaf"}
    assert "began with" in set(table.iloc[:, 0])
    click(qtbot, widget, "leaf")
    assert not widget.difference.isVisibleTo(widget)


def test_a_model_is_used_in_segment(widget, viewer, qtbot):
    segment = SegmentWidget(viewer)
    click(qtbot, widget, "beta")
    qtbot.mouseClick(widget.use_button, Qt.MouseButton.LeftButton)
    assert segment.model_name == "beta"
    assert preferences.model == "beta"


def test_a_name_is_typed_over_and_all_lists_follow(widget, viewer, qtbot, folder):
    segment, searching = SegmentWidget(viewer), ParameterSearchWidget(viewer)
    segment.choose_model("solov2")
    searching.model_box.setCurrentIndex(searching.model_box.findData("alpha"))
    click(qtbot, widget, "beta")
    qtbot.mouseClick(widget.rename_button, Qt.MouseButton.LeftButton)
    editor = widget.view.findChild(QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, "gamma")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: (folder / "gamma.safetensors").exists() and "gamma" in names_in(segment.model_box))
    assert read_card(folder / "gamma.safetensors").name == "gamma"
    for box in (segment.model_box, searching.model_box):
        assert "gamma" in names_in(box)
        assert "beta" not in names_in(box)
    assert segment.model_box.itemText(segment.model_box.count() - 1).endswith("…")  # a file of one's own
    assert (segment.model_name, searching.model_name) == ("solov2", "alpha")  # what was chosen stays chosen


def test_a_name_that_is_taken_is_refused(widget, qtbot, folder, monkeypatch):
    said = []
    monkeypatch.setattr(module, "show_error", said.append)
    widget.view.frame.edited.emit(row_of(widget, "beta"), "model", "alpha")
    qtbot.waitUntil(lambda: bool(said))
    assert "There is a model “alpha” already" in said[0]
    assert widget.told.isVisibleTo(widget)  # notifications lie behind the dialog
    assert widget.told.text() == said[0]
    click(qtbot, widget, "alpha")
    assert not widget.told.isVisibleTo(widget)
    assert (folder / "beta.safetensors").exists()


def test_taking_away_and_bringing_back(widget, qtbot, folder):
    preferences.model = "beta"
    assert not widget.restore_button.isEnabled()
    click(qtbot, widget, "beta")
    qtbot.mouseClick(widget.delete_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "beta" not in {row["model"] for row in widget.rows})
    assert widget.told.text() == "“beta” was deleted; “Restore” undoes it."
    assert widget.told.isVisibleTo(widget)
    assert preferences.model != "beta"
    assert not (folder / "beta.safetensors").exists()
    assert widget.restore_button.isEnabled()
    (action,) = widget.restore_button.menu().actions()
    assert action.text() == "beta"
    action.trigger()
    qtbot.waitUntil(lambda: "beta" in {row["model"] for row in widget.rows})
    assert (folder / "beta.safetensors").exists()


@pytest.mark.parametrize("answer", [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Yes])
def test_a_model_that_projects_use_is_never_deleted_silently(widget, qtbot, folder, monkeypatch, answer):
    monkeypatch.setattr(module, "projects_using", lambda name: {folder / "trays": 3})
    asked = []

    def question(*arguments):
        asked.append(arguments[2])
        return answer

    monkeypatch.setattr(QMessageBox, "question", question)
    click(qtbot, widget, "beta")
    qtbot.mouseClick(widget.delete_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(asked))
    assert "trays: 3 images" in asked[0]
    if answer == QMessageBox.StandardButton.Yes:
        qtbot.waitUntil(lambda: not (folder / "beta.safetensors").exists())
    else:
        qtbot.wait(300)
        assert (folder / "beta.safetensors").exists()


def test_a_file_goes_to_another_computer_and_comes_back(widget, qtbot, folder, tmp_path, monkeypatch):
    target = tmp_path / "carried.safetensors"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_what: (str(target), ""))
    click(qtbot, widget, "alpha")
    qtbot.mouseClick(widget.export_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(target.exists)
    (folder / "alpha.safetensors").unlink()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_what: (str(target), ""))
    qtbot.mouseClick(widget.add_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: (folder / "alpha.safetensors").exists() and "alpha" in {row["model"] for row in widget.rows}
    )
    assert read_card(folder / "alpha.safetensors").metrics["held_out_after"] == 0.9


def test_what_is_selected_stays_selected_when_the_list_is_read_again(widget, qtbot):
    click(qtbot, widget, "beta")
    widget.refresh()
    assert [row["model"] for row in widget.chosen] == ["beta"]
    widget.view.selectionModel().select(widget.view.currentIndex(), QItemSelectionModel.SelectionFlag.Clear)
    assert widget.text.text().startswith("Choose a model")


def test_a_model_that_cannot_be_read_is_listed_and_says_why(widget, folder, qtbot):
    (folder / "torn.safetensors").write_bytes(b"no weights")
    widget.refresh()
    click(qtbot, widget, "torn")
    assert widget.rows[row_of(widget, "torn")]["SBD"] == "cannot be read"
    assert str(folder / "torn.safetensors") in widget.text.text()
    assert "Version" not in widget.text.text()
    assert widget.delete_button.isEnabled()


def test_segment_lists_a_model_that_cannot_be_read_as_such(viewer, folder):
    (folder / "torn.safetensors").write_bytes(b"no weights")
    segment = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segment, name="Segment")
    texts = [segment.model_box.itemText(number) for number in range(segment.model_box.count())]
    assert "torn  ·  cannot be read" in texts
