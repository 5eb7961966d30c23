"""Images and series that are read piece by piece: OME-Zarr, and TIFF files larger than one wants in memory."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from napari_leafseg._extras import require
from napari_leafseg.errors import InputFileError, UserError, plain_reason
from napari_leafseg.io.axes import ReadOptions, Said, arrange
from napari_leafseg.io.pieces import in_pieces
from napari_leafseg.io.tiff import CameraRaw, open_large_tiff

_LOG = logging.getLogger(__name__)

LARGE = 512 * 2**20  # bytes of a TIFF file from which on it is not read as a whole


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr group or array."""
    try:
        return path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))
    except OSError:
        _LOG.debug("%s cannot be looked into.", path, exc_info=True)
        return False


def read_zarr(path: Path, options: ReadOptions | None = None, said: Said | None = None) -> tuple[Any, str]:
    """Open the finest level of an OME-Zarr image as a Dask array, and a hash of what describes it.

    Raises
    ------
    InputFileError
        When it is no OME-Zarr image.
    """
    try:
        group, attributes = image_group(path, said or Said())
        from napari_leafseg.io.zarr_store import look_at

        scales = attributes["multiscales"]
        named = scales[0].get("axes") or ["t", "c", "z", "y", "x"]
        axes = "".join(axis if isinstance(axis, str) else axis["name"] for axis in named)
        array = group[scales[0]["datasets"][0]["path"]]
        look_at(array)
        array = in_pieces(array, path)
        names = _channel_names(attributes.get("omero"))
        digest = zarr_hash(path)
    except UserError:
        raise
    except Exception as error:  # stores raise anything at all when they are damaged
        wrong = isinstance(error, (TypeError, AttributeError, IndexError))
        what = "its description is not as OME-Zarr has it" if wrong else error
        raise InputFileError(f"{path} cannot be read as OME-Zarr ({what}). Export it again.") from error
    return arrange(array, axes, str(path), options, names, said), digest


def _channel_names(omero: Any) -> list[str]:
    """Read the channels' names, which a store may have; none of what is not as OME-Zarr has it."""
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list) or not all(isinstance(channel, dict) for channel in channels):
        return []
    return [str(channel.get("label") or number) for number, channel in enumerate(channels, start=1)]


def zarr_hash(path: Path) -> str:
    """Compute a hash of what describes a store: its metadata, and the names and sizes of its files."""
    digest = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(path)} {file.stat().st_size}".encode())
        if file.name.startswith((".z", "zarr")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def image_group(path: Path, said: Said) -> tuple[Any, dict[str, Any]]:
    """Find the group that holds a store's image, and its attributes; of bioformats2raw's stores the largest image.

    Raises
    ------
    InputFileError
        When there is none.
    """
    zarr = require("zarr", f"{path} is a Zarr store, which", "Or export it as TIFF.", kind=InputFileError)
    from napari_leafseg.io.zarr_store import open_store

    group: Any = zarr.open(open_store(path), mode="r")
    if not isinstance(group, zarr.Group):
        raise InputFileError(f"{path} is a Zarr array, but no OME-Zarr image: it has no multiscales.")
    attributes = _attributes(group)
    if attributes.get("multiscales"):
        return group, attributes
    if "plate" in attributes:
        wells = attributes["plate"].get("wells") or [{"path": "A/1"}]
        raise InputFileError(
            f"{path} is a plate of {len(wells)} wells. Give one field of it, for example {path}/{wells[0]['path']}/0."
        )
    fields = (attributes.get("well") or {}).get("images")
    if fields:
        raise InputFileError(f"{path} is a well of {len(fields)} fields. Give one of them: {path}/{fields[0]['path']}.")
    images = []
    for name in sorted(group.group_keys(), key=lambda name: (len(name), name)):
        inner = _attributes(group[name])
        if name != "labels" and inner.get("multiscales"):
            array: Any = group[name][inner["multiscales"][0]["datasets"][0]["path"]]
            images.append((array.shape[-1] * array.shape[-2], name, inner))
    if not images:
        raise InputFileError(f"{path} is a Zarr store, but no OME-Zarr image: it has no multiscales.")
    _, name, inner = max(images, key=lambda item: item[0])
    if len(images) > 1:
        names = ", ".join(item[1] for item in images)
        said.notes.append(
            f"The store holds {len(images)} images ({names}); {name} was read. Give {path}/NAME for another."
        )
    return group[name], inner


def _attributes(group: Any) -> dict[str, Any]:
    attributes = dict(group.attrs)
    return dict(attributes.get("ome", attributes))


def read_large_tiff(path: Path, options: ReadOptions | None = None, said: Said | None = None) -> tuple[Any, str]:
    """Open the image of a TIFF file as a Dask array, and the file's hash; neither needs it whole in memory.

    Raises
    ------
    InputFileError
        When it is damaged, or no image or time series.
    """
    before = path.stat()
    try:
        array = open_large_tiff(path, options or ReadOptions(), said or Said())
    except UserError:
        raise
    except CameraRaw as error:
        raise InputFileError(f"{path} is a camera raw file of more than 512 MiB. Export it as TIFF.") from error
    except Exception as error:
        raise InputFileError(
            f"{path} is damaged or cut off and cannot be read ({plain_reason(error, path)}). Copy or export it again."
        ) from error
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputFileError(f"{path} changes while it is read. Wait until the other program has written it.")
    return array, digest
