"""Layers of ours: labels, distance map, embedding, seeds; each once for an image, named after it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_leafseg.widgets.session import KEY, Session

NAMES = {"labels": "leaves", "distance": "distance map", "embedding": "embedding", "seeds": "seeds"}


def geometry(image: Image, labels_ndim: int) -> dict[str, Any]:
    """Scale, translation and so on of an image layer for a layer of `labels_ndim` axes."""
    return {
        "scale": image.scale[-labels_ndim:],
        "translate": image.translate[-labels_ndim:],
        "units": image.units[-labels_ndim:],
    }


def show_new_labels(session: Session, image: Image, labels: np.ndarray) -> Labels:
    """Put the labels of a new prediction on the screen.

    An existing labels layer of the image is used again, unless somebody painted in it: then it is kept, renamed, and a
    new one is made.
    """
    viewer = session.viewer
    layer = session.labels_layer(image)
    if layer is not None and session.derived(image).edited:
        release_edited(session, image, layer)
        layer = None
    if layer is not None and layer.data.shape == labels.shape:
        layer.data = labels
        layer.visible = True
    else:
        if layer is not None:
            viewer.layers.remove(layer)
        layer = Labels(
            labels,
            name=f"{image.name} {NAMES['labels']}",
            opacity=0.5,
            metadata=session.mark(image, "labels"),
            **geometry(image, labels.ndim),
        )
        viewer.add_layer(layer)
        layer.events.paint.connect(lambda: _mark_edited(session, image, layer))
    viewer.layers.selection.active = layer
    return layer


def _mark_edited(session: Session, image: Image, layer: Labels) -> None:
    if session.labels_layer(image) is layer:
        session.derived(image).edited = True
        session.layer_state_changed.emit(image)


def release_edited(session: Session, image: Image, layer: Labels) -> None:
    """Set painted labels aside under a name of their own: nothing tunes or replaces them any more."""
    layer.metadata = {key: value for key, value in layer.metadata.items() if key != KEY}
    layer.name = f"{image.name} {NAMES['labels']} (edited)"
    session.derived(image).edited = False


def show_extra(session: Session, image: Image, kind: str, data: np.ndarray) -> Layer:
    """Show the distance map, the embedding or the seeds of an image; the layer is made once and then updated."""
    viewer = session.viewer
    layer = session.find_layer(image, kind)
    if layer is not None:
        layer.data = data
        layer.visible = True
        return layer
    active = viewer.layers.selection.active
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


def hide_extra(session: Session, image: Image, kind: str) -> None:
    """Take such a layer away."""
    layer = session.find_layer(image, kind)
    if layer is not None:
        session.viewer.layers.remove(layer)
