"""What people decided about plants and pots, in an image's labels; the same in the window and in experiments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from napari_leafseg.editing.leaf_places import LeafPlace, places_of_labels
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.project.decisions import find_leaves
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings
from napari_leafseg.traits.track_edits import TrackEdits


def places_of_table(leaves: pd.DataFrame) -> dict[int, LeafPlace]:
    """Return where the leaves of an image's table lie; its areas are in pixels."""
    if not len(leaves):
        return {}
    columns = [leaves["centroid_y_px"], leaves["centroid_x_px"], leaves["area_px2"]]
    if "tip_y_px" in leaves:  # which earlier versions do not measure
        columns += [leaves[f"tip_{axis}_px"] - leaves[f"base_{axis}_px"] for axis in "yx"]
    rows = np.round(np.stack([column.to_numpy(float) for column in columns], axis=1), 1).tolist()
    return {int(leaf): LeafPlace(*row) for leaf, row in zip(leaves["leaf"], rows, strict=True)}


def track_edits_of(notes: ImageMeasurementSettings) -> TrackEdits:
    """Return what was decided about tracks, which may be changed without changing the notes."""
    moved = {(frame, leaf) for said in (notes.plants, notes.pots) for frame in said for leaf in said[frame]}
    return TrackEdits(list(notes.links), list(notes.cuts), sorted(moved))


def notes_of_frame(notes: ImageMeasurementSettings, frame: int) -> ImageMeasurementSettings | None:
    """Return what was decided about the plants and pots of one frame's leaves, as frame 0; None where nothing was."""
    said = {"plants": notes.plants.get(frame), "pots": notes.pots.get(frame)}
    decided = {leaf for leaves in said.values() for leaf in leaves or ()}
    if not decided:
        return None
    own = {leaf: place for leaf, place in notes.leaves.get(frame, {}).items() if leaf in decided}
    update = {name: {0: dict(leaves)} if leaves else {} for name, leaves in said.items()}
    return ImageMeasurementSettings(**update, leaves={0: own} if own else {})


def plant_overrides(
    notes: ImageMeasurementSettings | None, labels: np.ndarray, tray: Tray | None, name: str
) -> tuple[dict[int, int], list[str]]:
    """Return to which plants people moved the leaves of an image, and what is to be said of it.

    Parameters
    ----------
    notes : ImageMeasurementSettings or None
        From `notes_of_frame`.
    labels : numpy.ndarray
        Integer (H, W).
    tray : Tray, optional
        That holds for the image.
    name : str
        Of the image.

    Returns
    -------
    tuple
        From leaf to plant; sentences on pots that are not there. Of leaves that are not found nothing is said here.
    """
    if notes is None:
        return {}, []
    found = find_leaves(notes, {0: places_of_labels(labels)}).holding
    if tray is None:
        return dict(found.plants.get(0, {})), _without_tray(notes, name)
    numbers = {pot_name: tray.number_of(pot) for pot, pot_name in tray.name_of.items()}
    pots = found.pots.get(0, {})
    return {leaf: numbers[pot] for leaf, pot in pots.items() if pot in numbers}, _unknown(notes, numbers, name)


def _without_tray(notes: ImageMeasurementSettings, name: str) -> list[str]:
    pots = sorted({*notes.pots.get(0, {}).values()})
    return [f"Leaves of {name} were moved to {', '.join(pots)}, and no tray holds there: not applied."] if pots else []


def _unknown(notes: ImageMeasurementSettings, numbers: Mapping[str, int], name: str) -> list[str]:
    pots = sorted({*notes.pots.get(0, {}).values()} - numbers.keys())
    said = [f"Leaves of {name} were moved to {', '.join(pots)}, which its tray has not: not applied."] if pots else []
    if notes.plants.get(0):
        said.append(f"Leaves of {name} were moved to other plants before it had a tray: its pots hold now.")
    return said
