"""What the project's menu asks: the folder of a new project, and how far labels from files can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from qtpy.QtWidgets import QMessageBox, QWidget

from napari_leafseg._files import safe_name
from napari_leafseg.widgets.common.settings_dialog import SettingsDialog
from napari_leafseg.widgets.common.settings_form import FolderEdit

_NAME, _INSIDE = "The project's folder gets this name", "The folder that the project's folder is made in"


@dataclass(frozen=True)
class NewFolder:
    """A folder that is to be made."""

    name: Annotated[str, {"label": "Name", "tooltip": _NAME}] = ""
    parent: Annotated[str, {"widget_type": FolderEdit, "label": "In", "tooltip": _INSIDE}] = ""

    @property
    def folder(self) -> Path:
        """The folder."""
        return Path(self.parent).expanduser() / self.name.strip()


class NewFolderDialog(SettingsDialog[NewFolder]):
    """Asks for the name and place of a project's folder, which is made afterwards."""

    def problem(self, settings: NewFolder) -> str:
        """Say why it cannot be made."""
        name = settings.name.strip()
        if not name or not settings.parent:
            return "Give the project a name and a place."
        if safe_name(name) != name:
            return f"A folder cannot be called “{name}” on every system. “{safe_name(name)}” will do."
        return ""

    def hint(self, settings: NewFolder) -> str:
        """Show the whole path."""
        return str(settings.folder)


def ask_new_folder(parent: QWidget, title: str, action: str, inside: Path, name: str) -> Path | None:
    """Ask for a folder to be made; None where nobody gave one."""
    dialog = NewFolderDialog(title, NewFolder(name, str(inside)), action, parent)
    dialog.setObjectName("new_folder_dialog")
    dialog.form.native("name").setFocus()
    dialog.form.native("name").selectAll()
    given = dialog.exec()
    dialog.deleteLater()
    return dialog.form.settings().folder if given else None


def ask_verified(parent: QWidget, what: str) -> bool | None:
    """Ask whether labels are ground truth; None where nobody said."""
    box = QMessageBox(parent)
    box.setObjectName("verified_dialog")
    box.setWindowTitle(what)
    box.setText("How far can these leaves be trusted?")
    box.setInformativeText(
        "Verified leaves are right: no model changes them, and fine-tuning learns from them. A draft is not."
    )
    verified = box.addButton("Verified (ground truth)", QMessageBox.ButtonRole.YesRole)
    draft = box.addButton("Draft", QMessageBox.ButtonRole.NoRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(draft)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    return clicked is verified if clicked in (verified, draft) else None
