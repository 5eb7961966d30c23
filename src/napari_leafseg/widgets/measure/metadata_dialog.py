"""The dialog *Plants and dates*: which plant each image shows, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QMessageBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg.experiment import (
    Experiment,
    Pattern,
    PatternError,
)
from napari_leafseg.experiment.metadata import Source, merge
from napari_leafseg.widgets.common.controls import (
    allow,
    burst_timer,
    present,
    push_button,
    thin_progress,
    wrapped_label,
)
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.measure.frames import image_names
from napari_leafseg.widgets.measure.metadata_jobs import (
    ExifRead,
    Found,
    described_series,
    find_out,
    match,
    read_all_exif,
)
from napari_leafseg.widgets.measure.metadata_table import Change, MetadataModel, MetadataView
from napari_leafseg.widgets.state.camera_positions import PositionStore
from napari_leafseg.widgets.state.known_images import ExperimentStore
from napari_leafseg.widgets.state.session import Session

_EXAMPLES = ("{date}_{plant}", "{plant}_{date}", "plant{plant}_day{day}", "{genotype}/{plant}/{date}")
_OF_POTS = ("plant", "genotype", "treatment", "replicate")


class MetadataDialog(QDialog):
    """Shows and edits what is known of images; nothing counts before OK.

    Parameters
    ----------
    experiment : Experiment
    paths : sequence of pathlib.Path
    names : mapping
        Of the images in the table.
    parent : QWidget, optional
    pots : sequence of str
        Names of the pots of trays, and of plants in images of several.
    """

    def __init__(
        self, experiment: Experiment, paths: Sequence[Path], names: Mapping[Path, str], parent: QWidget | None = None,
        pots: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.setWindowTitle("Plants and dates")
        self.setObjectName("metadata_dialog")
        self.experiment, self._paths, self._names = experiment.copy(), list(paths), dict(names)
        self._before: list[Experiment] = []
        self._table_path, self._next = Path(), list[tuple[Path, bool]]()
        self._again, self._notes = False, ""
        self.job, self.reading = JobRunner(self), JobRunner(self)
        self.model = MetadataModel(self._paths, self._names, self)
        self.table = MetadataView(self.model)
        self._pots = list(dict.fromkeys([*pots, *experiment.pots]))
        rows = {Path(pot): pot for pot in self._pots}
        self.pot_model = MetadataModel(list(rows), rows, self, _OF_POTS, "pot")
        self.pot_table = MetadataView(self.pot_model)
        self.pot_table.setObjectName("pot_table")
        self._build()
        self._connect()
        self._show_pattern(experiment.pattern or "")
        self.find_out()

    def _build(self) -> None:
        self.pattern_box = QComboBox()
        self.pattern_box.setObjectName("pattern")
        self.pattern_box.setEditable(True)
        self.pattern_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.pattern_box.setToolTip(
            "Fields in braces, * for what is passed over, / for folders.\n"
            "{plant} {genotype} {treatment} {replicate} {date} {day} {hours} {pot} {camera}, or a field of your own;\n"
            "{date:%d.%m.%y} for dates written so, {plant:d} for digits, {genotype:l} for letters"
        )
        self.pattern_box.addItems(_EXAMPLES)
        self.guess_button = push_button("guess", "Guess", tip="Find the pattern from the names")
        self.csv_button = push_button(
            "from_csv", "From CSV …", tip="A row an image (column “image”), a plant (“plant”) or a pot (“pot”)"
        )
        self.exif_button = push_button("from_exif", "From EXIF", tip="When the cameras say that they took the images")
        self.undo_button = push_button("undo", "Undo", tip="Take back the last change (Ctrl+Z)")
        for button in (self.guess_button, self.csv_button, self.exif_button, self.undo_button):
            button.setAutoDefault(False)  # Enter is for the cells
        top = QHBoxLayout()
        top.addWidget(self.pattern_box, 1)
        for button in (self.guess_button, self.csv_button, self.exif_button, self.undo_button):
            top.addWidget(button)
        form = QFormLayout()
        form.addRow("File names", top)
        self.message, self.summary = wrapped_label("message"), wrapped_label("summary")
        self.progress = thin_progress()
        self.progress.hide()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok)
        present(self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)).setAutoDefault(False)
        self.ok_button = present(self.buttons.button(QDialogButtonBox.StandardButton.Ok))
        self.ok_button.setAutoDefault(False)
        column = QVBoxLayout(self)
        column.addLayout(form)
        for part in (self.message, self.progress):
            column.addWidget(part)
        self.tables = QTabWidget()
        self.tables.addTab(self.table, "Images")
        if self._pots:
            self.tables.addTab(self.pot_table, "Pots")
        column.addWidget(self.tables, 1)
        column.addWidget(self.summary)
        column.addWidget(self.buttons)
        self.resize(980, 560)

    def _connect(self) -> None:
        self._typed = burst_timer(self, self._take_pattern, 250)
        present(self.pattern_box.lineEdit()).textEdited.connect(lambda _text: self._typed.start())
        self.pattern_box.activated.connect(lambda _row: self._take_pattern())
        self.guess_button.clicked.connect(self.guess)
        self.csv_button.clicked.connect(self._ask_table)
        self.exif_button.clicked.connect(self.read_exif)
        self.undo_button.clicked.connect(self.undo)
        for table, model in ((self.table, self.model), (self.pot_table, self.pot_model)):
            table.undo_wanted.connect(self.undo)
            model.refused.connect(self._tell)
        self.model.changed.connect(self._take_cells)
        self.pot_model.changed.connect(self._take_pots)
        self.job.result.connect(self._show_found)
        self.job.failed.connect(lambda error: self._tell(str(error)))
        self.job.finished.connect(self._found_out)
        self.reading.result.connect(self._take_table)
        self.reading.progress.connect(self._take_exif)
        self.reading.failed.connect(lambda error: self._tell(str(error)))
        self.reading.finished.connect(self._read)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

    @property
    def busy(self) -> bool:
        """Whether something is still being found out or read."""
        return self.job.running or self.reading.running or self._typed.isActive() or self._again

    # -- what is known -----------------------------------------------------------------------------------------------

    def find_out(self) -> None:
        """Find out what is known, in a worker; the newest wish wins."""
        allow(self.undo_button, "" if self._before else "Nothing was changed yet.")
        if not self.job.start(find_out, self.experiment, self._paths, self._names):
            self._again = True

    def _found_out(self) -> None:
        if self._again:
            self._again = False
            self.find_out()

    def _show_found(self, found: Found) -> None:
        if self._again:
            return
        if self.experiment.pattern is None:
            self._show_pattern(found.pattern)
        for text in found.alternatives:
            if self.pattern_box.findText(text) < 0:
                self.pattern_box.insertItem(0, text)
        self._show_pattern(self.pattern_box.currentText())
        self.model.show(found.known)
        said = self.experiment.pots
        self.pot_model.show({Path(pot): merge({Source.HAND: said.get(pot, {})}) for pot in self._pots})
        self._tell(f"{found.said} {self._notes}".strip())
        self.summary.setText(described_series(found.grouping))

    def _show_pattern(self, text: str) -> None:
        if self.pattern_box.currentText() != text or self.pattern_box.currentIndex() >= 0:
            self.pattern_box.setCurrentIndex(-1)
            self.pattern_box.setEditText(text)

    def _tell(self, text: str) -> None:
        self.message.setText(text)

    def _change(self) -> Experiment:
        """Make an experiment that may be changed; the one before comes back by *Undo*."""
        self._before.append(self.experiment)
        self.experiment = self.experiment.copy()
        return self.experiment

    def undo(self) -> None:
        """Take back the last change."""
        if self._before:
            self._notes = ""
            self.experiment = self._before.pop()
            allow(self.ok_button)
            self._show_pattern(self.experiment.pattern or "")
            self.find_out()

    # -- changes -----------------------------------------------------------------------------------------------------

    def _take_pattern(self) -> None:
        """Use the pattern that is written; none where the line is empty."""
        self._typed.stop()
        text = self.pattern_box.currentText().strip()
        try:
            if text:
                Pattern.parse(text)
        except PatternError as error:
            self._tell(str(error))
            allow(self.ok_button, str(error))
            return
        allow(self.ok_button)
        if text != self.experiment.pattern:
            self._change().pattern = text
            self.find_out()

    def guess(self) -> None:
        """Find the pattern from the names, now and when images are added."""
        allow(self.ok_button)
        self._change().pattern = None
        self.find_out()

    def _take_cells(self, changes: list[Change]) -> None:
        experiment = self._change()
        for path, name, text in changes:
            experiment.set_by_hand(path, name, text)
        self.find_out()

    def _take_pots(self, changes: list[Change]) -> None:
        experiment = self._change()
        for path, name, text in changes:
            values = experiment.pots.setdefault(str(path), {}) | {name: text}
            experiment.pots[str(path)] = {field: said for field, said in values.items() if said}
        self.find_out()

    def _ask_table(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "A table of images or plants", "", "CSV (*.csv *.tsv *.txt)")
        if chosen:
            self.read_table(Path(chosen))

    def read_table(self, path: Path, day_first: bool | None = None) -> None:
        """Read a CSV, in a worker."""
        self._table_path = path
        self.reading.start(match, path, day_first, self.experiment, self._paths, self._pots)

    def _take_table(self, found: Any) -> None:
        if isinstance(found, str):
            self._ask_order(found)
            return
        change, notes = found
        change(self._change())
        self._notes = " ".join(notes)
        self.find_out()

    def _ask_order(self, question: str) -> None:
        box = QMessageBox(QMessageBox.Icon.Question, "Dates", question, parent=self)
        box.setObjectName("date_order")
        day = box.addButton("The day comes first", QMessageBox.ButtonRole.YesRole)
        month = box.addButton("The month comes first", QMessageBox.ButtonRole.NoRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec_()
        if box.clickedButton() in (day, month):
            self._next.append((self._table_path, box.clickedButton() == day))
            self._read_next()

    def _read_next(self) -> None:
        """Read the table again whose dates are understood, once the worker that asked is gone."""
        if self._next and not self.reading.running:
            self.read_table(*self._next.pop())

    def read_exif(self) -> None:
        """Read when cameras took the images, in a worker."""
        if self.reading.start(read_all_exif, self._paths):
            self.progress.setRange(0, len(self._paths))
            self.progress.show()
            allow(self.exif_button, "It is reading.")

    def _take_exif(self, read: ExifRead) -> None:
        self.progress.setValue(read.done)
        if read.done < len(self._paths):
            return
        if not read.values:
            self._tell("No image states in its EXIF when it was taken.")
            return
        self._change().exif = read.values
        self.find_out()

    def _read(self) -> None:
        self.progress.hide()
        allow(self.exif_button)
        self._read_next()

    # -- the end -----------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """End with what is shown."""
        if self._typed.isActive():
            self._take_pattern()
        if self.ok_button.isEnabled():
            super().accept()

    def done(self, result: int) -> None:
        """Stop what is being read."""
        self.reading.stop()
        super().done(result)


def edit_known_images(session: Session, store: ExperimentStore, parent: QWidget) -> None:
    """Open the dialog for the images of the list; what it ends with is kept. Without images, say what to do."""
    paths = [entry.path for entry in session.images]
    if not paths:
        show_info("There are no images in the list. Add some in Images.")
        return
    dialog = MetadataDialog(
        store.experiment, paths, image_names(session), parent, PositionStore.of(session).positions.pot_names()
    )
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.accepted.connect(lambda: store.replace(dialog.experiment))
    dialog.open()
