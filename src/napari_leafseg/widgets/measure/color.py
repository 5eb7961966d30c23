"""Colors by a color card in the shown image: found in the background, shown, and confirmed for its camera position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject

from napari_leafseg._counts import counted
from napari_leafseg.errors import UserError
from napari_leafseg.io import to_rgb8
from napari_leafseg.traits.color_card import Card, CardCorrection, correct_by_card, find_card
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.measure.form import MeasureForm
from napari_leafseg.widgets.measure.handles import Handles
from napari_leafseg.widgets.state.camera_positions import PositionStore
from napari_leafseg.widgets.state.session import image_data


def card_in(image: Any, frame: int | None, name: str) -> tuple[Card, CardCorrection]:
    """Find the card of an image, or of a frame of a series, and what it says."""
    card = find_card(to_rgb8(np.asarray(image if frame is None else image[frame]), name))
    found = correct_by_card(card)
    assert card is not None
    return card, found


class ColorControl(QObject):
    """Steers the button and the panel of the color card."""

    def __init__(self, form: MeasureForm, positions: PositionStore) -> None:
        super().__init__(form)
        self._form, self._positions = form, positions
        self.job = JobRunner(self)
        self.job.result.connect(self._found)
        self.job.failed.connect(self._failed)
        self._image: Image | None = None
        self._outline: Handles | None = None
        self._correction: CardCorrection | None = None
        form.card_button.clicked.connect(lambda: self.look_for_card())
        form.color_panel.used.connect(self._use)
        form.color_panel.removed.connect(self._remove)
        form.color_panel.canceled.connect(self.close)

    def look_for_card(self) -> None:
        """Look for a color card in the shown image, in the background."""
        self.close()
        image = self._form.session.focus()
        if image is None:
            show_info("Open an image first.")
            return
        if self.job.running:
            return
        data, stack = image_data(image)
        self._image = image
        holds = self._positions.setup(self._positions.place(image)).color
        self._form.color_panel.ask("Looking for a color card …", None)
        self._form.color_panel.remove_button.setVisible(holds is not None)
        self.job.start(card_in, data, int(self._form.viewer.dims.current_step[0]) if stack else None, image.name)

    def _failed(self, error: UserError) -> None:
        self._form.color_panel.tell(str(error), False)

    def _found(self, found: tuple[Card, CardCorrection]) -> None:
        if self._image is None or self._image not in self._form.viewer.layers:
            self.close()
            return
        card, self._correction = found
        self._outline = Handles(self._form.session, self._image, "card", "color card", self)
        self._outline.show([], np.stack([card.corners, np.roll(card.corners, -1, 0)], 1))
        self._outline.removed.connect(self.close)
        together = len(self._positions.together(self._positions.place(self._image)))
        whose = f" For {counted(together, 'image')} of this camera position." if together > 1 else ""
        self._form.color_panel.tell(f"{self._correction.sentence}{whose}", True)

    def _use(self) -> None:
        image, found = self._image, self._correction
        self.close()
        if image is not None and found is not None:
            color = replace(found.correction, source=f"color card in {image.name}")
            self._positions.set_color(self._positions.place(image), color)

    def _remove(self) -> None:
        image = self._image
        self.close()
        if image is not None:
            self._positions.set_color(self._positions.place(image), None)

    def close(self) -> None:
        """Drop what was begun."""
        outline, self._outline = self._outline, None
        if outline is not None:
            outline.close()
        self._image = self._correction = None
        self._form.color_panel.hide()
