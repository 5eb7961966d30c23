"""What the list shows while it is empty: a sample to try, what was done last, and where to begin."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_leafseg._counts import counted
from napari_leafseg._files import sample_folder
from napari_leafseg._samples import SERIES
from napari_leafseg.errors import UserError
from napari_leafseg.project.files import read_project_file
from napari_leafseg.project.recent_projects import recent_projects
from napari_leafseg.project.rescue import kept_from
from napari_leafseg.widgets.common.controls import push_button, wrapped_label
from napari_leafseg.widgets.common.elided import ElidedButton
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import recoverable_projects, unsaved_folder
from napari_leafseg.widgets.state.workers import start_worker

_LOG = logging.getLogger(__name__)
_SHOWN = 4


class EmptyPage(QWidget):
    """Offer what one may begin with.

    Signals
    -------
    folder_wanted(pathlib.Path), project_wanted(pathlib.Path), kept_wanted(pathlib.Path)
        Images of a folder, a project, or what an earlier session left in the safety folder.
    """

    folder_wanted = Signal(object)
    project_wanted = Signal(object)
    kept_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("empty_page")
        inside, area, outer = QWidget(), QScrollArea(), QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        outer.addWidget(area)
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 12, 4, 4)
        column.setSpacing(6)
        self.words = QLabel("No images yet.\nAdd files or a folder, or drop them here.")
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words.setWordWrap(True)
        self.try_button = push_button(
            "try_it", "Try it with a growth series", self._try, "Opens the sample: one plant on six days"
        )
        column.addWidget(self.words)
        column.addSpacing(6)
        column.addWidget(self.try_button)
        self.column = QVBoxLayout()
        self.column.setSpacing(3)
        column.addLayout(self.column)
        column.addStretch(1)

    def refresh(self) -> None:
        """Look, in a worker, what was done before."""
        start_worker(_look, recoverable_projects, on_result=self._show, on_error=lambda _error: None, owner=self)

    def _try(self) -> None:
        self.folder_wanted.emit(sample_folder() / SERIES)

    def _show(self, found: tuple[list[tuple[Path, str, str]], list[Path], list[Path]]) -> None:
        while (item := self.column.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        kept, projects, folders = found
        self._section("Continue", [(title, tip, partial(self.kept_wanted.emit, path)) for path, title, tip in kept])
        self._section(
            "Projects", [(path.name, str(path), partial(self.project_wanted.emit, path)) for path in projects]
        )
        self._section("Folders", [(path.name, str(path), partial(self.folder_wanted.emit, path)) for path in folders])

    def _section(self, title: str, entries: list[tuple[str, str, Callable[[], None]]]) -> None:
        if not entries:
            return
        self.column.addSpacing(8)
        self.column.addWidget(wrapped_label(f"empty_{title.lower()}", f"<b>{title}</b>"))
        for text, tip, action in entries:
            button = ElidedButton(text)
            button.setObjectName(f"recent_{title.lower()}")
            button.setToolTip(tip)
            button.clicked.connect(lambda _on=False, action=action: action())
            button.setStyleSheet("text-align: left; padding-left: 8px;")
            self.column.addWidget(button)

    def buttons(self, section: str) -> list[QPushButton]:
        """Return the buttons of a section: "continue", "projects" or "folders"."""
        return [button for button in self.findChildren(QPushButton, f"recent_{section}") if button.isVisibleTo(self)]


def _look(recoverable: Callable[[], list[Path]]) -> tuple[list[tuple[Path, str, str]], list[Path], list[Path]]:
    """What the safety folder holds, recent projects, and recent folders."""
    kept = []
    for folder in recoverable()[:_SHOWN]:
        try:
            images = len(read_project_file(folder)[0].images)
        except UserError as error:
            kept.append((folder, f"{folder.name[:16]}: {error}", str(folder)))
            continue
        labels = len(list((folder / "labels").glob("*.tif")))
        source = kept_from(folder)
        tip = f"{f'Could not be written to {source}' if source else 'Never put into a project'}; kept in {folder}"
        name = f"“{source.name}”, " if source else ""
        kept.append((folder, f"{_day(folder.name)}: {name}{counted(images, 'image')}, {labels} segmented", tip))
    safety = unsaved_folder()
    projects = [path for path in recent_projects() if path.parent != safety][:_SHOWN]
    folders = [Path(path) for path in preferences.recent_folders if Path(path).is_dir()][:_SHOWN]
    return kept, projects, folders


def _day(stamp: str) -> str:
    """The day of a folder of the safety folder, as people say it."""
    try:
        day = datetime.datetime.strptime(stamp[:16], "%Y-%m-%d %H.%M")
    except ValueError as error:
        _LOG.debug("A folder that somebody named: %s", error)
        return stamp
    ago = (datetime.date.today() - day.date()).days
    words = {0: "Today", 1: "Yesterday"}.get(ago, f"{day:%A}" if ago < 7 else f"{day:%Y-%m-%d}")
    return f"{words} {day:%H:%M}"
