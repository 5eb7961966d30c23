"""What is measured: the frames of the image on the screen, or the images of the list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_leafseg.io import ReadOptions, read_image
from napari_leafseg.io.exchange.names import short_names
from napari_leafseg.pipelines.measure import Frame
from napari_leafseg.project import Project
from napari_leafseg.widgets.state.image_record import ImageRecord
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.session import Session, image_data


def frames_of(session: Session, binding: LabelsBinding) -> list[Frame]:
    """Return the frames of a layer: one for an image, all of a time series."""
    document, image, labels = binding.document, binding.image, binding.document.labels
    data, _ = image_data(image)
    prediction = session.record(image).prediction
    planes, series = labels.reshape(-1, *labels.shape[-2:]), labels.ndim == 3
    entry = session.entry_of(image)
    key = session.record(image).key if entry is None else str(entry.path)
    known = [None] * len(planes) if prediction is None else prediction.frames
    return [
        Frame(f"{image.name} {number}" if series else image.name, plane.copy,
              partial(data.__getitem__, number if series else ...),
              known[number], {leaf for frame, leaf in document.verified if frame == number},
              f"{key} {number}" if series else key, None if entry is None else entry.path)
        for number, plane in enumerate(planes)
    ]  # fmt: skip


def listed_frames(session: Session, project: Project | None) -> list[Frame]:
    """Return the images of the list that have labels: those of open layers, else what the project has saved."""
    found, names = [], image_names(session)
    saved = {} if project is None else {project.path_of(ref): ref for ref in project.images}
    for entry in session.images:
        image = session.layer_of(entry)
        binding = session.binding(image) if image is not None else None
        if binding is not None and binding.document.labels.ndim == 2:
            labels, data = binding.document.labels, image_data(binding.image)[0]
            verified = {leaf for _, leaf in binding.document.verified}
            prediction = session.record(binding.image).prediction
            found.append(
                Frame(
                    names[entry.path], labels.copy, partial(_same, data), prediction, verified, str(entry.path),
                    entry.path,
                )
            )  # fmt: skip
        elif project is not None and entry.path in saved and project.labels_path(saved[entry.path]).exists():
            read = partial(project.read_labels, saved[entry.path])
            image_of = partial(_read, entry.path, session.read_options)
            found.append(Frame(names[entry.path], read, image_of, key=str(entry.path), path=entry.path))
    return found


def why_nothing(session: Session) -> str:
    """Say why there is nothing to measure, and what to do."""
    image = session.focus()
    doing = "" if image is None else session.record(image).leaves_are
    if doing:
        return f"The leaves of this image are still being {doing} …"
    return "Nothing to measure yet: press Run in Segment, or open an image with labels."


def image_names(session: Session) -> dict[Path, str]:
    """Return the names that tables give the images of the list: with folders where others have the same."""
    return short_names([entry.path for entry in session.images])


def tracks_of(leaves: pd.DataFrame, image: str | None) -> dict[tuple[int, int], int]:
    """Return the track of each leaf on the screen, by frame and leaf; `image` where the frames are images of a list."""
    if "track" not in leaves:
        return {}
    if image is not None:
        leaves = leaves[leaves["image"] == image].assign(frame=0)
    rows = zip(leaves["frame"].astype(int), leaves["leaf"].astype(int), leaves["track"], strict=True)
    return {(frame, leaf): int(track) for frame, leaf, track in rows if pd.notna(track)}


def records_of(session: Session, listed: bool) -> list[dict[str, Any]]:
    """Return how the labels came about that are measured: of the image on the screen, or of all in the list."""
    focus = session.focus()
    known: Sequence[ImageRecord] = [] if focus is None else [session.record(focus)]
    if listed and session.images:
        known = session.images
    found = []
    for record in known:
        if record.prediction is not None:
            found.append(record.prediction.record(**record.parameters))
        elif listed and record.facts is not None and record.facts.record:
            found.append(record.facts.record)
    return found


def _same(value: Any) -> Any:
    return value


def _read(path: Path, options: ReadOptions) -> np.ndarray:
    return read_image(path, options).array
