"""Unpacking zip files that others made: everything stays in its folder, and no more comes than the disk holds."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from napari_leafseg._files import UNFINISHED, safe_name
from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.published.download import Progress

_MOST_FILES = 500_000
_RATIO = 200  # so many times may a large file grow; images are packed already
_LARGE = 256 * 2**20  # bytes
_SPARE = 64 * 2**20  # bytes that stay free on the disk
_BLOCK = 2**20


def unpack(path: Path, folder: Path) -> Iterator[Progress]:
    """Unpack a zip file into a folder; files that are there already, as large as they should be, are not written again.

    Parameters
    ----------
    path, folder : pathlib.Path

    Raises
    ------
    InputFileError
        When it is damaged, leads out of the folder, has links or passwords, or would fill the disk; nothing is unpacked
        of an archive with a member that is refused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(archive, path, folder)
            total, done = sum(info.file_size for info, _ in members), 0
            for info, target in members:
                yield Progress(done, total, f"Unpacking {target.name}")
                if not (target.exists() and target.stat().st_size == info.file_size):
                    _write(archive, info, target)
                done += info.file_size
            yield Progress(total, total, "Unpacked")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputFileError(f"{path} is damaged, or no zip file ({plain_reason(error)}). Fetch it again.") from error
    except OSError as error:
        raise InputFileError(
            f"{folder} cannot be written: {error.strerror or error}. Choose another folder."
        ) from error


def _checked(archive: zipfile.ZipFile, path: Path, folder: Path) -> list[tuple[zipfile.ZipInfo, Path]]:
    """The files of an archive and where they go, once all of them were looked at."""
    members, taken = [], set()
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > _MOST_FILES:
        raise InputFileError(f"{path} holds {len(infos):,} files, more than {_MOST_FILES:,}. It is not unpacked.")
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputFileError(f"{path} holds a link, {info.filename}, which may lead anywhere. It is not unpacked.")
        if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]:
            raise InputFileError(f"{path} holds {info.filename}, which leads out of the folder. It is not unpacked.")
        if info.flag_bits & 1:
            raise InputFileError(f"{path} asks for a password. Unpack it yourself, then convert its folder.")
        target = folder.joinpath(*(safe_name(part) for part in parts))
        if str(target).casefold() in taken:
            raise InputFileError(f"{path} holds {info.filename} twice. It is not unpacked.")
        taken.add(str(target).casefold())
        members.append((info, target))
    _check_size(infos, path, folder)
    return members


def _check_size(infos: list[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    total, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    if total > _LARGE and total > _RATIO * max(packed, 1):
        raise InputFileError(
            f"{path} would grow from {packed / 1e6:,.1f} to {total / 1e6:,.0f} MB, as no images do. It is not unpacked."
        )
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if total > free - _SPARE:
        raise InputFileError(
            f"{folder}: {path.name} takes {total / 1e6:,.0f} MB unpacked, but only {free / 1e6:,.0f} MB are free. Make "
            "room there, or choose a folder on another disk."
        )


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    """Write one file, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{UNFINISHED}")
    try:
        with archive.open(info) as source, part.open("wb") as sink:
            shutil.copyfileobj(source, sink, _BLOCK)  # no more than the archive says: zipfile reads no further
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
