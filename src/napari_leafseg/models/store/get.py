"""Models that others published, by name: fetched, checked, made one of the user's own with its terms in its card."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from napari_leafseg._files import data_folder, safe_name
from napari_leafseg.errors import ModelError, UserError
from napari_leafseg.models.store.model_card import ModelCard, holds_card, read_card, write_with_card
from napari_leafseg.models.store.user_models import free_place
from napari_leafseg.published.catalog import Entry, bundled_catalog, read_catalog
from napari_leafseg.published.download import Progress, RemoteFile, fetch_files, file_hash
from napari_leafseg.published.hub import Offer, choose_weights, make_offer


class UnreadableWeights(ModelError):
    """Weights that can never be read: damaged, of no known layout, or with code among them."""


class GetEvent(NamedTuple):
    """Progress; `model` is the new model's file once it is there."""

    done: int
    total: int | None
    message: str
    model: Path | None = None


@dataclass(frozen=True)
class Wish:
    """What somebody wants of an offer.

    Attributes
    ----------
    name : str, optional
        The model's name in the list; the offer's when None.
    kind : str, optional
        The kind of model; found by its weights when None.
    leaf_head : bool, optional
        Replace the head for COCO's things by a fresh one for leaves; as the catalog says when None.
    """

    name: str | None = None
    kind: str | None = None
    leaf_head: bool | None = None


def published_models(catalog: Path | None = None) -> dict[str, Entry]:
    """List the catalog of models: the bundled one, or that of a file."""
    return read_catalog(catalog or bundled_catalog("models"))


def offer_model(text: str, catalog: Path | None = None, file: str | None = None) -> Offer:
    """Find out what can be fetched under a name; see `make_offer`."""
    return make_offer(text, published_models(catalog), "model", file)


def downloads_folder(offer: Offer) -> Path:
    """Tell where an offer's files lie while they are fetched."""
    where = "\n".join(f"{file.url} {file.name}" for file in offer.files)
    return data_folder() / "downloads" / f"{safe_name(offer.name, 80)}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"


def get_model(offer: Offer, wish: Wish = Wish()) -> Iterator[GetEvent]:
    """Fetch an offer and make it one of the user's models.

    Stopped between two events, it goes on from there the next time. A model is listed once it is whole.

    Raises
    ------
    UserError
        Names the address, the reason and what to do.
    """
    target = free_place(wish.name or offer.name)
    folder = downloads_folder(offer)
    event = Progress(0, offer.size, "Asking for it")
    for event in fetch_files(offer.files, folder):
        yield GetEvent(*event)
    yield GetEvent(event.done, event.total, "Reading the weights")
    names = [file.name for file in offer.files]
    known = {file.name: file.known for file in offer.files}
    try:
        _make(folder, names, known, offer, wish, target)
    except UnreadableWeights as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelError(f"{offer.entry.source}: {error} What was fetched is deleted.") from error
    except UserError as error:
        again = f"--from {folder}"
        raise ModelError(
            f"{offer.entry.source}: {error} What was fetched is kept: {again} does not fetch it again."
        ) from (error)
    shutil.rmtree(folder, ignore_errors=True)
    yield GetEvent(event.done, event.total, "Done", target)


def offer_folder(place: Path, text: str | None, catalog: Path | None = None, file: str | None = None) -> Offer:
    """Find what a folder holds that was fetched elsewhere; no connection is used.

    Parameters
    ----------
    place : pathlib.Path
        A folder, or one file.
    text : str, optional
        The name of the catalog's entry that it is; found by the names of the files when None.
    catalog : pathlib.Path, optional
    file : str, optional
        The file that is meant, where there are several.

    Raises
    ------
    UserError
    """
    if not place.exists():
        raise ModelError(f"There is no folder or file {place}. Check the path.")
    folder, only = (place, file) if place.is_dir() else (place.parent, place.name)
    names = [only] if only else sorted(item.name for item in folder.iterdir() if item.is_file())
    entries = published_models(catalog)
    if text is None:
        text = next((name for name, entry in entries.items() if entry.files and set(entry.files) <= set(names)), None)
    elif text not in entries:
        raise ModelError(f"The catalog has no model “{text}”. It has: {', '.join(entries)}.")
    entry = entries[text] if text else Entry(title=place.name, license="not stated; ask whoever gave you the file")
    wanted = [only] if only else list(entry.files) or choose_weights(names, str(folder))
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} lacks {', '.join(missing)}, which belongs to “{text}”. Fetch it: {entry.page}")
    files = tuple(
        RemoteFile(str(folder / name), name, (folder / name).stat().st_size, entry.files.get(name, ""))
        for name in wanted
    )
    return Offer(text or safe_name(place.stem if place.is_file() else place.name), entry, files)


def get_from_folder(offer: Offer, wish: Wish = Wish()) -> Iterator[GetEvent]:
    """Make what a folder holds one of the user's models; the folder stays as it is.

    Raises
    ------
    UserError
    """
    target = free_place(wish.name or offer.name)
    total, done = offer.size, 0
    known = {}
    for file in offer.files:
        yield GetEvent(done, total, f"Checking {file.name}")
        if file.known:
            found = file_hash(Path(file.url), file.known.partition(":")[0])
            if not found.startswith(file.known):
                raise ModelError(
                    f"{file.url} is another file than the one that is known: its hash is {found}, not {file.known}. "
                    "Fetch it again, or leave the name out if you trust it."
                )
        known[file.name] = file.known
        done += file.size or 0
    yield GetEvent(done, total, "Reading the weights")
    folder = Path(offer.files[0].url).parent
    _make(folder, [file.name for file in offer.files], known, offer, wish, target)
    yield GetEvent(done, total, "Done", target)


def _make(
    folder: Path, names: list[str], known: dict[str, str], offer: Offer, wish: Wish, target: Path
) -> None:  # fmt: skip
    """Write a model with a card that says where it is from."""
    path = folder if "config.json" in names else folder / names[0]
    name, entry = target.stem, offer.entry
    about = {
        "imported": entry.source or path.name,
        "page": entry.page,
        "cite": entry.cite,
        "version": offer.version,
        "fetched": datetime.date.today().isoformat(),
        "hashes": {one: file_hash(folder / one) for one in names},
        "hash_known": all(known.values()),
    }
    if path.is_file() and path.suffix == ".safetensors" and _is_ours(path):
        card = read_card(path)
        told = {**card.provenance, **{key: value for key, value in about.items() if value != ""}}
        write_with_card(path, target, replace(card, name=name, provenance=told))
        return
    _import(path, name, about, entry, wish, target)


def _is_ours(path: Path) -> bool:
    try:
        return holds_card(path)
    except ModelError as error:
        if "no napari-leafseg header" in str(error):
            return False
        raise UnreadableWeights(str(error)) from error


def _import(path: Path, name: str, about: dict[str, object], entry: Entry, wish: Wish, target: Path) -> None:
    from napari_leafseg.models.query.pretrained.read import NotWeights
    from napari_leafseg.models.registry import importers, load_importer
    from napari_leafseg.models.store.checkpoint import save_checkpoint

    kind = wish.kind or entry.kind or None
    importer = load_importer(kind or next(iter(importers())))
    leaf_head = entry.leaf_head if wish.leaf_head is None else wish.leaf_head
    try:
        network, card = importer(path, kind, leaf_head, name)
    except NotWeights as error:
        raise UnreadableWeights(str(error)) from error
    written: ModelCard = replace(
        card, license=entry.license, description=f"{entry.title}.", provenance={**card.provenance, **about}
    )
    save_checkpoint(target, network, written)
