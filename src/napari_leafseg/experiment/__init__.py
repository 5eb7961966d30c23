"""From images to an experiment: which plant each shows, and when."""

from napari_leafseg.experiment.columns import add_metadata
from napari_leafseg.experiment.experiment import Experiment
from napari_leafseg.experiment.guess import Guess, guess_pattern
from napari_leafseg.experiment.metadata import COLUMNS, FIELDS, Described, ImageMetadata, Source, Values, merge
from napari_leafseg.experiment.patterns import Pattern, PatternError, Reading
from napari_leafseg.experiment.series import Grouping, Series, group_series
from napari_leafseg.experiment.table import AmbiguousDates, Table, match_table, read_table

__all__ = [
    "COLUMNS",
    "FIELDS",
    "AmbiguousDates",
    "Described",
    "Experiment",
    "Grouping",
    "Guess",
    "ImageMetadata",
    "Pattern",
    "PatternError",
    "Reading",
    "Series",
    "Source",
    "Table",
    "Values",
    "add_metadata",
    "group_series",
    "guess_pattern",
    "match_table",
    "merge",
    "read_table",
]
