"""Traits of one's own, and which colors are green, yellow and brown, chosen for the open project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_leafseg.errors import UserError
from napari_leafseg.project.measurement_settings import MeasurementSettings
from napari_leafseg.traits.color import ColorClasses
from napari_leafseg.traits.extra import whole_place
from napari_leafseg.widgets.common.controls import push_button
from napari_leafseg.widgets.common.settings_dialog import SettingsDialog
from napari_leafseg.widgets.measure.settings import MeasurementSettingsStore

_YELLOW, _GREEN, _END, _SATURATION, _VALUE = ColorClasses().limits
_OWN = "Functions of a leaf’s mask and its colors, FILE.py:FUNCTION, with semicolons between them"


def _hue(label: str) -> dict[str, Any]:
    return {"label": label, "min": 0, "max": 360, "step": 1, "suffix": "°"}


def _share(label: str) -> dict[str, Any]:
    return {"label": label, "min": 0, "max": 1, "step": 0.05}


@dataclass(frozen=True)
class TraitSettings:
    """What the dialog asks for."""

    traits: Annotated[str, {"label": "Traits of yours", "tooltip": _OWN}] = ""
    yellow: Annotated[float, _hue("Yellow from a hue of")] = _YELLOW
    green: Annotated[float, _hue("Green from")] = _GREEN
    end: Annotated[float, _hue("Green to")] = _END
    saturation: Annotated[float, _share("Least saturation")] = _SATURATION
    value: Annotated[float, _share("Least brightness")] = _VALUE

    @classmethod
    def of(cls, notes: MeasurementSettings) -> TraitSettings:
        """Return what holds in a project."""
        limits = ColorClasses().limits if notes.color_limits is None else notes.color_limits
        return cls("; ".join(notes.traits), *ColorClasses.of_limits(*limits).limits)

    @property
    def named(self) -> tuple[str, ...]:
        """Return the functions, files by their whole places."""
        return tuple(whole_place(text.strip()) for text in self.traits.split(";") if text.strip())

    @property
    def limits(self) -> tuple[float, ...]:
        """Return the limits of colors."""
        return ColorClasses.of_limits(self.yellow, self.green, self.end, self.saturation, self.value).limits

    def put_into(self, notes: MeasurementSettings) -> None:
        """Put them into what a project keeps."""
        notes.traits = self.named
        notes.color_limits = None if self.limits == ColorClasses().limits else self.limits


class TraitsDialog(SettingsDialog[TraitSettings]):
    """Asks for traits of one's own and the limits of colors."""

    def __init__(self, notes: MeasurementSettings, parent: QWidget | None = None) -> None:
        super().__init__("Traits", TraitSettings.of(notes), "Use", parent)
        self.setObjectName("traits_dialog")
        self.file_button = push_button("add_trait", "Add a file …", self._add_file, "A Python file with your functions")
        self.file_button.setAutoDefault(False)
        self.column.insertWidget(1, self.file_button)

    def _add_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "A file with functions", str(Path.home()), "Python (*.py)")
        if chosen:
            line = self.form.native("traits")
            line.setText("; ".join(filter(None, (line.text().strip("; "), f"{chosen}:"))))
            line.setFocus()
            self.refresh()

    def problem(self, settings: TraitSettings) -> str:
        """Say what cannot be used; functions are loaded where images are measured."""
        for text in settings.named:
            place, _, name = text.rpartition(":")
            if not place or not name.isidentifier():
                return f"“{text}” names no trait. Write FILE.py:FUNCTION or MODULE:FUNCTION."
            if place.endswith(".py") and not Path(place).is_file():
                return f"There is no file {place}."
        try:
            assert settings.limits
        except UserError as error:
            return str(error)
        return ""

    def hint(self, settings: TraitSettings) -> str:
        """Say which hues are what."""
        return (
            f"Brown is below {settings.yellow:g}°, yellow below {settings.green:g}°, green below {settings.end:g}°. "
            "All images are measured again; update and a batch of these images measure the same."
        )


def edit_traits(store: MeasurementSettingsStore, parent: QWidget) -> None:
    """Ask for traits of one's own and the limits of colors; they are kept with the project."""
    dialog = TraitsDialog(store.notes, parent)
    if dialog.exec():
        dialog.form.settings().put_into(store.notes)
        store.keep()
        store.changed.emit()
