"""What a fine-tuning session began with: it goes on with that, whatever was corrected in the meantime."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError, ModelError, ParameterError, plain_reason
from napari_leafseg.finetuning.config import FinetuneSettings, began_with
from napari_leafseg.finetuning.dataset import CorrectedImage
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.versions import with_new_names

_LIST, _LABELS = "session.json", "labels.npz"


def save_snapshot(folder: Path, settings: FinetuneSettings, images: list[CorrectedImage]) -> None:
    """Keep settings and labels in a session's folder; images stay where they are, known by their hashes.

    Raises
    ------
    UserError
        When it cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, *(item.labels for item in images))
    write_atomically(folder / _LABELS, buffer.getvalue())
    about = {
        "settings": settings.model_dump(mode="json"),
        "base_version": describe_model(settings.base).version,
        "images": [{"name": item.name, "sha256": item.sha256, "complete": item.complete} for item in images],
    }
    write_atomically(folder / _LIST, (json.dumps(about, indent=1) + "\n").encode())


def load_snapshot(
    folder: Path, settings: FinetuneSettings, images: list[CorrectedImage]
) -> tuple[list[CorrectedImage], bool] | None:
    """Return the images with the corrections that a session began with.

    Parameters
    ----------
    folder : pathlib.Path
        Of the session.
    settings : FinetuneSettings
    images : list of CorrectedImage
        As they are now.

    Returns
    -------
    images : list of CorrectedImage
    changed : bool
        Whether something was corrected since. None instead of both where no session began in the folder.

    Raises
    ------
    UserError
        When the session has other settings, or one of its images is missing or another one now.
    """
    if not (folder / _LIST).exists():
        return None
    try:
        about: dict[str, Any] = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        about = with_new_names(about, {"pictures": "images"})
        about["images"] = [with_new_names(entry, {"whole": "complete"}) for entry in about["images"]]
        began = began_with(about)
        with np.load(folder / _LABELS) as file:
            labels = [file[f"arr_{number}"] for number in range(len(about["images"]))]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputFileError(f"{folder} is damaged ({plain_reason(error)}). Begin with a new name.") from error
    if began != settings:
        raise ParameterError(f"{folder} holds a fine-tuning with other settings. Begin with a new name.")
    now = {(item.name, item.sha256): item for item in images}
    found, changed = [], sum(item.leaves > 0 for item in images) != len(labels)
    for entry, known in zip(about["images"], labels, strict=True):
        item = now.get((entry["name"], entry["sha256"]))
        if item is None or item.labels.shape != known.shape:
            raise ModelError(
                f"{entry['name']} is missing, was changed, or has no correction any more since this fine-tuning began. "
                "Bring it back to go on, or begin with a new name."
            )
        changed = changed or item.complete != entry["complete"] or not np.array_equal(item.labels, known)
        found.append(replace(item, labels=known, complete=bool(entry["complete"])))
    return found, changed
