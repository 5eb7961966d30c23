"""Readers of data sets that follow plants: PhenoLeaf-TS, KOMATSUNA, MSU-PID."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

from napari_leafseg.errors import InputFileError
from napari_leafseg.io.image_formats import IMAGE_ENDINGS
from napari_leafseg.pipelines.datasets.colors import PlantColors, read_palette
from napari_leafseg.pipelines.datasets.sample import Found, Sample, one_folder

_MOMENT = re.compile(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)")
_WITHOUT = "without labels"
_ALONE = "labels without an image"


def _images(folder: Path) -> list[Path]:
    """Every image file below a folder, links that lead out of it left aside."""
    root = folder.resolve()
    return sorted(
        path for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_ENDINGS and path.is_file() and path.resolve().is_relative_to(root)
        and not path.name.startswith(".")
    )  # fmt: skip


def read_phenoleaf(root: Path) -> Found:
    """Read PhenoLeaf-TS: ``01_raw_dataset/GENOTYPE/REPLICATE/FRAME.png`` beside ``02_leaf_labels/…``.

    A leaf keeps its color while its plant is followed, and so its number; ``leaves_unique_colours.xlsx`` numbers the
    colors.

    Raises
    ------
    InputFileError
        When it is not this data set.
    """
    found = Found()
    layouts = (("01_raw_dataset", "02_leaf_labels"), ("raw_dataset", "leaf_labels"))
    place = next(((folder, *names) for names in layouts if (folder := one_folder(root, *names))), None)
    if place is None:
        raise InputFileError(
            f"{root} is not PhenoLeaf-TS: it holds no folders 01_raw_dataset and 02_leaf_labels. Give the folder in "
            "which both lie, unpacked."
        )
    folder, raw, marked = place
    tables = sorted(folder.glob("leaves_unique_colo*rs.xls*"))
    palette = read_palette(tables[0]) if tables else {}
    if not tables:
        found.notes.append("leaves_unique_colours.xlsx is missing: leaves are numbered in the order they appear in.")
    labels = {path.relative_to(folder / marked): path for path in _images(folder / marked)}
    images = {path.relative_to(folder / raw): path for path in _images(folder / raw)}
    found.leave_out(_WITHOUT, (images[name] for name in sorted(images.keys() - labels.keys())))
    found.leave_out(_ALONE, (labels[name] for name in sorted(labels.keys() - images.keys())))
    plants: dict[Path, list[Path]] = defaultdict(list)
    for name in sorted(images.keys() & labels.keys()):
        plants[name.parent].append(name)
    for plant, frames in plants.items():
        colors = PlantColors([labels[name] for name in frames], palette)
        genotype, replicate = (plant.parts[0] if plant.parts else "", "_".join(plant.parts[1:]))
        who = "_".join(plant.parts) or root.name
        for number, name in enumerate(frames, start=1):
            about = {"plant_id": who, "genotype": genotype, "replicate": replicate, "timepoint": str(number)}
            if match := _MOMENT.search(name.stem):
                about["date"] = f"{match[1]}-{match[2]}-{match[3]} {match[4]}:{match[5]}:{match[6]}"
            read = partial(colors.labels, labels[name])
            found.samples.append(Sample((who, name.stem), read, images[name], about=about))
    return found


_KOMATSUNA = {
    "multi": re.compile(r"(?:rgb|label)_(?P<camera>\d+)_(?P<plant>\d+)_(?P<day>\d+)_(?P<hour>\d+)"),
    "rgbd": re.compile(r"(?:rgb|label)_(?P<plant>\d+)_(?P<day>\d+)_(?P<hour>\d+)"),
}


def read_komatsuna(root: Path) -> Found:
    """Read KOMATSUNA: ``multi_plant/rgb_CAMERA_PLANT_DAY_HOUR.png`` beside ``multi_label/label_….png``, and ``rgbd_…``.

    Raises
    ------
    InputFileError
        When it is not this data set.
    """
    found = Found()
    seen = False
    for kind, pattern in _KOMATSUNA.items():
        folder = one_folder(root, f"{kind}_plant", f"{kind}_label")
        if folder is None:
            continue
        seen = True
        labels = {path.stem.removeprefix("label_"): path for path in _images(folder / f"{kind}_label")}
        images = {path.stem.removeprefix("rgb_"): path for path in _images(folder / f"{kind}_plant")}
        odd = {key for key, path in images.items() if not pattern.fullmatch(path.stem)}
        found.leave_out("its name is not rgb_CAMERA_PLANT_DAY_HOUR", (images.pop(key) for key in sorted(odd)))
        found.leave_out(_WITHOUT, (images[key] for key in sorted(images.keys() - labels.keys())))
        found.leave_out(_ALONE, (labels[key] for key in sorted(labels.keys() - images.keys() - odd)))
        plants: dict[str, list[tuple[dict[str, str], str]]] = defaultdict(list)
        for key in sorted(images.keys() & labels.keys()):
            match = pattern.fullmatch(images[key].stem)
            assert match is not None
            plants[match["plant"]].append((match.groupdict(), key))
        for plant, views in plants.items():
            views.sort(key=lambda view: (view[0]["day"], view[0]["hour"], view[0].get("camera", "")))
            colors = PlantColors([labels[key] for _, key in views])
            who = f"{kind}_{plant}"
            for said, key in views:
                about = {"plant_id": who, "camera": said.get("camera", ""), "day": str(int(said["day"])),
                         "timepoint": f"{said['day']}_{said['hour']}"}  # fmt: skip
                read = partial(colors.labels, labels[key])
                found.samples.append(Sample((who, key), read, images[key], about=about))
    if not seen:
        raise InputFileError(
            f"{root} is not KOMATSUNA: it holds neither multi_plant and multi_label nor rgbd_plant and rgbd_label. "
            "Give the folder in which they lie, unpacked."
        )
    return found


_NUMBERS = {name: re.compile(rf"{name}[_\- ]?(\d+)", re.I) for name in ("plant", "day", "hour")}
_MODALITY = re.compile(r"(?:^|[_\-])(rgb|fmp|ir|depthsigma|depth)(?:[_\-]|$)", re.I)
_TRAINED = {"arabidopsis": 6, "bean": 2}  # plants of the data set's own protocol to train on: the first ones


def _msu_key(path: Path, root: Path) -> tuple[str, str, str, str] | None:
    """Species, plant, day and hour that a path names."""
    text = path.relative_to(root).with_suffix("").as_posix()
    species = next((name for name in _TRAINED if name in text.lower()), "")
    found = {name: pattern.findall(text) for name, pattern in _NUMBERS.items()}
    if not all(found.values()):
        return None
    plant, day, hour = (f"{int(found[name][-1]):02d}" for name in ("plant", "day", "hour"))
    return species, plant, day, hour


def _put(views: dict[str, Path], modality: str, path: Path, found: Found) -> None:
    if modality in views:
        found.leave_out("another file of the same plant, day and hour is taken", [path])
    views.setdefault(modality, path)


def read_msu_pid(root: Path) -> Found:
    """Read MSU-PID: images of plant, day and hour in color (``_rgb``) and fluorescence (``_fmp``), with their labels.

    Labels lie in a folder that is called so, or have “label” in their names; those without ``_rgb`` are of ``_fmp``.
    Color is taken where it has labels, fluorescence else.

    Raises
    ------
    InputFileError
        When it is not this data set.
    """
    found = Found()
    images: dict[tuple[str, str, str, str], dict[str, Path]] = defaultdict(dict)
    labels: dict[tuple[str, str, str, str], dict[str, Path]] = defaultdict(dict)
    odd = []
    for path in _images(root):
        key = _msu_key(path, root)
        modality = (_MODALITY.findall(path.stem) or [""])[-1].lower()
        is_label = "label" in path.relative_to(root).as_posix().lower()
        if key is None or not (modality or is_label):
            odd.append(path)
        elif is_label:
            _put(labels[key], modality or "fmp", path, found)
        elif modality in ("rgb", "fmp"):
            _put(images[key], modality, path, found)
    found.leave_out("its name does not tell plant, day, hour and kind of image", odd)
    if not images or not labels:
        raise InputFileError(
            f"{root} is not MSU-PID: it holds no images _rgb or _fmp of plant, day and hour with labels. Give the "
            "folder that holds Dataset, unpacked."
        )
    plants: dict[tuple[str, str, str], list[tuple[tuple[str, str, str, str], Path, Path]]] = defaultdict(list)
    for key, views in sorted(images.items()):
        for modality in ("rgb", "fmp"):
            if modality in views and modality in labels[key]:
                plants[(*key[:2], modality)].append((key, views[modality], labels[key][modality]))
                break
        else:
            found.leave_out(_WITHOUT, views.values())
    found.leave_out(_ALONE, (path for key, own in sorted(labels.items()) if key not in images for path in own.values()))
    for (species, plant, modality), frames in plants.items():
        colors = PlantColors([label for _, _, label in frames])
        who = "_".join(filter(None, (species, f"plant{plant}", modality)))
        first = _TRAINED.get(species)
        held_out = None if first is None else int(plant) > first
        for (_, _, day, hour), image, label in frames:
            about = {"plant_id": who, "species": species, "day": str(int(day)), "timepoint": f"{day}_{hour}"}
            read = partial(colors.labels, label)
            found.samples.append(Sample((who, f"day{day}_hour{hour}"), read, image, about=about, held_out=held_out))
    return found
