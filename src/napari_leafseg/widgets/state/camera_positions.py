"""Trays and scales of the camera positions of the images in the list: kept with the project, or with the session."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path

from napari.layers import Image

from napari_leafseg.experiment import Described
from napari_leafseg.experiment.color_correction import ColorCorrection
from napari_leafseg.experiment.positions import KnownScale, Positions, Setup, same_position
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.project import Project
from napari_leafseg.project.positions_file import (
    FILE,
    KeptPositions,
    load_positions,
    positions_content,
)
from napari_leafseg.widgets.state.known_images import ExperimentStore, KnownImages
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.project_store import FileStore
from napari_leafseg.widgets.state.session import Session

_STORES: weakref.WeakKeyDictionary[Session, PositionStore] = weakref.WeakKeyDictionary()


class Lookup:
    """Say which tray and scale hold for images, as they were set at a moment."""

    def __init__(self, positions: Positions, known: KnownImages | None) -> None:
        self.positions, self.known = positions, known
        self._found: dict[Path, Setup] | None = None

    def __call__(self, path: Path) -> Setup:
        """Return what holds for an image."""
        if not self.positions:
            return Setup()
        if self._found is None:
            self._found = {} if self.known is None else self.positions.setups(self.known.all())
        said = self.positions
        alone = Setup(said.trays.get(path), said.scales.get(path), said.colors.get(path))
        return self._found.get(path, alone)


class PositionStore(FileStore[KeptPositions]):
    """The camera positions of the open project; what was set before one was opened goes with it."""

    file = FILE

    def __init__(self, session: Session, controller: ProjectController) -> None:
        super().__init__(controller)
        self._session = weakref.ref(session)
        self._lookup: Lookup | None = None
        ExperimentStore.of(session).changed.connect(self._other_images)
        self._project_changed()

    @classmethod
    def of(cls, session: Session) -> PositionStore:
        """Return the session's, made when it has none."""
        store = _STORES.get(session)
        if store is None:
            store = _STORES[session] = cls(session, ProjectController.of(session))
        return store

    @property
    def positions(self) -> Positions:
        """All that was set; change a copy, and `replace` it."""
        return self._kept.positions

    def place(self, image: Image) -> Path:
        """Return by which path an image is known here; one that is of no file has a name that no file has."""
        session = self._session()
        assert session is not None
        entry = session.entry_of(image)
        return entry.path if entry is not None else Path(f"layer:{session.record(image).key}")

    def lookup(self) -> Lookup:
        """Return what holds as it is at this moment, to be asked in any thread."""
        session = self._session()
        known = None if session is None else ExperimentStore.of(session).known()
        if self._lookup is None or self._lookup.known is not known:
            self._lookup = Lookup(self.positions, known)
        return self._lookup

    def setup(self, path: Path) -> Setup:
        """Return which tray and scale hold for an image."""
        return self.lookup()(path)

    def together(self, path: Path) -> list[Path]:
        """List the images of the camera position of one, in order of time."""
        return same_position(self._described(), path) or [path]

    def set_tray(self, path: Path, tray: Tray | None, everywhere: bool) -> None:
        """Put a tray over an image and those after it, or over all of its camera position; None removes it."""
        positions = self.positions.copy()
        for other in self.together(path) if everywhere or tray is None else [path]:
            positions.trays.pop(other, None)
        if tray is not None:
            positions.trays[self.together(path)[0] if everywhere else path] = tray
        self.replace(positions)

    def change_tray(self, path: Path, tray: Tray) -> None:
        """Put another tray in the place of the one that holds for an image."""
        positions, before = self.positions.copy(), self.setup(path).tray
        holder = next((other for other in self.together(path) if positions.trays.get(other) is before), path)
        positions.trays[holder] = tray
        self.replace(positions)

    def set_scale(self, path: Path, scale: KnownScale | None) -> None:
        """Keep a scale for an image and those after it at its camera position; None removes those of the position."""
        positions = self.positions.copy()
        if scale is None:
            for other in self.together(path):
                positions.scales.pop(other, None)
        else:
            positions.scales[path] = scale
        self.replace(positions)

    def set_color(self, path: Path, color: ColorCorrection | None) -> None:
        """Keep a color correction as `set_scale` keeps a scale."""
        positions = self.positions.copy()
        if color is None:
            for other in self.together(path):
                positions.colors.pop(other, None)
        else:
            positions.colors[path] = color
        self.replace(positions)

    def replace(self, positions: Positions) -> None:
        """Take over what somebody decided, and keep it."""
        self._kept.positions, self._lookup = positions, None
        self.keep()
        self.changed.emit()

    def _described(self) -> Mapping[Path, Described]:
        session = self._session()
        return {} if session is None else ExperimentStore.of(session).known().all()

    def _other_images(self) -> None:
        self._forget()
        self.changed.emit()

    def _empty(self) -> KeptPositions:
        return KeptPositions()

    def _read(self, project: Project) -> KeptPositions:
        return load_positions(project)

    def _content(self, kept: KeptPositions, project: Project) -> bytes:
        return positions_content(kept, project)

    def _forget(self) -> None:
        self._lookup = None
