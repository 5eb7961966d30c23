"""Arrays of files that are read piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.errors import InputFileError, plain_reason


class Pieces:
    """A Zarr array of a file; a piece that cannot be read is an error that names the file.

    Parameters
    ----------
    array : zarr.Array
    path : pathlib.Path
    """

    def __init__(self, array: Any, path: Path) -> None:
        self._array, self._path = array, path
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, place: Any) -> np.ndarray:
        try:
            return np.asarray(self._array[place])
        except Exception as error:  # decoders raise anything at all for damaged pieces
            raise InputFileError(
                f"{self._path} is damaged: a part of it cannot be read ({plain_reason(error, self._path)}). "
                "Copy or export it again."
            ) from error


def in_pieces(array: Any, path: Path) -> Any:
    """Return a Zarr array of a file as a Dask array."""
    import dask.array as da

    return da.from_array(Pieces(array, path), chunks=array.chunks, name=False)
