"""What a person writes into files, as entries: nothing is there twice, and each value is of its own kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from napari_leafseg._files import refuse_doubles
from napari_leafseg.errors import plain_reason


class Entries(BaseModel):
    """Refuses unknown entries, numbers that are not finite, and *true* or *false* where a number belongs."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        if bool not in kinds and kinds & {int, float} and any(isinstance(one, bool) for one in _values(value)):
            raise PydanticKnownError("float_type" if float in kinds else "int_type")
        return value


def _kinds(annotation: Any) -> Iterable[Any]:
    """All types that an annotation is made of."""
    inner = get_args(annotation)
    yield annotation
    for one in inner:
        yield from _kinds(one)


def _values(value: Any) -> Iterable[Any]:
    """The values of an entry, lists and names in it taken apart."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _values(one)
    else:
        yield value


class _NoDoubles(yaml.SafeLoader):
    """Reads YAML in which a name that is there twice is a mistake."""


def _mapping(loader: _NoDoubles, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    names = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    refuse_doubles([loader.construct_object(name, deep=True) for name in names])
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_NoDoubles.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str) -> Any:
    """Read a YAML text.

    Raises
    ------
    ValueError
        When it is no YAML, or names something twice.
    RecursionError
    """
    try:
        return yaml.load(text, _NoDoubles)
    except (yaml.YAMLError, TypeError) as error:
        raise ValueError(plain_reason(error)) from error
