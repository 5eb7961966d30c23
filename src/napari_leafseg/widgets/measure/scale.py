"""The scale in *Measure*: typed, from a ruler, from markers, from the file; and for which images it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject

from napari_leafseg._counts import counted
from napari_leafseg.errors import UserError
from napari_leafseg.experiment.positions import KnownScale, Setup
from napari_leafseg.io import to_rgb8
from napari_leafseg.io.resolution import read_resolution
from napari_leafseg.pipelines.measure import Frame
from napari_leafseg.project.measurement_settings import ALL_IMAGES
from napari_leafseg.traits.markers import Marker, MarkerScale, find_markers, scale_from_markers
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.measure.form import MeasureForm
from napari_leafseg.widgets.measure.frames import image_names
from napari_leafseg.widgets.measure.handles import Handles, plane_shape
from napari_leafseg.widgets.measure.ruler import Ruler
from napari_leafseg.widgets.measure.settings import MeasurementSettingsStore
from napari_leafseg.widgets.state.camera_positions import PositionStore
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import image_data

_DRAW = "Draw a line along something whose length you know; then drag its ends until it lies well. Esc gives up."
_LENGTH, _SIDE = "How long the line is", "The side of the marker's black square"


def find_in(image: Any, frame: int | None, name: str) -> list[Marker]:
    """Find the markers of an image, or of a frame of a series."""
    array = np.asarray(image if frame is None else image[frame])
    return find_markers(to_rgb8(array, name))


class ScaleControl(QObject):
    """Steers the controls of the scale.

    Parameters
    ----------
    form : MeasureForm
    settings : MeasurementSettingsStore
        Of typed scales.
    positions : PositionStore
        Of those of camera positions.
    name : callable
        Returns the name of what is measured.
    changed : callable
        Is told that another scale holds.
    """

    def __init__(
        self,
        form: MeasureForm,
        settings: MeasurementSettingsStore,
        positions: PositionStore,
        name: Callable[[], str],
        changed: Callable[[], Any],
    ) -> None:
        super().__init__(form)
        self._form, self._settings, self._positions = form, settings, positions
        self._name, self._changed = name, changed
        self.ruler = Ruler(self, form.session, self._drawn)
        self.job = JobRunner(self)
        self.job.result.connect(self._found)
        self.job.failed.connect(lambda error: self._form.scale_panel.tell(str(error), False))
        self.markers: list[Marker] | None = None
        self._image: Image | None = None
        self._outline: Handles | None = None
        self._length: float | None = None
        self._scale: MarkerScale | None = None
        form.scale_box.valueChanged.connect(self._typed)
        form.ruler_button.clicked.connect(lambda: self.measure_line())
        form.marker_button.clicked.connect(lambda: self.look_for_markers())
        form.file_button.clicked.connect(lambda: self._take_from_file())
        form.scale_panel.changed.connect(lambda _value: self._tell())
        form.scale_panel.used.connect(self._use)
        form.scale_panel.canceled.connect(self.close)

    # -- what holds --------------------------------------------------------------------------------------------------

    def _focus(self) -> Image | None:
        return self._form.session.focus()

    def of_position(self) -> tuple[float | None, str]:
        """Return the scale of the shown image's camera position, and who says it."""
        image = self._focus()
        if image is None:
            return None, ""
        setup = self._positions.setup(self._positions.place(image))
        found = setup.px_per_mm(plane_shape(image))
        return found, "" if found is None else "width of the tray" if setup.scale is None else setup.scale.source

    def own(self) -> float | None:
        """Return what somebody typed for what is measured alone."""
        entry = self._settings.notes.images.get(self._name())
        return None if entry is None else entry.px_per_mm

    def setups(self, shown: Path) -> Callable[[Frame], Setup]:
        """Return what says, in any thread, which tray and scale hold for an image; one that was typed comes first.

        Parameters
        ----------
        shown : pathlib.Path
            The place of an image that is in no list.
        """
        lookup, of_all, notes = self._positions.lookup(), self.own(), self._settings.notes
        typed = {path: scale for path, name in image_names(self._form.session).items()
                 if name in notes.images and (scale := notes.images[name].px_per_mm) is not None}  # fmt: skip

        def find(frame: Frame) -> Setup:
            setup = lookup(frame.path or shown)
            if frame.path in typed:
                return replace(setup.without_scale(), typed=typed[frame.path])
            return setup if of_all is None else setup.without_scale()

        return find

    def show(self) -> None:
        """Show the scale that holds, and who says it."""
        form, own, (position, source) = self._form, self.own(), self.of_position()
        form.scale_box.blockSignals(True)
        form.scale_box.setValue(own or position or self._settings.notes.px_per_mm or 0)
        form.scale_box.blockSignals(False)
        form.every_box.setChecked(own is None)
        form.scale_source.setText(f"From {source}, for this camera position")
        form.scale_source.setVisible(own is None and position is not None)

    def _typed(self, value: float) -> None:
        notes, image = self._settings.notes, self._focus()
        setup = None if image is None else self._positions.setup(self._positions.place(image))
        if not self._form.every_box.isChecked() and self._name() != ALL_IMAGES:
            notes.of(self._name()).px_per_mm = value or None
        elif image is not None and setup is not None and (setup.scale is not None or self.of_position()[0]):
            scale = KnownScale(value, "a person, who typed it", plane_shape(image)) if value else None
            self._positions.set_scale(self._positions.place(image), scale)
            return
        else:
            notes.px_per_mm = value or None
        self._settings.keep()
        self._changed()

    def _take_from_file(self) -> None:
        """Take the scale that the file states."""
        image = self._focus()
        entry = None if image is None else self._form.session.entry_of(image)
        path = entry.path if entry else (image.source.path if image is not None else None)
        try:
            found = read_resolution(path) if path else None
        except UserError as error:
            show_error(str(error))
            return
        if found is None:
            show_info("The file states no scale. Draw a line along a ruler instead.")
        else:
            self._form.scale_box.setValue(found)

    # -- a ruler -----------------------------------------------------------------------------------------------------

    def measure_line(self) -> None:
        """Let a line be drawn, whose ends can be dragged."""
        self.close()
        if not self.ruler.draw():
            show_info("Open an image first.")
            return
        self._form.scale_panel.ask(_DRAW, preferences.ruler_mm, _LENGTH)

    def _drawn(self, length: float | None) -> None:
        self._length = length
        if length is None:
            self.close()
        else:
            self._tell()

    # -- markers -----------------------------------------------------------------------------------------------------

    def look_for_markers(self) -> None:
        """Look for markers in the shown image, in the background."""
        self.close()
        image = self._focus()
        if image is None:
            show_info("Open an image first.")
            return
        if self.job.running:
            return
        data, stack = image_data(image)
        frame = int(self._form.viewer.dims.current_step[0]) if stack else None
        self._image = image
        self._form.scale_panel.ask("Looking for markers …", preferences.marker_mm, _SIDE)
        self.job.start(find_in, data, frame, image.name)

    def _found(self, markers: list[Marker]) -> None:
        if self._image is None or self._image not in self._form.viewer.layers:
            self.close()
            return
        self.markers = markers
        if markers:
            self._outline = Handles(self._form.session, self._image, "marker", "markers", self)
            sides = [np.stack([marker.corners, np.roll(marker.corners, -1, 0)], 1) for marker in markers]
            self._outline.show([], np.concatenate(sides))
            self._outline.removed.connect(self.close)
        self._tell()

    def _tell(self) -> None:
        """Say what the ruler or the markers say with these millimeters."""
        panel, millimeters = self._form.scale_panel, self._form.scale_panel.box.value()
        if self.ruler.handles is not None and self._length is not None:
            usable = self._length >= 2
            scale = f": {self._length / millimeters:.4g} px/mm" if usable else ", too short for a scale"
            panel.tell(f"{self._length:.1f} pixels{scale}. Drag the ends until the line lies well.", usable)
        elif self.markers is not None and self._image is not None:
            self._scale = None
            try:
                shape = plane_shape(self._image)
                self._scale = scale_from_markers(self.markers, millimeters, shape, self._plants())
                together = len(self._positions.together(self._positions.place(self._image)))
                whose = f" For {counted(together, 'image')} of this camera position." if together > 1 else ""
                panel.tell(f"{self._scale.sentence}{whose}", True)
            except UserError as error:
                panel.tell(str(error), False)

    def _plants(self) -> tuple[float, float] | None:
        """The middle of what is labeled."""
        binding = None if self._image is None else self._form.session.binding(self._image)
        places = np.zeros((0, 2)) if binding is None else np.argwhere(binding.plane[::4, ::4]) * 4
        return (float(places[:, 0].mean()), float(places[:, 1].mean())) if len(places) else None

    def _use(self) -> None:
        millimeters, image, scale = self._form.scale_panel.box.value(), self._image, self._scale
        length = self._length
        self.close()
        if length is not None:
            preferences.ruler_mm = millimeters
            self._form.scale_box.setValue(length / millimeters)
        elif scale is not None and image is not None:
            preferences.marker_mm = millimeters
            known = KnownScale(scale.px_per_mm, scale.source, plane_shape(image))
            if self.own() is not None:  # what is confirmed here and now counts
                self._settings.notes.of(self._name()).px_per_mm = None
                self._settings.keep()
            self._positions.set_scale(self._positions.place(image), known)

    def close(self) -> None:
        """Drop what was begun."""
        self.ruler.remove()
        outline, self._outline = self._outline, None
        if outline is not None:
            outline.close()
        self.markers = self._image = self._length = self._scale = None
        self._form.scale_panel.hide()
