"""What people chose and find again after a restart; forms bring their own fields and defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from qtpy.QtCore import QSettings

from napari_leafseg._log import log_error

_Value = TypeVar("_Value")
_Settings = TypeVar("_Settings")


class _Choice(Generic[_Value]):
    """Read and write one value by its key; the default where there is none that can be read.

    Parameters
    ----------
    key : str
    default : object
    read : callable
        Takes what the file holds, mostly text.
    *earlier
        Keys that earlier versions wrote.
    """

    def __init__(self, key: str, default: _Value, read: Callable[[Any], _Value], *earlier: str) -> None:
        self.keys, self.default, self.read = (key, *earlier), default, read

    @overload
    def __get__(self, owner: None, kind: type) -> _Choice[_Value]: ...

    @overload
    def __get__(self, owner: Preferences, kind: type) -> _Value: ...

    def __get__(self, owner: Preferences | None, kind: type) -> _Value | _Choice[_Value]:
        if owner is None:
            return self
        store = _store()
        for key in self.keys:
            if store.contains(key):
                return _read(store.value(key), self.read, self.default)
        return self.default

    def __set__(self, owner: Preferences, value: _Value) -> None:
        _store().setValue(self.keys[0], value)


def _flag(kept: Any) -> bool:
    return str(kept).lower() == "true"


def _texts(kept: Any) -> list[str]:
    return [kept] if isinstance(kept, str) else [str(text) for text in kept or []]


def _reader(value: Any) -> Callable[[Any], Any]:
    """Return what reads a value of the same type."""
    if isinstance(value, bool):
        return _flag
    return (lambda kept: tuple(_texts(kept))) if isinstance(value, tuple) else type(value)


class Preferences:
    """Read and write what people chose.

    Attributes
    ----------
    model, device, tta : str
        Chosen in *Segment*, and used by the other widgets.
    scale_auto, scale, outline
        The working scale is found; percent where it is not; leaves are drawn as outlines.
    angle : float
        Growing angle of *Correct*.
    offer_neighbors : bool
        Whether a corrected leaf is offered on the days before and after.
    images_folder, project_folder : str
        Where file dialogs begin.
    panel_tab, panel_area, panel_width
        The tab that is open, the side of the window where the tabs are, and how wide they are; 0 is as wide as needed.
    images_area : str
        The side of the window where the list of images is.
    image_order : str
        What the list of images is sorted by.
    recent_folders : list of str
        Whose images were added, the last one first.
    ruler_mm, marker_mm : float
        How long the line along a ruler, and the side of a marker, were last.
    export_of : str
        Folder of the project whose labels were exported last.
    keep_predictions, predictions_limit
        Whether a project keeps what models said, for tuning after a restart; at most so many MiB.
    """

    model = _Choice("segment/model", "leaf", str)
    device = _Choice("segment/device", "auto", str)
    tta = _Choice("segment/tta", "standard", str, "segment/looks")
    scale_auto = _Choice("segment/scale_auto", True, _flag)
    scale = _Choice("segment/scale", 100.0, float)
    outline = _Choice("segment/outlines", True, _flag)
    angle = _Choice("correct/angle", 45.0, float)
    offer_neighbors = _Choice("correct/offer_neighbors", True, _flag)
    images_folder = _Choice("images/folder", str(Path.home()), str)
    project_folder = _Choice("project/folder", str(Path.home()), str)
    panel_tab = _Choice("panel/tab", "segment", str)
    panel_area = _Choice("panel/area", "right", str)
    panel_width = _Choice("panel/width", 0, int)
    images_area = _Choice("images/area", "left", str)
    image_order = _Choice("images/order", "list", str)
    recent_folders: _Choice[list[str]] = _Choice("images/recent", [], _texts)
    ruler_mm = _Choice("measure/ruler", 10.0, float)
    marker_mm = _Choice("measure/marker", 20.0, float)
    export_of = _Choice("export/project", "", str)
    keep_predictions = _Choice("project/keep_predictions", True, _flag)
    predictions_limit = _Choice("project/predictions_limit", 2048, int)

    def filled(self, group: str, settings: _Settings) -> _Settings:
        """Return the settings of a form, a dataclass, as they were kept last; what cannot be read stays as it is."""
        store, kept = _store(), {}
        for name, value in vars(settings).items():
            if store.contains(f"{group}/{name}"):
                kept[name] = _read(store.value(f"{group}/{name}"), _reader(value), value)
        return replace(settings, **kept)  # type: ignore[type-var]

    def keep(self, group: str, settings: Any) -> None:
        """Keep the settings of a form."""
        for name, value in vars(settings).items():
            _store().setValue(f"{group}/{name}", list(value) if isinstance(value, tuple) else value)

    @property
    def file(self) -> str:
        """The file that holds them; Qt decides where it lies."""
        return _store().fileName()

    def parameter(self, model: str, name: str) -> float | None:
        """Return what a parameter was set to for a model; None where nobody set it."""
        earlier = ["smallest_working"] if name == "min_area_working" else []
        for known in (name, *earlier):
            value = _number(f"tunables/{model}/{known}")
            if value is not None:
                return value
        return None

    def parameters(self, model: str, names: Iterable[str]) -> dict[str, float]:
        """Return those parameters that somebody set for a model."""
        found = ((name, self.parameter(model, name)) for name in names)
        return {name: value for name, value in found if value is not None}

    def keep_parameters(self, model: str, values: Mapping[str, float | None]) -> None:
        """Keep parameters of a model; None forgets one."""
        store = _store()
        for name, value in values.items():
            key = f"tunables/{model}/{name}"
            if value is None:
                store.remove(key)
            else:
                store.setValue(key, value)

    def speed(self, model: str, device: str) -> float | None:
        """Return the seconds that a model took for an image on a device; None where it was never run there."""
        return _number(f"speed/{model}/{device}")

    def keep_speed(self, model: str, device: str, seconds: float) -> None:
        """Keep the seconds that a model took for an image."""
        _store().setValue(f"speed/{model}/{device}", round(seconds, 2))


preferences = Preferences()


def _store() -> QSettings:
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "napari-leafseg", "widgets")


def _number(key: str) -> float | None:
    kept = _store().value(key)
    return None if kept is None else _read(kept, float, None)


def _read(kept: Any, read: Callable[[Any], _Value], default: _Value) -> _Value:
    try:
        return read(kept)
    except (TypeError, ValueError) as error:  # of a file that somebody edited
        log_error(error)
        return default
