"""Long work of *Fine-tune*, as generators that run in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari_leafseg.widgets.finetune.held_out import HeldOut, outlined

_GRACE = 20.0  # seconds in which a training that is stopped may end its step and save


def finetune_job(wanted: Any, project: Any, device: str) -> Iterator[Any]:
    """Read the corrections and fine-tune in another process.

    Yields sentences for the user, `FinetuneEvent`, and lists of `HeldOut`.
    """
    from napari_leafseg._subprocess import run_in_subprocess
    from napari_leafseg.finetuning.dataset import load_corrections
    from napari_leafseg.finetuning.session import finetune_and_clean_up

    images, notes = load_corrections(project)
    yield from notes
    for event in run_in_subprocess(finetune_and_clean_up, wanted, images, device, grace=_GRACE):
        yield event
        if event is not None and event.previews:
            yield [_outlined(shown) for shown in event.previews]


def _outlined(shown: Any) -> HeldOut:
    around = (shown.before > 0) | (shown.after > 0)
    before, after = (outlined(shown.image, labels, around) for labels in (shown.before, shown.after))
    return HeldOut(shown.name, before, after)


def keep_job(wanted: Any, project: Any) -> Iterator[Any]:
    """Make the best weights of a stopped session a model; yields its `FinetuneEvent`."""
    from napari_leafseg.finetuning.config import discard, session_folder
    from napari_leafseg.finetuning.dataset import load_corrections
    from napari_leafseg.finetuning.session import keep_best

    images, _ = load_corrections(project)
    folder = session_folder(wanted.name)
    event = keep_best(wanted, images, folder)
    discard(folder)
    yield event
