"""What napari itself opens and saves with us: projects, labels with their images, records, and all formats."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_leafseg._files import safe_name, write_atomically
from napari_leafseg.errors import InputFileError, ParameterError
from napari_leafseg.io import IMAGE_ENDINGS, LABEL_SUFFIX, ReadOptions, label_path, read_image, write_image
from napari_leafseg.io.exchange.formats import FORMATS, Labeled, read_format, write_format
from napari_leafseg.io.exchange.label_images import write_label_tiff
from napari_leafseg.io.exchange.names import image_name
from napari_leafseg.io.exchange.reading import Reading
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.layers import NAMES, add_labels, displayed
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session

LayerData = tuple[Any, ...]
_NO_LAYERS: list[LayerData] = [(None,)]  # napari's word for: opened, but not as layers from here


# -- opening -----------------------------------------------------------------------------------------------------------


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Find what opens a path: a project's folder or ``project.json``, a label image or record of ours; else None."""
    places = [Path(item) for item in ([path] if isinstance(path, str) else path)]
    return _open_all if all(_opener(place) is not None for place in places) else None


def _open_all(path: str | list[str]) -> list[LayerData]:
    layers = []
    for place in [path] if isinstance(path, str) else path:
        opener = _opener(Path(place))
        assert opener is not None
        layers += opener(Path(place))
    return layers or _NO_LAYERS


def _opener(path: Path) -> Callable[[Path], list[LayerData]] | None:
    if path.is_dir():
        return _open_project if (path / "project.json").is_file() else None
    if path.name == "project.json":
        return lambda file: _open_project(file.parent)
    if path.stem.endswith(LABEL_SUFFIX):
        return _open_record if path.suffix.lower() == ".json" else _open_pair
    return None


def _open_project(folder: Path) -> list[LayerData]:
    """Open a project in the window, or, without one, its images and labels as layers."""
    viewer = napari.current_viewer()
    if viewer is not None:
        docked = viewer.window.dock_widgets.values()
        widget = next((item for item in docked if getattr(item, "objectName", str)() == "napari-leafseg-images"), None)
        if widget is None:
            _, widget = viewer.window.add_plugin_dock_widget("napari-leafseg", "Images")
        QTimer.singleShot(0, partial(widget.project_bar.open, folder))  # napari is still opening
        return []
    layers: list[LayerData] = []
    with Project.open(folder) as project:
        project.catch_up()
        for ref in project.images:
            has_labels = project.labels_path(ref).exists()
            labels = project.read_labels(ref) if has_labels else None
            layers += _tuples(project.path_of(ref), labels, project.read_options)
    return layers


def _open_record(path: Path) -> list[LayerData]:
    """Open the labels beside a record, with the image that it names."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        name = str(content["image"]["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputFileError(f"{path} is no record of a prediction: it names no image.") from error
    labels = path.with_suffix(".tif")
    if not labels.is_file():
        raise InputFileError(f"The labels {labels} of the record {path.name} are not there.")
    return _open_pair(labels, Path(name).name)


def _open_pair(path: Path, name: str = "") -> list[LayerData]:
    """Open labels, with their image where it lies beside them or in the folder above."""
    ((_, labels),) = read_format(path, Reading())
    image = _image_of(path, name)
    if image is None:
        return [(labels, {"name": path.stem}, "labels")]
    viewer = napari.current_viewer()
    if viewer is None:
        return _tuples(image, labels)
    _show_pair(Session.of(viewer), image, labels)
    return []


def _image_of(labels: Path, name: str) -> Path | None:
    stem, folder = image_name(labels), labels.absolute().parent
    names = [name] if name else [f"{stem}{ending}" for ending in IMAGE_ENDINGS]
    places = (folder, folder.parent, folder.parent / "images")
    return next((place / item for place in places for item in names if (place / item).is_file()), None)


def _show_pair(session: Session, path: Path, labels: np.ndarray) -> None:
    """Put an image on the list and on the screen, with labels that are recorded from now on."""
    project = ProjectController.of(session).project
    kept = project is not None and any(
        project.path_of(ref) == path and project.labels_path(ref).exists() for ref in project.images
    )
    entry = session.entry_at(path)
    layer = None if entry is None else session.layer_of(entry)
    if kept or session.binding(layer) is not None:
        raise InputFileError(
            f"“{path.name}” is open and has labels. Take these in by the project’s menu, “Add labels from files …”."
        )
    image = read_image(path, session.read_options)
    if labels.shape != image.array.shape[: labels.ndim] or labels.max(initial=0) >= 2**16:
        raise InputFileError(f"The labels of {path} are {labels.shape}, the image is {image.array.shape}.")
    if entry is None:
        entry = ListedImage(path, image.sha256, reading=image.options)
        session.images.append(entry)
    if layer is None:
        ((data, options, _),) = _tuples(path, None, session.read_options)
        layer = Image(data, **options)
        session.bind(layer, entry)
        session.viewer.add_layer(layer)
    binding = add_labels(session, layer, Document(labels.astype(np.uint16)))
    session.record(layer).count = len(np.unique(labels[labels != 0]))
    session.viewer.layers.selection.active = binding.layer
    session.images_changed.emit()


def _tuples(path: Path, labels: np.ndarray | None, options: ReadOptions | None = None) -> list[LayerData]:
    array, rgb = displayed(read_image(path, options).array)
    layers: list[LayerData] = [(array, {"name": path.stem, "rgb": rgb}, "image")]
    if labels is not None:
        layers.append((labels, {"name": f"{path.stem} {NAMES['labels']}"}, "labels"))
    return layers


# -- saving ------------------------------------------------------------------------------------------------------------


def _save(form: str, path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer to one file of a format."""
    target, labels = Path(path), np.asarray(data)
    name = safe_name(str(meta.get("name") or target.stem).removesuffix(f" {NAMES['labels']}"))
    with tempfile.TemporaryDirectory() as folder:
        list(write_format(Path(folder), [Labeled(name, f"{name}.png", lambda: labels)], form))
        endings = (target.suffix.lower(), *FORMATS[form].suffixes)
        made = sorted(file for file in Path(folder).rglob("*") if file.suffix in endings)
        made.sort(key=lambda file: endings.index(file.suffix))
        write_atomically(target, made[0].read_bytes())
    return [path]


save_tiff = partial(_save, "tiff")
save_png = partial(_save, "png")
save_numpy = partial(_save, "numpy")
save_coco = partial(_save, "coco")
save_coco_polygons = partial(_save, "coco-polygons")
save_labelme = partial(_save, "labelme")
save_geojson = partial(_save, "geojson")
save_cvat = partial(_save, "cvat")
save_yolo = partial(_save, "yolo")
save_imagej = partial(_save, "imagej")


def save_by_ending(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer to one file of the first format with the ending of its name, whatever formats there are."""
    ending = Path(path).suffix.lower()
    form = next((name for name, fmt in FORMATS.items() if ending in fmt.suffixes), None)
    if form is None:
        endings = sorted({suffix for fmt in FORMATS.values() for suffix in fmt.suffixes})
        raise ParameterError(f"{path}: no format has files that end so. Choose one of: {', '.join(endings)}.")
    return _save(form, path, data, meta)


def save_pair(path: str, layers: list[LayerData]) -> list[str]:
    """Write an image as PNG, and its labels beside it as ``NAME_label.tif``."""
    target = Path(path)
    kinds = {kind: np.asarray(data) for data, _, kind in layers}
    image, labels = kinds["image"], kinds["labels"]
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in (3, 4)):
        raise InputFileError(
            f"The image is {image.shape} of {image.dtype}, which is not written as PNG here. Save the labels alone."
        )
    write_image(target, image)
    write_label_tiff(label_path(target.parent, target.stem), labels)
    return [path, str(label_path(target.parent, target.stem))]
