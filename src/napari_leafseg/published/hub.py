"""What a name, a repository of the Hugging Face hub or an address stands for: its terms and its files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from napari_leafseg._extras import require
from napari_leafseg._files import safe_name
from napari_leafseg.errors import DownloadError, UserError
from napari_leafseg.published.catalog import Entry, find_entry
from napari_leafseg.published.download import RemoteFile, in_words, load_hub

WEIGHTS = (".safetensors", ".pth", ".pkl", ".pt", ".bin")
_HF = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_THIS_COMPUTER = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Offer:
    """What can be fetched, and under which terms.

    Attributes
    ----------
    name : str
        What it is called here unless somebody says otherwise.
    entry : Entry
    files : tuple of RemoteFile
    version : str
        The commit of a repository.
    """

    name: str
    entry: Entry
    files: tuple[RemoteFile, ...]
    version: str = ""

    @property
    def size(self) -> int | None:
        """Bytes of all files, where they are known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


def is_address(text: str) -> bool:
    """Tell whether a text is an address or a repository, not a name of the catalog."""
    return text.startswith("hf:") or "://" in text


def make_offer(text: str, catalog: Mapping[str, Entry], what: str, file: str | None = None) -> Offer:
    """Find out what can be fetched under a name; asks the hub for a repository's files and license, nothing else.

    Parameters
    ----------
    text : str
        A name of the catalog, ``hf:owner/repository`` (``@revision`` after it), or an ``https://`` address.
    catalog : mapping
    what : {"model", "data set"}
    file : str, optional
        The one file of a repository that is meant.

    Raises
    ------
    UserError
        When nothing is there, or what is there cannot be taken; names the address and what to do.
    """
    entry = None if is_address(text) else find_entry(dict(catalog), text, what)
    source = text if entry is None else entry.source
    if not source:
        assert entry is not None
        raise DownloadError(
            f"“{text}” cannot be fetched by a program: {entry.note} Its page: {entry.page}. Save it with a browser, "
            f"then: --from FOLDER."
        )
    if source.startswith("hf:"):
        return _repository(source, entry, text, what, file)
    return _address(source, entry, text)


def _address(url: str, entry: Entry | None, name: str) -> Offer:
    """One file at an address."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _THIS_COMPUTER):
        raise DownloadError(f"{url}: only https:// addresses are fetched: others can be changed on their way.")
    last = unquote(PurePosixPath(parts.path).name)
    if not last or not parts.hostname:
        raise DownloadError(f"{url} names no file. Give the address of the file itself.")
    kept = safe_name(last)
    if entry is not None:
        return Offer(name, entry, (RemoteFile(url, kept, None, entry.files.get(kept, "")),))
    entry = Entry(title=last, source="", page=url, license="not stated at the address; look at its page")
    return Offer(safe_name(Path(kept).stem), entry.model_copy(update={"source": url}), (RemoteFile(url, kept),))


def _repository(source: str, entry: Entry | None, name: str, what: str, file: str | None) -> Offer:
    """Files of a repository of the hub."""
    match = _HF.fullmatch(source)
    if match is None:
        raise DownloadError(f"“{source}” is no repository: hf:owner/repository.")
    repository, revision = match[1], match[2]
    hub = load_hub()
    kind = "model" if what == "model" else "dataset"
    place = f"{hub.constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repository}"
    try:
        api = require("huggingface_hub", "Fetching", kind=DownloadError).HfApi(endpoint=hub.constants.ENDPOINT)
        ask = api.model_info if kind == "model" else api.dataset_info
        info = ask(repository, revision=revision, files_metadata=True)
        headers = require("huggingface_hub.utils", "Fetching", kind=DownloadError).build_hf_headers()
    except Exception as error:
        told = in_words(error, place)
        if told is None:
            raise
        raise told from error
    siblings = {item.rfilename: item for item in info.siblings or []}
    listed = list(entry.files) if entry is not None else []
    wanted = [file] if file else listed or (choose_weights(list(siblings), place) if what == "model" else
                                            _archives(list(siblings), place))  # fmt: skip
    missing = [one for one in wanted if one not in siblings]
    if missing:
        raise DownloadError(f"{place} has no file {missing[0]}. It has: {_list(siblings)}.")
    files = tuple(_remote(siblings[one], repository, kind, str(info.sha), headers, entry) for one in wanted)
    if entry is None:
        said = f"{_license_of(info)}; {place} says more"
        entry = Entry(title=repository, page=place, license=said, source=source)
        name = safe_name(repository.rpartition("/")[2])
    return Offer(name, entry, files, str(info.sha or ""))


def _remote(
    item: Any, repository: str, kind: str, sha: str, headers: dict[str, str], entry: Entry | None
) -> RemoteFile:
    hub = load_hub()
    url = hub.hf_hub_url(repository, item.rfilename, repo_type=kind, revision=sha, endpoint=hub.constants.ENDPOINT)
    large = getattr(item, "lfs", None)
    digest = getattr(large, "sha256", None) or (large or {}).get("sha256") if large else None
    stated = entry.files.get(item.rfilename, "") if entry is not None else ""
    known = stated or (f"sha256:{digest}" if digest else "")
    name = safe_name(PurePosixPath(item.rfilename).name)
    return RemoteFile(url, name, item.size, known, headers)


def _license_of(info: Any) -> str:
    card = getattr(info, "card_data", None)
    said = getattr(card, "license", None) or next(
        (tag.partition(":")[2] for tag in info.tags or [] if tag.startswith("license:")), None
    )
    return str(said) if said else "its authors state no license"


def choose_weights(names: Sequence[str], place: str) -> list[str]:
    """Choose the files that make up one model, of those of a repository or folder.

    Raises
    ------
    UserError
        When there is none, or several.
    """
    top = [name for name in names if "/" not in name]
    if "config.json" in top:
        for start, ending in (("model", ".safetensors"), ("pytorch_model", ".bin")):
            own = [
                name for name in top if re.fullmatch(rf"{start}(-\d+-of-\d+)?{re.escape(ending)}(\.index\.json)?", name)
            ]
            if own:
                whole = f"{start}{ending}"
                return ["config.json", *([whole] if whole in own else sorted(own))]
    found = [name for name in names if name.endswith(WEIGHTS)]
    if len(found) == 1:
        return found
    if not found:
        raise UserError(f"{place} has no file of weights ({', '.join(WEIGHTS)}). It has: {_list(names)}.")
    raise UserError(f"{place} has several files of weights. Choose one with --file: {_list(found)}.")


def _archives(names: Sequence[str], place: str) -> list[str]:
    """The archives of a data set's repository."""
    found = [name for name in names if name.endswith(".zip")]
    if not found:
        raise UserError(f"{place} has no zip file. It has: {_list(names)}.")
    return found


def _list(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown = list(names)[:12]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "") if shown else "nothing"
