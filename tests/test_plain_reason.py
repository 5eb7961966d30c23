"""What libraries raise is told in words: no quotes of Python, no numbers of errors, no words of pydantic."""

import json
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from napari_leafseg._files import read_json
from napari_leafseg.errors import InputFileError, plain_reason


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "a"
    steps: int = Field(10, ge=1, le=100)
    rate: float = Field(0.1, gt=0, lt=1)
    kind: Literal["small", "large"] = "small"
    on: bool = True
    size: tuple[int, int] = (1, 2)
    words: list[str] = Field([], max_length=2)
    inner: dict[str, int] = {}

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value:
            raise ValueError("a name has at least one letter.")
        return value


class Needed(BaseModel):
    settings: Settings


class Either(BaseModel):
    model: str | Annotated[Settings, BeforeValidator(lambda entries: entries)] = "small"
    plane: int | Literal["max"] = "max"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"steps": 0}, "“steps” must be at least 1, not “0”"),
        ({"steps": 101}, "“steps” must be at most 100, not “101”"),
        ({"rate": 0}, "“rate” must be more than 0.0, not “0”"),
        ({"rate": 1}, "“rate” must be less than 1.0, not “1”"),
        ({"steps": "many"}, "“steps” must be a whole number, not “many”"),
        ({"steps": 1.5}, "“steps” must be a whole number, not “1.5”"),
        ({"steps": None}, "“steps” must be a whole number, not nothing"),
        ({"rate": "x" * 50}, f"“rate” must be a number, not “{'x' * 40}…”"),
        ({"kind": "huge"}, "“kind” must be small or large, not “huge”"),
        ({"on": "perhaps"}, "“on” must be true or false, not “perhaps”"),
        ({"name": 3}, "“name” must be a text, not “3”"),
        ({"name": ""}, "“name”: a name has at least one letter"),
        ({"size": [1]}, "“size.1” is missing"),
        ({"size": 1}, "“size” must be a list, not “1”"),
        ({"words": ["a", "b", "c"]}, "“words” must have at most 2 entries"),
        ({"inner": {"leaf": "big"}}, "“inner.leaf” must be a whole number, not “big”"),
        ({"stepps": 3}, "“stepps” is not known"),
        ({"steps": 0, "rate": 0}, "“steps” must be at least 1, not “0”; “rate” must be more than 0.0, not “0”"),
        ({"steps": {"a": "b"}}, "“steps” must be a whole number, not a list of names and values"),
        ({"steps": ["a", "b"]}, "“steps” must be a whole number, not a list"),
        ({"steps": b"few"}, "“steps” must be a whole number, not something else"),
        ({"kind": False}, "“kind” must be small or large, not “false”"),
        ({5: "a"}, "“5” must be in quotes, as each name is a text"),
        ("text", "it must be a list of names and values, not “text”"),
    ],
)  # fmt: skip
def test_entries_that_do_not_fit(entries, words):
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(entries)
    assert plain_reason(caught.value) == words


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"model": {"steps": 0}}, "“model.steps” must be at least 1, not “0”"),
        (
            {"model": {"steps": 0, "stepps": 1}},
            "“model.steps” must be at least 1, not “0”; “model.stepps” is not known",
        ),
        ({"model": 5}, "“model” must be a text or a list of names and values, not “5”"),
        ({"model": [1]}, "“model” must be a text or a list of names and values, not a list"),
        ({"plane": "x"}, "“plane” must be a whole number or max, not “x”"),
    ],
)
def test_entries_of_one_kind_or_another_are_named_without_the_kinds(entries, words):
    with pytest.raises(ValidationError) as caught:
        Either.model_validate(entries)
    assert plain_reason(caught.value) == words


def test_a_missing_entry_is_named_by_its_place():
    with pytest.raises(ValidationError) as caught:
        Needed.model_validate({})
    assert plain_reason(caught.value) == "“settings” is missing"


def raised(action):
    with pytest.raises(Exception) as caught:  # noqa: PT011 (each has another)
        action()
    return caught.value


def test_errors_of_python_have_neither_quotes_nor_numbers(tmp_path):
    missing = tmp_path / "none.txt"
    assert plain_reason(raised(missing.read_bytes)) == f"No such file or directory ({missing})"
    assert plain_reason(OSError(28, "No space left on device")) == "No space left on device"
    assert plain_reason(raised(lambda: {}["score"])) == "“score” is missing"
    assert plain_reason(raised(lambda: json.loads("{"))).startswith("Expecting property name")
    assert plain_reason(raised(lambda: b"a\xff".decode("utf-8"))) == "it is no text in UTF-8: see byte 2"
    assert plain_reason(raised(lambda: json.loads("5")["settings"])) == "it is not laid out as it should be"
    assert plain_reason(raised(lambda: json.loads("[1]")["settings"])) == "it is not laid out as it should be"
    assert plain_reason(raised(lambda: json.loads("5").items())) == "it is not laid out as it should be"
    assert plain_reason(raised(lambda: int("x"))) == "“x” is no number"
    assert plain_reason(ValueError()) == "the reason is not known"
    assert plain_reason(ValueError("first line.\nsecond line")) == "first line"
    assert plain_reason(InputFileError("a.png is damaged. Copy it again.")) == "a.png is damaged. Copy it again"


def test_a_file_that_the_message_names_is_not_named_again(tmp_path):
    path = tmp_path / "none.json"
    assert plain_reason(raised(path.read_bytes), path) == "No such file or directory"
    assert plain_reason(raised(lambda: read_json(tmp_path)), tmp_path).startswith("it ")
    path.write_text("{")
    assert plain_reason(raised(lambda: read_json(path)), path).startswith("it is damaged: it is no JSON file (Expect")
    other = InputFileError(f"{path}.old is damaged.")
    assert plain_reason(other, path) == f"{path}.old is damaged"


def test_a_function_that_a_module_lacks_is_told_without_words_of_python():
    assert plain_reason(raised(lambda: json.nothing)) == "“json” has no “nothing”"


def test_a_yaml_file_is_told_by_its_line():
    assert plain_reason(raised(lambda: yaml.safe_load("a: 1\nb: c: d\n"))) == (
        "line 2, column 5: mapping values are not allowed here"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: *b", "line 1, column 4: found undefined alias “b”"),
        ("a:\n\tb: 1", "line 2, column 1: a tab where spaces are needed"),
        ("a: !!python/object:os.system x", "line 1, column 4: the tag “!!python/object:os.system” is not known"),
        ("a: [1, 2", "line 1, column 9: expected “,” or “]”, but got the end of the file"),
        ("? [1, 2]\n: 3", "line 1, column 3: a name must be a text"),
    ],
)
def test_yaml_has_no_quotes_of_python(text, words):
    assert plain_reason(raised(lambda: yaml.safe_load(text))) == words
