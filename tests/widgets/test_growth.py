"""Growth in the window: real days, leaves in their colors, points under the mouse, plants side by side."""

import numpy as np
import pyqtgraph as pg
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.plots import OVER_TIME, save_figure
from napari_leafseg.widgets.measure.widget import MeasureWidget
from napari_leafseg.widgets.state.colors import PALETTE
from napari_leafseg.widgets.state.look import Look
from tests.conftest import discs

DAYS = (1, 2, 3, 5)  # nothing on day 4


@pytest.fixture
def widget(make_napari_viewer, qtbot, tmp_path):
    """Two plants on four days; the first has a spot on its second day that is no leaf, and no leaf 2 on the third."""
    with Project.create(tmp_path / "p") as project:
        for number, plant in enumerate(("oak_wt", "elm_ko")):
            for day in DAYS:
                labels = discs(radius=8 + day + number).astype(np.uint16)
                for leaf in (2, 3):  # each of another size
                    rows = np.flatnonzero((labels == leaf).any(1))[: 2 * leaf]
                    labels[rows] = np.where(labels[rows] == leaf, 0, labels[rows])
                if plant == "oak_wt" and day == 2:
                    labels[2:6, 2:6] = 9
                if plant == "oak_wt" and day == 3:
                    labels[labels == 2] = 0
                path = tmp_path / f"{plant}_2021-05-0{day}.png"
                write_image(path, np.repeat(labels[..., None] * 20, 3, -1).astype(np.uint8))
                (ref,) = project.add_images([path])
                project.save(ref, Document(labels))
        project.writer.flush()
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 760)
    images, widget = ImagesWidget(viewer), MeasureWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    viewer.window.add_dock_widget(widget, name="Measure")
    widget.controller.open(tmp_path / "p")
    images.go_to(images.session.images[0])
    widget.series_box.setChecked(True)
    qtbot.waitUntil(lambda: widget.measured is not None and widget.measured.series and widget.binding is not None)
    settle(widget, qtbot)
    return widget


def settle(widget, qtbot):
    qtbot.wait(300)
    look = Look.of(widget.session)
    qtbot.waitUntil(lambda: not widget.job.running and not widget._soon.isActive())
    if widget.binding is not None and look.of_binding(widget.binding) is not None:
        qtbot.waitUntil(lambda: look.of_binding(widget.binding).settled)


def show(widget, kind):
    widget.plot_box.setCurrentIndex(widget.plot_box.findData(kind))
    QApplication.processEvents()


def curves(plot):
    return [item for item in plot.getPlotItem().listDataItems() if isinstance(item, pg.PlotDataItem)]


def place_of(widget, row):
    """Where a point of the table of growth is on the plot."""
    area = widget.measured.growth["area_px2"].iloc[row]
    view = widget.plot.getPlotItem().getViewBox()
    return widget.plot.mapFromScene(view.mapViewToScene(QPointF(widget.measured.growth["time"].iloc[row], area)))


def hover(widget, place):
    QApplication.sendEvent(
        widget.plot.viewport(),
        QMouseEvent(QEvent.Type.MouseMove, QPointF(place), Qt.MouseButton.NoButton, Qt.MouseButton.NoButton,
                    Qt.KeyboardModifier.NoModifier),
    )  # fmt: skip
    QApplication.processEvents()


def test_leaves_that_do_not_last_are_told_apart(widget):
    said = widget.summary.text()
    assert "<b>6 leaves</b> of 2 plants followed over 8 images, 4 days" in said
    assert "1 more seen in one image only: may be no leaf and is left out of growth" in said
    assert "track" not in said
    followed = widget.measured.followed
    assert followed["lasts"].sum() == 6
    assert len(followed) == 7
    assert followed.loc[~followed["lasts"], "images"].tolist() == [1]


def test_the_axis_has_days_and_what_is_missing_is_a_gap(widget):
    show(widget, "curves")
    assert widget.plot.getAxis("bottom").labelText == "day"
    found = curves(widget.plot)
    assert len(found) == 7
    gaps = sorted(int(np.isnan(item.yData).sum()) for item in found)
    assert gaps == [0, 1, 1, 1, 1, 1, 1]  # day 4; the spot has one day; leaf 2 is away from day 2 to 5
    widths = [item.opts["symbol"] for item in found]
    assert widths.count("x") == 1


def test_curves_have_the_colors_of_the_leaves_on_the_canvas(widget, qtbot):
    show(widget, "areas")
    show(widget, "curves")
    look = Look.of(widget.session).of_binding(widget.binding)
    name = widget.name_of(widget.binding)
    own = widget.measured.leaves[widget.measured.leaves["image"] == name]
    colors = {tuple(np.round(255 * PALETTE[look.colors[leaf]]).astype(int)) for leaf in own["leaf"]}
    drawn = {item.opts["pen"].color().getRgb()[:3] for item in curves(widget.plot) if item.opts["pen"] is not None}
    assert len(own) == 3
    assert colors < drawn
    assert len(drawn - colors) == 1  # the others are gray


def test_a_point_is_named_under_the_mouse_and_a_click_goes_there(widget, qtbot):
    show(widget, "curves")
    qtbot.wait(100)
    growth = widget.measured.growth
    row = int(np.flatnonzero((growth["plant_id"] == "elm") & (growth["time"] == 4) & (growth["leaf"] == 2))[0])
    place = place_of(widget, row)
    hover(widget, place)
    label = widget.plot.picker.label
    assert label.isVisible()
    assert label.toPlainText().startswith(f"plant elm, leaf {growth['track'].iloc[row]}, day 4")
    assert f"{growth['area_px2'].iloc[row]:,.0f} px²" in label.toPlainText()
    qtbot.wait(20)  # pyqtgraph passes over moves that come within a hundredth of a second
    hover(widget, place * 0 + widget.plot.rect().topLeft())
    assert not label.isVisible()
    qtbot.mouseClick(widget.plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    session = widget.session

    def there():
        image = session.focus()
        return image is not None and session.entry_of(image).path.name == "elm_ko_2021-05-05.png"

    qtbot.waitUntil(there)
    qtbot.waitUntil(lambda: widget.binding is not None)
    qtbot.waitUntil(lambda: Look.of(session).of_binding(widget.binding).outlines.reviewed == 2)


def test_every_plot_over_time_is_drawn_and_saved(widget, tmp_path):
    for kind in OVER_TIME:
        show(widget, kind)
        drawn = {"multiples": widget.multiples.grid, "timeline": widget.timeline.plot}.get(kind, widget.plot)
        assert drawn is widget.figure
        assert drawn.isVisible()
        save_figure(drawn, tmp_path / f"{kind}.png")
        assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")


def test_plants_side_by_side_and_groups(widget):
    show(widget, "multiples")
    assert [panel.titleLabel.text for panel in widget.multiples.panels] == ["wt oak", "ko elm"]
    assert [len(panel.listDataItems()) for panel in widget.multiples.panels] == [3, 3]
    first, second = (panel.viewRange() for panel in widget.multiples.panels)
    assert np.allclose(first, second)
    show(widget, "groups")
    names = [item.opts["name"] for item in curves(widget.plot) if item.opts["name"]]
    assert names == ["ko (n = 1)", "wt (n = 1)"]
    show(widget, "plants")
    (oak, _) = curves(widget.plot)
    assert oak.opts["name"] == "wt oak"
    assert oak.xData[0] == 0
    assert np.nanmax(oak.xData) == 4


def test_a_track_of_the_table_goes_to_its_first_leaf(widget, qtbot):
    widget.tabs.setCurrentWidget(widget.followed)
    followed = widget.measured.followed
    row = int(np.flatnonzero(~followed["lasts"])[0])
    place = widget.followed.visualRect(widget.followed.proxy.index(row, 1)).center()
    qtbot.mouseClick(widget.followed.viewport(), Qt.MouseButton.LeftButton, pos=place)
    session = widget.session
    qtbot.waitUntil(lambda: session.focus() is not None
                    and session.entry_of(session.focus()).path.name == "oak_wt_2021-05-02.png")  # fmt: skip
