"""Packages that are there behave as if they were not."""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder

import tifffile


class Without(MetaPathFinder):
    """Finds none of some packages."""

    def __init__(self, *packages):
        self.packages = packages

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide(monkeypatch, package):
    """Let a package be missing until the test's end."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    if package == "imagecodecs":  # which tifffile keeps, and the decoders that were used before
        known = tifffile.TIFF.DECOMPRESSORS
        monkeypatch.setattr(known, "_codecs", {1: known[1]})
        monkeypatch.setattr(tifffile.tifffile, "imagecodecs", import_module("tifffile._imagecodecs"))
    monkeypatch.setattr(sys, "meta_path", [Without(package), *sys.meta_path])
