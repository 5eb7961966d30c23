"""Fetching files: goes on where it was stopped, can be stopped, says in words what went wrong.

The connection is huggingface_hub's: proxies (``HTTPS_PROXY``), redirects, retries and ranges are its work.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from napari_leafseg._extras import require
from napari_leafseg._files import UNFINISHED, write_atomically
from napari_leafseg.errors import DownloadError, UserError, install_command, plain_reason

_LOG = logging.getLogger(__name__)
_CHUNK = 2**18  # bytes between two chances to stop
_WAIT = 0.1  # seconds between two looks at what came
_SPARE = 64 * 2**20  # bytes that stay free on the disk
_PAGE = (b"<!doctype html", b"<html", b"<?xml")


class _Stopped(Exception):
    """Somebody stopped it."""


class Progress(NamedTuple):
    """How much of all files is there, and what is going on; `total` is None where nobody says how much it is."""

    done: int
    total: int | None
    message: str


@dataclass(frozen=True)
class RemoteFile:
    """A file that is to be fetched.

    Attributes
    ----------
    url : str
    name : str
        Its name here.
    size : int, optional
        Bytes, where they are known.
    known : str
        What it hashes to, ``sha256:…`` or ``md5:…``, whole or its beginning; empty where nobody says it.
    headers : dict
        Sent with the request, as for a hub's private repositories.
    """

    url: str
    name: str
    size: int | None = None
    known: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False, hash=False)


def load_hub() -> Any:
    """Import huggingface_hub.

    Raises
    ------
    DownloadError
        When it is not installed.
    """
    version = require(
        "huggingface_hub", "Fetching", "Or fetch the files with a browser and give their folder with --from.",
        kind=DownloadError,
    ).__version__  # fmt: skip
    hub = require("huggingface_hub.file_download", "Fetching", kind=DownloadError)
    if int(version.partition(".")[0]) < 1:
        raise DownloadError(f"Fetching needs huggingface_hub 1 or later, not {version}: {install_command('get')}.")
    hub.constants.DOWNLOAD_CHUNK_SIZE = min(hub.constants.DOWNLOAD_CHUNK_SIZE, _CHUNK)
    return hub


class _Sink(FileIO):
    """The file that is being fetched: counts, ends when it was stopped, and refuses a web page."""

    def __init__(self, path: Path, stop: threading.Event) -> None:
        super().__init__(path, "r+b" if path.exists() else "w+b")
        self.stop = stop
        self.seek(0, 2)

    def write(self, content: Any) -> int:
        """Write all of it."""
        if self.stop.is_set():
            raise _Stopped
        if self.tell() == 0:
            _refuse_page(bytes(content[:512]))
        view, count = memoryview(content), 0
        while count < len(view):
            count += super().write(view[count:]) or 0
        return count


class _PageError(Exception):
    """A web page came instead of a file."""


def _refuse_page(beginning: bytes) -> None:
    if beginning.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(_PAGE):
        raise _PageError


def fetch_files(files: Sequence[RemoteFile], folder: Path) -> Iterator[Progress]:
    """Fetch files into a folder; those that are there already are not fetched again, a part of one is gone on with.

    Stop it between two events; what came until then stays, and is gone on with.

    Parameters
    ----------
    files : sequence of RemoteFile
    folder : pathlib.Path

    Raises
    ------
    DownloadError
        Names the address, the reason, and what to do. No file has its name before it is whole and its hash right.
    """
    load_hub()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        with lock:
            yield from _fetch_all(files, folder)
    except Timeout as error:
        raise DownloadError(
            f"{folder} is being fetched by another program or window. Wait until it is done."
        ) from error
    except OSError as error:
        raise _disk_error(error, folder) from error


def _fetch_all(files: Sequence[RemoteFile], folder: Path) -> Iterator[Progress]:
    sizes = [file.size for file in files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    _check_room(sum(size or 0 for size in sizes), sum(_there(folder / file.name) for file in files), folder)
    before = 0
    for file in files:
        target = folder / file.name
        if not target.exists():
            for done, own in _fetch_one(file, target):
                known = total if total is not None else (before + own if own and len(files) == 1 else None)
                yield Progress(before + done, known, f"Fetching {file.name}")
        before += target.stat().st_size
        yield Progress(before, total, f"Fetched {file.name}")


def _part(target: Path) -> Path:
    return target.with_name(target.name + UNFINISHED)


def _there(target: Path) -> int:
    """How many bytes of a file are there."""
    return next((path.stat().st_size for path in (target, _part(target)) if path.exists()), 0)


def _check_room(wanted: int, there: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if wanted - there > free - _SPARE:
        raise DownloadError(
            f"{folder}: {(wanted - there) / 1e6:,.0f} MB are to be fetched, but only {free / 1e6:,.0f} MB are free on "
            "that disk. Make room there."
        )


def _fetch_one(file: RemoteFile, target: Path) -> Iterator[tuple[int, int | None]]:
    """Fetch one file; yields how many bytes are there, and how many there will be."""
    part, about = _part(target), target.with_name(f".{target.name}.json")
    size = _look(file)
    if part.exists():
        state = _state(about)
        same = state == {"url": file.url, "tag": size[1], "size": size[0]}
        if not same or (size[0] is not None and part.stat().st_size > size[0]):
            _LOG.info("%s changed at its address: it is fetched anew.", target.name)
            part.unlink()
    write_atomically(about, json.dumps({"url": file.url, "tag": size[1], "size": size[0]}).encode())
    yield from _stream(file, part, size[0])
    known = _check(file, part)
    part.replace(target)
    about.unlink(missing_ok=True)
    _LOG.info("%s is %s", target, known)
    yield target.stat().st_size, size[0]


def _state(about: Path) -> Any:
    """What was known of a file when its part was fetched."""
    try:
        return json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _LOG.info("Nobody knows what the part beside %s is of: %s", about, error)
        return None


def _look(file: RemoteFile) -> tuple[int | None, str | None]:
    """Ask for a file's size and tag; a server that answers no such question is asked for the file itself."""
    hub = load_hub()
    try:
        found = hub.get_hf_file_metadata(file.url, token=False, headers=dict(file.headers))
    except Exception as error:
        if _status(error) in (403, 405, 501) and not _is_hub(error):
            _LOG.info("%s says nothing of itself: %s", file.url, error)
            return file.size, None
        told = in_words(error, file.url)
        if told is None:
            raise
        raise told from error
    if file.url.startswith("https:") and str(found.location).startswith("http:"):
        raise DownloadError(
            f"{file.url} leads to {found.location}: what comes from there can be changed on its way. It is not "
            "fetched. Look at its page for another address."
        )
    size = file.size if file.size is not None else found.size
    return size, found.etag


def _stream(file: RemoteFile, part: Path, size: int | None) -> Iterator[tuple[int, int | None]]:
    """Have a thread fetch the file, so that it can be stopped at any time."""
    stop, failed = threading.Event(), list[BaseException]()

    def work() -> None:
        hub = load_hub()
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars("huggingface_hub.http_get")
        try:
            with _Sink(part, stop) as sink:
                begun = sink.tell()
                headers = {"Accept-Encoding": "identity", **file.headers}
                hub.http_get(file.url, sink, resume_size=begun, headers=headers, expected_size=size)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="napari-leafseg download", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_WAIT)
            yield (part.stat().st_size if part.exists() else 0), size
    finally:
        stop.set()
        thread.join(2)
        if part.exists() and not part.stat().st_size and failed:
            part.unlink()
    for error in failed:
        if isinstance(error, _PageError):
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"{file.url} gave a web page, not a file. Open it in a browser: it may ask for a login, or the address "
                "may be that of a page about the file. Then give the address of the file itself, or --from the folder "
                "in which you saved it."
            ) from error
        told = in_words(error, file.url, part)
        if told is None:
            raise error
        raise told from error


def _check(file: RemoteFile, part: Path) -> str:
    """See that a file is not empty and is what it should be; returns its hash."""
    if part.stat().st_size == 0:
        part.unlink()
        raise DownloadError(f"{file.url} gave an empty file. Try again later, or look at the address in a browser.")
    found = file_hash(part, (file.known or "sha256:").partition(":")[0])
    if not found.startswith(file.known):
        part.unlink()
        raise DownloadError(
            f"{file.url} gave another file than the one that is known: its hash is {found}, not {file.known}. It was "
            "deleted. Try again; if it stays so, the file was changed: look at its page, and fetch it by its address "
            "if you trust it."
        )
    return found


def file_hash(path: Path, kind: str = "sha256") -> str:
    """Return the hash of a file: ``sha256:…`` or ``md5:…``."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _status(error: BaseException) -> int | None:
    """The status that a server answered with."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _is_hub(error: BaseException) -> bool:
    """Whether the hub itself says that a repository is gated or not there."""
    return type(error).__name__ in ("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError")


_OTHERWISE = "Or fetch it on another computer and give its folder with --from."
_SAID = {
    404: "there is nothing at this address (404). Check it; the file may have been moved",
    410: "there is nothing at this address any more (410). Look at its page for the new one",
    401: "it asks for an account (401). Log in with “hf auth login”, or fetch it with a browser",
    403: "it may not be fetched without asking (403). Accept its terms on its page, then “hf auth login”",
    429: "the server says that too much was fetched (429). Wait a while, then go on",
}


def in_words(error: BaseException, url: str, part: Path | None = None) -> UserError | None:
    """Return what a person is told of an error while something was fetched; None where nothing is known of it."""
    name, text = type(error).__name__, (str(error).strip().splitlines() or [""])[0]
    status = _status(error)
    if isinstance(error, UserError):
        return error
    if name in ("RepositoryNotFoundError", "RevisionNotFoundError"):
        return DownloadError(f"{url}: the hub has no such repository or revision, or not for you. Check the name.")
    if name == "HFValidationError":
        return DownloadError(f"{url} is no name of a repository: {text}")
    if name == "GatedRepoError":
        return DownloadError(f"{url}: {_SAID[403]}. {_OTHERWISE}")
    if status is not None:
        said = _SAID.get(status, f"the server answered with an error ({status}). Try again later")
        return DownloadError(f"{url}: {said}. {_OTHERWISE}")
    if name == "OfflineModeIsEnabled":
        return DownloadError(f"{url} is not fetched: HF_HUB_OFFLINE is set. Unset it. {_OTHERWISE}")
    if name in ("UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
        return DownloadError(f"“{url}” is no address that can be fetched ({text}). Check it.")
    if name == "TooManyRedirects":
        return DownloadError(f"{url} leads from one address to the next without an end. Look at it in a browser.")
    if "Consistency check failed" in text:
        there = part.stat().st_size if part is not None and part.exists() else 0
        return DownloadError(f"{url}: the connection ended after {there:,} bytes. Begin again: it goes on from there.")
    if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2", "requests"):
        return DownloadError(
            f"{url} cannot be reached ({plain_reason(error)}). Check the connection; behind a proxy, set HTTPS_PROXY "
            f"to its address. What came is kept. {_OTHERWISE}"
        )
    if isinstance(error, OSError) and part is not None:
        return _disk_error(error, part.parent)
    return None


def _disk_error(error: OSError, folder: Path) -> UserError:
    """What a disk's error means."""
    if isinstance(error, UserError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(
            f"{folder}: the disk is full. What came is kept: make room there, and begin again; it goes on from there."
        )
    return DownloadError(
        f"{folder} cannot be written: {error.strerror or error}. Choose a folder that you may write to."
    )
