"""Which of several looks at an image is believed."""

from __future__ import annotations

from napari_leafseg.inference.plants import Plant
from napari_leafseg.inference.search import _best, _Look


def _look(scale: float, side: float, area: float, confidence: float) -> _Look:
    return _Look(scale, [Plant(10, 10, 10 + side, 10 + side, area, confidence=confidence)], 255.0)


def test_an_uncertain_rim_does_not_hide_a_seedling():
    """Seen small, the seedling is missed and the rim of a pot taken for a larger plant, without certainty."""
    rim, seedling = _look(1.0, 30, 180, 0.6), _look(4.0, 14, 95, 0.9)
    assert _best([rim, seedling], 240) is seedling


def test_certain_crumb_outweighs_no_plant():
    plant, crumb = _look(1.0, 200, 9000, 0.7), _look(4.0, 10, 60, 0.95)
    assert _best([plant, crumb], 240) is plant
