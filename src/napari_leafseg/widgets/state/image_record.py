"""The state of one image: its one owner, and the words in which the list of images tells it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari.layers import Image

from napari_leafseg._counts import counted
from napari_leafseg.widgets.state.labels_binding import LabelsBinding

if TYPE_CHECKING:
    from napari_leafseg.inference.prediction import Prediction
    from napari_leafseg.project.background import LabelFacts
    from napari_leafseg.project.files import ImageRef


class ReviewState(Enum):
    """How far the review of an image is; the values are those that the project writes."""

    NEW = "new"
    IN_PROGRESS = "in progress"
    DONE = "done"


@dataclass(eq=False)
class ImageRecord:
    """Own everything that is known of one image, in the list of images or a layer that somebody else added.

    Attributes
    ----------
    path : pathlib.Path, optional
        File of an image of the list (`ListedImage`); None for other layers.
    sha256 : str
        Hash of the file, known once it was read.
    review : ReviewState
    exported : bool, optional
        Whether a file holds the labels as they are on the screen; None where the image has no labels.
    missing : bool
        The file is not where the project expects it.
    error : str
        Why the file cannot be used; empty where it can.
    confidence : float, optional
        Confidence of the least certain leaf that nobody verified.
    prediction : Prediction, optional
    parameters : dict
        Values of the parameters that gave the labels on the screen.
    count : int
        Leaves.
    reading : dict
        Which of its channels and planes were read, where there was a choice.
    binding : LabelsBinding, optional
        The labels under correction.
    undo_source : LabelsBinding, optional
        The binding whose undo the sliders follow.
    cache : dict
        What widgets derived from the image and its labels; forgotten with the layer.
    key : str
        Ties layers of ours to the image's layer; each layer of the image has its own.
    facts : LabelFacts, optional
        What the project says of the image's labels; None where it has none, or was not asked yet.
    busy : bool
        A model looks at its layer, which must stay.
    task : str
        What is being computed for the image, or that it waits; empty else.
    share : float
        How much of it is done, 0 to 1.
    trouble : str
        Why the leaves of the image could not be found; empty where they could.
    version : int
        Grows whenever the labels change.
    date : float, optional
        When the image was taken, as its name says, else when its file was written; seconds since 1970.
    jumped : int, optional
        Leaves of the images before and after it in its series, where it has far more or fewer.
    used : int
        Grows whenever somebody asks for the record: the oldest predictions are dropped first.
    """

    path: Path | None = None
    sha256: str = ""
    review: ReviewState = ReviewState.NEW
    exported: bool | None = None
    missing: bool = False
    error: str = ""
    confidence: float | None = None
    prediction: Prediction | None = None
    parameters: dict[str, float] = field(default_factory=dict)
    count: int = 0
    reading: dict[str, Any] = field(default_factory=dict)
    binding: LabelsBinding | None = None
    undo_source: LabelsBinding | None = None
    cache: dict[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid4().hex)
    facts: LabelFacts | None = None
    busy: bool = False
    task: str = ""
    share: float = 0.0
    trouble: str = ""
    version: int = 0
    date: float | None = None
    jumped: int | None = None
    used: int = 0
    _layer: weakref.ref[Image] | None = None

    @property
    def layer(self) -> Image | None:
        """The layer that shows the image, as long as there is one."""
        return None if self._layer is None else self._layer()

    @property
    def ref(self) -> ImageRef | None:
        """What the project writes of the image; None where it does not keep it."""
        return None if self.binding is None else self.binding.ref

    @property
    def waits(self) -> bool:
        """Whether the image can be reviewed and was not."""
        return self.review is not ReviewState.DONE and not self.error

    @property
    def is_grouping(self) -> bool:
        """Whether its leaves are being derived from what a model just said."""
        return self.prediction is not None and not self.parameters

    @property
    def leaves_are(self) -> str:
        """What is being done so that the image has leaves: "found" by a model, "read" from the project; "" else."""
        if self.binding is not None:
            return ""
        return "found" if self.busy or self.is_grouping or self.task else "" if self.facts is None else "read"

    @property
    def verified(self) -> int:
        """Leaves that somebody verified or corrected: nothing changes those."""
        return 0 if self.binding is None else len(self.binding.document.verified)

    def show_in(self, layer: Image) -> None:
        """Join the record to a layer from here on."""
        if self.layer is not layer:
            self._layer, self.key = weakref.ref(layer), uuid4().hex

    def forget_layer(self) -> None:
        """Give up all that lives as long as the layer; what the list says of the image stays."""
        lost = self.binding is not None and self.ref is None
        self.prediction, self.parameters = None, {}
        self.binding = self.undo_source = None
        self.cache.clear()
        if lost and not self.exported:
            self.exported, self.count = None, 0 if self.facts is None else self.facts.count

    def learn(self, facts: LabelFacts | None) -> None:
        """Take over what the project says of the labels of an image that is not on the screen."""
        self.facts, self.version = facts, self.version + 1
        if self.binding is None and facts is not None:
            self.count, self.confidence = facts.count, facts.confidence

    def leave_project(self) -> None:
        """Forget what a project says of the image that is not open any more; what is on the screen stays."""
        self.facts = None
        if self.binding is None:
            self.review, self.count, self.confidence, self.exported = ReviewState.NEW, 0, None, None
            self.version += 1

    @property
    def has_leaves(self) -> bool:
        """Whether there are labels, on the screen or in the project; none where all steps were taken back."""
        if self.binding is not None and not self.exported:
            return self.count > 0 or bool(self.binding.document.history.done)
        return self.binding is not None or self.exported is not None or self.facts is not None


@dataclass(eq=False)
class ListedImage(ImageRecord):
    """Own what is known of an image of the list: it has a file."""

    path: Path


def describe(record: ImageRecord) -> str:
    """Return what the list says of an image, below its name."""
    if record.error:
        return "cannot be used"
    if record.missing:
        return "image not found"
    if record.task:
        return record.task
    if record.trouble:
        return "failed"
    leaves = counted(record.count, "leaf")
    exported = ", exported" if record.exported else ""
    if record.review is ReviewState.NEW:
        if record.has_leaves:
            return f"{leaves}{exported}"
        sure = "" if record.confidence is None else f", least certain leaf {record.confidence:.2f}"
        return f"not segmented{sure}"
    words = "reviewed" if record.review is ReviewState.DONE else "in progress"
    return f"{leaves}{exported} · {words}" if record.has_leaves else words
