"""The user's own models: rename, delete, restore, carry to another computer; needs no torch."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ModelError, UserError
from napari_leafseg.models.store.model_card import ModelCard, card_path, holds_card, read_card, write_with_card
from napari_leafseg.models.store.zoo import ENDING, list_models, user_folder

_LOG = logging.getLogger(__name__)
_ROW = ("model", "whose", "SBD", "began with", "images", "date", "verdict", "description", "version", "license")

TRASH, _EARLIER_TRASH = "trash", "taken away"


def own_model(name: str) -> Path:
    """Return the file of a model of the user's.

    Raises
    ------
    ModelError
        When there is none of this name, or it is a bundled one.
    """
    path = user_folder() / f"{name}{ENDING}"
    if path.is_file():
        return path
    if name in list_models():
        raise ModelError(f"“{name}” comes with the program and stays as it is.")
    raise ModelError(f"There is no model “{name}” of yours in {user_folder()}.")


def free_place(name: str) -> Path:
    """Tell where a new model of this name would lie.

    Raises
    ------
    ModelError
        When the name is taken, or none.
    """
    if not name.strip(" .") or Path(name).name != name or "\\" in name:
        raise ModelError(f"“{name}” is no name for a model: it must be a file's name, without slashes.")
    if name in list_models():
        raise ModelError(f"There is a model “{name}” already. Choose another name.")
    return user_folder() / f"{name}{ENDING}"


def _write_as(source: Path, target: Path, name: str) -> None:
    """A copy of a checkpoint under another name, in its file's name and in its card; weights and card in one file."""
    write_with_card(source, target, replace(read_card(source), name=name))


def _join(path: Path) -> Path:
    """Put the card that lies beside a model of the user's into its file, so that the one file is all there is."""
    if not holds_card(path):
        _write_as(path, path, read_card(path).name)
        card_path(path).unlink()
    return path


def rename_model(name: str, new: str) -> Path:
    """Give a model of the user's another name; returns its file.

    Raises
    ------
    ModelError
        When there is no such model, or the new name is taken or none.
    """
    source, target = own_model(name), free_place(new)
    _write_as(_join(source), target, new)
    source.unlink()
    return target


def delete_model(name: str) -> Path:
    """Take a model of the user's out of the list; its file is kept, and `restore_model` undoes it.

    Raises
    ------
    ModelError
        When there is no such model of the user's.
    """
    source = _join(own_model(name))
    folder = user_folder() / TRASH
    folder.mkdir(exist_ok=True)
    target = folder / source.name
    number = 2
    while target.exists():
        target = folder / f"{name} {number}{ENDING}"
        number += 1
    return source.rename(target)


def restore_model(name: str) -> Path:
    """Put a model that was deleted into the list again.

    Raises
    ------
    ModelError
        When it is not there, or its name is taken now.
    """
    source = next((path for path in _deleted() if path.stem == name), None)
    if source is None:
        raise ModelError(f"No model “{name}” was deleted. There are: {', '.join(deleted_models()) or 'none'}.")
    return source.rename(free_place(name))


def add_model(file: Path, name: str | None = None) -> Path:
    """Put a model file, from another computer say, into the list; returns its new place.

    Raises
    ------
    ModelError
        When the file is no checkpoint, or the name is taken.
    """
    card = read_card(file)
    chosen = name or card.name
    target = free_place(chosen)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write_as(file, target, chosen)
    return target


def deleted_models() -> list[str]:
    """Return names of the models that were deleted and can be restored."""
    return sorted({path.stem for path in _deleted()})


def _deleted() -> list[Path]:
    """Files of the models that were deleted."""
    return [path for folder in (TRASH, _EARLIER_TRASH) for path in (user_folder() / folder).glob(f"*{ENDING}")]


def export_model(name: str, file: Path) -> Path:
    """Write a model of the user's to one file, with all that is known of it; `add_model` reads it.

    Raises
    ------
    ModelError
        When there is no such model, or the file cannot be written.
    """
    write_atomically(file, _join(own_model(name)).read_bytes())
    return file


def describe_models() -> list[dict[str, str]]:
    """Describe each model in a row: name, quality or held-out SBD, what it began with, verdict and so on.

    Of a model that cannot be read, the description says why.
    """
    rows = []
    for name, path in list_models().items():
        whose = "yours" if path.parent == user_folder() else "bundled"
        try:
            card = read_card(path)
        except UserError as error:
            _LOG.warning("%s", error)
            rows.append({**dict.fromkeys(_ROW, ""), "model": name, "whose": whose, "SBD": "cannot be read",
                         "description": str(error)})  # fmt: skip
            continue
        about, figures = card.provenance, card.metrics
        scores = [figures[key] for key in ("held_out_before", "held_out_after") if key in figures]
        rows.append(
            {
                "model": name,
                "whose": whose,
                "SBD": " → ".join(f"{value:.3f}" for value in scores) or card.quality,
                "began with": _parent_of(card),
                "images": str(len(about["images"])) if "images" in about else "",
                "date": str(about.get("date", ""))[:10],
                "verdict": str(about.get("verdict_in_words", "")),
                "description": " ".join(filter(None, (card.description, card.lacks))),
                "version": card.version,
                "license": card.license,
            }
        )
    return rows


def _parent_of(card: ModelCard) -> str:
    """The model that training began with; empty where that was an earlier state of the same one."""
    name = str(card.provenance.get("parent", {}).get("name", ""))
    return "" if name == card.name else name


def describe_difference(first: str, second: str) -> list[tuple[str, str, str]]:
    """Tell what two models' cards say, side by side: rows of (what, first, second)."""
    from napari_leafseg.models.store.zoo import describe_model

    rows = []
    cards = [describe_model(name) for name in (first, second)]
    rows.append(("kind", *(card.family.title for card in cards)))
    rows.append(("version", *(card.version for card in cards)))
    rows.append(("began with", *(_parent_of(card) or "–" for card in cards)))
    rows.append(("images", *(str(len(card.provenance.get("images", []))) for card in cards)))
    rows.append(("verdict", *(str(card.provenance.get("verdict_in_words", "–")) for card in cards)))
    for key in sorted({key for card in cards for key in card.metrics}):
        rows.append((key, *(f"{card.metrics[key]:.3f}" if key in card.metrics else "–" for card in cards)))
    for key in sorted({key for card in cards for key in card.defaults}):
        rows.append((f"default {key}", *(f"{card.defaults[key]:g}" if key in card.defaults else "–" for card in cards)))
    return [(str(a), str(b), str(c)) for a, b, c in rows]
