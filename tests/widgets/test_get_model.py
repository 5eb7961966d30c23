"""*Models ▸ Get …*: terms first, progress, stop, and what goes wrong, with real clicks and keys."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.widgets.models.get_dialog import GetModelDialog
from napari_leafseg.widgets.models.widget import ModelsWidget

pytest.importorskip("huggingface_hub", minversion="1.0")


@pytest.fixture(autouse=True)
def folder(own_models, monkeypatch):
    monkeypatch.setattr("napari_leafseg.widgets.segment.form.user_folder", lambda: own_models)
    return own_models


@pytest.fixture
def widget(viewer):
    made = ModelsWidget(viewer)
    viewer.window.add_dock_widget(made, name="Models")
    return made


@pytest.fixture
def dialog(widget, qtbot):
    click(qtbot, widget.get_button)
    found = widget.findChild(GetModelDialog)
    qtbot.waitUntil(found.isVisible)
    yield found
    found.reject()
    qtbot.waitUntil(lambda: found.worker is None)


def click(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def tick(qtbot, box):
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=box.rect().center().__class__(8, box.height() // 2))


def type_source(qtbot, dialog, text):
    line = dialog.source.lineEdit()
    line.selectAll()
    qtbot.keyClicks(line, text)


def idle(qtbot, dialog):
    qtbot.waitUntil(lambda: dialog.worker is None, timeout=20_000)


def test_the_terms_are_shown_before_anything_can_be_fetched(dialog, qtbot):
    assert "fengchen025" in dialog.terms.text()
    assert "<b>License</b>: " in dialog.terms.text()
    assert "<b>license" not in dialog.terms.text()
    assert not dialog.get_button.isEnabled()
    tick(qtbot, dialog.agree)
    assert dialog.get_button.isEnabled()
    qtbot.keyClick(dialog.source, Qt.Key.Key_Down)  # another one: its terms are others
    assert dialog.text == "phenoleaf-ts"
    assert "PhenoLeaf" in dialog.terms.text()
    assert not dialog.agree.isChecked()
    assert not dialog.get_button.isEnabled()
    type_source(qtbot, dialog, "hf:some/thing")
    assert not dialog.agree.isEnabled()
    assert dialog.look_button.isEnabled()


def test_a_repository_is_looked_up_fetched_and_listed(dialog, widget, qtbot, site, tiny_checkpoint, folder):
    site.repository("someone/leaves", {"tiny.safetensors": tiny_checkpoint.read_bytes()}, license_name="cc-by-4.0")
    type_source(qtbot, dialog, "hf:someone/leaves")
    click(qtbot, dialog.look_button)
    idle(qtbot, dialog)
    assert "cc-by-4.0" in dialog.terms.text()
    assert "tiny.safetensors" in dialog.terms.text()
    assert dialog.name.text() == "leaves"
    assert not any("resolve" in path for _, path, _ in site.asked)
    tick(qtbot, dialog.agree)
    click(qtbot, dialog.get_button)
    idle(qtbot, dialog)
    assert dialog.told.text() == "“leaves” is in the list."
    assert "leaves" in {row["model"] for row in widget.rows}
    assert read_card(folder / "leaves.safetensors").provenance["imported"] == "hf:someone/leaves"
    tick(qtbot, dialog.agree)
    click(qtbot, dialog.get_button)  # the name is taken now
    assert "already" in dialog.told.text()


def begin_slowly(dialog, qtbot, site, content):
    """Get a large file of a slow server, until its first part is there; returns its address."""
    site.repository("someone/leaves", {"big.safetensors": content})
    place = "/someone/leaves/resolve/c0ffee/big.safetensors"
    site.slow.add(place)
    type_source(qtbot, dialog, "hf:someone/leaves")
    click(qtbot, dialog.look_button)
    idle(qtbot, dialog)
    tick(qtbot, dialog.agree)
    click(qtbot, dialog.get_button)
    qtbot.waitUntil(lambda: dialog.bar.value() > 0, timeout=20_000)
    return place


def test_it_is_stopped_and_goes_on(dialog, widget, qtbot, site, tiny_checkpoint, folder):
    content = tiny_checkpoint.read_bytes() + b"\0" * 2**21  # it cannot be read, but fetched
    place = begin_slowly(dialog, qtbot, site, content)
    assert dialog.bar.maximum() == len(content)
    assert "of 2" in dialog.told.text()
    assert not dialog.get_button.isEnabled()
    click(qtbot, dialog.stop_button)
    idle(qtbot, dialog)
    assert "What came is kept" in dialog.told.text()
    assert "leaves" not in {row["model"] for row in widget.rows}
    site.files[place] = content
    site.gate.set()
    click(qtbot, dialog.get_button)
    idle(qtbot, dialog)
    assert [first > 0 for method, path, first in site.asked if method == "GET" and path == place] == [False, True]
    assert "leaves" not in {row["model"] for row in widget.rows}  # what came is no checkpoint
    assert "hf:someone/leaves: " in dialog.told.text()


def test_closing_the_dialog_stops_it(dialog, qtbot, site):
    begin_slowly(dialog, qtbot, site, b"\1" * 2**21)
    click(qtbot, dialog.close_button)
    idle(qtbot, dialog)
    assert not dialog.isVisible()


def test_what_goes_wrong_is_told_in_the_dialog(dialog, qtbot, site):
    type_source(qtbot, dialog, "hf:no/where")
    click(qtbot, dialog.look_button)
    idle(qtbot, dialog)
    assert "hf:" in dialog.text
    assert "no/where" in dialog.told.text()
    assert not dialog.get_button.isEnabled()
    type_source(qtbot, dialog, "http://example.org/x.pth")
    assert dialog.told.text() == ""
    click(qtbot, dialog.look_button)
    idle(qtbot, dialog)
    assert "only https://" in dialog.told.text()


def test_a_folder_is_taken_without_a_connection(dialog, widget, qtbot, tiny_checkpoint, monkeypatch, tmp_path):
    place = tmp_path / "carried"
    place.mkdir()
    (place / "mine.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_what: str(place))
    click(qtbot, dialog.folder_button)
    idle(qtbot, dialog)
    assert "mine.safetensors" in dialog.terms.text()
    assert dialog.name.text() == "carried"
    tick(qtbot, dialog.agree)
    click(qtbot, dialog.get_button)
    idle(qtbot, dialog)
    assert "carried" in {row["model"] for row in widget.rows}
