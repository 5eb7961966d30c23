"""The field's words in American English, in code, window and docs; docs/glossary.md explains them."""

import re
from functools import cache

import pytest

from tests.conftest import REPOSITORY

SPELLING = re.compile(
    r"""
    (colour|neighbour|behaviour|favour|honour|labour|flavour|vapour|mould)\w*
    |(centi|milli)?met(re)s?|cent(re|red|res)|fibres?|litres?|grey(s|scale)?|licences?|defence|offence|catalogues?
    |dialogues?|programmes?|(catal|anal)ys(e|ed|ing)|artefacts?|judgement|ageing|whilst|fulfils?|enrol|skilful
    |(label|model|cancel|travel|level|signal|fuel|channel|total)l(ed|ing)
    |(author|binar|categor|central|character|custom|digit|emphas|equal|final|general|harmon|ideal|initial|local|material
      |maxim|memor|minim|normal|optim|organ|parametr|polar|prior|quant|random|real|recogn|regular|serial|special
      |stabil|standard|summar|symbol|synchron|token|util|vector|visual)is(e|ed|er|ers|es|ing|able|ation|ations)
    """,
    re.VERBOSE,
)
OLD = {  # and what is said instead
    "picture": "image", "pictures": "image", "certainty": "confidence", "certainties": "confidence",
    "advise": "parameter search", "advisor": "parameter search", "sweep": "parameter search",
    "sweeps": "parameter search", "framework": "instance-unique training", "doubtful": "uncertain",
    "keeper": "controller", "complain": "error", "complaint": "error", "complaints": "error", "hills": "basins",
    "taken away": "deleted", "left behind": "recoverable", "how sure": "confidence", "whole masks": "full masks",
    "suppress doubles": "overlap suppression", "look after models": "manage models", "names of pots": "pot names",
    "smallest working": "min area working", "piece certainty": "min component confidence",
    "do picture": "process image", "known projects": "recent projects",
    "finetune and tidy": "finetune and clean up", "pixel maps": "dense output",
    "tiled leaves": "distance embedding runner", "tiled queries": "query runner", "feature memory": "memory bank",
    "image pool": "synthetic dataset", "correction pool": "correction dataset", "unfinished runs": "resumable runs",
}  # fmt: skip
READ = "src/napari_leafseg"
ALLOWED = {  # what other libraries call so, and names that files and commands of earlier versions have
    "docs/data-sets.md": {"colours"},
    "docs/experiments.md": {"colour"},
    f"{READ}/cli/common.py": {"framework", "whole masks"},
    f"{READ}/finetuning/config.py": {"framework"},
    f"{READ}/finetuning/snapshot.py": {"pictures"},
    f"{READ}/io/resolution.py": {"metre"},
    f"{READ}/pipelines/datasets/time_series.py": {"colours"},
    f"{READ}/models/query/condinst.py": {"centre"},
    f"{READ}/models/query/pretrained/key_mapping.py": {"centre"},
    f"{READ}/models/query/pretrained/key_mapping_mmdet.py": {"centre"},
    f"{READ}/models/query/pretrained/read.py": {"framework"},
    f"{READ}/models/store/bundle.py": {"framework"},
    f"{READ}/models/store/checkpoint.py": {"framework"},
    f"{READ}/models/store/mean.py": {"framework"},
    f"{READ}/models/store/model_card.py": {
        "framework",
        "licence",
        "pictures",
        "smallest working",
        "certainty",
        "piece certainty",
    },
    f"{READ}/models/store/user_models.py": {"taken away"},
    f"{READ}/pipelines/batch/parts.py": {"centre"},
    f"{READ}/pipelines/challenge.py": {"pictures"},
    f"{READ}/project/measurement_settings.py": {"pictures"},
    f"{READ}/training/config.py": {"framework", "neighbour", "neighbours", "optimiser"},
    f"{READ}/training/loop.py": {"optimiser"},
    f"{READ}/widgets/state/preferences.py": {"smallest working"},
    "Makefile": {"pictures"},
    "CONTRIBUTING.md": {"pictures"},
    "CHANGELOG.md": {"picture", "certainty", "advise", "sweep", "framework", "whole masks", "centre"},
}
FILES = sorted(
    path
    for folder, ending in (
        ("src", "*.py"), ("src", "*.yaml"), ("resources/templates", "*"), ("docs", "*.md"), ("docs", "*.yaml"),
        (".", "*.md"), (".", "*.cff"), (".", "Makefile"), ("benchmarks/peers", "*.md"),
    )
    for path in ((REPOSITORY / folder).glob(ending) if folder == "." else (REPOSITORY / folder).rglob(ending))
)  # fmt: skip


def plain(text):
    """Words in small letters, one space between them; names of several words taken apart."""
    text = re.sub(r"`python -m .*?`|benchmarks[./]\w+|result: \S+", " ", text)  # commands, and files' names
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def faults(text):
    words = plain(text)
    spelled = {word for word in words.split() if SPELLING.fullmatch(word)}
    return spelled | {old for old in OLD if f" {old} " in f" {words} "}


@cache
def faults_of(path):
    return faults(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_words(path):
    found = faults_of(path) - ALLOWED.get(path.relative_to(REPOSITORY).as_posix(), set())
    assert {word: OLD.get(word, "American spelling") for word in found} == {}


@pytest.mark.parametrize(("name", "words"), ALLOWED.items(), ids=ALLOWED)
def test_what_is_allowed_is_needed(name, words):
    assert words == faults_of(REPOSITORY / name) & words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def picture_size(): colours = 1", {"picture", "colours"}),
        ("class FrameworkConfig: normaliseInput", {"framework", "normalise"}),
        ("whole-masks, left_behind", {"whole masks", "left behind"}),
        ("the labelled centre, initialised", {"labelled", "centre", "initialised"}),
        ("colors, centered, neighbors, exercise, promise, otherwise, precise, analysis, noise, rise", set()),
    ],
)
def test_the_test_finds_them(text, found):
    assert faults(text) == found
