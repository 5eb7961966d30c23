"""Fine-tuning sessions: their settings and folders; knows no torch, so that a window can ask for them at once."""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from napari_leafseg._entries import Entries
from napari_leafseg.models.store.zoo import ENDING, list_models, present_name, user_folder
from napari_leafseg.training.unique_config import InstanceUniqueConfig
from napari_leafseg.versions import with_new_names

_LOG = logging.getLogger(__name__)


class FinetuneSettings(Entries):
    """How to fine-tune; kept beside the run and in the new model.

    Attributes
    ----------
    base : str
        Model to begin with.
    name : str
        Of the new model.
    effort : {"quick", "thorough"}
        150 steps of 4 crops a run, or 300 of 8.
    steps, batch : int, optional
        Instead of the effort's.
    crop : int
    learning_rate : float
    backbone_rate : float
        Share of it for a query-based model's backbone, or a distance + embedding model's contracting paths.
    base_share : float, optional
        Share of the base model's own weights in the new ones: what lies between both forgets less than it gives up
        (WiSE-FT, Wortsman et al. 2022). 0.15 when None, or 0.3 of a single image: nothing can be held out there, and
        from the worst of the three Arabidopsis frames alone 0.15 made the others worse.
    synthetic_share, paste : float
        See `napari_leafseg.finetuning.dataset.CorrectionDataset`.
    instance_unique : InstanceUniqueConfig, optional
        Uniqueness and equivariance, with the memory over the user's own images; query-based models only.
    seed : int
    """

    model_config = ConfigDict(frozen=True)

    base: str = "leaf"
    name: str
    effort: Literal["quick", "thorough"] = "quick"
    steps: int | None = Field(None, ge=1)
    batch: int | None = Field(None, ge=1)
    crop: int = Field(144, ge=32)
    learning_rate: float = Field(3e-4, gt=0)
    backbone_rate: float = Field(0.3, ge=0, le=1)
    base_share: float | None = Field(None, ge=0, lt=1)
    synthetic_share: float = Field(0.3, ge=0, lt=1)
    paste: float = Field(0.3, ge=0, le=1)
    instance_unique: InstanceUniqueConfig | None = None
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, entries: Any) -> Any:
        return with_new_names(entries, {"framework": "instance_unique"})

    @property
    def run_steps(self) -> int:
        """Steps of each run."""
        return self.steps or {"quick": 150, "thorough": 300}[self.effort]

    @property
    def crops(self) -> int:
        """Crops a step."""
        return self.batch or {"quick": 4, "thorough": 8}[self.effort]


def began_with(about: dict[str, Any]) -> FinetuneSettings:
    """Read the settings of a session's file; its base has the name that it has today."""
    settings = FinetuneSettings.model_validate(about["settings"])
    version = about.get("base_version", "2026.11.25")  # not noted until then
    return settings.model_copy(update={"base": present_name(settings.base, version)})


def session_folder(name: str) -> Path:
    """Tell where the session of a new model lies while it runs."""
    return _root() / name


def _root() -> Path:
    return user_folder().parent / "finetuning"


def discard(folder: Path) -> None:
    """Take a session's folder away; the models that it made stay."""
    shutil.rmtree(folder, ignore_errors=True)


def evaluations_of(run: Path) -> list[dict[str, Any]]:
    """Read how the held-out images of a run were found, evaluation by evaluation; empty where none was held out."""
    path = run / "looks.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def usable_runs(folder: Path) -> list[int]:
    """List the runs of a session that have weights better than those it began with."""
    found = []
    for run in folder.glob("run*"):
        if not (run / f"best{ENDING}").exists() or not (run / "curves.jsonl").exists():
            continue
        evaluations = evaluations_of(run)
        best = max(evaluations, key=lambda evaluation: evaluation["mean"], default=None)
        if best is None or best["step"] > 0:
            found.append(int(run.name.removeprefix("run")))
    return sorted(found)


def new_name(base: str) -> str:
    """Return a name for a model that is fine-tuned now: the base's, the day, and a number where that is taken."""
    stem = f"{Path(base).stem}-{time.strftime('%Y-%m-%d')}"
    taken = {*list_models(), *(run.name for run in resumable_runs())}
    number = next(count for count in range(1, 10_000) if (stem if count == 1 else f"{stem}-{count}") not in taken)
    return stem if number == 1 else f"{stem}-{number}"


def resumable_runs() -> list[FinetuneSettings]:
    """Return sessions that were begun and not ended, the newest first."""
    found = []
    for path in sorted(_root().glob("*/session.json"), key=lambda item: -item.stat().st_mtime):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found.append(began_with(content))
        except (OSError, ValueError, KeyError) as error:
            _LOG.warning("The fine-tuning in %s cannot go on: its settings cannot be read (%s).", path.parent, error)
    return found
