"""The list of models in *Segment*: what each is for, how good it is in images like this one, and a better one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtWidgets import QComboBox, QStyledItemDelegate

from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError
from napari_leafseg.models.store.quality import better_model, explain_quality, found_words
from napari_leafseg.models.store.zoo import ENDING, describe_model
from napari_leafseg.widgets.common.controls import present

PURPOSE = Qt.ItemDataRole.UserRole + 1
_SAMPLES = 64  # pixels along each axis that tell whether an image is gray
_NEXT_LINE = "\u2028"  # what Qt draws as one; it leaves out "\n"


class TwoLines(QStyledItemDelegate):
    """Shows what a model is for under its name, in the opened list."""

    def initStyleOption(self, option: Any, index: QModelIndex) -> None:
        """Add the second line."""
        super().initStyleOption(option, index)
        purpose = index.data(PURPOSE)
        if purpose:
            option.text = f"{option.text}{_NEXT_LINE}{purpose}"


def is_gray(image: Image | None) -> bool:
    """Tell whether an image has one channel, or three that are alike where we look."""
    if image is None:
        return False
    if not image.rgb:
        return True
    data = image.data[0] if image.multiscale else image.data
    if not isinstance(data, np.ndarray):  # lazy: to look would read the file
        return False
    steps = tuple(slice(None, None, max(1, size // _SAMPLES)) for size in data.shape[-3:-1])
    seen = np.asarray(data[(0,) * (data.ndim - 3) + steps])[..., :3]
    return bool((seen == seen[..., :1]).all())


def describe_entries(box: QComboBox, gray: bool) -> None:
    """Say in a list of models what each is for, and how many leaves it finds in color or gray images."""
    for row in range(box.count()):
        name = box.itemData(row)
        if name is None:
            continue
        title = Path(name).name.removesuffix(ENDING)
        try:
            card = describe_model(name)
        except UserError as error:
            log_error(error)
            box.setItemText(row, f"{title}  ·  cannot be read")
            box.setItemData(row, str(error), Qt.ItemDataRole.ToolTipRole)
            continue
        box.setItemText(row, "  ·  ".join(filter(None, (title, found_words(card, gray)))))
        purpose = " ".join(filter(None, (card.description, card.lacks)))
        box.setItemData(row, purpose, PURPOSE)
        box.setItemData(row, f"{purpose}\n{explain_quality(card)}", Qt.ItemDataRole.ToolTipRole)
    view = present(box.view())
    view.setMinimumWidth(view.sizeHintForColumn(0) + 24)


def fit_words(name: str | None, gray: bool) -> tuple[str, str]:
    """Say that another model is clearly better for this image, and name it; "" twice where none is."""
    better = None if name is None else better_model(name, gray)
    if name is None or better is None:
        return "", ""
    here, there = found_words(describe_model(name), gray), found_words(describe_model(better), gray)
    kind = "gray" if gray else "in color"
    figures = f"; there {name}: {here}, {better}: {there}" if here and there else ""
    return f"This image is {kind}{figures}.", better
