"""Keeps what models said of images with their project, and brings it back for tuning."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject

from napari_leafseg.errors import UserError
from napari_leafseg.project import Project
from napari_leafseg.project.files import ImageRef
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import labels_shape
from napari_leafseg.widgets.state.workers import start_worker

if TYPE_CHECKING:
    from napari_leafseg.inference.prediction import Prediction
    from napari_leafseg.widgets.state.labels_binding import LabelsBinding
    from napari_leafseg.widgets.state.project_labels import ProjectLabels


_NEAR = 12


class KeptPredictions(QObject):
    """Write and read predictions in threads; nobody waits for them.

    Parameters
    ----------
    controller : ProjectLabels
        Whose project it is.
    """

    def __init__(self, controller: ProjectLabels) -> None:
        super().__init__(controller)
        self._controller = controller
        self._kept: dict[tuple[Path, str], str] = {}
        self._reading: set[str] = set()
        self._unreadable: set[str] = set()  # told already
        self._near: dict[str, Prediction] = {}  # of images that left the screen, the last one last

    def keep(self, image: Image) -> None:
        """Store the prediction of an image, where the project keeps its labels."""
        record = self._controller.session.record(image)
        if record.ref is not None and record.prediction is not None:
            self.keep_of(record.ref, record.prediction)

    def keep_of(self, ref: ImageRef, prediction: Prediction) -> None:
        """Store the prediction of an image that need not be open."""
        project = self._controller.project
        if project is None or not preferences.keep_predictions or prediction.family.prediction is None:
            return
        place, key = (project.folder, ref.id), prediction.key
        if self._kept.get(place) == key:
            return
        self._kept[place] = key
        project.predictions.limit = preferences.predictions_limit * 2**20
        project.predictions.put(ref.id, partial(_pack, prediction))

    def remember(self, binding: LabelsBinding) -> None:
        """Keep the prediction of an image that leaves the screen in memory, for a while."""
        prediction = self._controller.session.record(binding.image).prediction
        if prediction is not None:
            self._near.pop(prediction.key, None)
            self._near[prediction.key] = prediction
            for key in list(self._near)[:-_NEAR]:
                del self._near[key]

    def forget(self) -> None:
        """Free what is kept in memory of images that left the screen."""
        self._near.clear()

    def offer(self, image: Image) -> None:
        """Read the prediction that the labels of an image come from, where it is kept and nothing newer is there."""
        record, project = self._controller.session.record(image), self._controller.project
        binding = record.binding
        if project is None or record.prediction is not None or binding is None or binding.ref is None:
            return
        run = str(binding.document.origin.get("run", ""))
        if not run or run in self._reading | self._unreadable:
            return
        near = self._near.get(run)
        if near is not None and near.shape == labels_shape(image):
            self._offered(project, image, near)
            return
        self._reading.add(run)
        start_worker(
            _read, project, binding.ref, run, labels_shape(image), owner=self,
            on_result=lambda prediction: self._offered(project, image, prediction),
            on_error=lambda error: self._failed(run, error),
            on_end=lambda _worker: self._reading.discard(run),
        )  # fmt: skip

    def _offered(self, project: Project, image: Image, prediction: Prediction | None) -> None:
        session = self._controller.session
        if prediction is None or project is not self._controller.project or image not in session.viewer.layers:
            return
        record = session.record(image)
        if record.prediction is not None or record.binding is None:
            return
        origin = record.binding.document.origin
        if origin.get("run") != prediction.key:
            return
        record.binding.run = prediction.key
        session.keep_prediction(image, prediction, fitting_values(prediction, origin.get("parameters")))
        session.prediction_restored.emit(image)

    def _failed(self, run: str, error: Exception) -> None:
        self._unreadable.add(run)
        if isinstance(error, MemoryError):
            show_warning("There is too little memory to tune these leaves again. Close other programs, or press Run.")
        else:
            show_warning(str(error))


def fitting_values(prediction: Prediction, kept: Any) -> dict[str, float]:
    """Return the values that were kept, as far as they are values of this prediction's parameters; else defaults."""
    values = prediction.defaults()
    for spec in prediction.tunables:
        value = kept.get(spec.name) if isinstance(kept, Mapping) else None
        if isinstance(value, int | float) and spec.fits(value):
            values[spec.name] = float(value)
    return values


def _pack(prediction: Prediction) -> bytes:
    from napari_leafseg.inference.kept_prediction import pack_prediction

    return pack_prediction(prediction)


def _read(project: Project, ref: ImageRef, run: str, shape: tuple[int, ...]) -> Prediction | None:
    from napari_leafseg.inference.kept_prediction import unpack_prediction

    try:
        content = project.predictions.read(ref.id)
        prediction = None if content is None else unpack_prediction(content, str(project.predictions.path(ref.id)))
    except UserError:
        project.predictions.discard(ref.id)  # told once
        raise
    if prediction is None or prediction.key != run or prediction.shape != shape:
        return None
    return prediction
