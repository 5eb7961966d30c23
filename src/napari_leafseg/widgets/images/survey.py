"""What is known of images that nobody looked at yet: their dates, and what the project has of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_leafseg.errors import UserError
from napari_leafseg.project import Project
from napari_leafseg.project.background import LabelFacts, read_facts
from napari_leafseg.project.files import ImageRef
from napari_leafseg.project.review import find_jumps, image_date
from napari_leafseg.widgets.common.controls import listen
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session

_LOG = logging.getLogger(__name__)
_AT_ONCE = 100  # images told together


class Survey(QObject):
    """Look at all images of the list in a worker, so that their rows are right before anybody visits them.

    Parameters
    ----------
    session : Session

    Signals
    -------
    learned()
        More is known of some images.
    """

    learned = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._entries: dict[Path, ListedImage] = {}
        self._left: list[ListedImage] = []
        self.jumps = JobRunner(self)
        self.jumps.result.connect(self._note_jumps)
        self.job = JobRunner(self)
        self.job.progress.connect(self._learn)
        self.job.finished.connect(self._next)
        listen(session.labels_released, self._released)

    def look(self, entries: list[ListedImage]) -> None:
        """Look at images; at those that are asked for meanwhile afterwards."""
        self._left.extend(entries)
        self._next()

    def restart(self) -> None:
        """Look at all images of the list, as after another project was opened."""
        self._left = list(self.session.images)
        self.job.stop()
        self._next()

    def stop(self) -> None:
        """Look at no more."""
        self._left.clear()
        self.job.stop()

    def look_for_jumps(self) -> None:
        """Find, in a worker, images whose number of leaves jumps in their series."""
        self.jumps.start(find_jumps, {entry.path: entry.count for entry in self.session.images if entry.has_leaves})

    def _note_jumps(self, jumps: dict[Path, int]) -> None:
        changed = False
        for entry in self.session.images:
            jumped = jumps.get(entry.path)
            changed, entry.jumped = changed or jumped != entry.jumped, jumped
        if changed:
            self.learned.emit()

    def _released(self, binding: object) -> None:
        """An image is not on the screen any more: the project knows what became of it."""
        self.look([entry for entry in self.session.images if entry.binding is binding])

    def _next(self) -> None:
        if not self._left or self.job.running:
            return
        entries, self._left = self._left, []
        self._entries = {entry.path: entry for entry in entries}
        project = ProjectController.of(self.session).project
        refs = [None if project is None else project.find(entry.path) for entry in entries]
        paths = [entry.path for entry in entries]
        self.job.start(survey_job, project, list(zip(paths, refs, strict=True)))

    def _learn(self, found: list[tuple[Path, float, LabelFacts | str | None]]) -> None:
        for path, date, facts in found:
            entry = self._entries[path]
            entry.date = date
            if isinstance(facts, str):
                entry.trouble = facts
            elif facts is not None and not entry.task:
                entry.learn(facts)
        self.learned.emit()


def survey_job(
    project: Project | None, images: list[tuple[Path, ImageRef | None]]
) -> Iterator[list[tuple[Path, float, LabelFacts | str | None]]]:
    """Read dates, and what the project has of images; a sentence where that cannot be read."""
    if project is not None:
        project.writer.flush()
    found: list[tuple[Path, float, LabelFacts | str | None]] = []
    for path, ref in images:
        facts: LabelFacts | str | None = None
        try:
            facts = None if project is None or ref is None else read_facts(project, ref)
        except UserError as error:
            _LOG.warning("Nothing is known of the labels of %s: %s", path.name, error)
            facts = str(error)
        found.append((path, image_date(path), facts))
        if len(found) == _AT_ONCE:
            yield found
            found = []
    yield found
