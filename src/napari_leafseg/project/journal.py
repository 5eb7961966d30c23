"""The journal of an image: every step, appended and flushed to the disk as it is made.

A record is ``LSJ1``, lengths and a checksum, a JSON header and compressed label boxes. A record that was cut off (the
power failed, the disk was full) or damaged is recognized by its checksum; all others count, those after it too.
"""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_leafseg._files import make_folder, read_regular, sync_folder, write_atomically
from napari_leafseg.editing.edit import Edit
from napari_leafseg.editing.history import Step
from napari_leafseg.errors import ProjectError, UserError

_LOG = logging.getLogger(__name__)
_MAGIC = b"LSJ1"
_LEAD = struct.Struct("<4sIII")  # magic, header bytes, payload bytes, checksum
_KINDS = ("step", "undo", "redo")
_MOST = 2**32  # bytes that a record may unpack to where its image's size is not known
_OVERLAID = 64  # label images of eight bytes a pixel: more than any step holds of an image whose size is known


@dataclass(frozen=True, eq=False)
class Record:
    """One thing that happened.

    Attributes
    ----------
    number : int
        1, 2, …; in a journal they only rise.
    kind : str
        "step", "undo" or "redo".
    step : Step or None
        For "step".
    time, annotator : str
    of : str
        Key of the step that was made, taken back or made again; empty in journals of earlier versions.
    more : int
        How many records behind it count only together with it.
    """

    number: int
    kind: str
    step: Step | None = None
    time: str = ""
    annotator: str = ""
    of: str = ""
    more: int = 0


def encode(record: Record) -> bytes:
    """Return a record as bytes."""
    header: dict[str, Any] = {
        "number": record.number, "kind": record.kind, "time": record.time, "annotator": record.annotator,
        "of": record.of, **({"more": record.more} if record.more else {}),
    }  # fmt: skip
    payload = b""
    if record.step is not None:
        step = record.step
        header |= {
            "tool": step.tool,
            "key": step.key,
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
            **({"info": step.info} if step.info else {}),
        }
        payload = zlib.compress(b"".join(edit.before.tobytes() + edit.after.tobytes() for edit in step.edits), 1)
    head = json.dumps(header, separators=(",", ":"), default=float).encode()
    return _LEAD.pack(_MAGIC, len(head), len(payload), zlib.crc32(head + payload)) + head + payload


class NewerRecord(ProjectError):
    """A record of a later version."""


class _Misfit(ProjectError):
    """A record of an image of another size."""


def _decode(head: bytes, payload: bytes, shape: tuple[int, ...] | None, pixels: bool) -> Record:
    """A record whose checksum is right; anything at all is raised when its content is nothing of ours."""
    header = json.loads(head)
    number, kind, key = int(header["number"]), header["kind"], str(header.get("of", ""))
    if kind not in _KINDS:
        raise NewerRecord(str(kind))
    if number < 1:
        raise ValueError(number)
    step = None
    if kind == "step" and pixels:
        gained, lost = (
            frozenset((int(frame), int(leaf)) for frame, leaf in header[name]) for name in ("verified", "unverified")
        )
        edits = tuple(_edits(header["edits"], payload, shape))
        info = header.get("info")
        step = Step(
            str(header["tool"]), edits, gained, lost, str(header.get("key") or secrets.token_hex(6)),
            info if isinstance(info, dict) else {},
        )  # fmt: skip
    more = int(header.get("more", 0))
    return Record(number, kind, step, str(header["time"]), str(header["annotator"]), key, more)


def _edits(items: list[dict[str, Any]], payload: bytes, shape: tuple[int, ...] | None) -> Iterable[Edit]:
    """The edits of a step; what they unpack to is known and checked before anything is unpacked."""
    plans, total = [], 0
    for item in items:
        size, dtype, start = tuple(map(int, item["shape"])), np.dtype(item["dtype"]), tuple(map(int, item["start"]))
        frame = None if item["frame"] is None else int(item["frame"])
        if frame == 0 and shape is not None and len(shape) == 2:  # a series of one frame, kept as an image
            frame = None
        if len(size) != 2 or len(start) != 2 or min(*size, *start, frame or 0) < 0 or dtype.kind not in "ui":
            raise ValueError(f"a box {start} {size} of {dtype}")
        if shape is not None:
            inside = all(a + b <= limit for a, b, limit in zip(start, size, shape[-2:], strict=True))
            if not inside or (frame is not None if len(shape) == 2 else frame is None or frame >= shape[0]):
                raise _Misfit(f"{start} {size} {frame}")
        plans.append((str(item["tool"]), start, size, dtype, frame))
        total += 2 * math.prod(size) * dtype.itemsize
    if total > (_MOST if shape is None else 8 * _OVERLAID * math.prod(shape)):
        raise ValueError(f"{total} bytes")
    unpacker = zlib.decompressobj()
    content, offset = unpacker.decompress(payload, total + 1), 0
    if len(content) != total:
        raise ValueError(f"{len(content)} bytes, not {total}")
    for tool, start, size, dtype, frame in plans:
        count = math.prod(size)
        both = np.frombuffer(content, dtype, 2 * count, offset).reshape(2, *size)
        rows, columns = (slice(first, first + length) for first, length in zip(start, size, strict=True))
        yield Edit(tool, (rows, columns), both[0], both[1], frame)
        offset += both.nbytes


class _Scan(NamedTuple):
    """What a journal holds: its whole records, where each lies, whether others are damaged, and where it ends."""

    records: list[Record]
    spans: list[tuple[int, int]]
    damaged: bool


def _scan(path: Path, content: bytes, shape: tuple[int, ...] | None = None, pixels: bool = True) -> _Scan:
    """Read all whole records; behind a damaged one reading goes on at the next.

    Raises
    ------
    ProjectError
        When a later version wrote a record, or one is of an image of another size.
    """
    records: list[Record] = []
    spans: list[tuple[int, int]] = []
    offset, damage = 0, -1
    while offset < len(content):
        found = None
        if offset + _LEAD.size <= len(content):
            magic, head_size, payload_size, checksum = _LEAD.unpack_from(content, offset)
            start, end = offset + _LEAD.size, offset + _LEAD.size + head_size + payload_size
            if magic == _MAGIC and end <= len(content) and zlib.crc32(content[start:end]) == checksum:
                found = content[start : start + head_size], content[start + head_size : end]
            cut = end > len(content) and magic == _MAGIC
        else:
            cut = True
        if found is not None:
            try:
                records.append(_decode(*found, shape, pixels))
                spans.append((offset, end))
                offset = end
                continue
            except NewerRecord as error:
                raise NewerRecord(
                    f"{path} holds a record “{error}”, which a newer version of napari-leafseg wrote. "
                    "Update napari-leafseg to open this image."
                ) from error
            except _Misfit as error:
                raise ProjectError(
                    f"{path} is the history of an image of another size than {shape}. Was the image exchanged? Link "
                    "the right one."
                ) from error
            except Exception as error:  # the checksum is right, but it is no record of ours
                _LOG.warning("%s holds a record at byte %d that is none of ours: %r", path, offset, error)
                offset = end
        following = content.find(_MAGIC, offset if found is not None else offset + 1)
        damage = damage if cut and following < 0 else offset
        offset = len(content) if following < 0 else following
    behind = _unfinished(records)
    if behind and damage < spans[-behind][0]:
        del records[-behind:], spans[-behind:]
    return _Scan(records, spans, damage >= 0)


def _unfinished(records: list[Record]) -> int:
    """Count the last records of which not all are there that count only together: writing them was cut short."""
    count = 0
    while count < len(records) and records[-1 - count].more == (records[-1].more + count if records[-1].more else -1):
        count += 1
    return count


def _read(path: Path) -> bytes:
    if path.is_symlink():
        raise ProjectError(f"{path} is a link to another file. Put the file itself there.")
    return read_regular(path) if path.exists() else b""


def read_journal(path: Path, shape: tuple[int, ...] | None = None) -> list[Record]:
    """Read all whole records of a journal; none when there is no file.

    Parameters
    ----------
    path : pathlib.Path
    shape : tuple of int, optional
        Of the labels: records that do not fit are left out.

    Raises
    ------
    ProjectError
        When a later version wrote one.
    """
    return _scan(path, _read(path), shape).records


def last_number(path: Path) -> int:
    """Return the largest number in a journal, 0 when there is none; unpacks nothing."""
    return max((record.number for record in _scan(path, _read(path), pixels=False).records), default=0)


class Numbering:
    """From the numbers of a document's records to those in the journal, which only rise.

    A document that goes on in the journal of another one counts from 1.
    """

    def __init__(self) -> None:
        self._offsets = [(0, 0)]  # from which number of the document on, and what is added

    def start(self, offset: int) -> None:
        """Add this to every number."""
        self._offsets = [(0, offset)]

    def place(self, number: int, last: int) -> int:
        """Give the number in the journal to a record that is about to be written behind number `last`."""
        offset = self._offsets[-1][1]
        if number + offset <= last:
            offset = last + 1 - number
            self._offsets.append((number, offset))
        return number + offset

    def of(self, number: int) -> int:
        """Return the number in the journal of a record that was written."""
        return number + next(offset for first, offset in reversed(self._offsets) if first <= number)


class Journal:
    """Reads and appends to a journal; damaged records are put aside first, and what is cut off at its end cleared away.

    Parameters
    ----------
    path : pathlib.Path
    noticed : callable, optional
        Takes a sentence when something is damaged.
    """

    def __init__(self, path: Path, noticed: Callable[[str], None] | None = None) -> None:
        self.path, self.noticed = path, noticed
        self._lock = threading.Lock()
        self._end: int | None = None
        self._begun = b""  # what was appended last, or began to be
        self._last = 0
        self._named = False  # whether the file's name is on the disk for sure

    def read(self, shape: tuple[int, ...]) -> list[Record]:
        """Read all whole records for labels of a shape.

        Raises
        ------
        ProjectError
            When a later version wrote one, or they are of an image of another size.
        """
        with self._lock:
            return self._open(shape)

    def _open(self, shape: tuple[int, ...] | None) -> list[Record]:
        content = _read(self.path)
        records, spans, damaged = _scan(self.path, content, shape, shape is not None)
        end = spans[-1][1] if spans else 0
        if damaged:
            try:
                end = self._mend(b"".join(content[first:last] for first, last in spans), len(records))
            except (OSError, UserError) as error:
                if shape is None:  # about to write
                    raise
                _LOG.warning("%s is damaged and cannot be mended: %s", self.path, error)
        self._end, self._last = end, max((record.number for record in records), default=0)
        return records

    def _mend(self, kept: bytes, steps: int) -> int:
        aside = put_aside(self.path)
        write_atomically(self.path, kept, parents=False)
        if self.noticed is not None:
            self.noticed(
                f"{self.path} was damaged: a part of the history cannot be read. The other {steps} steps are used; "
                f"the file as it was is kept in {aside.name} beside it."
            )
        return len(kept)

    def write(self, records: Iterable[Record], numbering: Numbering) -> None:
        """Append records, numbered as the journal goes on; all or none, also where the process ends meanwhile.

        Raises
        ------
        OSError
            See `append`.
        """
        with self._lock:
            self._ready()
            last, content, records = self._last, [], list(records)
            for more, record in zip(range(len(records))[::-1], records, strict=True):
                last = numbering.place(record.number, last)
                content.append(encode(replace(record, number=last, more=more)))
            self._append(b"".join(content))
            self._last = last

    def append(self, content: bytes) -> None:
        """Write encoded records and wait until they are on the disk.

        Raises
        ------
        OSError
            When it cannot be written; the journal is as before, and the same record can be appended again.
        """
        with self._lock:
            self._ready()
            self._append(content)

    def _ready(self) -> None:
        """Know where the journal ends: an append that failed may have left some of it, or all."""
        make_folder(self.path.parent, parents=False)
        if self._end is not None and self.path.exists():
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(min(size, self._end))
                if size >= self._end and self._begun.startswith(file.read()):
                    return
        self._open(None)

    def _append(self, content: bytes) -> None:
        assert self._end is not None
        self._begun = content
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not self._named:
            sync_folder(self.path.parent)
            self._named = True
        self._end += len(content)


def put_aside(path: Path) -> Path:
    """Copy a damaged file to ``NAME.damaged`` beside it, ``NAME.damaged2`` where there is one."""
    aside = free_name(path, "damaged")
    shutil.copyfile(path, aside)
    return aside


def free_name(path: Path, ending: str) -> Path:
    """Find a name beside a file that no file has: ``NAME.ENDING``, ``NAME.ENDING2``, …"""
    number = 1
    while (found := path.with_name(f"{path.name}.{ending}{number if number > 1 else ''}")).exists():
        number += 1
    return found
