"""What napari and vispy work out anew for each viewer, though it never changes, is worked out once in a process."""

from __future__ import annotations

import inspect
from functools import lru_cache
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest


def manifests(patch: pytest.MonkeyPatch) -> None:
    """Have each plugin's manifest read once: napari reads all of them for each viewer, half the time that one takes."""
    from npe2 import PluginManifest

    kept, read = {}, PluginManifest.from_file.__func__

    def from_file(cls, path):
        key = cls, Path(path).resolve(), Path(path).stat().st_mtime_ns
        if key not in kept:
            kept[key] = read(cls, path)
        return kept[key].model_copy(deep=True)

    patch.setattr(PluginManifest, "from_file", classmethod(from_file))


def signatures(patch: pytest.MonkeyPatch) -> None:
    """Have it looked up once whether a function takes an event."""
    from napari.utils.events.event import EventEmitter

    takes_events, known = EventEmitter._check_signature, WeakKeyDictionary()

    def check_signature(callback):
        if isinstance(callback, EventEmitter):
            key = type(callback)
        elif inspect.ismethod(callback):
            key = callback.__func__
        else:
            return takes_events(callback)
        if key not in known:
            known[key] = takes_events(callback)
        return known[key]

    patch.setattr(EventEmitter, "_check_signature", staticmethod(check_signature))


def settings(patch: pytest.MonkeyPatch) -> None:
    """Have napari's settings, which end with a test, written to no file at each change."""
    from napari.settings import NapariSettings

    patch.setattr(NapariSettings, "_maybe_save", lambda _settings: None)


class _Sheet:
    """Takes one letter."""

    def __setitem__(self, place, bitmap):
        self.bitmap = bitmap


def shaders(patch: pytest.MonkeyPatch) -> None:
    """Have the text of a shader read once, and a letter drawn once."""
    from vispy.gloo import glir
    from vispy.gloo.program import Program
    from vispy.visuals.shaders.function import Function
    from vispy.visuals.text.text import SDFRendererCPU

    clean = lru_cache(maxsize=4096)(lambda code: Function._real_clean_code(None, code))
    patch.setattr(Function, "_real_clean_code", Function._clean_code, raising=False)
    patch.setattr(Function, "_clean_code", lambda _function, code: clean(code))
    patch.setattr(glir, "_convert_desktop_shader", lru_cache(maxsize=1024)(glir._convert_desktop_shader))
    variables, parse = {}, Program._parse_variables_from_code

    def parse_variables(program, update_variables=True):
        code = tuple(shader.code for shader in program._shaders)
        if code in variables:
            program._code_variables = dict(variables[code])
            if update_variables:
                program._process_pending_variables()
        else:
            parse(program, update_variables)
            variables[code] = dict(program._code_variables)

    patch.setattr(Program, "_parse_variables_from_code", parse_variables)
    drawn, draw = {}, SDFRendererCPU.render_to_texture

    def render_to_texture(renderer, data, texture, offset, size):
        key = data.tobytes(), data.shape, tuple(size)
        if key not in drawn:
            sheet = _Sheet()
            draw(renderer, data, sheet, (0, 0), size)
            drawn[key] = sheet.bitmap
        texture[offset[1] : offset[1] + size[1], offset[0] : offset[0] + size[0], :] = drawn[key]

    patch.setattr(SDFRendererCPU, "render_to_texture", render_to_texture)


ALL = manifests, signatures, settings, shaders
