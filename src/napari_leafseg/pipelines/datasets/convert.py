"""From a data set as it was downloaded to a labeled folder of ours, and the recipe that trains on it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import yaml

from napari_leafseg._files import read_json, read_regular, safe_name, write_atomically
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.experiment.columns import ORDER
from napari_leafseg.io import LABEL_SUFFIX, read_image, read_labels, to_rgb8
from napari_leafseg.io.tables import as_csv
from napari_leafseg.pipelines.datasets.plain import read_coco_folder, read_lsc, read_yolo_folder
from napari_leafseg.pipelines.datasets.sample import Found, Sample, names_of
from napari_leafseg.pipelines.datasets.time_series import read_komatsuna, read_msu_pid, read_phenoleaf
from napari_leafseg.published.catalog import Entry, bundled_catalog, find_entry, read_catalog

READERS: dict[str, Callable[[Path], Found]] = {
    "lsc": read_lsc, "phenoleaf-ts": read_phenoleaf, "komatsuna": read_komatsuna, "msu-pid": read_msu_pid,
    "coco": read_coco_folder, "yolo": read_yolo_folder,
}  # fmt: skip
ABOUT = "data.json"
_COPIED = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
MOST_TRAINED = 1500  # images; all of them are in memory while a model is trained
_STEPS = 3000


@dataclass(frozen=True)
class ConvertEvent:
    """Progress; `summary` comes at the end."""

    done: int
    total: int
    message: str
    summary: Summary | None = None


@dataclass
class Summary:
    """What came of a conversion.

    Attributes
    ----------
    folder : pathlib.Path
    images, plants, held_out : int
    failed : dict
        From an image to why it could not be converted.
    notes : list of str
        What was left out, in sentences.
    """

    folder: Path
    images: int = 0
    plants: int = 0
    held_out: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def published_data(catalog: Path | None = None) -> dict[str, Entry]:
    """List the catalog of data sets: the bundled one, or that of a file."""
    return read_catalog(catalog or bundled_catalog("data"))


def convert_data(name: str, source: Path, output: Path) -> Iterator[ConvertEvent]:
    """Convert a data set; images that were converted before are not converted again.

    Parameters
    ----------
    name : str
        Of the catalog.
    source : pathlib.Path
        The folder, or the file, as it was downloaded.
    output : pathlib.Path
        Gets ``images/``, ``labels/``, ``metadata.csv``, ``train.yaml``, ``held_out.txt`` and ``data.json``.

    Raises
    ------
    UserError
        When it is not this data set, the folder holds another one or cannot be written, or nothing can be converted.
    """
    entry = find_entry(published_data(), name, "data set")
    _check_places(name, source, output)
    yield ConvertEvent(0, 0, "Looking at the files")
    found = READERS[entry.kind](source)
    if not found.samples:
        said = " ".join(found.sentences())
        raise InputFileError(f"{source} holds no image with labels. {said}".strip())
    names = names_of(found.samples)
    _write_about(output, name, entry, source, found, {}, finished=False)
    failed: dict[str, str] = {}
    kept: list[tuple[str, str, Sample]] = []
    for number, (stem, sample) in enumerate(zip(names, found.samples, strict=True)):
        yield ConvertEvent(number, len(names), sample.place)
        file = _done(output, stem)
        if file is None:
            try:
                content, ending, labels = _read(sample)
            except UserError as error:
                failed[sample.place] = str(error)
                continue
            file = f"{stem}{ending}"
            write_atomically(output / "images" / file, content)
            write_atomically(output / "labels" / f"{stem}{LABEL_SUFFIX}.png", _png(labels))
        kept.append((stem, file, sample))
    if not kept:
        place, why = next(iter(failed.items()))
        raise InputFileError(f"No image of {source} could be converted. {place}: {why}")
    held_out = hold_out(kept)
    _write_lists(output, name, kept, held_out)
    _write_about(output, name, entry, source, found, failed, finished=True)
    summary = Summary(output, len(kept), len({_plant(sample, stem) for stem, _, sample in kept}), len(held_out), failed,
                      found.sentences())  # fmt: skip
    yield ConvertEvent(len(names), len(names), "Done", summary)


def _check_places(name: str, source: Path, output: Path) -> None:
    if not source.exists():
        raise InputFileError(f"There is no folder or file {source}. Check the path.")
    whole, there = source.resolve(), output.resolve()
    if whole.is_dir() and (there == whole or there.is_relative_to(whole)):
        raise InputFileError(f"{output} lies in the data set itself. Choose a folder elsewhere.")
    if output.is_file():
        raise InputFileError(f"{output} is a file, not a folder. Choose a folder.")
    if (output / ABOUT).exists():
        about = read_about(output)
        if (about["name"], about["source"]) != (name, str(whole)):
            raise InputFileError(
                f"{output} holds “{about['name']}” of {about['source']} already. Choose another folder."
            )
    elif output.is_dir() and any(output.iterdir()):
        raise InputFileError(f"{output} is not empty, and was not made by a conversion. Choose another folder.")


def read_about(folder: Path) -> dict[str, Any]:
    """Read what a converted folder says of itself.

    Raises
    ------
    InputFileError
        When it is none.
    """
    if not (folder / ABOUT).exists():
        raise InputFileError(f"{folder} was not made by “napari-leafseg data convert”: it has no {ABOUT}.")
    about = read_json(folder / ABOUT)
    if not isinstance(about, dict) or not {"name", "source", "finished"} <= about.keys():
        raise InputFileError(f"{folder / ABOUT} is damaged. Delete the folder, and convert the data set again.")
    return about


def _done(output: Path, stem: str) -> str | None:
    """The image's file where it was converted before: its labels are written last."""
    if not (output / "labels" / f"{stem}{LABEL_SUFFIX}.png").exists():
        return None
    return next((file.name for ending in _COPIED if (file := output / "images" / f"{stem}{ending}").exists()), None)


def _read(sample: Sample) -> tuple[bytes, str, np.ndarray]:
    """An image's file, its ending, and its labels; checks that they belong together."""
    labels = np.asarray(sample.labels())
    if sample.image is not None:
        array = read_image(sample.image).array
        ending = sample.image.suffix.lower()
        copied = ending in _COPIED and array.ndim <= 3
        content = read_regular(sample.image) if copied else _png(to_rgb8(array))
        ending = ending if copied else ".png"
    else:
        assert sample.load is not None
        array = sample.load()
        content, ending = _png(to_rgb8(array)), ".png"
    if array.shape[:2] != labels.shape:
        sizes = [f"{shape[1]} × {shape[0]}" for shape in (array.shape, labels.shape)]
        raise InputFileError(f"{sample.place} has {sizes[0]} pixels, its labels have {sizes[1]}.")
    if labels.min(initial=0) < 0 or labels.max(initial=0) > np.iinfo(np.uint16).max:
        raise InputFileError(f"{sample.place}: its labels are numbers outside of 0 to 65,535.")
    return content, ending, labels.astype(np.uint16)


def _png(array: np.ndarray) -> bytes:
    written: bytes = imageio.imwrite("<bytes>", array, extension=".png")
    return written


def _plant(sample: Sample, stem: str) -> str:
    return sample.about.get("plant_id") or stem


def hold_out(kept: list[tuple[str, str, Sample]]) -> list[str]:
    """Choose the images that are never trained on: the data set's own, else every fifth plant; the same each time."""
    own = [stem for stem, _, sample in kept if sample.held_out]
    if own and len(own) < len(kept):
        return own
    plants: dict[str, list[str]] = defaultdict(list)
    for stem, _, sample in kept:
        plants[_plant(sample, stem)].append(stem)
    order = sorted(plants)
    if len(order) >= 2:
        chosen = order[4::5] or order[-1:]
        return [stem for plant in chosen for stem in plants[plant]]
    stems = sorted(stem for stem, _, _ in kept)
    return stems[4::5] or (stems[-1:] if len(stems) > 1 else [])


def _write_lists(output: Path, name: str, kept: list[tuple[str, str, Sample]], held_out: list[str]) -> None:
    """Write the table of what is known, the lists of images, and the recipe."""
    rows = [{"image": file, **{key: value for key, value in sample.about.items() if value}} for _, file, sample in kept]
    table = pd.DataFrame(rows).fillna("")
    known = [column for column in ORDER if column in table] + sorted(set(table.columns) - {"image", *ORDER})
    if known:
        write_atomically(output / "metadata.csv", as_csv(table[["image", *known]]).encode())
    write_atomically(output / "held_out.txt", "".join(f"{stem}\n" for stem in held_out).encode())
    aside = set(held_out)
    trained = [stem for stem, _, _ in kept if stem not in aside]
    step = max(1, -(-len(trained) // MOST_TRAINED))
    chosen = set(trained[::step])
    left = [stem for stem, _, _ in kept if stem not in chosen]
    write_atomically(output / "not_trained.txt", "".join(f"{stem}\n" for stem in left).encode())
    followed = all("__" in stem for stem, _, _ in kept)
    if not (output / "train.yaml").exists():  # somebody may have changed it
        write_atomically(output / "train.yaml", recipe(name, output.resolve(), followed).encode())


def recipe(name: str, folder: Path, followed: bool) -> str:
    """Write the recipe of a training on a converted folder; `followed`: the images' names begin with their plants."""
    source = {"folder": (folder / "images").as_posix(), "share": 1.0,
              "exclude_file": (folder / "not_trained.txt").as_posix()}  # fmt: skip
    if followed:
        source["same_plant"] = "(.+?)__"
    entries = {
        "name": f"{safe_name(name)}-leaf-small", "model": "small", "init_from": "leaf-small", "steps": _STEPS,
        "batch": 8, "crop": 176, "target_diameter": 144, "tta_views": 2,
        "defaults": {"seed_threshold": 0.4, "angle": 60, "min_area_working": 16},
        "data": {"count": 0, "sources": [source]},
    }  # fmt: skip
    head = "# Written by “napari-leafseg data convert”; change it as you like, it is not written again.\n"
    return head + yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)


def _write_about(
    output: Path, name: str, entry: Entry, source: Path, found: Found, failed: dict[str, str], finished: bool
) -> None:
    about = {
        "name": name, "source": str(source.resolve()), "finished": finished, "images": len(found.samples) - len(failed),
        "terms": dict(entry.terms), "left_out": found.left_out, "failed": failed, "notes": found.notes,
    }  # fmt: skip
    write_atomically(output / ABOUT, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())


@dataclass(frozen=True)
class LabeledFile:
    """An image of a converted folder, its labels, and the group that it is scored with."""

    stem: str
    image: Path
    labels: Path
    group: str

    def read(self) -> tuple[np.ndarray, np.ndarray, str]:
        """Return the image (uint8 RGB), its labels, and the hash of the image's file."""
        loaded = read_image(self.image)
        return to_rgb8(loaded.array), read_labels(self.labels), loaded.sha256


def labeled_files(folder: Path, held_out: bool) -> list[LabeledFile]:
    """List the images of a converted folder: those that are held out for scoring, or those to learn from.

    Raises
    ------
    InputFileError
        When the folder is none, its conversion is not finished, or there are no such images.
    """
    if not read_about(folder)["finished"]:
        raise InputFileError(f"The conversion of {folder} is not finished. Call it again: it goes on where it was.")
    aside = set((folder / "held_out.txt").read_text(encoding="utf-8").split("\n")) - {""}
    groups = _groups(folder)
    found = []
    for image in sorted((folder / "images").iterdir()):
        labels = folder / "labels" / f"{image.stem}{LABEL_SUFFIX}.png"
        if labels.exists() and (image.stem in aside) == held_out:
            found.append(LabeledFile(image.stem, image, labels, groups.get(image.name, "")))
    if not found:
        raise InputFileError(f"{folder} has no images {'to score on' if held_out else 'to learn from'}.")
    return found


def _groups(folder: Path) -> dict[str, str]:
    """What images are scored with: their subset, species, genotype or set."""
    path = folder / "metadata.csv"
    if not path.exists():
        return {}
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    column = next((name for name in ("subset", "species", "genotype", "set") if name in table), None)
    return dict(zip(table["image"], table[column], strict=True)) if column else {}
