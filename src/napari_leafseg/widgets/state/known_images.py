"""What is known of the plants in the images of the list: kept with the project, or with the session."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_leafseg.experiment import Described, Experiment
from napari_leafseg.project.experiment_file import (
    FILE,
    KeptExperiment,
    experiment_content,
    load_experiment,
    write_experiment,
)
from napari_leafseg.project.write_job import Job
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session

_STORES: weakref.WeakKeyDictionary[Session, ExperimentStore] = weakref.WeakKeyDictionary()


class KnownImages:
    """What is known of the images of a list as it is at a moment; found out where it is asked first, in any thread."""

    def __init__(self, experiment: Experiment, paths: Sequence[Path]) -> None:
        self.experiment, self.paths = experiment, tuple(paths)
        self._lock = threading.Lock()
        self._found: dict[Path, Described] | None = None

    def of(self, path: Path | None) -> Described:
        """Return what is known of an image."""
        return Described() if path is None else self.all().get(path, Described())

    def all(self) -> Mapping[Path, Described]:
        """Return what is known of each image of the list."""
        with self._lock:
            if self._found is None:
                self._found = self.experiment.describe(self.paths)
        return self._found


class ExperimentStore(QObject):
    """The experiment of the open project; what was said before one was opened goes with it.

    Signals
    -------
    changed()
        Something else is known.
    """

    changed = Signal()

    def __init__(self, session: Session, controller: ProjectController) -> None:
        super().__init__(controller)
        self._session = weakref.ref(session)
        self._controller = controller
        self._other = True
        self._kept = KeptExperiment()
        self._known: KnownImages | None = None
        controller.opened.connect(self._opened)
        controller.changed.connect(self._project_changed)
        self._project_changed()

    @classmethod
    def of(cls, session: Session) -> ExperimentStore:
        """Return the session's, made when it has none."""
        store = _STORES.get(session)
        if store is None:
            store = _STORES[session] = cls(session, ProjectController.of(session))
        return store

    @property
    def experiment(self) -> Experiment:
        """All that was said; change a copy, and `replace` it."""
        return self._kept.experiment

    def known(self) -> KnownImages:
        """Return what is known of the images of the list."""
        session = self._session()
        paths = () if session is None else tuple(entry.path for entry in session.images)
        if self._known is None or self._known.paths != paths:
            self._known = KnownImages(self.experiment.copy(), paths)
        return self._known

    def replace(self, experiment: Experiment) -> None:
        """Take over what somebody decided, and keep it."""
        self._kept.experiment, self._known = experiment, None
        self._keep()
        self.changed.emit()

    def _opened(self) -> None:
        """Other images are the list now, with what their project says of them."""
        self._other = True

    def _project_changed(self) -> None:
        project = self._controller.project
        if self._other:
            self._kept = KeptExperiment() if project is None else load_experiment(project)
            if self._kept.problem:
                show_error(self._kept.problem)
        self._known, other, self._other = None, self._other, False
        if not other:  # a project of the same images, which what was said goes with
            self._keep()
        self.changed.emit()

    def _keep(self) -> None:
        """Give it to the project's writer."""
        project, kept = self._controller.project, self._kept
        if project is None or not kept.writable:
            return
        if kept == KeptExperiment() and not (project.folder / FILE).exists():
            return
        kept = replace(kept)  # the experiment in it is never changed, another one takes its place
        job = Job(lambda other: write_experiment(other.folder, experiment_content(kept, other)), project, "")
        project.writer.put(job, key="experiment")
