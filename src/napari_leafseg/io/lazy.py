"""Images and series that are read piece by piece: OME-Zarr, and TIFF files larger than one wants in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_leafseg.errors import InputFileError, UserError

LARGE = 512 * 2**20  # bytes of a TIFF file from which on it is not read as a whole
_COLORS = (1, 3, 4)


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr group or array."""
    return path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray"))


def arrange(array: Any, axes: str, name: str) -> Any:
    """Return axes as the rest of the package has them: (H, W), (H, W, C) or (T, H, W, C).

    Parameters
    ----------
    array : array
        NumPy or Dask.
    axes : str
        A letter for each axis: y, x; c or s = colors; t, z, i, q or r = time (one of them longer than 1).
    name : str
        For messages.

    Raises
    ------
    InputFileError
        For two series axes, or a number of channels that is neither gray, RGB nor RGBA.
    """
    axes = axes.lower().replace("s", "c")
    if len(axes) != array.ndim or not {"y", "x"} <= set(axes):
        raise InputFileError(f"{name} has axes “{axes.upper()}”, which are no image or time series. Export it as one.")
    for axis in [axis for axis in axes if axis not in "yx" and array.shape[axes.index(axis)] == 1]:
        array = array[(slice(None),) * axes.index(axis) + (0,)]
        axes = axes.replace(axis, "", 1)
    series = [axis for axis in axes if axis not in "yxc"]
    if len(series) > 1 or axes.count("c") > 1:
        raise InputFileError(
            f"{name} has axes “{axes.upper()}”. A time series has one axis beside height, width and colors."
        )
    wanted = "".join(series) + "yx" + ("c" if "c" in axes else "")
    array = array.transpose([axes.index(axis) for axis in wanted])
    if "c" in axes and array.shape[-1] not in _COLORS:
        raise InputFileError(f"{name} has {array.shape[-1]} channels. Export one of them, or three as RGB.")
    if series and "c" not in axes:
        array = array[..., None]
    return array


def read_zarr(path: Path) -> tuple[Any, str]:
    """Return the finest level of an OME-Zarr image as a Dask array, and a hash of what describes it.

    Raises
    ------
    InputFileError
        When it is no OME-Zarr image.
    """
    import dask.array as da
    import zarr

    try:
        group: Any = zarr.open(str(path), mode="r")
        attributes: Any = dict(group.attrs)
        scales = attributes.get("ome", attributes).get("multiscales")
        if not isinstance(group, zarr.Group) or not scales:
            raise InputFileError(f"{path} is a Zarr store, but no OME-Zarr image: it has no multiscales.")
        named = scales[0].get("axes") or ["t", "c", "z", "y", "x"]
        axes = "".join(axis if isinstance(axis, str) else axis["name"] for axis in named)
        array = da.from_zarr(group[scales[0]["datasets"][0]["path"]])
    except UserError:
        raise
    except Exception as error:  # stores raise anything at all when they are damaged
        raise InputFileError(f"{path} cannot be read as OME-Zarr ({error}). Export it again.") from error
    digest = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(path)} {file.stat().st_size}".encode())
        if file.name.startswith((".z", "zarr")):
            digest.update(file.read_bytes())
    return arrange(array, axes, str(path)), digest.hexdigest()


def read_large_tiff(path: Path) -> tuple[Any, str]:
    """Return the first series of a TIFF file as a Dask array, and the file's hash; neither needs it whole in memory.

    Raises
    ------
    InputFileError
        When it is damaged, or no image or time series.
    """
    import dask.array as da
    import zarr

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            axes, end = series.axes, 0 if series.dataoffset is None else series.dataoffset + series.nbytes
            for page in series.pages:
                if page is not None:
                    end = max([end, *(a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=True))])
        if end > path.stat().st_size:
            raise ValueError("it ends too early")
        store = tifffile.imread(path, aszarr=True, level=0)
        array = da.from_zarr(zarr.open(store, mode="r"))
    except Exception as error:
        raise InputFileError(
            f"{path} is damaged or cut off and cannot be read ({error}). Copy or export it again."
        ) from error
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return arrange(array, axes, str(path)), digest


def tiff_array(file: tifffile.TiffFile, name: str) -> np.ndarray:
    """Return the first series of an open TIFF file; OME and ImageJ files say what their axes are."""
    array = file.asarray()
    if file.is_ome or file.is_imagej:
        return np.asarray(arrange(array, file.series[0].axes, name))
    return array
