"""Rows, columns and names of a tray, beside its grid on the canvas."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_leafseg._counts import counted
from napari_leafseg._files import write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.experiment.tray import DEFAULT_NAMES, MOST, Point, Tray
from napari_leafseg.pipelines.crops import crop_job
from napari_leafseg.widgets.common.controls import allow, push_button, wrapped_label
from napari_leafseg.widgets.common.settings_form import SettingsForm
from napari_leafseg.widgets.measure.handles import plane_shape
from napari_leafseg.widgets.measure.tray_grid import TrayGrid
from napari_leafseg.widgets.state.camera_positions import PositionStore
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.view import fit_box
from napari_leafseg.widgets.state.workers import start_worker

_START: tuple[Point, ...] = ((0.06, 0.06), (0.06, 0.94), (0.94, 0.94), (0.94, 0.06))
_NAMES = (
    "{row}, {column}; {number} row by row, {down} column by column, {snake} row by row and back; "
    "{row:A} in letters, {number:02} with zeros"
)
_SHOWN = 3  # names at the beginning of the preview


@dataclass(frozen=True)
class TrayForm:
    """What is asked of a tray."""

    rows: Annotated[int, {"label": "Rows", "min": 1, "max": MOST}] = 4
    columns: Annotated[int, {"label": "Columns", "min": 1, "max": MOST}] = 5
    names: Annotated[str, {"label": "Names", "tooltip": _NAMES}] = DEFAULT_NAMES
    width_mm: Annotated[
        float,
        {
            "label": "Width",
            "max": 100_000,
            "step": 1,
            "suffix": " mm",
            "special": "not known",
            "tooltip": "From the outer edge of the first column to that of the last: gives the scale",
        },
    ] = 0.0


class TrayPanel(QWidget):
    """Steers the grid of a tray and what is asked of it; nothing counts before *Use*.

    Parameters
    ----------
    session : Session
    positions : PositionStore

    Signals
    -------
    closed()
        It was used, deleted or given up.
    """

    closed = Signal()

    def __init__(self, session: Session, positions: PositionStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._positions = session, positions
        self.grid: TrayGrid | None = None
        self._path = Path()
        self.form: SettingsForm[TrayForm] = SettingsForm(TrayForm())
        self.form.changed.connect(self._form_changed)
        self.preview = wrapped_label("pot_names")
        self.message = wrapped_label("tray_message")
        self.everywhere = QCheckBox()
        self.everywhere.setObjectName("everywhere")
        self.use_button = push_button("use_tray", "Use", self.use)
        self.remove_button = push_button("remove_tray", "Remove", self.remove, "Divide plants as without a tray")
        self.cancel_button = push_button("cancel_tray", "Cancel", self.close_grid)
        tip = "A file for “napari-leafseg batch --tray”"
        self.save_button = push_button("save_tray", "Save tray …", self._save, tip)
        tip = "Cut the pots out of the images of this camera position, a folder for each pot"
        self.crops_button = push_button("save_crops", "Save crops …", self._save_crops, tip)
        hint = wrapped_label(
            "tray_hint",
            "Drag the corners of the grid to those of the tray. A click on a pot marks it as empty, another one as "
            "planted.",
        )
        main, more = QHBoxLayout(), QHBoxLayout()
        for button in (self.use_button, self.remove_button, self.cancel_button):
            main.addWidget(button, 1)
        for button in (self.save_button, self.crops_button):
            more.addWidget(button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (hint, self.form, self.preview, self.everywhere, self.message):
            column.addWidget(part)
        column.addLayout(main)
        column.addLayout(more)
        column.addStretch(1)
        self.hide()

    def edit(self, image: Image) -> None:
        """Show the tray of an image, or a new one."""
        self.close_grid()
        self._path = self._positions.place(image)
        kept = self._positions.setup(self._path).tray
        tray = kept or Tray(TrayForm.rows, TrayForm.columns, _START)
        self.form.blockSignals(True)
        self.form.show_settings(TrayForm(tray.rows, tray.columns, tray.names, tray.width_mm or 0.0))
        self.form.blockSignals(False)
        together = self._positions.together(self._path)
        others = [path for path in together if path in self._positions.positions.trays and path != self._path]
        self.everywhere.setText(f"Same for {counted(len(together), 'image')} of this camera position")
        self.everywhere.setToolTip("Else from this image on, until another tray is set")
        self.everywhere.setVisible(len(together) > 1)
        self.everywhere.setChecked(not others)
        allow(self.remove_button, "" if kept is not None else "This image has no tray yet.")
        fit_box(self._session, image, np.zeros(2), np.array(plane_shape(image), float))  # all corners in view
        self.grid = TrayGrid(self._session, image, tray, self)
        self.grid.changed.connect(self._tell)
        self.grid.removed.connect(self.close_grid)
        self.show()
        self._tell()

    def _form_changed(self) -> None:
        if self.grid is None:
            return
        asked = self.form.settings()
        try:
            tray = replace(
                self.grid.tray, rows=asked.rows, columns=asked.columns, names=asked.names,
                width_mm=asked.width_mm or None,
            )  # fmt: skip
        except UserError as error:
            self._problem(str(error))
            return
        self.grid.show(tray)
        self._tell()

    def _problem(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))
        for button in (self.use_button, self.save_button, self.crops_button):
            allow(button, text)

    def _tell(self) -> None:
        """Show how pots are called, and how many are planted."""
        if self.grid is None:
            return
        tray = self.grid.tray
        names = [tray.name_of[pot] for pot in tray.pots]
        shown = names if len(names) <= _SHOWN + 2 else [*names[:_SHOWN], "…", names[-1]]
        planted = len(names) - len(tray.empty)
        empty = f", {len(tray.empty)} empty" if tray.empty else ""
        scale = tray.px_per_mm(self.grid.shape)
        wide = f" {scale:.4g} px/mm." if scale is not None else ""
        self.preview.setText(f"{', '.join(shown)}: {counted(planted, 'pot')}{empty}.{wide}")
        self._problem("")

    def use(self) -> None:
        """Give leaves to the pots of the grid, from now on."""
        if self.grid is not None:
            tray, everywhere = self.grid.tray, self.everywhere.isChecked()
            self.close_grid()
            self._positions.set_tray(self._path, tray, everywhere)

    def remove(self) -> None:
        """Take the tray of the camera position away."""
        self.close_grid()
        self._positions.set_tray(self._path, None, True)

    def close_grid(self) -> None:
        """Take the grid from the canvas; what was changed and not used is forgotten."""
        grid, self.grid = self.grid, None
        if grid is not None:
            grid.close()
            self.hide()
            self.closed.emit()

    def _save(self) -> None:
        if self.grid is None:
            return
        start = str(Path.home() / "tray.json")
        chosen, _ = QFileDialog.getSaveFileName(self, "Save tray", start, "JSON (*.json)")
        if not chosen:
            return
        try:
            write_atomically(Path(chosen), (json.dumps(self.grid.tray.as_dict(), indent=1) + "\n").encode())
        except UserError as error:
            show_error(str(error))
            return
        show_info(f"Saved {chosen}")

    def _save_crops(self) -> None:
        if self.grid is None:
            return
        paths = [path for path in self._positions.together(self._path) if path.is_file()]
        if not paths:
            show_info("Crops are cut out of image files. Add the images to the list first.")
            return
        chosen = QFileDialog.getExistingDirectory(self, "Folder for the crops", str(Path.home()))
        if not chosen:
            return
        lookup, tray, everywhere = self._positions.lookup(), self.grid.tray, self.everywhere.isChecked()
        trays = {path: tray if everywhere or path == self._path else lookup(path).tray for path in paths}
        trays = {path: one or tray for path, one in trays.items()}
        self._problem("Cutting …")
        start_worker(
            crop_job, trays, Path(chosen), self._session.read_options, on_result=self._cropping,
            on_error=self._not_cut, owner=self,
        )  # fmt: skip

    def _not_cut(self, error: Exception) -> None:
        self._tell()
        show_error(str(error))

    def _cropping(self, event: Any) -> None:
        if event.done < event.total:
            self._problem(f"Cutting {event.message} …")
            return
        self._tell()
        show_info(f"{counted(event.crops, 'crop')} written.{' ' + event.problem if event.problem else ''}")
