"""The Leaf Segmentation Challenge's data: folders of PNG files, HDF5 files, and the file to hand in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from skimage.segmentation import relabel_sequential

from napari_leafseg._extras import require
from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.images import read_image, read_labels

_IMAGE = re.compile(r"(plant\d+)_rgb\.png")
_HDF5 = {".h5", ".hdf5"}


@dataclass(frozen=True)
class ChallengeImage:
    """An image of the challenge; its arrays are read when they are asked for.

    Attributes
    ----------
    subset, name : str
        For example "A1" and "plant001".
    """

    subset: str
    name: str
    _places: Mapping[str, Path]

    @property
    def stem(self) -> str:
        """A name that is unique over the subsets."""
        return f"{self.subset}_{self.name}"

    def has(self, kind: str) -> bool:
        """Tell whether there is a "label" or "fg" of it."""
        return kind in self._places

    def image(self) -> np.ndarray:
        """Return the image, uint8 (H, W, 3)."""
        return self._read("rgb")[..., :3]

    def labels(self) -> np.ndarray:
        """Return its leaves, integer (H, W)."""
        return self._read("label")

    def foreground(self) -> np.ndarray:
        """Return the given plant mask, bool (H, W)."""
        mask = self._read("fg")
        return (mask if mask.ndim == 2 else mask[..., :3].max(-1)) > 0

    def _read(self, kind: str) -> np.ndarray:
        if kind not in self._places:
            raise InputFileError(f"There is no “{kind}” of {self.subset}/{self.name}.")
        path = self._places[kind]
        if path.suffix.lower() not in _HDF5:
            return read_labels(path) if kind == "label" else read_image(path).array
        with _open(path) as file:
            return np.asarray(file[f"{self.subset}/{self.name}/{kind}"])


def _h5py(path: Path) -> Any:
    return require("h5py", f"{path} is an HDF5 file, which", kind=InputFileError)


def _open(path: Path) -> Any:
    h5py = _h5py(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputFileError(
            f"Cannot read {path} as an HDF5 file. Get it again, or give the folder of PNG files."
        ) from error


def read_challenge(*sources: str | Path) -> list[ChallengeImage]:
    """Find the images of the challenge in folders (``A1/plant001_rgb.png``, ``_label.png``, ``_fg.png``) and HDF5
    files (``A1/plant001/rgb``, ``label``, ``fg``).

    Parameters
    ----------
    *sources : path
        Images and truth may come in two files, ``…_images.h5`` and ``…_truth.h5``: the second is found beside the
        first.

    Returns
    -------
    list of ChallengeImage
        By subset and name.

    Raises
    ------
    InputFileError
        When a source is missing, is no HDF5 file, or there is no image in any.
    """
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for source in map(Path, sources):
        if not source.exists():
            raise InputFileError(f"There is no file or folder {source}.")
        entries = _in_folder(source) if source.is_dir() else _in_hdf5(source)
        for subset, name, kind, path in entries:
            found.setdefault((subset, name), {})[kind] = path
        truth = source.with_name(source.name.replace("_images", "_truth"))
        if source.is_file() and truth != source and truth.exists() and truth not in map(Path, sources):
            for subset, name, kind, path in _in_hdf5(truth):
                found.setdefault((subset, name), {})[kind] = path
    images = [ChallengeImage(*key, places) for key, places in sorted(found.items()) if "rgb" in places]
    if not images:
        raise InputFileError(
            f"{', '.join(map(str, sources))}: no image of the challenge. "
            "Expected A1/plant001_rgb.png in a folder, or A1/plant001/rgb in an HDF5 file."
        )
    return images


def _in_folder(folder: Path) -> Iterator[tuple[str, str, str, Path]]:
    inner = [folder, *sorted(item for item in folder.iterdir() if item.is_dir())]
    for place in inner:
        for path in sorted(place.iterdir()):
            match = _IMAGE.fullmatch(path.name)
            if match:
                for kind in ("rgb", "label", "fg"):
                    other = path.with_name(f"{match[1]}_{kind}.png")
                    if other.exists():
                        yield place.name, match[1], kind, other
            elif path.suffix.lower() in _HDF5 and place == folder:
                yield from _in_hdf5(path)


def _in_hdf5(path: Path) -> Iterator[tuple[str, str, str, Path]]:
    with _open(path) as file:
        for subset, plants in file.items():
            for name, plant in plants.items() if isinstance(plants, Mapping) else ():
                for kind in ("rgb", "label", "fg"):
                    if isinstance(plant, Mapping) and kind in plant:
                        yield subset, name, kind, path


def write_submission(path: str | Path, labels: Mapping[tuple[str, str], np.ndarray]) -> None:
    """Write the file to hand in: ``A1/plant001/label`` and ``label_filename`` for every image, whole or not at all.

    Leaves are numbered without gaps, as the scorer counts by the largest number.

    Parameters
    ----------
    path : path
        An ``.h5`` file.
    labels : mapping
        From (subset, name) to integer labels (H, W).

    Raises
    ------
    InputFileError
        For more than 255 leaves in an image, or when the file cannot be written.
    """
    path = Path(path)
    with _h5py(path).File.in_memory() as file:
        for (subset, name), truth in sorted(labels.items()):
            numbered = relabel_sequential(np.asarray(truth))[0]
            if numbered.max(initial=0) > 255:
                raise InputFileError(
                    f"{subset}/{name} has {numbered.max()} leaves; the challenge's file holds 255 at most."
                )
            group = file.create_group(f"{subset}/{name}")
            group.create_dataset("label", data=numbered.astype(np.uint8), compression="gzip")
            group["label_filename"] = f"{name}_label.png"
        file.flush()
        write_atomically(path, file.id.get_file_image())
