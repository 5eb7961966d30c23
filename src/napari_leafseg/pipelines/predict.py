"""Predict many images and write their labels, as a generator that the command line drives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.io import label_path, list_images, read_image, write_labels
from napari_leafseg.models.parameters import check_values

if TYPE_CHECKING:
    from napari_leafseg.inference.prediction import Prediction, StackPrediction
    from napari_leafseg.inference.predictor import Predictor


@dataclass(frozen=True)
class FileEvent:
    """Progress over files.

    Attributes
    ----------
    done, total : float
        Files.
    message : str
    written : pathlib.Path or None
        The labels that were just written.
    count : int
        Leaves in them.
    scale : float
        Working scale.
    notes : tuple of str
        What the user should know of this file.
    error : UserError or None
        Why a file could not be done; the others go on.
    """

    done: float
    total: float
    message: str
    written: Path | None = None
    count: int = 0
    scale: float = 1.0
    notes: tuple[str, ...] = ()
    error: UserError | None = None


def predict_files(
    paths: Iterable[Path], output: Path, model: str = "leaf", values: dict[str, float] | None = None,
    scale: float | None = None, device: str = "auto", tta: str = "standard", masks: Path | None = None,
    full_masks: bool = False,
) -> Iterator[FileEvent]:  # fmt: skip
    """Predict images and write ``<stem>_label.tif`` (uint16) and ``<stem>_label.json``.

    Parameters
    ----------
    paths : iterable of path
        Images and folders.
    output : path
    model, device : str
    values : dict, optional
        Tunables by name; the model's defaults where left out.
    scale : float, optional
        Working scale.
    tta : str
        One of `napari_leafseg.inference.tta.TTA_PRESETS`.
    masks : path, optional
        Folder of plant masks ``<stem>.png`` or ``<stem>_fg.png`` (``plant001_fg.png`` for ``plant001_rgb.png``).
    full_masks : bool
        Also write ``<stem>_masks.json``: every leaf's full mask, also where they overlap, as COCO. Query-based models
        alone know them.

    Yields
    ------
    FileEvent
        A file that cannot be done yields an event with its error.

    Raises
    ------
    UserError
        When nothing at all can be done: no such model or device, or a folder that cannot be written.
    """
    files, missing = _split(paths)
    for number, error in enumerate(missing):
        yield FileEvent(number, len(missing) + len(files), "Looking for images", error=error)
    if not files:
        return
    _check_output(output, files)
    predictor = _load(model, device, tta, values or {}, full_masks)
    for number, path in enumerate(files):
        result = None
        try:
            image = read_image(path)
            source = {"name": path.name, "sha256": image.sha256}
            mask = None if image.array.ndim == 4 else _plant_mask(masks, path)
            for event in predictor.run_any(image.array, scale, str(path), source, mask):
                result = event.prediction
                yield FileEvent(number + event.done / event.total, len(files), f"{path.name}: {event.message}")
            assert result is not None
            target, count = _write(result, output, path.stem, values or {}, full_masks)
        except UserError as error:
            yield FileEvent(number + 1, len(files), path.name, error=error)
            continue
        yield FileEvent(number + 1, len(files), path.name, target, count, result.scale, tuple(result.notes))


def _load(model: str, device: str, tta: str, values: dict[str, float], full_masks: bool) -> Predictor:
    """Load a model that can do what is wanted."""
    from napari_leafseg import load_model
    from napari_leafseg.inference.tta import find_preset

    predictor = load_model(model, device, find_preset(tta))
    family = predictor.card.family
    check_values(family.settable, values)
    if full_masks and not family.overlapping_masks:
        raise UserError(f"{model} gives no overlapping masks; a query-based model does, see “napari-leafseg models”.")
    return predictor


def _write(
    result: Prediction | StackPrediction, output: Path, stem: str, values: dict[str, float], full_masks: bool
) -> tuple[Path, int]:
    """Write labels, their record and where wanted the full masks; gives the labels' file and the number of leaves."""
    from napari_leafseg.inference.confidence import leaf_confidence
    from napari_leafseg.inference.prediction import Prediction
    from napari_leafseg.io.exchange.coco import masks_path, save_coco

    labels = result.labels(**values)
    count, target = int(labels.max(initial=0)), label_path(output, stem)
    record = {**result.record(**values), "count": count}
    if isinstance(result, Prediction):
        record["confidence"] = leaf_confidence(result, labels)
    write_labels(target, labels, record)
    if full_masks and isinstance(result, Prediction):
        save_coco(masks_path(target), result.coco(**values))
    return target, count


def _plant_mask(folder: Path | None, path: Path) -> np.ndarray | None:
    """The plant mask of an image."""
    if folder is None:
        return None
    names = [f"{stem}{suffix}.png" for stem in (path.stem, path.stem.removesuffix("_rgb")) for suffix in ("_fg", "")]
    found = next((folder / name for name in names if (folder / name).exists() and folder / name != path), None)
    if found is None:
        raise InputFileError(f"{folder} holds no plant mask for {path.name} ({names[0]}).")
    return read_image(found).array


def _split(paths: Iterable[Path]) -> tuple[list[Path], list[UserError]]:
    """Files that are there, and complaints about the rest."""
    files: dict[Path, None] = {}
    missing = []
    for path in paths:
        try:
            files.update(dict.fromkeys(list_images([path])))
        except UserError as error:
            missing.append(error)
    return list(files), missing


def _check_output(output: Path, files: list[Path]) -> None:
    """Refuse a folder that cannot be written, and two images that would overwrite each other's labels."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".napari-leafseg-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputFileError(
            f"Cannot write to the folder {output}: {error.strerror}. Choose another with --output."
        ) from error
    stems: dict[str, Path] = {}
    for path in files:
        if path.stem in stems:
            raise InputFileError(
                f"{stems[path.stem]} and {path} would write the same file. Predict them into different folders."
            )
        stems[path.stem] = path
