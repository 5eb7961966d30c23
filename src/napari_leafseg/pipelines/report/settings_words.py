"""The settings of an experiment in people's words."""

from __future__ import annotations

from collections.abc import Callable

from napari_leafseg.inference.tta import TTA_PRESETS
from napari_leafseg.io.exchange.formats import find_format
from napari_leafseg.models.store.model_card import ModelCard
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.traits.color import ColorClasses

Said = tuple[str, str]
_DEVICES = {"auto": "the fastest of this machine", "cpu": "processor", "cuda": "graphics card", "mps": "Apple graphics"}


def describe_settings(settings: BatchSettings, card: ModelCard) -> list[Said]:
    """Return what was set, a title and a text each, as a person says it; what says nothing is left out."""
    said = [("Model", f"{card.name}, version {card.version}"), *_parameters(settings, card)]
    for tell in WORDS.values():
        found = tell(settings) if tell is not None else None
        if found is not None:
            said.append(found)
    return said


def _parameters(settings: BatchSettings, card: ModelCard) -> list[Said]:
    """The sliders, and whether their values are the model's own."""
    specs = {spec.name: spec for spec in card.family.settable}
    values = {**card.defaults, **settings.values}
    found = []
    for name, value in values.items():
        spec = specs.get(name)
        if spec is None:
            continue
        unit = spec.unit if spec.unit in ("", "°") else f" {spec.unit}"
        given = name in settings.values and settings.values[name] != card.defaults.get(name)
        found.append((spec.label, f"{spec.text(value)}{unit}" + ("" if given else " (the model's own value)")))
    return found


def _size(settings: BatchSettings) -> Said:
    if settings.px_per_mm is None and settings.marker_mm is not None:
        return "Size of a pixel", f"from markers whose side is {settings.marker_mm:g} mm"
    if settings.scale_from_file:
        return "Size of a pixel", "as each image file states it"
    if settings.px_per_mm is None:
        return "Size of a pixel", "not given: that of the camera position where it is known, else all is in pixels"
    return "Size of a pixel", f"{settings.px_per_mm:g} pixels are a millimeter"


def _channels(settings: BatchSettings) -> Said | None:
    if settings.channels is None:
        return None
    if isinstance(settings.channels, dict):
        chosen = [f"of {count}: {_listed(channels)}" for count, channels in sorted(settings.channels.items())]
        return "Channels shown to the model", "; ".join(chosen)
    return "Channels shown to the model", _listed(settings.channels)


def _listed(channels: tuple[int, ...]) -> str:
    return ", ".join(str(channel) for channel in channels)


def _working_scale(settings: BatchSettings) -> Said:
    if settings.scale is None:
        return "Working scale", "found for each image"
    return "Working scale", f"{100 * settings.scale:.3g} % of the image's own pixels"


def _accuracy(settings: BatchSettings) -> Said:
    preset = TTA_PRESETS[settings.tta]
    return "Accuracy", f"{preset.label}: {preset.help[0].lower()}{preset.help[1:]}"


def _plant_masks(settings: BatchSettings) -> Said | None:
    return None if settings.plant_masks is None else ("Where plants are", f"from masks in {settings.plant_masks}")


def _exports(settings: BatchSettings) -> Said | None:
    titles = ", ".join(find_format(name).title for name in settings.exports)
    return ("Labels also as", titles) if titles else None


def _precision(settings: BatchSettings) -> Said:
    return "Precision of the network", "chosen by itself" if settings.precision == "auto" else settings.precision


def _colors(settings: BatchSettings) -> Said | None:
    if settings.color_limits is None:
        return None
    yellow, green, end, saturation, value = ColorClasses.of_limits(*settings.color_limits).limits
    hues = f"yellow from {yellow:g}°, green from {green:g}° to {end:g}° of hue"
    return "Green, yellow and brown", f"{hues}; saturation at least {saturation:g}, value at least {value:g}"


WORDS: dict[str, Callable[[BatchSettings], Said | None] | None] = {
    "model": None,  # with its version
    "values": None,  # the sliders
    "scale": _working_scale,
    "tta": _accuracy,
    "px_per_mm": _size,
    "scale_from_file": None,  # with the size of a pixel
    "channels": _channels,
    "z": lambda settings: None if settings.z == "max" else ("Plane of z-stacks", str(settings.z)),
    "plant_masks": _plant_masks,
    "full_masks": lambda settings: ("Full masks", "also written, as COCO") if settings.full_masks else None,
    "exports": _exports,
    "device": lambda settings: ("Computed on", _DEVICES.get(settings.device, settings.device)),
    "precision": _precision,
    "marker_mm": None,  # with the size of a pixel
    "color_card": lambda settings: ("Colors", "corrected by a color card") if settings.color_card else None,
    "traits": lambda settings: ("Traits of yours", ", ".join(settings.traits)) if settings.traits else None,
    "color_limits": _colors,
    "threads": None,  # changes no result
    "measure": None,  # without it there is no report
}
"""How each setting is told; None where something else tells it, or where it changes nothing in the report."""
