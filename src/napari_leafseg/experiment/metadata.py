"""What is known of the plant in an image, and who says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from napari_leafseg.experiment.dates import read_moment, write_moment

FIELDS = ("plant", "genotype", "treatment", "replicate", "time", "day", "pot", "camera")
"""The fields that have a meaning; others are kept as they are called."""
COLUMNS = {"plant": "plant_id", "time": "date"}
"""Names of the fields' columns in tables, where these differ: ``plant`` is a number within an image there."""
LATER = "timepoint"
"""A further field that orders the images of a plant where no date does."""
RESERVED = frozenset(
    {
        "age", "area", "azimuth_deg", "blade", "confidence", "count", "error", "file", "frame", "image", "leaf",
        "leaves", "length", "name", "path", "plant_track", "plants", "scale", "seconds", "time_of_day", "track",
        "verified", "width",
    }
)  # fmt: skip
"""Names that tables have for something else."""
_LONGEST = 200

Values = Mapping[str, str]
"""Texts by the fields' names, as `canonical` writes them; "" says that it is known to be nothing."""


class Source(StrEnum):
    """Who says something of an image; the first of these that does is believed."""

    HAND = "by hand"
    TABLE = "table"
    NAME = "file name"
    FOLDER = "folder"
    EXIF = "EXIF"


@dataclass(frozen=True)
class ImageMetadata:
    """What is known of the plant in an image; empty and None where it is not.

    Attributes
    ----------
    plant, genotype, treatment, replicate, pot, camera : str
    time : datetime.datetime, optional
        When the image was taken; with a time zone where that is known.
    day : float, optional
        Days since the experiment began, or since sowing: what ``day12`` means.
    extra : mapping
        Further fields.
    pots : mapping
        What is known of the plants of a tray, or of those that have names, by their pot names or their own; “TRAY/POT”
        where it is of one tray alone.
    """

    plant: str = ""
    genotype: str = ""
    treatment: str = ""
    replicate: str = ""
    time: datetime | None = None
    day: float | None = None
    pot: str = ""
    camera: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
    pots: Mapping[str, Values] = field(default_factory=dict, hash=False)

    @classmethod
    def from_values(cls, values: Values) -> ImageMetadata:
        """Make it of texts.

        Raises
        ------
        ValueError
            When a date or a day is none.
        """
        known: dict[str, Any] = {name: values[name] for name in FIELDS if values.get(name)}
        if "time" in known:
            known["time"] = datetime.fromisoformat(known["time"])
        if "day" in known:
            known["day"] = float(known["day"])
        extra = {name: text for name, text in values.items() if name not in FIELDS and text}
        return cls(**known, extra=extra)

    def columns(self) -> dict[str, Any]:
        """Return what tables say of it: values of the known fields, by the names of their columns."""
        found: dict[str, Any] = {}
        for name in FIELDS:
            value = getattr(self, name)
            if value not in ("", None):
                found[COLUMNS.get(name, name)] = write_moment(value) if isinstance(value, datetime) else value
        return found | dict(self.extra)

    def columns_of_pots(self) -> dict[str, dict[str, Any]]:
        """Return what tables say of plants in pots, or with names, by these, written as `alike` writes them."""
        found = dict[str, dict[str, Any]]()
        tray = alike(self.extra.get("tray", ""))
        for pot, values in sorted(self.pots.items(), key=lambda item: "/" in item[0]):  # of this tray comes last
            own, _, name = alike(pot).rpartition("/")
            if not own or own == tray:
                found[name] = found.get(name, {}) | ImageMetadata.from_values(values).columns()
        return found


def alike(name: str) -> str:
    """Return the name of a plant or pot as it is compared: 07 is 7, a1 is A1."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", name.strip().lower())


class Described(NamedTuple):
    """What is known of an image, and for each field who says it."""

    metadata: ImageMetadata = ImageMetadata()
    sources: Mapping[str, Source] = {}


def canonical(name: str, text: str, day_first: bool | None = None) -> str:
    """Check the text of a field, and write it as it is kept.

    Parameters
    ----------
    name, text : str
    day_first : bool, optional
        See `read_moment`.

    Raises
    ------
    ValueError
        In words that say what is wrong.
    """
    text = re.sub(r"\s+", " ", text).strip()
    if len(text) > _LONGEST:
        raise ValueError(f"“{text[:30]}…” is too long for a {name}")
    if not text:
        return ""
    if name == "time":
        return read_moment(text, day_first).isoformat()
    if name == "day":
        return _day(text)
    return text


def _day(text: str) -> str:
    found = re.fullmatch(r"(?:day|das|dag|dap|d)?\s*(-?\d{1,5}(?:[.,]\d+)?)", text, re.I)
    if found is None:
        raise ValueError(f"“{text}” is no number of days; write it like 12 or 12.5")
    return f"{float(found[1].replace(',', '.')):.10g}"


def check_field(name: str) -> str:
    """Return a field's name as it is kept.

    Raises
    ------
    ValueError
        When it cannot be the name of a field, in words.
    """
    clean = re.sub(r"[\s-]+", "_", name.strip().lower())
    if not re.fullmatch(r"[^\W\d]\w{0,39}", clean):
        raise ValueError(f"“{name}” cannot be the name of a field; use letters, digits and _")
    if clean in RESERVED or clean.endswith(("_px", "_px2", "_mm", "_mm2")):
        raise ValueError(f"“{name}” is the name of a measurement; call the field otherwise")
    return clean


def merge(layers: Mapping[Source, Values]) -> Described:
    """Put together what several sources say: for each field, the first source that says anything is believed."""
    values: dict[str, str] = {}
    sources: dict[str, Source] = {}
    for source in Source:
        for name, text in layers.get(source, {}).items():
            if name not in values:
                values[name], sources[name] = text, source
    return Described(ImageMetadata.from_values(values), {name: sources[name] for name in values if values[name]})
