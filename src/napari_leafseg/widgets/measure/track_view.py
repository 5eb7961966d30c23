"""Tracks on the canvas: napari's layer of them, features, and the colors that leaves have there."""

from __future__ import annotations

from napari_leafseg.pipelines.measure import Measured
from napari_leafseg.widgets.measure.frames import tracks_of
from napari_leafseg.widgets.measure.growth_plots import Color, palette_color
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.look import Look
from napari_leafseg.widgets.state.session import Session


def show_tracks(session: Session, binding: LabelsBinding, measured: Measured) -> None:
    """Show the tracks of a series layer as napari shows them."""
    viewer = session.viewer
    layer = session.find_layer(binding.image, "tracks")
    if not len(measured.tracks):
        if layer is not None:
            viewer.layers.remove(layer)
        return
    if layer is not None:
        layer.data = measured.tracks
        return
    active = viewer.layers.selection.active
    viewer.add_tracks(
        measured.tracks, name=f"{binding.image.name} tracks", tail_length=4,
        metadata=session.mark(binding.image, "tracks"), **layers.geometry(binding.image, 3),
    )  # fmt: skip
    viewer.layers.selection.active = active


def tell_tracks(session: Session, binding: LabelsBinding, measured: Measured, name: str | None) -> None:
    """Tell the features of the leaves on the screen which track each leaf is of.

    Parameters
    ----------
    session : Session
    binding : LabelsBinding
    measured : Measured
    name : str, optional
        Of the image, where the frames are images of a list.
    """
    look = Look.of(session).of_binding(binding)
    if look is not None:
        look.tell_tracks(tracks_of(measured.leaves, name))


def track_colors(
    session: Session, binding: LabelsBinding | None, measured: Measured, name: str | None
) -> dict[int, Color]:
    """Return the colors that leaves have on the canvas, by their tracks; see `tell_tracks`."""
    look = None if binding is None else Look.of(session).of_binding(binding)
    if binding is None or look is None:
        return {}
    frame = 0 if name is not None else binding.frame
    return {
        track: palette_color(look.colors.get(leaf, leaf - 1))
        for (at, leaf), track in tracks_of(measured.leaves, name).items()
        if at == frame
    }
