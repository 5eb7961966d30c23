"""Many pictures: predict, score and draw them, as generators that the command line drives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg._samples import write_samples
from napari_leafseg.errors import UserError
from napari_leafseg.io import LABEL_SUFFIX, label_path, list_images, read_image, read_labels, write_image, write_labels
from napari_leafseg.metrics import score

LABEL_ENDINGS = (".png", ".tif", ".tiff")


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
    scale: float | None = None, device: str = "auto", looks: str = "standard", masks: Path | None = None,
    whole_masks: bool = False,
) -> Iterator[FileEvent]:  # fmt: skip
    """Predict pictures and write ``<stem>_label.tif`` (uint16) and ``<stem>_label.json``.

    Parameters
    ----------
    paths : iterable of path
        Pictures and folders.
    output : path
    model, device : str
    values : dict, optional
        Tunables by name; the model's defaults where left out.
    scale : float, optional
        Working scale.
    looks : str
        One of `napari_leafseg.inference.looks.LOOKS`.
    masks : path, optional
        Folder of plant masks ``<stem>.png`` or ``<stem>_fg.png`` (``plant001_fg.png`` for ``plant001_rgb.png``).
    whole_masks : bool
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
    from napari_leafseg import load_model
    from napari_leafseg.inference.confidence import leaf_confidence
    from napari_leafseg.inference.looks import LOOKS
    from napari_leafseg.inference.prediction import Prediction
    from napari_leafseg.inference.query_prediction import QueryPrediction
    from napari_leafseg.io.exchange.coco import masks_path, save_coco

    files, missing = _split(paths)
    for number, error in enumerate(missing):
        yield FileEvent(number, len(missing) + len(files), "Looking for pictures", error=error)
    if not files:
        return
    _check_output(output, files)
    if looks not in LOOKS:
        raise UserError(f"There is no way to look called “{looks}”. Choose one of: {', '.join(LOOKS)}.")
    predictor = load_model(model, device, LOOKS[looks])
    if whole_masks and predictor.card.config.kind == "distance_embedding":
        raise UserError(f"{model} gives no overlapping masks; a query-based model does, see “napari-leafseg models”.")
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
            labels = result.labels(**(values or {}))
            count = int(labels.max(initial=0))
            target = label_path(output, path.stem)
            record = {**result.record(**(values or {})), "count": count}
            if isinstance(result, Prediction):
                record["confidence"] = leaf_confidence(result, labels)
            write_labels(target, labels, record)
            if whole_masks and isinstance(result, QueryPrediction):
                save_coco(masks_path(target), result.coco(**(values or {})))
        except UserError as error:
            yield FileEvent(number + 1, len(files), path.name, error=error)
            continue
        yield FileEvent(number + 1, len(files), path.name, target, count, result.scale, tuple(result.notes))


def _plant_mask(folder: Path | None, path: Path) -> np.ndarray | None:
    """The plant mask of a picture."""
    if folder is None:
        return None
    names = [f"{stem}{suffix}.png" for stem in (path.stem, path.stem.removesuffix("_rgb")) for suffix in ("_fg", "")]
    found = next((folder / name for name in names if (folder / name).exists() and folder / name != path), None)
    if found is None:
        raise UserError(f"{folder} holds no plant mask for {path.name} ({names[0]}).")
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
    """Refuse a folder that cannot be written, and two pictures that would overwrite each other's labels."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".napari-leafseg-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"Cannot write to the folder {output}: {error.strerror}. Choose another with --output."
        ) from error
    stems: dict[str, Path] = {}
    for path in files:
        if path.stem in stems:
            raise UserError(
                f"{stems[path.stem]} and {path} would write the same file. Predict them into different folders."
            )
        stems[path.stem] = path


def evaluate_folders(prediction: Path, truth: Path, challenge: bool = False) -> dict[str, Any]:
    """Score a folder of label images against another.

    Files are matched by stem, ``_label`` at its end or not, PNG or TIFF.

    Returns
    -------
    dict
        ``images`` (scores by stem), ``mean`` and ``unmatched`` (sentences).

    Raises
    ------
    UserError
        When a folder is missing, a file cannot be read, sizes differ, or nothing matches.
    """
    found, wanted = _label_files(prediction), _label_files(truth)
    common = sorted(found.keys() & wanted.keys())
    if not common:
        raise UserError(
            f"No label image in {prediction} has the name of one in {truth}. Names must agree up to “_label”."
        )
    images = {}
    for stem in common:
        ours, theirs = read_labels(found[stem]), read_labels(wanted[stem])
        if ours.shape != theirs.shape and not challenge:
            raise UserError(
                f"{found[stem]} is {ours.shape[1]} × {ours.shape[0]} pixels, "
                f"{wanted[stem]} {theirs.shape[1]} × {theirs.shape[0]}. They must be of one size."
            )
        result = score(ours, theirs, challenge)
        images[stem] = {
            "SBD": result.sbd,
            "BestDice": result.best_dice,
            "FBD": result.fbd,
            "DiC": result.dic,
            "absDiC": result.abs_dic,
        }
    mean = {name: float(np.mean([row[name] for row in images.values()])) for name in next(iter(images.values()))}
    unmatched = [f"{found[stem]} has no truth and is left out." for stem in sorted(found.keys() - wanted.keys())]
    unmatched += [f"{wanted[stem]} has no prediction and is left out." for stem in sorted(wanted.keys() - found.keys())]
    return {"images": images, "mean": mean, "unmatched": unmatched}


def _label_files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")
    found: dict[str, Path] = {}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in LABEL_ENDINGS)
    marked = [path for path in files if path.stem.endswith(LABEL_SUFFIX)]
    for path in marked or files:  # pictures may lie beside their labels
        found[path.stem.removesuffix(LABEL_SUFFIX)] = path
    return found


def synthesize_files(
    folder: Path, count: int, seed: int, size: int, plants: int, samples: bool
) -> Iterator[tuple[int, int]]:
    """Draw synthetic plants into ``<stem>.png`` and ``<stem>_label.tif``; yields (done, total)."""
    from napari_leafseg.synthetic import SceneConfig, synthesize

    if samples:
        yield from write_samples(folder)
        return
    config = SceneConfig(size=(size, size), diameter=(0.35 * size, 0.95 * size), plants=(plants, plants))
    for number in range(count):
        scene = synthesize(seed + number, config)
        write_image(folder / f"plant{seed + number:06d}.png", scene.image)
        write_labels(label_path(folder, f"plant{seed + number:06d}"), scene.labels)
        yield number + 1, count
