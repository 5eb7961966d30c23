"""All that is known of the images of an experiment, source by source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_leafseg.experiment.guess import guess_pattern
from napari_leafseg.experiment.metadata import Described, Source, Values, merge
from napari_leafseg.experiment.patterns import Pattern


@dataclass
class Experiment:
    """What people, tables and cameras say of images; what their names say is read again each time.

    Attributes
    ----------
    pattern : str or None
        Of the file names; "" for none, None for the one that is guessed.
    table, exif, hand : dict
        Values by image: from a table, from EXIF, typed by hand.
    pots : dict
        Values by the pots of trays, or by the names of plants in images of several, see `ImageMetadata.pots`.
    """

    pattern: str | None = None
    table: dict[Path, dict[str, str]] = field(default_factory=dict)
    exif: dict[Path, dict[str, str]] = field(default_factory=dict)
    hand: dict[Path, dict[str, str]] = field(default_factory=dict)
    pots: dict[str, dict[str, str]] = field(default_factory=dict)

    def copy(self) -> Experiment:
        """Make one that can be changed by itself."""
        layers = {name: {path: dict(said) for path, said in layer.items()} for name, layer in self.layers.items()}
        return Experiment(self.pattern, **layers, pots={pot: dict(values) for pot, values in self.pots.items()})

    @property
    def layers(self) -> dict[str, dict[Path, dict[str, str]]]:
        """What is kept image by image, by the names that a project's file gives it."""
        return {"table": self.table, "exif": self.exif, "hand": self.hand}

    def pattern_for(self, paths: Sequence[Path]) -> str:
        """Return the pattern that is used; empty where there is none."""
        return guess_pattern(paths).pattern if self.pattern is None else self.pattern

    def describe(self, paths: Sequence[Path]) -> dict[Path, Described]:
        """Say what is known of each image."""
        text = self.pattern_for(paths)
        pattern = Pattern.parse(text) if text else None
        found = {path: merge(self._layers_of(path, pattern)) for path in paths}
        if not self.pots:
            return found
        pots = {pot: dict(values) for pot, values in self.pots.items()}
        return {path: one._replace(metadata=replace(one.metadata, pots=pots)) for path, one in found.items()}

    def plants(self, paths: Sequence[Path]) -> dict[Path, str]:
        """Return the plant of each image as it is known without a table."""
        bare = Experiment(self.pattern, {}, self.exif, self.hand)
        return {path: known.metadata.plant for path, known in bare.describe(paths).items()}

    def _layers_of(self, path: Path, pattern: Pattern | None) -> Mapping[Source, Values]:
        layers: dict[Source, Values] = {
            Source.HAND: self.hand.get(path, {}), Source.TABLE: self.table.get(path, {}),
            Source.EXIF: self.exif.get(path, {}),
        }  # fmt: skip
        if pattern is not None:
            found = pattern.read(path)
            layers |= {Source.NAME: found.name, Source.FOLDER: found.folders}
        return layers

    def set_by_hand(self, path: Path, name: str, text: str) -> None:
        """Keep what somebody typed; "" says that it is nothing, whatever others say."""
        self.hand.setdefault(path, {})[name] = text
