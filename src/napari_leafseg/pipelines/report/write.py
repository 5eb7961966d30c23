"""Writes ``report.html``: one file that opens anywhere, without a network."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from napari_leafseg._counts import counted
from napari_leafseg._files import resource_folder, write_atomically
from napari_leafseg.pipelines.report.attention import KINDS, Reason, find_reasons
from napari_leafseg.pipelines.report.charts import (
    COLORS,
    Chart,
    draw_distributions,
    draw_growth,
    draw_traits,
    group_names,
)
from napari_leafseg.pipelines.report.content import Source, describe_images, describe_plants, summarize, time_axis
from napari_leafseg.pipelines.report.embed import Views, gather_views
from napari_leafseg.pipelines.report.settings_words import describe_settings
from napari_leafseg.pipelines.report.views import OVERLAYS, SIZES
from napari_leafseg.traits import area_column
from napari_leafseg.traits.dictionary import split_unit

__all__ = ["Source", "write_report"]
_SHOWN_FIRST = 12  # images named at the beginning; the others are one click away
_TABLES = {
    "images.csv": "a row an image",
    "leaves.csv": "a row a leaf",
    "plants.csv": "a row a plant",
    "growth.csv": "a row a leaf and image, for plants that were seen several times",
    "tracks.csv": "a row a leaf that was followed",
    "groups.csv": "mean and spread of each trait, a row a genotype and treatment, time and trait",
    "errors.csv": "what could not be done, and why",
}


def write_report(source: Source) -> Path:
    """Write the report of an experiment beside its tables, whole or not at all.

    Raises
    ------
    InputFileError
        When the folder cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, select_autoescape
    from jinja2.utils import htmlsafe_json_dumps

    from napari_leafseg.models.store.zoo import describe_model
    from napari_leafseg.versions import __version__

    card = describe_model(source.settings.model)
    views = gather_views(source.place, source.images["name"].tolist())
    reasons = find_reasons(source.images, source.followed.leaves, source.followed.repeated, source.unit)
    environment = Environment(
        loader=FileSystemLoader(resource_folder() / "templates"),
        autoescape=select_autoescape(["html", "j2"]), trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["counted"] = counted
    text = environment.get_template("report.html.j2").render(
        title=source.place.resolve().name,
        created=f"{datetime.datetime.now():%B %d, %Y, %H:%M}".replace(" 0", " "),
        version=__version__,
        model={"name": card.name, "version": card.version},
        figures=summarize(source),
        failed=source.failed,
        first=_first(source, reasons, views),
        looked=len(reasons),
        kinds=_counted_kinds(reasons),
        unknown_border=int(source.images["at_border"].isna().sum()),
        charts=_charts(source),
        further=_further(source),
        legend=_legend(source),
        settings=describe_settings(source.settings, card),
        tables={name: words for name, words in _TABLES.items() if (source.place / name).exists()},
        beside=views.beside,
        images=len(source.images),
        colors=COLORS,
        data_has_growth=len(source.followed.by_plant) > 0,
        data=htmlsafe_json_dumps(_data(source, reasons, views)),
    )
    target = source.place / "report.html"
    write_atomically(target, text.encode(errors="replace"))  # names of files may be no text
    return target


def _data(source: Source, reasons: Mapping[int, Sequence[Reason]], views: Views) -> dict[str, Any]:
    """What the page's program shows, as JSON."""
    return {
        **describe_images(source, reasons),
        "growth": describe_plants(source),
        "first": list(reasons),
        "small": views.small,
        "closer": views.closer,
        "folder": OVERLAYS,
        "longest": SIZES["closer"],
    }


def _first(source: Source, reasons: Mapping[int, Sequence[Reason]], views: Views) -> list[dict[str, Any]]:
    """The first of the images that should be looked at."""
    names = source.images["name"].tolist()
    found = []
    for place in list(reasons)[:_SHOWN_FIRST]:
        small = views.small[place]
        url = f"{OVERLAYS}/{quote(f'{names[place]}.jpg', errors='surrogateescape')}" if small == 1 else small
        found.append({"place": place, "name": names[place], "image": url, "reasons": reasons[place]})
    return found


def _counted_kinds(reasons: Mapping[int, Sequence[Reason]]) -> list[tuple[str, int]]:
    """How many images have each kind of reason."""
    kinds = [reason.kind for own in reasons.values() for reason in own]
    return [(words, kinds.count(kind)) for kind, words in KINDS.items() if kind in kinds]


def _charts(source: Source) -> list[dict[str, Any]]:
    followed = source.followed
    area = area_column(followed.by_plant)
    charts: list[Chart] = draw_growth(followed.by_plant, area, source.unit, time_axis(followed)) if area else []
    if not charts and len(source.images):
        column = area_column(followed.leaves)
        sizes = followed.leaves[column].tolist() if column else []
        charts = draw_distributions(source.images, sizes, source.unit)
    return [{"title": chart.title, "svg": Markup(chart.svg)} for chart in charts]


def _further(source: Source) -> list[dict[str, Any]]:
    """Plots of all other traits by group."""
    by_plant = source.followed.by_plant
    area = area_column(by_plant)
    charts = draw_traits(by_plant, area, time_axis(source.followed), _title_of) if area else []
    return [{"title": chart.title, "svg": Markup(chart.svg)} for chart in charts]


def _title_of(column: str) -> str:
    name, unit = split_unit(column)
    return f"{name.replace('_', ' ')} ({unit})" if unit else name.replace("_", " ")


def _legend(source: Source) -> list[str]:
    area = area_column(source.followed.by_plant)
    return group_names(source.followed.by_plant, area) if area else []
