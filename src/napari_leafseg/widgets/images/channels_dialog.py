"""Asking which channels of an image are red, green and blue, and which plane of a z-stack is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QSpinBox, QWidget

from napari_leafseg.io import ReadOptions

_COLORS = ("Red", "Green", "Blue")


class ChannelsDialog(QDialog):
    """Asks for channels and a plane.

    Parameters
    ----------
    name : str
        The image's.
    count : int
        Channels; 0 where there is nothing to choose.
    names : sequence of str
        The channels' names, empty where the file states none.
    planes : int
        z-planes; 0 where there is one.
    options : ReadOptions
        What was chosen before.
    """

    def __init__(
        self, name: str, count: int, names: Sequence[str], planes: int, options: ReadOptions,
        parent: QWidget | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.setWindowTitle("Channels and planes")
        self.setObjectName("channels_dialog")
        self.count, self.options = count, options
        form = QFormLayout(self)
        told = QLabel(f"{name}: how is it to be read? The choice holds for all images like it in this project.")
        told.setWordWrap(True)
        form.addRow(told)
        self.kind, self.boxes = QComboBox(), [QComboBox() for _ in _COLORS]
        chosen = options.of(count) or ((3, 2, 1) if count > 3 else (1,) if count == 2 else (1, 2, 3))
        if count:
            self.kind.setObjectName("kind")
            self.kind.addItems(["Three channels as colors", "One channel as gray"])
            form.addRow("Show", self.kind)
            for color, box, number in zip(_COLORS, self.boxes, (*chosen, *chosen, *chosen), strict=False):
                box.setObjectName(color.lower())
                labels = names if len(names) == count else [""] * count
                box.addItems([f"{at} {label}".strip() for at, label in enumerate(labels, start=1)])
                box.setCurrentIndex(min(number, count) - 1)
                form.addRow(color, box)
            self.kind.currentIndexChanged.connect(self._kind_chosen)
            self.kind.setCurrentIndex(int(len(chosen) == 1))
        self.plane = QSpinBox()
        self.plane.setObjectName("plane")
        self.plane.setRange(0, max(planes, 0))
        self.plane.setSpecialValueText("maximum of all")
        self.plane.setValue(0 if options.z == "max" else options.z)
        if planes:
            form.addRow("z-plane", self.plane)
        self.planes = planes
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)

    def _kind_chosen(self, row: int) -> None:
        for box in self.boxes[1:]:
            box.setEnabled(row == 0)

    def chosen(self) -> ReadOptions:
        """Return the options, with what was chosen."""
        options = self.options
        if self.count:
            boxes = self.boxes[:1] if self.kind.currentIndex() else self.boxes
            channels = tuple(box.currentIndex() + 1 for box in boxes)
            options = replace(options, by_count={**options.by_count, self.count: channels})
        if self.planes:
            options = replace(options, z=self.plane.value() or "max")
        return options
