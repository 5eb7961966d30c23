"""The *Measure* dock widget: tables and plots of the leaves on the screen, linked with the canvas."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from napari.viewer import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QMenu, QWidget

from napari_leafseg._counts import counted
from napari_leafseg.editing.edit import leaf_at
from napari_leafseg.experiment.growth import traits_of
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.pipelines.measure import MeasureCache, Measured, MeasureEvent, measure_job
from napari_leafseg.project.decisions import Places, remember_leaves
from napari_leafseg.project.measurement_settings import ALL_IMAGES, ImageMeasurementSettings, MeasurementSettings
from napari_leafseg.traits import area_column
from napari_leafseg.versions import software_versions
from napari_leafseg.widgets.common.controls import burst_timer, on_canvas, present
from napari_leafseg.widgets.common.tables import as_text
from napari_leafseg.widgets.measure.color import ColorControl
from napari_leafseg.widgets.measure.form import MeasureForm
from napari_leafseg.widgets.measure.frames import frames_of, image_names, listed_frames, records_of, why_nothing
from napari_leafseg.widgets.measure.leaf_finder import LeafFinder
from napari_leafseg.widgets.measure.metadata_dialog import edit_known_images
from napari_leafseg.widgets.measure.own_traits import edit_traits
from napari_leafseg.widgets.measure.plant_editor import PlantEditor
from napari_leafseg.widgets.measure.plots import OVER_TIME
from napari_leafseg.widgets.measure.save_tables import TablesDialog, ask_and_save, ask_and_save_figure
from napari_leafseg.widgets.measure.scale import ScaleControl
from napari_leafseg.widgets.measure.settings import Asked, MeasurementSettingsStore
from napari_leafseg.widgets.measure.summary import image_summary, series_summary
from napari_leafseg.widgets.measure.track_view import show_tracks, tell_tracks, track_colors
from napari_leafseg.widgets.state.camera_positions import PositionStore
from napari_leafseg.widgets.state.known_images import ExperimentStore
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.overlays import outline_leaf

_MEASURING = "The leaves are being measured …"
_SLOW = 0.5  # seconds after which progress is shown


class MeasureWidget(MeasureForm):
    """Steers measuring, and the link between table and canvas.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.measured: Measured | None = None
        self.settings_store = MeasurementSettingsStore(self.controller)
        self.experiment_store = ExperimentStore.of(self.session)
        self._again, self._began = False, 0.0
        self.positions = PositionStore.of(self.session)

        def places() -> Places:
            return present(self.measured).places

        self.editor = PlantEditor(
            lambda: self.decided_name, self._image_settings, self._tray, self._change_tray, places, self
        )
        self.editor.changed.connect(self._noted)
        self._frames = self._asked_frames = list[list[str]]()  # of the tables, and of those that are being made
        self._asked = Asked()
        self.finder = LeafFinder(self.session, self)
        self.cache = MeasureCache()
        self.scale = ScaleControl(self, self.settings_store, self.positions, lambda: self.name, self._ask)
        self.colors = ColorControl(self, self.positions)
        self._soon = burst_timer(self, self.refresh, 250)
        self._connect()
        self._ask()

    def _connect(self) -> None:
        session, layers = self.session, self.viewer.layers
        for event in (session.corrected, session.layer_state_changed, session.images_changed,
                      layers.selection.events.active, layers.events.removed):  # fmt: skip
            self.listen(event, self._ask)
        for event in (session.read_options_chosen, session.image_exchanged):
            self.listen(event, self._forget)
        for store in (self.settings_store, self.experiment_store, self.positions):
            store.changed.connect(self._ask)
        self.settings_store.changed.connect(self.editor.forget_steps)
        self._no_clicks = on_canvas(self.viewer.mouse_drag_callbacks, self._clicked)
        self.series_box.toggled.connect(lambda _on: self._ask())
        self.known_button.clicked.connect(lambda: edit_known_images(self.session, self.experiment_store, self))
        self.traits_button.clicked.connect(lambda: edit_traits(self.settings_store, self))
        self.leaves.row_chosen.connect(self._leaf_chosen)
        for curve_chosen in (self.growth.row_chosen, self.plot.picker.chosen, self.timeline.plot.chosen):
            curve_chosen.connect(self._curve_chosen)
        self.followed.row_chosen.connect(self._track_chosen)
        self.timeline.plot.moved.connect(self._move_in_time)
        self.timeline.forget_button.clicked.connect(self._forget_waiting)
        self.timeline.plot.undone.connect(self.editor.undo_tracks)
        self._recolor = burst_timer(self, self._draw, 150)
        self.listen(self.viewer.dims.events.current_step, self._frame_changed)
        self.leaves.customContextMenuRequested.connect(self._show_menu)
        self.plants.frame.edited.connect(self._name_edited)
        self.tray_button.clicked.connect(self._edit_tray)
        self.tray_panel.closed.connect(self._tray_shown)
        self.filter_box.textChanged.connect(self._filter)
        self.tabs.currentChanged.connect(lambda _index: self._filter())
        for box in (self.plot_box, self.trait_box):
            box.currentIndexChanged.connect(lambda _index: self._draw())
        self.copy_button.clicked.connect(self._copy)
        self.save_table.triggered.connect(self._save_table)
        self.save_tables.triggered.connect(self._save_all)
        self.save_figure.triggered.connect(lambda: ask_and_save_figure(self, self.figure))

    # -- what is measured --------------------------------------------------------------------------------------------

    @property
    def binding(self) -> LabelsBinding | None:
        """The labels of the image that the user looks at."""
        return self.session.focused_binding()

    @property
    def notes(self) -> MeasurementSettings:
        """What people decided about the project's images."""
        return self.settings_store.notes

    @property
    def name(self) -> str:
        """The notes' name of what is measured."""
        binding = self.binding
        if self.series_box.isChecked() or binding is None:
            return ALL_IMAGES
        return self.name_of(binding)

    @property
    def decided_name(self) -> str:
        """The name of the decisions about plants and tracks: an image of the list is one frame of all of them."""
        binding = self.binding
        if binding is None or binding.document.labels.ndim > 2 or self.session.entry_of(binding.image) is None:
            return self.name
        return ALL_IMAGES

    def name_of(self, binding: LabelsBinding) -> str:
        """Return the name that tables give an image."""
        entry = self.session.entry_of(binding.image)
        return image_names(self.session)[entry.path] if entry else binding.image.name

    def _ask(self, _what: Any = None) -> None:
        self._soon.start()

    def _forget(self, _what: Any = None) -> None:
        """Measure everything again: images have other pixels."""
        self.cache = MeasureCache()
        self._ask()

    def _image_settings(self) -> ImageMeasurementSettings:
        return self.settings_store.of_frames(self.decided_name, self._frames)

    def refresh(self) -> None:
        """Measure again, in the background; the newest wish wins."""
        if not self.isVisible():
            return
        if self.job.running:
            self._again = True
            self.job.stop()
            return
        binding = self.binding
        if self.series_box.isChecked():
            frames = listed_frames(self.session, self.controller.project)
        else:
            frames = [] if binding is None else frames_of(self.session, binding)
        self.scale.show()
        if not frames:
            self.measured = None
            self.show_state(why_nothing(self.session), False, False)
            self.progress.hide()
            return
        listed = frames if self.decided_name == ALL_IMAGES else []
        self._asked_frames = self.settings_store.names_of(frame.path for frame in listed)
        notes = self.notes.images.get(self.decided_name, ImageMeasurementSettings()).of_frames(self._asked_frames)
        self._began, self._asked = time.monotonic(), Asked(self.decided_name, self._asked_frames, notes)
        known = self.experiment_store.known()
        scale = self.notes.scale_of(self.name)
        setups = self.scale.setups(Path() if binding is None else self.positions.place(binding.image))
        self.job.start(measure_job, frames, notes, scale, self.cache, known.of, setups, self.notes.model_copy())
        if self.measured is None:
            self.show_state(_MEASURING, False, False)

    def _progress(self, event: MeasureEvent) -> None:
        slow = time.monotonic() - self._began > _SLOW
        self.progress.setVisible(slow and event.total > 3 and event.measured is None)
        self.progress.setRange(0, event.total)
        self.progress.setValue(event.done)
        if event.measured is not None:
            self._show(event.measured)

    def _ended(self) -> None:
        self.progress.hide()
        if self._again:
            self._again = False
            self._ask()
        elif self.measured is None:  # it failed
            self.show_state(why_nothing(self.session), False, False)

    def showEvent(self, event: Any) -> None:
        """Measure when the widget comes to the front."""
        super().showEvent(event)
        self._ask()

    # -- showing -----------------------------------------------------------------------------------------------------

    def _show(self, measured: Measured) -> None:
        first = self.measured is None or self.measured.series != measured.series
        self.measured, self._frames = measured, self._asked_frames
        if measured.decided is not None:
            self.settings_store.take_found(self._asked, measured.decided.notes)
        self.show_state("", True, measured.series)
        for name in ("leaves", "plants", "growth", "followed", "groups"):
            getattr(self, name).show_table(getattr(measured, name))
        self.show_traits(traits_of(measured.by_plant), area_column(measured.by_plant))
        self._filter()
        self.summary.setText(series_summary(measured) if measured.series else image_summary(measured))
        if first:
            self.plot_box.setCurrentIndex(self.plot_box.findData("curves" if measured.series else "areas"))
        self._draw()
        self._show_on_canvas(measured)

    def _draw(self) -> None:
        if self.measured is None:
            return
        kind = self.plot_box.currentData()
        if not self.measured.series and kind in OVER_TIME:
            kind = "areas"
        colors = track_colors(self.session, self.binding, self.measured, self._name_in_list())
        figure = self.show_plot(kind)
        if figure is self.multiples:
            self.multiples.draw(self.measured, colors)
        elif figure is self.timeline:
            self.timeline.plot.draw(self.measured, colors, self._frame())
            self.timeline.show_decisions(self.editor.can_undo, self.measured.waiting)
        else:
            self.plot.draw(kind, self.measured, colors)

    def _frame(self) -> int:
        """The number that the tables give the image on the screen."""
        binding, name = self.binding, self._name_in_list()
        if name is None:
            return 0 if binding is None else binding.frame
        leaves = present(self.measured).leaves
        own = leaves.loc[leaves["image"] == name, "frame"]
        return int(own.iloc[0]) if len(own) else -1

    def _name_in_list(self) -> str | None:
        """The name in tables of the image on the screen, where these are of the list."""
        binding = self.binding
        return self.name_of(binding) if binding is not None and self.series_box.isChecked() else None

    def _show_on_canvas(self, measured: Measured) -> None:
        binding = self.binding
        if binding is not None and measured.series:
            tell_tracks(self.session, binding, measured, self._name_in_list())
            if not self.series_box.isChecked():
                show_tracks(self.session, binding, measured)

    def _filter(self, _text: str = "") -> None:
        self.show_example()
        message = self.view.filter(self.filter_box.text())
        self.filter_hint.setText(message)
        self.filter_hint.setVisible(bool(message))

    # -- table and canvas --------------------------------------------------------------------------------------------

    def _leaf_chosen(self, row: int) -> None:
        self._go_to(present(self.measured).leaves.iloc[row])

    def _curve_chosen(self, row: int) -> None:
        measured = present(self.measured)
        curve, leaves = measured.growth.iloc[row], measured.leaves
        same = leaves[(leaves["frame"] == curve["frame"]) & (leaves["leaf"] == curve["leaf"])]
        self._go_to(same.iloc[0])

    def _track_chosen(self, row: int) -> None:
        """Go to the first leaf of a track."""
        measured = present(self.measured)
        tracks = measured.growth["track"].to_numpy()
        self._curve_chosen(int(np.flatnonzero(tracks == measured.followed.iloc[row]["track"])[0]))

    def _frame_changed(self, _event: Any = None) -> None:
        if self.measured is not None and self.measured.series and self.isVisible():
            self._recolor.start()

    def _go_to(self, leaf: Any) -> None:
        """Zoom on a leaf and draw a line around it."""
        binding = self.binding
        if self.series_box.isChecked():
            self.finder.go_to(leaf)
        elif binding is not None:
            self.finder.show(binding, int(leaf["leaf"]), int(leaf.get("frame", 0)))

    def _clicked(self, _viewer: Any, event: Any) -> Iterator[None]:
        """A click on a leaf goes to its row; a drag does not."""
        yield
        if event.type == "mouse_move" or not isalive(self) or self.tray_panel.grid is not None:
            return
        binding, measured = self.binding, self.measured
        if binding is None or measured is None or not self.isVisible() or binding.layer.mode != "pan_zoom":
            return
        y, x = np.array(binding.layer.world_to_data(event.position))[-2:]
        leaf = leaf_at(binding.plane, float(y), float(x))
        rows = measured.leaves["leaf"] == leaf
        if measured.series:
            rows &= measured.leaves["frame"] == self._frame()
        found = np.flatnonzero(rows.to_numpy())
        if leaf and len(found):
            self.tabs.setCurrentWidget(self.leaves)
            self.leaves.choose(int(found[0]))
            outline_leaf(self.session, binding, leaf)

    # -- plants and tracks -------------------------------------------------------------------------------------------

    def leaf_menu(self) -> QMenu:
        """Make the menu of what can be done with the chosen rows."""
        return self.editor.menu(self, self.measured, self.leaves.chosen_rows())

    def _show_menu(self, where: QPoint) -> None:
        if (menu := self.leaf_menu()).actions():
            menu.exec_(present(self.leaves.viewport()).mapToGlobal(where))

    def _move_in_time(self, row: int, track: int) -> None:
        self.editor.move_in_time(present(self.measured), row, track)

    def _forget_waiting(self) -> None:
        if (found := present(self.measured).decided) is not None:
            self.editor.forget_waiting(found)

    def _name_edited(self, row: int, _column: str, text: str) -> None:
        of_one = not self.series_box.isChecked() and self.decided_name == ALL_IMAGES
        self.editor.name_plant(int(present(self.measured).plants.iloc[row]["plant"]), text, of_one)

    def _tray(self) -> Tray | None:
        binding = self.binding
        return None if binding is None else self.positions.setup(self.positions.place(binding.image)).tray

    def _change_tray(self, tray: Tray) -> None:
        binding = self.binding
        if binding is not None:
            self.positions.change_tray(self.positions.place(binding.image), tray)

    def _edit_tray(self) -> None:
        if (image := self.session.focus()) is not None:
            self.scale.close()
            self.colors.close()
            self.tray_panel.edit(image)
            self._tray_shown()

    def _tray_shown(self) -> None:
        there, words = self.measured, _MEASURING if self.job.running else why_nothing(self.session)
        self.show_state("" if there else words, there is not None, there is not None and there.series)

    def _noted(self) -> None:
        remember_leaves(self._image_settings(), present(self.measured).places)
        self.settings_store.keep()
        self._ask()

    # -- saving ------------------------------------------------------------------------------------------------------

    def _copy(self) -> None:
        present(QApplication.clipboard()).setText(as_text(self.view.shown()))
        show_info(f"{counted(len(self.view.shown()), 'row')} copied.")

    def record(self) -> dict[str, Any]:
        """Record how the tables came about: scale, and the records of the predictions that are kept."""
        return {
            "px_per_mm": self.notes.scale_of(self.name),
            "images": records_of(self.session, self.series_box.isChecked()),
            "software": software_versions(),
        }

    def _save_table(self) -> None:
        name = self.tabs.tabText(self.tabs.currentIndex()).lower()
        ask_and_save(self, self.view.shown(), name, self.record())

    def _save_all(self) -> None:
        TablesDialog(self.views(), self.record(), self).exec()

    def stop(self) -> None:
        """Stop after the image that is being measured."""
        self.job.stop()

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed."""
        self._no_clicks()
        for begun in (self.scale.close, self.colors.close, self.tray_panel.close_grid):
            begun()
        super().closeEvent(event)
