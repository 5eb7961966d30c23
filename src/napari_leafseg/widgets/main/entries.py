"""Entries of napari's menu that open one tab or dialog: they join what is open, and leave no dock of their own."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget

from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.main.dialogs import DIALOGS, open_dialog
from napari_leafseg.widgets.main.docks import dock_of
from napari_leafseg.widgets.main.panel import open_panel


class Entry(LeafsegWidget):
    """Opens its part once napari has put it into a dock, which goes again."""

    part = ""

    def event(self, event: Any) -> bool:
        """Hide the dock that napari makes for it."""
        dock = dock_of(self)
        if event.type() == event.Type.ParentChange and dock is not None:
            dock.hide()
            QTimer.singleShot(0, self._open)
        return bool(super().event(event))

    def _open(self) -> None:
        dock, viewer = dock_of(self), self.viewer
        if isinstance(dock, QDockWidget):
            viewer.window.remove_dock_widget(dock)
        if self.part in DIALOGS:
            open_dialog(viewer, self.part)
        else:
            open_panel(viewer, self.part)
        self.deleteLater()


class SegmentEntry(Entry):
    """Opens *Segment*."""

    part = "segment"


class CorrectEntry(Entry):
    """Opens *Correct*."""

    part = "correct"


class MeasureEntry(Entry):
    """Opens *Measure*."""

    part = "measure"


class FinetuneEntry(Entry):
    """Opens *Fine-tune*."""

    part = "finetune"


class BatchEntry(Entry):
    """Opens *Batch*."""

    part = "batch"


class ParameterSearchEntry(Entry):
    """Opens *Parameter search*."""

    part = "parameter_search"


class ModelsEntry(Entry):
    """Opens *Models*."""

    part = "models"
