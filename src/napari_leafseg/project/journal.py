"""The journal of an image: every step, appended and flushed to the disk as it is made.

A record is ``LSJ1``, lengths and a checksum, a JSON header and compressed label boxes. A record that was cut off (the
power failed, the disk was full) is recognized by its checksum; everything before it counts.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.editing.edit import Edit
from napari_leafseg.editing.history import Step

_MAGIC = b"LSJ1"
_LEAD = struct.Struct("<4sIII")  # magic, header bytes, payload bytes, checksum


@dataclass(frozen=True, eq=False)
class Record:
    """One thing that happened.

    Attributes
    ----------
    number : int
        1, 2, … without gaps.
    kind : str
        "step", "undo" or "redo".
    step : Step or None
        For "step".
    time, annotator : str
    """

    number: int
    kind: str
    step: Step | None = None
    time: str = ""
    annotator: str = ""


def encode(record: Record) -> bytes:
    """Return a record as bytes."""
    header: dict[str, Any] = {
        "number": record.number, "kind": record.kind, "time": record.time, "annotator": record.annotator,
    }  # fmt: skip
    payload = b""
    if record.step is not None:
        step = record.step
        header |= {
            "tool": step.tool,
            "verified": sorted(step.verified),
            "unverified": sorted(step.unverified),
            "edits": [
                {
                    "tool": edit.tool,
                    "frame": edit.frame,
                    "start": [span.start for span in edit.box],
                    "shape": edit.before.shape,
                    "dtype": edit.before.dtype.str,
                }
                for edit in step.edits
            ],
        }
        payload = zlib.compress(b"".join(edit.before.tobytes() + edit.after.tobytes() for edit in step.edits), 1)
    head = json.dumps(header, separators=(",", ":")).encode()
    return _LEAD.pack(_MAGIC, len(head), len(payload), zlib.crc32(head + payload)) + head + payload


def _decode(head: bytes, payload: bytes) -> Record:
    header = json.loads(head)
    step = None
    if header["kind"] == "step":
        content, offset, edits = zlib.decompress(payload), 0, []
        for item in header["edits"]:
            shape, dtype = tuple(item["shape"]), np.dtype(item["dtype"])
            size = int(np.prod(shape)) * dtype.itemsize
            before, after = (
                np.frombuffer(content, dtype, size // dtype.itemsize, offset + part * size).reshape(shape)
                for part in (0, 1)
            )
            box = tuple(slice(start, start + length) for start, length in zip(item["start"], shape, strict=True))
            edits.append(Edit(item["tool"], (box[0], box[1]), before, after, item["frame"]))
            offset += 2 * size
        step = Step(
            header["tool"],
            tuple(edits),
            frozenset((int(frame), int(leaf)) for frame, leaf in header["verified"]),
            frozenset((int(frame), int(leaf)) for frame, leaf in header["unverified"]),
        )
    return Record(header["number"], header["kind"], step, header["time"], header["annotator"])


def _whole_records(content: bytes) -> Iterator[tuple[Record, int]]:
    """Records of a journal and where each ends, up to the first that is not whole."""
    offset = 0
    while offset + _LEAD.size <= len(content):
        magic, head_size, payload_size, checksum = _LEAD.unpack_from(content, offset)
        start, end = offset + _LEAD.size, offset + _LEAD.size + head_size + payload_size
        body = content[start:end]
        if magic != _MAGIC or end > len(content) or zlib.crc32(body) != checksum:
            return
        yield _decode(body[:head_size], body[head_size:]), end
        offset = end


def read_journal(path: Path) -> list[Record]:
    """Return all whole records of a journal; none when there is no file."""
    if not path.exists():
        return []
    return [record for record, _ in _whole_records(path.read_bytes())]


class Journal:
    """Appends to a journal; what is cut off at its end is cleared away first.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end: int | None = None

    def append(self, content: bytes) -> None:
        """Write one encoded record and wait until it is on the disk.

        Raises
        ------
        OSError
            When it cannot be written; the journal is as before, and the same record can be appended again.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            if self._end is None:
                self._end = max((end for _, end in _whole_records(file.read())), default=0)
            file.truncate(self._end)
            file.seek(self._end)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._end += len(content)
