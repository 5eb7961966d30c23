"""The button *Run all*, and the strip that tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from napari_leafseg.errors import UserError
from napari_leafseg.widgets.common.background_run import BackgroundRun, chosen_settings
from napari_leafseg.widgets.common.controls import allow, listen, push_button, set_tip, thin_progress, wrapped_label
from napari_leafseg.widgets.state.session import Session


class RunAllButton(QWidget):
    """Begin or stop to work off the list.

    Parameters
    ----------
    session : Session
    before : callable
        Called before it begins, so that what is chosen in the form counts.
    """

    def __init__(self, session: Session, before: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run, self._before = BackgroundRun.of(session), before
        self.button = push_button("run_all", "Run all", self._clicked)
        self.more = push_button("run_all_menu", "", None, "Which images are run")
        self.more.setFixedWidth(26)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(1)
        row.addWidget(self.button, 1)
        row.addWidget(self.more)
        menu = QMenu(self)
        self.missing = menu.addAction("Only what is missing or out of date", self.start)
        self.everything = menu.addAction("All again, but for reviewed images", lambda: self.start(True))
        self.more.setMenu(menu)
        self._left = self._without = 0
        self.run.changed.connect(self._count)
        listen(session.images_changed, self._count)
        self._count()

    def _count(self) -> None:
        left = [entry for entry in self.run.session.images if entry.waits]
        self._left, self._without = len(left), sum(not entry.has_leaves for entry in left)
        self.refresh()

    def refresh(self) -> None:
        """Show whether it runs, and how many images have no leaves yet."""
        running = self.run.running
        self.button.setText("Stop all" if running else f"Run all ({self._without})" if self._without else "Run all")
        nothing = "All images of the list are reviewed." if self.run.session.images else "Add images to the list first."
        none = "" if self._left else nothing
        allow(self.more, "Stop it first." if running else none)
        allow(self.button, "" if running else none)
        set_tip(
            self.button,
            "Stop after what is being computed; what is done stays"
            if running
            else "Find the leaves of all images of the list in the background, from the shown one on: those that have "
            "none, or whose model, parameters or file changed. Reviewed images and verified leaves stay as they are.",
        )

    def _clicked(self) -> None:
        if self.run.running:
            self.run.stop()
        else:
            self.start()

    def start(self, everything: bool = False) -> None:
        """Begin with the shown image."""
        self._before()
        try:
            settings = chosen_settings()
        except UserError as error:
            show_error(str(error))
            return
        self.run.start(self.run.candidates(), settings, everything is True)


class RunStrip(QWidget):
    """Tell how far *Run all* is; not there while there is nothing to tell.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("run_strip")
        self.run = BackgroundRun.of(session)
        self.words = wrapped_label("run_words")
        self.bar = thin_progress()
        self.stop_button = push_button("stop_run_all", "Stop all", self.run.stop, "Stop after what is being computed")
        row, column = QHBoxLayout(), QVBoxLayout(self)
        row.addWidget(self.words, 1)
        row.addWidget(self.stop_button)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row)
        column.addWidget(self.bar)
        self.run.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand."""
        run = self.run
        self.setVisible(run.total > 0)
        self.bar.setVisible(run.running)
        self.stop_button.setVisible(run.running)
        self.bar.setRange(0, max(1, run.total))
        self.bar.setValue(run.done)
        self.words.setText(run.sentence())
