"""*Models ▸ Get …*: a published model by name, its terms shown first, fetched with progress and a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg.errors import UserError
from napari_leafseg.models.store import get
from napari_leafseg.models.store.get import GetEvent, Wish
from napari_leafseg.models.store.user_models import free_place
from napari_leafseg.published.hub import Offer
from napari_leafseg.widgets.common.controls import allow, push_button, thin_progress, wrapped_label
from napari_leafseg.widgets.state.workers import start_worker

_HINT = "A name of the list, hf:owner/repository of the Hugging Face hub, or an https:// address."
_TOO_MANY = 2**31 - 1  # Qt's progress bars count no further


def _get(text: str, file: str | None, offer: Offer | None, local: bool, wish: Wish) -> Iterator[GetEvent]:
    """Find out what is meant where that is not known yet, and fetch it."""
    if offer is None:
        yield GetEvent(0, None, "Asking for it")
        offer = get.offer_model(text, None, file)
    yield from get.get_from_folder(offer, wish) if local else get.get_model(offer, wish)


class GetModelDialog(QDialog):
    """Fetches published models.

    Parameters
    ----------
    on_done : callable
        Told the name of a model that was fetched.
    parent : QWidget, optional
    """

    def __init__(self, on_done: Callable[[str], Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("get_model")
        self.setWindowTitle("Get a published model")
        self.setWindowFlag(Qt.WindowType.WindowContextHelpButtonHint, False)
        self.on_done = on_done
        self.offer: Offer | None = None
        self.local = self.stopped = False
        self.worker: Any = None
        self.entries = get.published_models()
        self._build()
        self._source_changed()
        self.resize(560, 420)

    def _build(self) -> None:
        self.source = QComboBox()
        self.source.setObjectName("source")
        self.source.setEditable(True)
        self.source.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.source.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.source.addItems(list(self.entries))
        self.source.setToolTip(_HINT)
        self.source.editTextChanged.connect(self._source_changed)
        self.name, self.file = QLineEdit(), QLineEdit()
        self.name.setObjectName("name")
        self.file.setObjectName("file")
        self.file.setPlaceholderText("Only where a repository has several")
        self.file.textChanged.connect(self._file_changed)
        self.terms = wrapped_label("terms")
        self.terms.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.terms.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.agree = QCheckBox("I agree to its terms")
        self.agree.setObjectName("agree")
        self.agree.toggled.connect(lambda _on: self._show_state())
        self.look_button = push_button("look", "Look up", self.look, "License, files and sizes; nothing is fetched yet")
        tip = "Files that were fetched on another computer; no connection is used"
        self.folder_button = push_button("folder", "From a folder …", self.choose_folder, tip)
        self.get_button = push_button("get", "Get", self.get)
        self.stop_button = push_button("stop", "Stop", self.stop, "What came is kept: Get goes on from there")
        self.close_button = push_button("close", "Close", self.reject)
        for button in (self.look_button, self.folder_button, self.get_button, self.stop_button, self.close_button):
            button.setAutoDefault(False)
        self.bar = thin_progress()
        self.bar.setObjectName("progress")
        self.told = wrapped_label("told")
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Model", self.source)
        form.addRow("File", self.file)
        form.addRow("Name here", self.name)
        looking, doing = QHBoxLayout(), QHBoxLayout()
        for button in (self.look_button, self.folder_button):
            looking.addWidget(button)
        doing.addWidget(self.agree, 1)
        for button in (self.get_button, self.stop_button, self.close_button):
            doing.addWidget(button)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addLayout(looking)
        column.addWidget(self.terms, 1)
        column.addWidget(self.bar)
        column.addWidget(self.told)
        column.addLayout(doing)

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """What is typed or chosen."""
        return self.source.currentText().strip()

    def _source_changed(self, *_what: Any) -> None:
        self.file.clear()
        self._forget_offer()
        entry = self.entries.get(self.text)
        self.name.setText(self.text if entry is not None else "")
        if entry is not None:
            self._show_terms(entry.terms)
        else:
            self.terms.setText(_HINT + " “Look up” shows its license and its files.")

    def _file_changed(self, *_what: Any) -> None:
        if not self.local:
            self._forget_offer()

    def _forget_offer(self) -> None:
        self.offer, self.local = None, False
        self.agree.setChecked(False)
        self.told.setText("")
        self._show_state()

    def _show_terms(self, terms: list[tuple[str, str]], files: tuple[str, ...] = ()) -> None:
        lines = [f"<b>{escape(head.capitalize())}</b>: {escape(words)}" for head, words in terms]
        lines += [f"<b>File</b>: {escape(file)}" for file in files]
        self.terms.setText("<br>".join(lines))

    def _show_state(self) -> None:
        runs = self.worker is not None
        known = self.offer is not None or self.text in self.entries
        for part in (self.source, self.file, self.name, self.folder_button, self.agree):
            part.setEnabled(not runs)
        self.agree.setEnabled(known and not runs)
        busy = "It is at work." if runs else ""
        allow(self.look_button, busy or ("" if self.text else "Choose a model, or type its name or address."))
        agreed = "" if self.agree.isChecked() else "Agree to its terms first."
        allow(self.get_button, busy or (agreed if known else "Look at its terms first."))
        allow(self.stop_button, "" if runs else "Nothing is running.")
        self.bar.setVisible(runs)

    def _tell(self, words: str) -> None:
        self.told.setText(words)

    # -- doing -------------------------------------------------------------------------------------------------------

    def _start(self, job: Callable[..., Any], *arguments: Any, on_result: Callable[[Any], None]) -> None:
        self.stopped = False
        self._tell("")
        self.bar.setRange(0, 0)
        self.worker = start_worker(
            job, *arguments, on_result=on_result, on_error=self._failed, owner=self, on_end=self._ended
        )
        self._show_state()

    def _ended(self, worker: Any) -> None:
        if worker is self.worker or self.worker is None:
            self.worker = None
            self._show_state()

    def _failed(self, error: Exception) -> None:
        self._tell(str(error))

    def look(self) -> None:
        """Ask for the license and the files of what is typed."""
        file = self.file.text().strip() or None
        self._start(get.offer_model, self.text, None, file, on_result=lambda offer: self._looked(offer, False))

    def choose_folder(self) -> None:
        """Take what a folder holds that the user chooses."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of a published model", str(Path.home()))
        if folder:
            named = self.text if self.text in self.entries and self.source.currentIndex() > 0 else None
            file = self.file.text().strip() or None
            self._start(
                get.offer_folder, Path(folder), named, None, file, on_result=lambda offer: self._looked(offer, True)
            )

    def _looked(self, offer: Offer, local: bool) -> None:
        self.offer, self.local = offer, local
        self.agree.setChecked(False)
        if not self.name.text().strip() or local:
            self.name.setText(offer.name)
        sizes = [
            f"{file.name}, {f'{file.size / 1e6:,.1f} MB' if file.size is not None else 'size not known'}"
            for file in offer.files
        ]
        self._show_terms(offer.entry.terms, tuple(sizes))
        self._show_state()

    def get(self) -> None:
        """Fetch it; what was fetched before is gone on with."""
        name = self.name.text().strip() or None
        try:
            if name is not None:
                free_place(name)
        except UserError as error:
            self._failed(error)
            return
        file = self.file.text().strip() or None
        self._start(_get, self.text, file, self.offer, self.local, Wish(name), on_result=self._advanced)

    def _advanced(self, event: GetEvent) -> None:
        if event.model is not None:
            self._tell(f"“{event.model.stem}” is in the list.")
            self.agree.setChecked(False)
            self.on_done(event.model.stem)
            return
        if self.stopped:  # what was on its way
            return
        total = event.total or 0
        unit = 1 + total // _TOO_MANY
        self.bar.setRange(0, total // unit)
        self.bar.setValue(event.done // unit)
        so_far = f"{event.done / 1e6:,.1f}" + (f" of {total / 1e6:,.1f} MB" if total else " MB")
        self._tell(f"{event.message}, {so_far}" if event.done else event.message)

    def stop(self) -> None:
        """Stop it; what came is kept."""
        if self.worker is not None:
            self.stopped = True
            self.worker.quit()
            self._tell("Stopped. What came is kept: Get goes on from there.")

    def reject(self) -> None:
        """Close the dialog; what runs is stopped."""
        self.stop()
        super().reject()


def open_get_dialog(owner: QWidget, on_done: Callable[[str], Any]) -> GetModelDialog:
    """Open the dialog of a widget, or bring it to the front."""
    dialog = owner.findChild(GetModelDialog) or GetModelDialog(on_done, owner)
    dialog.show()
    dialog.raise_()
    dialog.activateWindow()
    return dialog
