"""What people decided in a project about tracks, plants and pots, for the tables of an experiment."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from napari_leafseg.io.exchange.names import short_names
from napari_leafseg.pipelines.batch.find import Task
from napari_leafseg.pipelines.decided import notes_of_frame
from napari_leafseg.project.corrections import place_of, read_list
from napari_leafseg.project.decisions import FoundAgain, Places, find_leaves, waiting_sentences
from napari_leafseg.project.measurement_settings import (
    ALL_IMAGES,
    ImageMeasurementSettings,
    read_measurement_settings,
)

_LOG = logging.getLogger(__name__)


class Decisions(NamedTuple):
    """What was decided, by image.

    Attributes
    ----------
    notes : ImageMeasurementSettings
    ids : mapping
        From an experiment's name of an image to those that the notes may have for it.
    scales : mapping
        Pixels a millimeter that were typed for single images, by the experiment's names.
    """

    notes: ImageMeasurementSettings
    ids: Mapping[str, Sequence[str]] = {}
    scales: Mapping[str, float] = {}

    def of_images(self, names: Sequence[str]) -> ImageMeasurementSettings:
        """Return the notes with frames numbered as these images are; those of others come behind."""
        return self.notes.of_frames([self.ids.get(name, [name]) for name in names])


NOTHING_DECIDED = Decisions(ImageMeasurementSettings())


def read_decisions(project: str | Path, tasks: Sequence[Task]) -> Decisions:
    """Read what people decided in a project about its images, all or one by one; others may have it open.

    Raises
    ------
    ProjectError
        When it is no project, or its file is damaged.
    """
    settings = read_measurement_settings(Path(project))
    if not settings.images:
        return NOTHING_DECIDED
    listed = read_list(project, [task.path for task in tasks])
    paths = {listed.path_of(ref): ref.id for ref in listed.images}
    called = {name: paths[path] for path, name in short_names(list(paths)).items()}
    settings.fold_single(called)
    of_all = settings.of(ALL_IMAGES)
    typed = {called[name]: one.px_per_mm for name, one in settings.images.items() if name in called and one.px_per_mm}
    by_place = {place_of(path): own for path, own in paths.items()}
    ids, scales = dict[str, Sequence[str]](), dict[str, float]()
    for task in tasks:
        known = by_place.get(place_of(task.path))
        ids[task.name] = [task.path] if known is None else [known, task.path]
        scale = typed.get(known or "") or (of_all.px_per_mm if known is not None else None)
        if scale is not None:
            scales[task.name] = scale
    return Decisions(of_all, ids, scales)


def tell_tasks(tasks: Sequence[Task], decisions: Decisions) -> list[Task]:
    """Tell each task what was decided about the plants and pots of its leaves."""
    notes, told = decisions.of_images([task.name for task in tasks]), []
    for number, task in enumerate(tasks):
        own = notes_of_frame(notes, number)
        text = "" if own is None else own.model_dump_json(include={"plants", "pots", "leaves"})
        told.append(task._replace(decided=text))
    return told


def decided_of(task: Task) -> ImageMeasurementSettings | None:
    """Return what was decided about the leaves of a task's image, as frame 0."""
    return ImageMeasurementSettings.model_validate_json(task.decided) if task.decided else None


def find_decided(decisions: Decisions, names: Sequence[str], places: Places) -> tuple[FoundAgain, list[str]]:
    """Find the leaves of decisions in the images of an experiment; also say which are not applied.

    Parameters
    ----------
    decisions : Decisions
    names : sequence of str
        Of the images.
    places : mapping
        Where their leaves lie, by the images' numbers.
    """
    found = find_leaves(decisions.of_images(names), places)
    said = waiting_sentences(found, names)
    for sentence in said:
        _LOG.warning("%s", sentence)
    return found, said


def apart_sentences(
    notes: ImageMeasurementSettings, series: Iterable[Sequence[int]], names: Sequence[str]
) -> list[str]:
    """Say which decisions about tracks are of images that are not followed as one plant."""
    plant = {place: number for number, places in enumerate(series) for place in places}
    apart = {
        place
        for (before, _), (after, _) in (*notes.links, *notes.cuts)
        if max(before, after) < len(names) and (before not in plant or plant[before] != plant.get(after))
        for place in (before, after)
    }
    if not apart:
        return []
    few = ", ".join([names[place] for place in sorted(apart)][:4]) + (" …" if len(apart) > 4 else "")
    said = f"Tracks were corrected in {few}; nothing says that these show one plant, so they are not followed here."
    _LOG.warning("%s", said)
    return [said]


def name_plants(table: pd.DataFrame, notes: ImageMeasurementSettings, names: Sequence[str]) -> pd.DataFrame:
    """Return a table of leaves or plants with the names that people gave to plants, where there is no tray.

    Parameters
    ----------
    table : pandas.DataFrame
    notes : ImageMeasurementSettings
    names : sequence of str
        Of the images, by the numbers of the notes' frames.
    """
    if not (notes.names or notes.image_names) or not len(table):
        return table
    of_image = {name: notes.names_in(frame) for frame, name in enumerate(names)}
    rows = zip(table["image"], table["plant"], strict=True)
    given = pd.Series([of_image[image].get(int(plant), str(plant)) for image, plant in rows], table.index)
    if "name" not in table:
        table = table.copy()
        table.insert(list(table.columns).index("plant") + 1, "name", None)
        return table.assign(name=given if "pot" not in table else given.where(table["pot"].isna()))
    return table.assign(name=given if "pot" not in table else table["name"].where(table["pot"].notna(), given))
