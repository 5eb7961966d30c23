"""Files and arrays: nothing else in the package knows a file format."""

from napari_leafseg.io.arrays import check_image, resize, to_rgb8
from napari_leafseg.io.images import (
    IMAGE_ENDINGS,
    LABEL_SUFFIX,
    LoadedImage,
    find_pairs,
    is_image,
    label_path,
    list_images,
    read_image,
    read_labels,
    write_image,
    write_labels,
)

__all__ = [
    "IMAGE_ENDINGS",
    "LABEL_SUFFIX",
    "LoadedImage",
    "check_image",
    "find_pairs",
    "is_image",
    "label_path",
    "list_images",
    "read_image",
    "read_labels",
    "resize",
    "to_rgb8",
    "write_image",
    "write_labels",
]
