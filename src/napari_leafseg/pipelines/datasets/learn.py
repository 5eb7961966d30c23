"""Images of a converted data set as fine-tuning learns from them."""

from __future__ import annotations

from pathlib import Path

from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.finetuning.dataset import CorrectedImage
from napari_leafseg.pipelines.datasets.convert import labeled_files

MOST = 200  # all of them are in memory


def load_converted(folder: Path, most: int = MOST) -> tuple[list[CorrectedImage], list[str]]:
    """Load images of a folder of `convert_data` that are not held out, spread over all of them.

    Parameters
    ----------
    folder : pathlib.Path
    most : int
        So many at most; fine-tuning learns from few images.

    Returns
    -------
    images : list of CorrectedImage
    notes : list of str

    Raises
    ------
    UserError
        When the folder is none, or no image can be read.
    """
    files = labeled_files(folder, held_out=False)
    step = max(1, -(-len(files) // most))
    images, notes = [], []
    if step > 1:
        notes.append(
            f"{len(files[::step]):,} of {len(files):,} images are learned from, evenly spread; “train” takes more."
        )
    for file in files[::step]:
        try:
            image, labels, digest = file.read()
        except UserError as error:
            notes.append(f"{error} It is left out.")
            continue
        images.append(CorrectedImage(file.stem, digest, image, labels.astype("int32"), True))
    if not images:
        raise InputFileError(f"No image of {folder} can be read. {' '.join(notes)}")
    return images, notes
