"""The keys of the canvas: actions with names, which napari's *Preferences ▸ Shortcuts* lists and changes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut
from qtpy.QtCore import QObject, Signal

from napari_leafseg.editing.tools import TOOLS
from napari_leafseg.widgets.state.session import Session

_PREFIX = "napari-leafseg:"


class Action(NamedTuple):
    """What a key does.

    Attributes
    ----------
    key : str
        As napari writes it; what it is until somebody chooses another.
    words : str
        For napari's preferences.
    """

    key: str
    words: str


ACTIONS: dict[str, Action] = {
    "save": Action("S", "export the labels"),
    "fill": Action("0", "outlines or filled leaves"),
    **{f"tool_{tool.name}": Action(tool.key, f"tool {tool.label}") for tool in TOOLS},
    "leaf_delete": Action("D", "delete the leaf under the mouse"),
    "leaf_verify": Action("U", "verify the leaf under the mouse, or unlock it"),
    "leaf_fill": Action("H", "fill the holes of the leaf under the mouse"),
    "leaf_smooth": Action("R", "smooth the leaf under the mouse"),
    "leaf_largest": Action("J", "keep the largest piece of the leaf under the mouse"),
    "review_next": Action("N", "next leaf of the review"),
    "review_previous": Action("Shift-N", "previous leaf of the review"),
    "review_accept": Action("I", "accept the leaf under review"),
    "review_discard": Action("Delete", "delete the leaf under review"),
}
_REGISTERED: set[str] = set()
_KEYS: weakref.WeakKeyDictionary[Session, Keys] = weakref.WeakKeyDictionary()


class Keys(QObject):
    """What the keys do in a viewer.

    Signals
    -------
    changed
        Somebody chose other keys in napari's preferences.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._hearers: dict[str, weakref.WeakMethod[Callable[[str], Any]]] = {}
        _register()
        get_settings().shortcuts.events.shortcuts.connect(self._chosen)

    @classmethod
    def of(cls, session: Session) -> Keys:
        """Return the session's, made when it has none."""
        keys = _KEYS.get(session)
        if keys is None:
            keys = _KEYS[session] = cls()
        return keys

    def bind(self, name: str, hearer: Callable[[str], Any]) -> None:
        """Say who does one of `ACTIONS` in this viewer.

        Parameters
        ----------
        name : str
        hearer : callable
            Method of an object, which is told the name; the object is not kept alive.
        """
        if name not in ACTIONS:
            raise KeyError(name)
        self._hearers[name] = weakref.WeakMethod(hearer)

    def press(self, name: str) -> None:
        """Do what the action does here."""
        hearer = self._hearers[name]() if name in self._hearers else None
        if hearer is not None:
            hearer(name)

    def _chosen(self, _event: Any = None) -> None:
        for name in ACTIONS:
            _bind(name)
        self.changed.emit()


def keys_of(name: str) -> list[str]:
    """Return the keys of an action, as napari writes them; empty where somebody took them away."""
    kept = get_settings().shortcuts.shortcuts.get(_PREFIX + name)
    return [ACTIONS[name].key] if kept is None else [str(key) for key in kept if str(key)]


def shown_keys(name: str) -> str:
    """Return the keys of an action as people write them, such as "Shift+A"; empty where there is none."""
    keys = keys_of(name)
    if keys == [ACTIONS[name].key]:
        return "Del" if keys[0] == "Delete" else keys[0].replace("-", "+")
    return " or ".join(Shortcut(key).platform for key in keys)


def with_keys(text: str, name: str) -> str:
    """Add an action's keys to a text, such as "Add leaf  (A)"."""
    keys = shown_keys(name)
    return f"{text}  ({keys})" if keys else text


def _register() -> None:
    for name, action in ACTIONS.items():
        if name not in _REGISTERED:
            action_manager.register_action(
                _PREFIX + name, _press(name), f"Leaf segmentation: {action.words}", ViewerModel
            )
            _REGISTERED.add(name)
        _bind(name)


def _press(name: str) -> Callable[[ViewerModel], None]:
    def press(viewer: ViewerModel) -> None:
        session = Session.known(viewer)
        if session is not None and session in _KEYS:
            _KEYS[session].press(name)

    return press


def _bind(name: str) -> None:
    action_manager.unbind_shortcut(_PREFIX + name)
    for key in keys_of(name):
        action_manager.bind_shortcut(_PREFIX + name, key)
