"""Zarr stores in folders, whose chunks are there whole or not at all."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore, WrapperStore

_BLOSC = struct.Struct("<12xI")  # how many bytes a chunk has


class WholeChunks(WrapperStore[LocalStore]):
    """A store that refuses chunks of Blosc that were cut off, which would be decoded to whatever lies in memory.

    Attributes
    ----------
    blosc : bool
        Whether the chunks that are read are compressed by Blosc.
    """

    blosc = False

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return a chunk or a description, or None where there is none."""
        found = await super().get(key, prototype, byte_range)
        if found is not None and self.blosc and not key.rpartition("/")[2].startswith((".z", "zarr")):
            content = found.to_bytes()
            announced = _BLOSC.unpack_from(content)[0] if len(content) >= _BLOSC.size else _BLOSC.size
            if len(content) < announced:
                raise ValueError(f"the chunk {key} has {len(content):,} of {announced:,} bytes")
        return found


def open_store(path: Path) -> WholeChunks:
    """Open a folder for reading."""
    return WholeChunks(LocalStore(path, read_only=True))


def look_at(array: Any) -> None:
    """Note how the chunks of an array are compressed."""
    if isinstance(array.store, WholeChunks):
        array.store.blosc = "blosc" in str(array.metadata.to_dict()).lower()
