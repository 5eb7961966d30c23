"""*Plants and dates*: pattern, table, EXIF, cells edited and pasted; real mouse and key events."""

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox

from napari_leafseg.experiment import Experiment, Source
from napari_leafseg.widgets.measure.metadata_dialog import MetadataDialog
from tests.widgets.answers import Answer

NAMES = [f"2019-10-{day}-11-05_{plant}.jpg" for day in (22, 24) for plant in (11, 17)]
PLANT, GENOTYPE, TIME, DAY = 1, 2, 5, 6


@pytest.fixture
def paths(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2021:05:03 11:05:07"
    for name in NAMES:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name, exif=exif)
    return [tmp_path / name for name in NAMES]


@pytest.fixture
def dialog(qtbot, paths):
    return opened(qtbot, paths)


def opened(qtbot, paths, experiment=None):
    dialog = MetadataDialog(experiment or Experiment(), paths, {path: path.name for path in paths})
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    settle(dialog, qtbot)
    return dialog


def settle(dialog, qtbot):
    qtbot.waitUntil(lambda: not dialog.busy)
    QApplication.processEvents()


def column(dialog, number):
    return [dialog.model.text(row, number) for row in range(dialog.model.rowCount())]


def choose(dialog, qtbot, first, last=None):
    """Click a cell, and another one with Shift."""
    for at, keys in ((first, Qt.KeyboardModifier.NoModifier), (last, Qt.KeyboardModifier.ShiftModifier)):
        if at is not None:
            place = dialog.table.visualRect(dialog.model.index(*at)).center()
            qtbot.mouseClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, keys, place)


def write(dialog, qtbot, at, text):
    place = dialog.table.visualRect(dialog.model.index(*at)).center()
    qtbot.mouseClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseDClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    field = dialog.table.viewport().findChild(QLineEdit)
    field.selectAll()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    QApplication.processEvents()  # which takes the text
    settle(dialog, qtbot)


def paste(dialog, qtbot, text):
    QApplication.clipboard().setText(text)
    qtbot.keyClick(dialog.table, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    settle(dialog, qtbot)


def pattern(dialog, qtbot, text):
    field = dialog.pattern_box.lineEdit()
    field.selectAll()
    qtbot.keyClicks(field, text) if text else qtbot.keyClick(field, Qt.Key.Key_Delete)
    settle(dialog, qtbot)


def test_names_are_read_without_a_question(dialog):
    assert dialog.pattern_box.currentText() == "{date:%Y-%m-%d-%H-%M}_{plant}"
    assert column(dialog, PLANT) == ["11", "17", "11", "17"]
    assert column(dialog, TIME) == ["2019-10-22 11:05"] * 2 + ["2019-10-24 11:05"] * 2
    assert "fits 4 of 4 names" in dialog.message.text()
    assert dialog.summary.text() == "2 plants, seen 2 times, dates known"
    assert dialog.experiment.pattern is None


def test_a_pattern_is_shown_at_work_while_it_is_typed(dialog, qtbot):
    pattern(dialog, qtbot, "{date}_{genotype}")
    assert column(dialog, GENOTYPE) == ["11", "17", "11", "17"]
    pattern(dialog, qtbot, "{date}_{genotyp")
    assert "never closed" in dialog.message.text()
    assert not dialog.ok_button.isEnabled()
    assert column(dialog, GENOTYPE) == ["11", "17", "11", "17"]
    pattern(dialog, qtbot, "{date}_1{plant:1}")
    assert dialog.ok_button.isEnabled()
    assert column(dialog, PLANT) == ["1", "7", "1", "7"]
    pattern(dialog, qtbot, "x{plant}")
    assert "fits 0 of 4 names, not 2019-10-22-11-05_11.jpg: the name does not fit" in dialog.message.text()
    pattern(dialog, qtbot, "")
    assert column(dialog, TIME) == [""] * 4
    assert dialog.experiment.pattern == ""
    qtbot.mouseClick(dialog.guess_button, Qt.MouseButton.LeftButton)
    settle(dialog, qtbot)
    assert column(dialog, PLANT) == ["11", "17", "11", "17"]
    assert dialog.experiment.pattern is None


def test_a_cell_is_typed_and_undone(dialog, qtbot, paths):
    write(dialog, qtbot, (1, PLANT), "oak")
    assert column(dialog, PLANT) == ["11", "oak", "11", "17"]
    known = dialog.experiment.describe(paths)[paths[1]]
    assert known.sources["plant"] == Source.HAND
    assert dialog.model.data(dialog.model.index(1, PLANT), Qt.ItemDataRole.FontRole).bold()
    assert dialog.model.data(dialog.model.index(0, PLANT), Qt.ItemDataRole.ToolTipRole) == "from the file’s name"
    write(dialog, qtbot, (2, TIME), "31.02.2020")
    assert "2019-10-24-11-05_11.jpg, date: “31.02.2020” is no date" in dialog.message.text()
    assert column(dialog, TIME)[2] == "2019-10-24 11:05"
    dialog.table.setFocus()
    qtbot.keyClick(dialog.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settle(dialog, qtbot)
    assert column(dialog, PLANT) == ["11", "17", "11", "17"]
    assert not dialog.undo_button.isEnabled()


def test_cells_of_a_spreadsheet_are_pasted_and_copied(dialog, qtbot):
    choose(dialog, qtbot, (0, PLANT))
    paste(dialog, qtbot, "a\twt\r\nb\tko\r\na\twt\r\nb\tko\r\n")
    assert column(dialog, PLANT) == ["a", "b", "a", "b"]
    assert column(dialog, GENOTYPE) == ["wt", "ko", "wt", "ko"]
    choose(dialog, qtbot, (0, 3), (3, 3))
    paste(dialog, qtbot, "dry")
    assert column(dialog, 3) == ["dry"] * 4
    choose(dialog, qtbot, (1, PLANT), (2, GENOTYPE))
    qtbot.keyClick(dialog.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == "b\tko\na\twt"
    qtbot.keyClick(dialog.table, Qt.Key.Key_Delete)
    settle(dialog, qtbot)
    assert column(dialog, PLANT) == ["a", "", "", "b"]
    choose(dialog, qtbot, (0, TIME))
    paste(dialog, qtbot, "13/05/2021\n01/06/2021\n02/06/2021")
    assert column(dialog, TIME) == ["2021-05-13", "2021-06-01", "2021-06-02", "2019-10-24 11:05"]
    paste(dialog, qtbot, "2021-05-13\nsoon")
    assert "“soon” is no date" in dialog.message.text()
    assert "Nothing was changed" in dialog.message.text()
    assert column(dialog, TIME)[0] == "2021-05-13"


def test_a_table_is_read_and_its_faults_are_said(dialog, qtbot, tmp_path, monkeypatch):
    file = tmp_path / "t.csv"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    for text, said in (("plant;gentype\n11;wt", "Is “genotype” meant"), ("image,plant\nx.jpg,1", "Mend the names")):
        file.write_text(text)
        qtbot.mouseClick(dialog.csv_button, Qt.MouseButton.LeftButton)
        settle(dialog, qtbot)
        assert said in dialog.message.text()
        assert dialog.experiment == Experiment()
    file.write_text("plant;genotype;tray\n11;wt;A\n17;ko;B\n18;ko;B\n")
    qtbot.mouseClick(dialog.csv_button, Qt.MouseButton.LeftButton)
    settle(dialog, qtbot)
    assert column(dialog, GENOTYPE) == ["wt", "ko", "wt", "ko"]
    assert dialog.model.headerData(9, Qt.Orientation.Horizontal) == "tray"
    assert "1 row of t.csv names no plant that is here: 18" in dialog.message.text()


def test_the_order_of_day_and_month_is_asked_for(dialog, qtbot, tmp_path, monkeypatch):
    file = tmp_path / "t.csv"
    file.write_text("image,date\n" + "\n".join(f"{name},03/04/2021" for name in NAMES))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))

    def click(box):
        assert isinstance(box, QMessageBox)
        button = next(button for button in box.buttons() if button.text().startswith("The day"))
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    answer = Answer("date_order", click)
    qtbot.mouseClick(dialog.csv_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: answer.done)
    settle(dialog, qtbot)
    answer.check()
    assert column(dialog, TIME) == ["2021-04-03"] * 4


def test_exif_says_what_names_do_not(dialog, qtbot):
    qtbot.mouseClick(dialog.exif_button, Qt.MouseButton.LeftButton)
    settle(dialog, qtbot)
    assert column(dialog, TIME)[0] == "2019-10-22 11:05"
    pattern(dialog, qtbot, "*_{plant}")
    assert column(dialog, TIME) == ["2021-05-03 11:05:07"] * 4
    assert "two images of one moment" in dialog.summary.text()


def test_two_patterns_are_offered_where_only_a_person_knows(qtbot, tmp_path):
    paths = [tmp_path / f"{plant}_0{day}-04-2021.png" for plant in "ab" for day in (3, 5)]
    dialog = opened(qtbot, paths)
    assert dialog.pattern_box.currentText() == ""
    assert "may begin with the day or with the month" in dialog.message.text()
    assert {dialog.pattern_box.itemText(row) for row in (0, 1)} == {
        "{plant}_{date:%d-%m-%Y}",
        "{plant}_{date:%m-%d-%Y}",
    }


def test_cancel_changes_nothing_and_ok_takes_what_was_just_typed(qtbot, paths):
    given = Experiment()
    dialog = opened(qtbot, paths, given)
    write(dialog, qtbot, (1, PLANT), "oak")
    qtbot.mouseClick(dialog.buttons.buttons()[1], Qt.MouseButton.LeftButton)
    assert dialog.result() == MetadataDialog.DialogCode.Rejected
    assert given == Experiment()
    dialog = opened(qtbot, paths, given)
    field = dialog.pattern_box.lineEdit()
    field.selectAll()
    qtbot.keyClicks(field, "{date}_{pot}")
    qtbot.mouseClick(dialog.ok_button, Qt.MouseButton.LeftButton)
    assert dialog.result() == MetadataDialog.DialogCode.Accepted
    assert dialog.experiment.pattern == "{date}_{pot}"


def test_pots_have_their_own_table(qtbot, paths, tmp_path):
    dialog = MetadataDialog(Experiment(), paths, {path: path.name for path in paths}, None, ["A1", "A2"])
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    settle(dialog, qtbot)
    assert [dialog.tables.tabText(at) for at in range(dialog.tables.count())] == ["Images", "Pots"]
    bar = dialog.tables.tabBar()
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(1).center())
    table, model = dialog.pot_table, dialog.pot_model
    assert [model.text(row, 0) for row in range(model.rowCount())] == ["A1", "A2"]
    assert model.headerData(0, Qt.Orientation.Horizontal) == "pot"
    place = table.visualRect(model.index(1, GENOTYPE)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    field = table.viewport().findChild(QLineEdit)
    qtbot.keyClicks(field, "ko")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    QApplication.processEvents()
    settle(dialog, qtbot)
    assert dialog.experiment.pots == {"A2": {"genotype": "ko"}}
    assert model.text(1, GENOTYPE) == "ko"
    (tmp_path / "pots.csv").write_text("pot,genotype,soil\na1,wt,peat\nA2,ko2,sand\n")
    dialog.read_table(tmp_path / "pots.csv")
    settle(dialog, qtbot)
    assert [model.text(row, GENOTYPE) for row in range(2)] == ["wt", "ko2"]
    assert [model.text(row, model.fields.index("soil") + 1) for row in range(2)] == ["peat", "sand"]
    qtbot.mouseClick(dialog.undo_button, Qt.MouseButton.LeftButton)
    settle(dialog, qtbot)
    assert [model.text(row, GENOTYPE) for row in range(2)] == ["", "ko"]
    (tmp_path / "plants.csv").write_text("plant,genotype\nA1,wt\n")  # plants that are pots
    dialog.read_table(tmp_path / "plants.csv")
    settle(dialog, qtbot)
    assert dialog.experiment.pots == {"A1": {"genotype": "wt"}}
    assert "1 pot has no row in plants.csv: A2." in dialog.message.text()
