"""What is known of the plants in the images of the list: kept with the project, or with the session."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_leafseg.experiment import Described, Experiment
from napari_leafseg.project import Project
from napari_leafseg.project.experiment_file import (
    FILE,
    KeptExperiment,
    experiment_content,
    load_experiment,
)
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.project_store import FileStore
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


class ExperimentStore(FileStore[KeptExperiment]):
    """The experiment of the open project; what was said before one was opened goes with it."""

    file = FILE

    def __init__(self, session: Session, controller: ProjectController) -> None:
        super().__init__(controller)
        self._session = weakref.ref(session)
        self._known: KnownImages | None = None
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
        self.keep()
        self.changed.emit()

    def _empty(self) -> KeptExperiment:
        return KeptExperiment()

    def _read(self, project: Project) -> KeptExperiment:
        return load_experiment(project)

    def _content(self, kept: KeptExperiment, project: Project) -> bytes:
        return experiment_content(kept, project)

    def _forget(self) -> None:
        self._known = None
