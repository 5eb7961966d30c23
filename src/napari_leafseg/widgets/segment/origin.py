"""Which model the leaves on the screen are of, said wherever another one is chosen."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from qtpy.QtWidgets import QPushButton

from napari_leafseg.errors import UserError
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.widgets.state.image_record import ImageRecord

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeafOrigin:
    """What is to be said of the leaves on the screen.

    Attributes
    ----------
    caption : str
        Names their model where it is not the chosen one; empty where it is, or nobody knows.
    grouping : bool
        They are being derived from the prediction.
    """

    caption: str = ""
    grouping: bool = False


def leaf_origin(record: ImageRecord, chosen: str | None) -> LeafOrigin:
    """Tell where the leaves of an image come from, with a model chosen."""
    if record.prediction is not None and not record.parameters:
        return LeafOrigin(grouping=True)
    if record.prediction is not None:
        made = record.prediction.model.name
    elif record.binding is not None:
        made = str(record.binding.document.info.get("model", {}).get("name", ""))
    else:
        made = ""
    return LeafOrigin(f"from “{made}”" if made and chosen and made != _name(chosen) else "")


def _name(model: str) -> str:
    """The name that a model's results carry; a file's is in its card."""
    try:
        return describe_model(model).name
    except UserError as error:  # the form says so
        _LOG.debug("The card of “%s” cannot be read: %s", model, error)
        return model


def show_run_button(button: QPushButton, model: str) -> None:
    """Let *Run* name the model, and stand out, where what is shown is of another one."""
    button.setText(f"Run with {model}" if model else "Run")
    font = button.font()
    font.setBold(bool(model))
    button.setFont(font)
    button.setStyleSheet("background-color: #2f7d5b; color: white;" if model else "")
