"""Predictions as bytes, so that leaves can be tuned after a restart: lossless, checked when they are read.

An NPZ archive: the arrays of each region, and a header in JSON.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.lib import format as npy
from pydantic import BaseModel, ConfigDict, Field

from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.inference.prediction import ModelInfo, Prediction, StackPrediction
from napari_leafseg.models.registry import get_family, resolve

FORMAT = 2
_BEFORE = 1  # without `ModelInfo.confidence`: versions that know no such entry read it
_MOST = 4 * 2**30  # bytes that a prediction may unpack to
_HEADER = "header.json"
Span = tuple[int, int]


class _Frame(BaseModel):
    """What the header says of a frame; its regions are rows and columns."""

    model_config = ConfigDict(extra="forbid")

    shape: tuple[int, int]
    scale: float = Field(gt=0, allow_inf_nan=False)
    scale_found: bool
    notes: list[str]
    source: dict[str, Any]
    seconds: float
    masked: bool
    regions: list[tuple[Span, Span]]


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int
    key: str
    series: bool
    model: ModelInfo
    family: str
    frames: list[_Frame] = Field(min_length=1)


def can_be_kept(prediction: Prediction) -> bool:
    """Tell whether the model's family can make its predictions again."""
    return prediction.family.prediction is not None


def pack_prediction(prediction: Prediction) -> bytes:
    """Write a prediction as bytes from which `unpack_prediction` makes it again, exactly."""
    frames, arrays = [], {}
    for number, frame in enumerate(prediction.frames):
        places = [
            ((region.rows.start, region.rows.stop), (region.columns.start, region.columns.stop))
            for region in frame.regions
        ]
        frames.append(
            _Frame(
                shape=(frame.shape[0], frame.shape[1]), scale=frame.scale, scale_found=frame.scale_found,
                notes=frame.notes, source=frame.source, seconds=frame.seconds, masked=frame.mask is not None,
                regions=places,
            )
        )  # fmt: skip
        if frame.mask is not None:
            arrays[f"{number}/mask"] = np.packbits(frame.mask)
        for at, region in enumerate(frame.regions):
            arrays |= {f"{number}/{at}/{name}": array for name, array in region.arrays().items()}
    number = _BEFORE if prediction.model.confidence is None else FORMAT
    header = {
        "format": number, "key": prediction.key, "series": len(prediction.shape) == 3,
        "model": _written(prediction.model), "family": prediction.family.kind,
        "frames": [frame.model_dump() for frame in frames],
    }  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_HEADER, json.dumps(header, default=str))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _written(model: ModelInfo) -> dict[str, Any]:
    """What a prediction keeps of its model, as JSON can say it."""
    entries = asdict(model)
    if model.confidence is None:  # versions before know no such entry
        del entries["confidence"]
    else:
        entries["confidence"] = model.confidence.model_dump()
    return entries


def unpack_prediction(content: bytes, name: str = "The kept prediction") -> Prediction:
    """Make a prediction again.

    Parameters
    ----------
    content : bytes
        From `pack_prediction`.
    name : str
        Of the file, for messages.

    Raises
    ------
    InputFileError
        When it is damaged, of a newer version or of a model that no installed package knows.
    MemoryError
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(item.file_size for item in archive.infolist())
            if size > _MOST:
                raise ValueError(f"it unpacks to {size:,} bytes")
            entries = json.loads(archive.read(_HEADER))
            if isinstance(entries, dict) and isinstance(entries.get("format"), int) and entries["format"] > FORMAT:
                raise InputFileError(f"{name} was written by a newer version of napari-leafseg. Press Run again.")
            header = _Header.model_validate(entries)
            kind = resolve(get_family(header.family).prediction or "builtins:None")
            frames = [_frame(archive, number, frame, header.model, kind) for number, frame in enumerate(header.frames)]
    except (InputFileError, MemoryError):
        raise
    except Exception as error:  # NumPy and zipfile raise anything at all for damaged files
        raise InputFileError(f"{name} is damaged ({plain_reason(error)}). Press Run again.") from error
    prediction = StackPrediction(frames) if header.series else frames[0]
    prediction.key = header.key
    return prediction


def _frame(
    archive: zipfile.ZipFile, number: int, frame: _Frame, model: ModelInfo, kind: type[Prediction]
) -> Prediction:
    regions, mask = [], None
    for at, spans in enumerate(frame.regions):
        for (start, stop), length in zip(spans, frame.shape, strict=True):
            if not 0 <= start < stop <= length:
                raise ValueError(f"a region {spans} of an image {frame.shape}")
        arrays = dict(_arrays(archive, f"{number}/{at}/"))
        regions.append(kind.region.of_arrays(slice(*spans[0]), slice(*spans[1]), arrays))
    if frame.masked:
        bits: Mapping[str, np.ndarray] = dict(_arrays(archive, f"{number}/"))
        mask = np.unpackbits(bits["mask"], count=math.prod(frame.shape)).reshape(frame.shape).astype(bool)
    found = kind(frame.shape, frame.scale, regions, model, frame.notes, frame.source, frame.scale_found, mask)
    found.seconds = frame.seconds
    return found


def _arrays(archive: zipfile.ZipFile, place: str) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a place in the archive, by name."""
    for item in archive.infolist():
        rest = item.filename.removeprefix(place)
        if item.filename.startswith(place) and "/" not in rest:
            yield rest.removesuffix(".npy"), npy.read_array(io.BytesIO(archive.read(item)), allow_pickle=False)
