"""The *Models* dock widget: all models, what is known of them, two side by side; the user's own are kept in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from napari.utils.notifications import show_error, show_info
from napari.viewer import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QMessageBox,
    QPushButton,
    QWidget,
)

from napari_leafseg._counts import counted
from napari_leafseg.errors import UserError
from napari_leafseg.models.store import user_models
from napari_leafseg.models.store.zoo import ENDING, list_models
from napari_leafseg.project.recent_projects import projects_using
from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import allow, present, push_button, wrapped_label
from napari_leafseg.widgets.common.tables import FrameView
from napari_leafseg.widgets.models.get_dialog import open_get_dialog
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.workers import start_worker

_COLUMNS = ("model", "whose", "SBD", "began with", "images", "date")
_HINT = "Choose a model to see what is known of it, two to compare them. A double click on a name of yours renames it."


class ModelsWidget(LeafsegWidget):
    """Lists, compares, renames, deletes, restores, exports, adds and fetches models.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    object_name = "napari-leafseg-models"

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.rows: list[dict[str, str]] = []
        self._build()
        self.listen(self.session.models_changed, self.refresh)
        self.refresh()

    def _build(self) -> None:
        self.view = FrameView(self, editable=("model",))
        self.view.setObjectName("models")
        present(self.view.selectionModel()).selectionChanged.connect(self._selected)
        self.view.frame.edited.connect(self._renamed)
        self.text = wrapped_label("about", _HINT)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.told = wrapped_label("told")  # beside the notification, which the window shows behind this dialog
        self.difference = FrameView(self)
        self.difference.setObjectName("difference")
        self.difference.setWordWrap(True)
        self.use_button = push_button("use", "Use in Segment", self.use)
        self.rename_button = push_button("rename", "Rename", self.rename)
        tip = "One file, with all that is known of the model, for another computer"
        self.export_button = push_button("export", "Export …", self.export, tip)
        tip = "A file that was exported on another computer, or trained there"
        self.add_button = push_button("add", "Add …", self.add, tip)
        tip = "A model that others published, by name: its terms are shown before it is fetched"
        self.get_button = push_button("get", "Get …", self.get, tip)
        tip = "Out of the list; the file is kept, and “Restore” undoes it"
        self.delete_button = push_button("delete", "Delete", self.delete, tip)
        self.restore_button = QPushButton("Restore")
        self.restore_button.setObjectName("restore")
        self.restore_button.setMenu(QMenu(self.restore_button))
        first, second = QHBoxLayout(), QHBoxLayout()
        for button in (self.use_button, self.rename_button, self.delete_button):
            first.addWidget(button)
        for button in (self.get_button, self.add_button, self.export_button, self.restore_button):
            second.addWidget(button)
        column = self.column()
        self.view.setMinimumHeight(60)
        column.addWidget(self.view, 2)
        column.addLayout(first)
        column.addLayout(second)
        column.addWidget(self.told)
        column.addWidget(self.text)
        column.addWidget(self.difference, 1)

    # -- what there is -----------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> list[dict[str, str]]:
        """The rows that are selected."""
        return [self.rows[row] for row in self.view.chosen_rows()]

    def refresh(self) -> None:
        """Read the list again; what is selected stays selected where it is still there."""
        before = [row["model"] for row in self.chosen] if self.rows else []
        self.rows = user_models.describe_models()
        said = [key for key in _COLUMNS if key == "model" or any(row[key] for row in self.rows)]
        self.view.show_table(pd.DataFrame([{key: row[key] for key in said} for row in self.rows], columns=said))
        self.view.resizeColumnsToContents()
        for number, row in enumerate(self.rows):
            if row["model"] in before[:1]:
                self.view.choose(number)
        menu = present(self.restore_button.menu())
        menu.clear()
        for name in user_models.deleted_models():
            menu.addAction(name, lambda name=name: self.restore(name))
        allow(self.restore_button, "No model was deleted." if menu.isEmpty() else "")
        self._selected()

    def _tell(self, words: str, notify: Callable[[str], Any] = show_info) -> None:
        self.told.setText(words)
        self.told.setVisible(True)
        notify(words)

    def _selected(self, *_what: Any) -> None:
        self.told.setVisible(False)
        chosen = self.chosen
        one = chosen[0] if len(chosen) == 1 else None
        own = one is not None and one["whose"] == "yours"
        choose = "" if one is not None else "Choose one model in the list."
        allow(self.use_button, choose)
        bundled = "" if own else "This model comes with the program; only your own are changed."
        for button in (self.rename_button, self.export_button, self.delete_button):
            allow(button, choose or bundled)
        self.difference.setVisible(len(chosen) == 2)
        if len(chosen) == 2:
            names = [row["model"] for row in chosen]
            self.text.setText(f"<b>{names[0]}</b> beside <b>{names[1]}</b>")
            self._compare(*names)
        elif one is not None:
            self.text.setText(_about(one))
        else:
            self.text.setText(_HINT)

    def _compare(self, first: str, second: str) -> None:
        try:
            found = user_models.describe_difference(first, second)
        except UserError as error:
            self.text.setText(str(error))
            return
        self.difference.show_table(pd.DataFrame(found, columns=["", first, second]))
        header = present(self.difference.horizontalHeader())
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.difference.resizeRowsToContents()

    # -- doing -------------------------------------------------------------------------------------------------------

    def _do(self, words: str, job: Callable[..., Any], *arguments: Any) -> None:
        """Copy or move files in the background, then list again."""

        def done(_result: Any) -> None:
            self.session.models_changed.emit()
            self._tell(words)

        start_worker(job, *arguments, on_result=done, on_error=self._failed, owner=self)

    def _failed(self, error: Exception) -> None:
        self.refresh()
        self._tell(str(error), show_error)

    def use(self) -> None:
        """Choose the model in *Segment*, now and from now on."""
        name = self.chosen[0]["model"]
        self.session.prefer_model(name)
        self._tell(f"“{name}” is chosen in Segment from now on.")

    def rename(self) -> None:
        """Let the user type another name in the table."""
        row = self.view.chosen_rows()[0]
        self.view.edit(self.view.proxy.mapFromSource(self.view.frame.index(row, 0)))

    def _renamed(self, row: int, _column: str, new: str) -> None:
        name = self.rows[row]["model"]
        self._do(f"“{name}” is “{new.strip()}” now.", user_models.rename_model, name, new.strip())

    def export(self) -> None:
        """Write the model to a file that the user chooses."""
        name = self.chosen[0]["model"]
        start = str(Path.home() / f"{name}{ENDING}")
        file, _ = QFileDialog.getSaveFileName(self, "Export the model", start, f"Models (*{ENDING})")
        if file:
            self._do(f"“{name}” is in {file}.", user_models.export_model, name, Path(file))

    def add(self) -> None:
        """Put a file that the user chooses into the list."""
        file, _ = QFileDialog.getOpenFileName(self, "Add a model", str(Path.home()), f"Models (*{ENDING})")
        if file:
            self._do(f"{Path(file).name} is in the list.", user_models.add_model, Path(file))

    def get(self) -> None:
        """Open the dialog that fetches models that others published."""
        try:
            open_get_dialog(self, lambda _name: self.session.models_changed.emit())
        except UserError as error:
            self._failed(error)

    def delete(self) -> None:
        """Take the model out of the list; asks when projects use it."""
        name = self.chosen[0]["model"]
        start_worker(
            projects_using, name, on_result=lambda used: self._delete(name, used), on_error=self._failed, owner=self
        )

    def _delete(self, name: str, used: dict[Path, int]) -> None:
        if used and not self._sure(name, used):
            return
        if preferences.model == name:
            preferences.model = next(iter(list_models()))
        self._do(f"“{name}” was deleted; “Restore” undoes it.", user_models.delete_model, name)

    def _sure(self, name: str, used: dict[Path, int]) -> bool:
        lines = "\n".join(f"{folder}: {counted(count, 'image')}" for folder, count in used.items())
        words = (
            f"“{name}” found leaves in projects of yours:\n\n{lines}\n\nTheir leaves stay, but without the model they "
            "cannot be found again in the same way. Delete it all the same?"
        )
        yes, cancel = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.Cancel
        answer = QMessageBox.question(
            self, "Delete the model", words, yes | cancel, cancel,  # type: ignore[arg-type]  # PyQt5's types take the two for a number
        )  # fmt: skip
        return bool(answer == QMessageBox.StandardButton.Yes)

    def restore(self, name: str) -> None:
        """Put a model that was deleted into the list again."""
        self._do(f"“{name}” is back.", user_models.restore_model, name)


def _about(row: dict[str, str]) -> str:
    """What is known of a model, in a few lines."""
    lines = [f"<b>{row['model']}</b>: {row['description'] or 'no description'}"]
    if row["verdict"]:
        lines.append(row["verdict"])
    if row["version"]:  # none where the card cannot be read
        lines.append(f"Version {row['version']}, {row['license']}.")
    return "<br>".join(lines)
