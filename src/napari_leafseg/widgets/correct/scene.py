"""What a correction starts from: the pixels on the screen, and what the model said of them."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from napari_leafseg.editing import tools
from napari_leafseg.io import to_rgb8
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.session import Session, image_data


def frame_prediction(session: Session, binding: LabelsBinding) -> Any:
    """Return what the model said of the frame on the screen; None where it was not asked."""
    prediction = session.record(binding.image).prediction
    return None if prediction is None else prediction.frames[binding.frame]


def make_scene(session: Session, binding: LabelsBinding) -> tools.Scene:
    """Return what a tool needs of the frame on the screen."""
    model, prediction = None, frame_prediction(session, binding)
    if prediction is not None:
        from napari_leafseg.inference.prompts import PredictionModel

        model = PredictionModel(prediction)
    return tools.Scene(binding.plane, frame_rgb(session, binding), model, binding.locked, binding.document.largest)


def frame_rgb(session: Session, binding: LabelsBinding) -> np.ndarray:
    """Return the image on the screen, uint8 (H, W, 3); images in another type are converted once."""
    data, stack = image_data(binding.image)
    plane = data[binding.frame] if stack else data
    if isinstance(plane, np.ndarray) and plane.dtype == np.uint8 and plane.ndim == 3 and plane.shape[2] >= 3:
        return plane[..., :3]
    cache = session.record(binding.image).cache
    frame, rgb = cache.get("rgb", (-1, None))
    if frame != binding.frame:
        rgb = to_rgb8(np.asarray(plane), binding.image.name)
        cache["rgb"] = (binding.frame, rgb)
    return rgb


def frame_confidences(session: Session, binding: LabelsBinding) -> dict[int, float]:
    """Return the confidence of each leaf of the frame on the screen; computed once for a step of its history."""
    prediction = frame_prediction(session, binding)
    if prediction is None:
        return {}
    kept = session.record(binding.image).cache.setdefault("confidences", weakref.WeakKeyDictionary())
    number, found = kept.get(prediction, (-1, {}))
    if number != binding.document.number:
        from napari_leafseg.inference.confidence import leaf_confidence

        found = leaf_confidence(prediction, binding.plane)
        kept[prediction] = (binding.document.number, found)
    return found
