"""Layers of ours: labels, distance map, embedding, seeds; each once for an image, named after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_leafseg.project.document import Document
from napari_leafseg.project.files import ImageRef
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.look import Look
from napari_leafseg.widgets.state.napari_private import changed_at_once
from napari_leafseg.widgets.state.session import Session

NAMES = {
    "labels": "leaves", "distance": "distance map", "embedding": "embedding", "seeds": "seeds",
    "confidence": "confidence",
}  # fmt: skip


def displayed(array: Any) -> tuple[Any, bool]:
    """Give an image as napari's layer takes it, and whether its last axis is that of colors."""
    if array.ndim >= 3 and array.shape[-1] == 1:
        return array[..., 0], False
    return array, array.ndim >= 3 and array.shape[-1] in (3, 4)


_FOLLOWED = ("scale", "translate", "rotate", "shear", "affine", "units")


def geometry(image: Layer, ndim: int) -> dict[str, Any]:
    """Return where a layer lies in the world, for a layer of its last `ndim` axes."""
    shear = np.eye(image.ndim)
    shear[np.triu_indices(image.ndim, 1)] = image.shear
    return {
        "scale": image.scale[-ndim:],
        "translate": image.translate[-ndim:],
        "rotate": image.rotate[-ndim:, -ndim:],
        "shear": shear[-ndim:, -ndim:][np.triu_indices(ndim, 1)],
        "affine": image.affine.affine_matrix[-ndim - 1 :, -ndim - 1 :],
        "units": image.units[-ndim:],
    }


def follow(session: Session, image: Image) -> None:
    """Keep what belongs to an image where the image lies, also when somebody moves, turns or scales it."""
    if session.record(image).cache.setdefault("followed", False):
        return
    session.record(image).cache["followed"] = True

    def moved(event: Any) -> None:
        for layer in list(session.viewer.layers):
            if session.belongs(layer, image):
                setattr(layer, event.type, geometry(image, layer.ndim)[event.type])

    for name in _FOLLOWED:
        getattr(image.events, name).connect(moved)


def show_new_labels(
    session: Session, image: Image, labels: np.ndarray, tool: str, info: Mapping[str, Any] | None = None
) -> LabelsBinding:
    """Put the labels of a new prediction on the screen, as one step that can be undone; for `info` see `Step`.

    The image's labels layer is used again; verified leaves in it are in `labels` already.
    """
    binding = session.binding(image)
    if binding is not None and binding.layer.data.shape != labels.shape:
        session.viewer.layers.remove(binding.layer)
        binding = None
    if binding is None:
        binding = add_labels(session, image, Document(np.zeros(labels.shape, np.uint16)))
    binding.replace(labels, tool, info)
    _choose_new_leaf(binding.layer, binding.document)
    binding.layer.visible = True
    session.viewer.layers.selection.active = binding.layer
    return binding


def add_labels(session: Session, image: Image, document: Document, ref: ImageRef | None = None) -> LabelsBinding:
    """Show a document as the labels layer of an image; every change of it is recorded from now on."""
    layer = Labels(
        document.labels,
        name=f"{image.name} {NAMES['labels']}",
        metadata=session.mark(image, "labels"),
        **geometry(image, document.labels.ndim),
    )
    _choose_new_leaf(layer, document)
    session.viewer.add_layer(layer)
    follow(session, image)
    binding = session.bind_labels(image, layer, document, ref)
    Look.of(session).take(binding)
    return binding


def _choose_new_leaf(layer: Labels, document: Document) -> None:
    """Have napari's brush paint a leaf of its own, until another one is chosen."""
    layer.selected_label = min(document.largest + 1, np.iinfo(layer.data.dtype).max)


def remove_image(session: Session, image: Layer) -> None:
    """Take an image off the screen with all layers of ours that belong to it."""
    found = [layer for layer in session.viewer.layers if layer is image or session.belongs(layer, image)]
    if found:
        with changed_at_once(session.viewer):
            for layer in found:
                session.viewer.layers.remove(layer)


def show_overlay(session: Session, image: Image, kind: str, data: np.ndarray) -> Layer:
    """Show the distance map, the embedding or the seeds of an image; the layer is made once and then updated."""
    viewer = session.viewer
    layer = session.find_layer(image, kind)
    if layer is not None:
        layer.data = data
        layer.visible = True
        return layer
    active = viewer.layers.selection.active
    follow(session, image)
    common = {"name": f"{image.name} {NAMES[kind]}", "metadata": session.mark(image, kind)}
    if kind == "seeds":
        layer = viewer.add_points(
            data, size=max(3.0, max(image.data.shape[:2]) / 90), face_color="white", border_color="black",
            border_width=0.15, **common, **geometry(image, data.shape[1]),
        )  # fmt: skip
    else:
        rgb = kind == "embedding"
        options = {} if rgb else {"colormap": "inferno", "contrast_limits": (0, 1)}
        layer = viewer.add_image(
            data, rgb=rgb, opacity=0.85, **options, **common, **geometry(image, data.ndim - int(rgb))
        )
        below = session.labels_layer(image)
        if below is not None:
            viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(below))
    viewer.layers.selection.active = active
    return layer


def hide_overlay(session: Session, image: Image, kind: str) -> None:
    """Take such a layer away."""
    layer = session.find_layer(image, kind)
    if layer is not None:
        session.viewer.layers.remove(layer)
