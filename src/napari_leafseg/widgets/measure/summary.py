"""What was measured, in words."""

from __future__ import annotations

from html import escape

from napari_leafseg._counts import counted
from napari_leafseg.pipelines.measure import Measured
from napari_leafseg.traits import area_column


def series_summary(measured: Measured) -> str:
    """Describe what was followed over time, as rich text."""
    leaves, grouping = measured.leaves, measured.grouping
    tracks, lasting = len(measured.followed), int(measured.followed["lasts"].sum()) if len(measured.followed) else 0
    once = tracks - lasting
    frames = leaves["frame"].nunique() if len(leaves) else 0
    several = [one for one in grouping.series if len(one.places) > 1]
    plants = f" of {counted(len(several), 'plant')}" if len(several) > 1 else ""
    text = f"<b>{counted(lasting, 'leaf')}</b>{plants} followed over {counted(frames, 'image')}"
    if grouping.dated:
        days = list(grouping.day_of().values())
        text += f", {counted_days(max(days) - min(days))}"
    if once:
        what = "may be no leaf and is" if once == 1 else "may be no leaves and are"
        text += f"<br>{once} more seen in one image only: {what} left out of growth"
    return text + "".join(f"<br>{escape(note)}" for note in (*grouping.notes, *measured.notes))


def image_summary(measured: Measured) -> str:
    """Describe what one image shows, as rich text."""
    leaves, plants = len(measured.leaves), int((measured.plants["leaves"] > 0).sum())
    area = area_column(measured.plants)
    unit = "mm²" if area.endswith("mm2") else "px²"
    total = f", {measured.plants[area].sum():,.0f} {unit}" if plants else ""
    said = "".join(f"<br>{escape(note)}" for note in measured.notes)
    return f"<b>{counted(leaves, 'leaf')}</b>, {counted(plants, 'plant')}{total}{said}"


def counted_days(days: float) -> str:
    """Write a time in days, or in hours where it is short."""
    number, unit = (days, "day") if days >= 2 else (24 * days, "hour")
    return f"{number:.3g} {unit}{'' if f'{number:.3g}' == '1' else 's'}"
