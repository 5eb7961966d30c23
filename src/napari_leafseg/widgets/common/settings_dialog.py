"""A dialog that asks for typed settings."""

from __future__ import annotations

from typing import Generic, TypeVar

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QPushButton, QVBoxLayout, QWidget

from napari_leafseg.widgets.common.controls import allow, present, wrapped_label
from napari_leafseg.widgets.common.settings_form import SettingsForm

_Settings = TypeVar("_Settings")


class SettingsDialog(QDialog, Generic[_Settings]):
    """Ask for settings; its main button is enabled once `problem` has nothing to say.

    Parameters
    ----------
    title : str
    settings : dataclass
        See `SettingsForm`.
    action : str
        On the main button.
    parent : QWidget, optional
    """

    def __init__(self, title: str, settings: _Settings, action: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(440)
        self.form: SettingsForm[_Settings] = SettingsForm(settings)
        self.message = wrapped_label("message")
        self.buttons = QDialogButtonBox()
        self.accept_button = present(self.buttons.addButton(action, QDialogButtonBox.ButtonRole.AcceptRole))
        self.accept_button.setObjectName("accept")
        self.accept_button.setDefault(True)
        self.cancel_button = present(self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel))
        for button in self.form.findChildren(QPushButton):
            button.setAutoDefault(False)  # Enter is for the main button
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.form.changed.connect(self.refresh)
        self.column = QVBoxLayout(self)
        for part in (self.form, self.message, self.buttons):
            self.column.addWidget(part)
        self.refresh()

    def problem(self, settings: _Settings) -> str:
        """Say what is missing, as a sentence; empty where nothing is."""
        return ""

    def hint(self, settings: _Settings) -> str:
        """Say what will be done."""
        return ""

    def refresh(self) -> None:
        """Show whether the settings will do."""
        settings = self.form.settings()
        problem = self.problem(settings)
        allow(self.accept_button, problem)
        self.message.setText(problem or self.hint(settings))
