"""Files that are dropped on the viewer or opened from its menu, read as everywhere in this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari import current_viewer
from napari.utils.notifications import show_info

from napari_leafseg.io import LABEL_SUFFIX, ChannelsNeeded, ReadOptions, is_zarr, read_image
from napari_leafseg.widgets.images.channels_dialog import ChannelsDialog
from napari_leafseg.widgets.state.layers import displayed
from napari_leafseg.widgets.state.session import Session

LayerData = tuple[Any, dict[str, Any], str]
_LABEL_ENDINGS = {".tif", ".tiff", ".png"}


def image_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return the reader of image files for napari; None for folders that are no OME-Zarr image, and for labels."""
    paths = [path] if isinstance(path, str) else list(path)
    if any(Path(one).is_dir() and not is_zarr(Path(one)) for one in paths):
        return None
    if any(Path(one).stem.endswith(LABEL_SUFFIX) and Path(one).suffix.lower() in _LABEL_ENDINGS for one in paths):
        return None  # see `napari_leafseg.widgets.napari_files`
    return read_layers


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read files as image layers; asks for channels where a file does not say which are its colors."""
    paths = [path] if isinstance(path, str) else list(path)
    return [_read_layer(Path(one)) for one in paths]


def _read_layer(path: Path) -> LayerData:
    viewer = current_viewer()
    session = None if viewer is None else Session.of(viewer)
    options = ReadOptions() if session is None else session.read_options
    try:
        image = read_image(path, options)
    except ChannelsNeeded as error:
        dialog = ChannelsDialog(path.name, error.count, error.names, 0, options)
        if session is None or dialog.exec() != ChannelsDialog.DialogCode.Accepted:
            raise
        session.choose_read_options(dialog.chosen())
        image = read_image(path, session.read_options)
    for note in image.notes:
        show_info(f"{path.name}: {note}")
    array, rgb = displayed(image.array)
    return array, {"name": path.stem, "rgb": rgb}, "image"
