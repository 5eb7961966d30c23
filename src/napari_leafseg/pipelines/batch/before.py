"""What an experiment's folder knows already, for a batch that goes on in it and is told less than the one before."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from napari_leafseg._counts import counted, listed
from napari_leafseg.errors import UserError
from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.gather import gather
from napari_leafseg.experiment.guess import guess_pattern
from napari_leafseg.experiment.patterns import PatternError
from napari_leafseg.experiment.positions import Positions
from napari_leafseg.pipelines.batch.about import known_before, positions_before, read_about
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.places import find_files, own_project
from napari_leafseg.project.corrections import read_list
from napari_leafseg.project.experiment_file import FILE as PLANTS
from napari_leafseg.project.experiment_file import load_experiment
from napari_leafseg.project.measurement_settings import read_measurement_settings
from napari_leafseg.project.positions_file import FILE as POSITIONS
from napari_leafseg.project.positions_file import read_positions

_LOG = logging.getLogger(__name__)
_SCALES = ("px_per_mm", "marker_mm", "scale_from_file")
_UNTOLD = {*_SCALES, "device", "threads", "precision", "measure"}


class Before(NamedTuple):
    """What is known in an experiment's folder.

    Attributes
    ----------
    place : pathlib.Path
    about : dict
        What ``batch.json`` says.
    settings : BatchSettings
    files : dict
        The images, by name.
    """

    place: Path
    about: dict[str, Any]
    settings: BatchSettings
    files: dict[str, Path]

    @classmethod
    def of(cls, place: Path) -> Before | None:
        """Read it; None where the folder holds no experiment, or one that cannot be read."""
        place = place.absolute()
        if not (place / "batch.json").is_file():
            return None
        try:
            about, settings = read_about(place)
            return cls(place, about, settings, find_files(place, about))
        except UserError as error:
            _LOG.warning("What %s knows is not used: %s", place, error)
            return None

    @property
    def project(self) -> Path | None:
        """Return the project in which the experiment is corrected, where there is one."""
        folder = own_project(self.place)
        return folder if (folder / "project.json").exists() else None

    def scale_for_all(self, settings: BatchSettings) -> tuple[BatchSettings, list[str]]:
        """Return settings with the scale of all images that is known, where they say none; and who says it.

        What somebody typed in the project's *Measure* since the last run comes before what that run was told.
        """
        typed = self.typed()
        if settings.metric:
            other = self.project is not None and typed and settings.px_per_mm and typed != settings.px_per_mm
            said = f"{settings.px_per_mm} px/mm hold here; in {own_project(self.place)}, {typed} px/mm are typed."
            return settings, [said] if other else []
        if typed != self.about.get("typed_scale", self.settings.px_per_mm):
            said = f"The scale is {typed} px/mm, as typed in {own_project(self.place)}."
            return settings.model_copy(update={"px_per_mm": typed}), [said] if typed else []
        if not self.settings.metric:
            return settings, []
        known = {name: getattr(self.settings, name) for name in _SCALES}
        how = {"px_per_mm": f"{self.settings.px_per_mm} px/mm", "marker_mm": "from markers",
               "scale_from_file": "from the files"}  # fmt: skip
        words = next(how[name] for name in _SCALES if known[name])
        return settings.model_copy(update=known), [f"The scale is as before, {words} (batch.json)."]

    def typed(self) -> float | None:
        """Return the scale of all images that was typed in the project's *Measure*."""
        if self.project is None:
            return self.about.get("typed_scale", self.settings.px_per_mm)
        return read_measurement_settings(self.project).px_per_mm

    def plants(self, paths: Sequence[Path]) -> tuple[Experiment, list[str]]:
        """Return what is known of images, those of before as it was known, and who says it."""
        source, kept = "batch.json", None
        if self.project is not None and (self.project / PLANTS).exists():
            kept, source = (
                load_experiment(read_list(self.project, [*self.files.values(), *paths])),
                f"project/{PLANTS}",
            )
            if kept.problem:
                raise UserError(kept.problem)
        known = known_before(self.about, self.files) if kept is None else kept.experiment
        pattern, said = known.pattern, list[str]()
        if pattern and pattern == guess_pattern([*self.files.values()]).pattern:
            pattern = None  # nobody gave it: it may be another one with the images of now
        try:
            found, notes = gather(paths, pattern)
        except PatternError as error:
            _LOG.info("The pattern of before is not used: %s", error)
            (found, notes), pattern = gather(paths), None
        here = set(paths)
        for name, layer in known.layers.items():
            found.layers[name].update({path: values for path, values in layer.items() if path in here})
        found.pots = known.pots
        if pattern is not None:
            said.append(f"the pattern “{pattern}”" if pattern else "no pattern")
        told = {path for layer in (known.table, known.hand) for path in layer if path in here}
        said += [f"what a table or a person says of {counted(len(told), 'image')}"] if told else []
        said += [f"of {counted(len(known.pots), 'pot')}"] if known.pots else []
        return found, [*notes, *([f"Plants and dates as before: {', '.join(said)} ({source})."] if said else [])]

    def positions(self, paths: Sequence[Path], known: Experiment) -> tuple[Positions, list[str]]:
        """Return the trays, scales and colors that held before, and who says so."""
        source = "batch.json"
        if self.project is not None and (self.project / POSITIONS).exists():
            found, source = read_positions(self.project, [*self.files.values(), *paths]), f"project/{POSITIONS}"
        else:
            found = positions_before(self.about, self.files, known)
            if self.settings.marker_mm is not None:
                found.scales.clear()  # of markers, which are looked for again
        kinds = {"trays": found.trays, "scales": found.scales, "colors": found.colors}
        said = [name for name, layer in kinds.items() if layer]
        without = " Give another one, or “--tray none”, to do without." if said else ""
        return found, [f"{listed(said, 'and').capitalize()} as before ({source}).{without}"] if said else []

    def other_settings(self, settings: BatchSettings) -> list[str]:
        """Say which settings are others than before, as everything is done again with them."""
        now, then = settings.model_dump(exclude=_UNTOLD), self.settings.model_dump(exclude=_UNTOLD)
        changed = [f"{name.replace('_', ' ')} {_words(now[name])} (before: {_words(then[name])})"
                   for name in now if now[name] != then[name]]  # fmt: skip
        return [f"Other settings than before: {'; '.join(changed)}."] if changed else []


def with_own_traits(settings: BatchSettings, project: str | Path | None) -> BatchSettings:
    """Return settings with the traits of one's own and the limits of colors that were chosen in a project's *Measure*.

    Limits that the settings have come first.
    """
    if project is None:
        return settings
    chosen = read_measurement_settings(Path(project))
    traits = tuple(dict.fromkeys([*settings.traits, *chosen.traits]))
    return settings.model_copy(update={"traits": traits, "color_limits": settings.color_limits or chosen.color_limits})


def own_traits_of(settings: BatchSettings, project: str | Path | None) -> dict[str, Any]:
    """Return the traits of one's own and limits of colors that a project's *Measure* says, for ``batch.json``.

    Where there is no project, those of the settings, with which one is made.
    """
    said = settings if project is None else read_measurement_settings(Path(project))
    return {"traits": list(said.traits), "color_limits": said.color_limits}


def without_earlier_traits(settings: BatchSettings, about: Mapping[str, Any], project: Path) -> BatchSettings:
    """Return settings without what a project's *Measure* said in the last run, where it says something else now."""
    then = about.get("own_traits")  # which earlier versions do not write
    if then is None or not (project / "project.json").exists():
        return settings
    now = read_measurement_settings(project)
    limits = tuple(then.get("color_limits") or ()) or None
    changed = limits != now.color_limits and settings.color_limits == limits
    traits = tuple(name for name in settings.traits if name not in then.get("traits", ()) or name in now.traits)
    return settings.model_copy(update={"traits": traits, "color_limits": None if changed else settings.color_limits})


def _words(value: Any) -> str:
    """A setting in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:g}" for name, number in value.items()) or "as the model has them"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return (
        {None: "by itself", True: "yes", False: "no"}.get(value, str(value))
        if not isinstance(value, float)
        else f"{value:g}"
    )
