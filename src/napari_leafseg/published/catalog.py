"""The catalogs of what others published: models and data sets by name, with their terms; one YAML file each."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError, field_validator

from napari_leafseg._entries import Entries, parse_yaml
from napari_leafseg._files import read_regular, resource_folder, safe_name
from napari_leafseg.errors import InputFileError, UserError, plain_reason

_MOST = 2**20  # bytes of a catalog
_HASH = re.compile(r"(sha256|md5):[0-9a-f]{6,64}")
_SOURCE = re.compile(r"hf:[\w.-]+/[\w.-]+(@[\w./-]+)?|https://\S+")


class Entry(Entries):
    """What is known of a published model or data set before anything of it is fetched.

    Attributes
    ----------
    title : str
    source : str
        ``hf:owner/repository``, ``https://…``, or empty where only a person can fetch it.
    page : str
        A web page about it.
    license, cite : str
        Its terms, and whom to cite.
    kind : str
        The family of a model, or the reader of a data set.
    files : dict
        Names of the files that are wanted and what they hash to, ``sha256:…`` or ``md5:…``, whole or its beginning;
        empty where nobody wrote it down. Of a repository without such a list, what belongs to a model is taken.
    note : str
        What else one should know of it.
    leaf_head : bool
        Whether its classes are COCO's things, so that it is to be trained for leaves.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    title: str
    source: str = ""
    page: str = ""
    license: str
    cite: str = ""
    kind: str = ""
    files: dict[str, str] = Field({})
    note: str = ""
    leaf_head: bool = False

    @field_validator("source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value and not _SOURCE.fullmatch(value):
            raise ValueError(f"“{value}” is no hf:owner/repository and no https:// address")
        return value

    @field_validator("files")
    @classmethod
    def _known_files(cls, value: dict[str, str]) -> dict[str, str]:
        for name, known in value.items():
            if safe_name(name) != name:
                raise ValueError(f"“{name}” is no name for a file")
            if known and not _HASH.fullmatch(known):
                raise ValueError(f"“{known}” is no hash: sha256:… or md5:…, in small letters")
        return value

    @property
    def terms(self) -> list[tuple[str, str]]:
        """What is shown before anything is fetched, as pairs of a heading and words."""
        said = [("what", self.title), ("source", self.source), ("page", self.page), ("license", self.license),
                ("cite", self.cite), ("note", self.note)]  # fmt: skip
        return [(head, words) for head, words in said if words]


def bundled_catalog(what: str) -> Path:
    """Return the file of the catalog of ``models`` or ``data``."""
    return resource_folder() / "catalogs" / f"{what}.yaml"


def read_catalog(path: Path) -> dict[str, Entry]:
    """Read a catalog: entries by name.

    Raises
    ------
    InputFileError
        When it cannot be read, or an entry is not as it should be; names the entry.
    """
    try:
        content = parse_yaml(read_regular(path, _MOST).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{path} is no catalog: {plain_reason(error)}. Correct it, or leave it out.") from error
    if not isinstance(content, dict) or not content:
        raise InputFileError(f"{path} is no catalog: it has no entries by name. Correct it, or leave it out.")
    found = {}
    for name, said in content.items():
        if not isinstance(name, str) or safe_name(name) != name or ":" in name:
            raise InputFileError(f"{path}: “{name}” is no name for an entry: letters, digits and “-”, without slashes.")
        try:
            found[name] = Entry.model_validate(said)
        except ValidationError as error:
            raise InputFileError(f"{path}, “{name}”: {plain_reason(error)}. Correct it, or leave it out.") from error
    return found


def find_entry(catalog: dict[str, Entry], name: str, what: str) -> Entry:
    """Find an entry by its name.

    Raises
    ------
    UserError
        When there is none.
    """
    if name not in catalog:
        raise UserError(
            f"The catalog has no {what} “{name}”. It has: {', '.join(catalog)}. Or give hf:owner/repository or an "
            "https:// address."
        )
    return catalog[name]
