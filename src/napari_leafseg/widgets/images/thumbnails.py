"""Thumbnails of the rows that are in view, made in a worker and kept while there is room."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QImage

from napari_leafseg.errors import UserError
from napari_leafseg.io import ChannelsNeeded, ReadOptions
from napari_leafseg.pipelines.thumbnails import thumbnail_of
from napari_leafseg.widgets.common.background_run import BackgroundRun
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.state.colors import paint_leaves
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session

_LOG = logging.getLogger(__name__)
_KEPT = 800
_AT_ONCE = 6  # until what is in view now is looked at again


class Request(NamedTuple):
    """A thumbnail that is wanted: of which state of an image, and where its labels are."""

    path: Path
    version: int
    labels: np.ndarray | Path | None


class Thumbnails(QObject):
    """Make thumbnails for what is in view; what is not wanted any more is not made.

    Parameters
    ----------
    session : Session

    Signals
    -------
    made(ListedImage)
        An image has a new thumbnail.
    failed(ListedImage, str)
        An image cannot be read, and why.
    """

    made = Signal(object)
    failed = Signal(object, str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._images: OrderedDict[Path, tuple[int, QImage | None]] = OrderedDict()
        self._wanted: dict[object, list[ListedImage]] = {}
        self._asked: dict[Path, ListedImage] = {}
        self._requests: list[Request] = []
        self.job = JobRunner(self)
        self.job.progress.connect(self._show)
        self.job.finished.connect(self._ended)
        BackgroundRun.of(session).drawn.connect(self.put)

    @property
    def running(self) -> bool:
        """Whether thumbnails are being made."""
        return self.job.running

    def image(self, entry: ListedImage) -> QImage | None:
        """Return the thumbnail of an image; an older one while the newest is being made."""
        found = self._images.get(entry.path)
        return None if found is None else found[1]

    def want(self, who: object, entries: Iterable[ListedImage]) -> None:
        """Say what is in view, the most urgent first; what somebody wanted before is forgotten."""
        self._wanted[who] = list(entries)
        self._next()

    def forget(self, entry: ListedImage | None = None) -> None:
        """Make the thumbnail of an image again; of all where none is given."""
        if entry is None:
            self._images.clear()
            self._asked.clear()
        else:
            self._images.pop(entry.path, None)
            self._asked.pop(entry.path, None)

    def stop(self) -> None:
        """Make no more."""
        self._wanted.clear()
        self.job.stop()

    def put(self, entry: ListedImage, small: np.ndarray) -> None:
        """Take a thumbnail that was made elsewhere."""
        self._keep(entry, entry.version, small)

    def _next(self) -> None:
        if self.job.running:
            return
        missing = [
            entry for entries in self._wanted.values() for entry in entries
            if self._images.get(entry.path, (-1,))[0] != entry.version and not entry.error
        ]  # fmt: skip
        if missing:
            self._asked = {entry.path: entry for entry in missing[:_AT_ONCE]}
            self._requests = [self._request(entry) for entry in self._asked.values()]
            self.job.start(thumbnail_job, self._requests, self.session.read_options)

    def _ended(self) -> None:
        """Go on with what is in view; what could not be drawn is not tried again until it changes."""
        for request in self._requests:
            version, image = self._images.get(request.path, (-1, None))
            if request.path in self._asked and version < request.version:
                self._images[request.path] = (request.version, image)
        self._requests = []
        self._next()

    def _request(self, entry: ListedImage) -> Request:
        if entry.binding is not None:
            return Request(entry.path, entry.version, entry.binding.document.labels.copy())
        project = ProjectController.of(self.session).project
        ref = None if project is None or entry.facts is None else project.find(entry.path)
        return Request(entry.path, entry.version, None if project is None or ref is None else project.labels_path(ref))

    def _show(self, result: tuple[Request, np.ndarray | str | None]) -> None:
        request, small = result
        entry = self._asked.get(request.path)
        if entry is None:
            return  # another project was opened meanwhile
        if isinstance(small, str):
            self._images[entry.path] = (request.version, None)
            self.failed.emit(entry, small)
        else:
            self._keep(entry, request.version, small)

    def _keep(self, entry: ListedImage, version: int, small: np.ndarray | None) -> None:
        self._images[entry.path] = (version, None if small is None else to_image(small))
        self._images.move_to_end(entry.path)
        while len(self._images) > _KEPT:
            self._images.popitem(last=False)
        self.made.emit(entry)


def to_image(small: np.ndarray) -> QImage:
    """Make a Qt image of uint8 (h, w, 3)."""
    height, width = small.shape[:2]
    return QImage(small.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def thumbnail_job(
    requests: list[Request], options: ReadOptions
) -> Iterator[tuple[Request, np.ndarray | str | None]]:  # fmt: skip
    """Draw thumbnails; a sentence instead where a file cannot be read, and None where somebody has to say what its
    channels are."""
    for request in requests:
        try:
            yield request, thumbnail_of(request.path, options, request.labels, paint_leaves)
        except ChannelsNeeded:
            _LOG.debug("%s has no thumbnail yet.", request.path, exc_info=True)
            yield request, None
        except UserError as error:
            yield request, str(error)
