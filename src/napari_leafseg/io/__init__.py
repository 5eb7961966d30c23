"""Files and arrays: nothing else in the package knows a file format."""

from napari_leafseg.io.arrays import check_image, resize, to_rgb8
from napari_leafseg.io.axes import ChannelsNeeded, ReadOptions
from napari_leafseg.io.folders import LABEL_SUFFIX, FoundImages, find_images, is_image, list_images, unique_names
from napari_leafseg.io.image_formats import IMAGE_ENDINGS
from napari_leafseg.io.images import (
    LoadedImage,
    find_pairs,
    image_hash,
    label_path,
    read_image,
    read_labels,
    write_array,
    write_image,
    write_labels,
)
from napari_leafseg.io.lazy import is_zarr

__all__ = [
    "IMAGE_ENDINGS",
    "LABEL_SUFFIX",
    "ChannelsNeeded",
    "FoundImages",
    "LoadedImage",
    "ReadOptions",
    "check_image",
    "find_images",
    "find_pairs",
    "image_hash",
    "is_image",
    "is_zarr",
    "label_path",
    "list_images",
    "read_image",
    "read_labels",
    "resize",
    "to_rgb8",
    "unique_names",
    "write_array",
    "write_image",
    "write_labels",
]
