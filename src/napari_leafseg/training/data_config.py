"""What to train on: the `data` of a training's configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from napari_leafseg._entries import Entries
from napari_leafseg.synthetic import SceneConfig


class CocoFiles(Entries):
    """A COCO data set.

    Attributes
    ----------
    images : str
        Folder of the images.
    annotations : str
        Its JSON file; LVIS's are read as well.
    """

    model_config = ConfigDict(frozen=True)

    images: str
    annotations: str


class CocoConfig(CocoFiles):
    """A COCO data set to train on: masks that overlap, and classes; crowds carry no loss.

    Attributes
    ----------
    one_class : bool
        All categories are one class.
    held_out : CocoFiles, optional
        Images that are never trained on; their AP is in the curves.
    sizes : tuple of int
        Lengths in pixels of the shorter side, one of which each image is resized to (multi-scale); the last is that of
        validation. Images keep their size where it is empty.
    longest : int
        No side becomes longer than this.
    jitter : tuple of float, optional
        Large-scale jitter: the image is made to fit into a square of the training's `crop`, enlarged by a factor from
        this range (0.1 to 2 as published), and cut or padded to the square.
    turns : bool
        Also turned by quarters, as suits plants from above; `augment` alone mirrors left and right.
    without_annotations : bool
        Also train on images without any annotation.
    """

    one_class: bool = False
    held_out: CocoFiles | None = None
    sizes: tuple[Annotated[int, Field(ge=32)], ...] = ()
    longest: int = Field(1333, ge=32)
    jitter: tuple[float, float] | None = None
    turns: bool = False
    without_annotations: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> CocoConfig:
        if self.jitter is not None and not 0 < self.jitter[0] <= self.jitter[1]:
            raise ValueError("jitter is the smallest and the largest factor, both above 0")
        return self


class SceneShare(Entries):
    """A kind of synthetic scene and how many of the training images it makes."""

    model_config = ConfigDict(frozen=True)

    share: float = Field(gt=0)
    scene: SceneConfig = SceneConfig()


class LabeledFolder(Entries):
    r"""A folder of labeled images, and how often it is trained on.

    Attributes
    ----------
    folder : str
        With ``<stem>.<ending>`` and ``<stem>_label.<ending>``, or ``images/`` and ``labels/`` beside each other.
    share : float
        Share of the crops that come from it; what the folders leave is synthetic.
    stems, exclude : tuple of str, optional
        Take only these images; leave these out.
    exclude_file : str, optional
        A text file with a name to leave out on each line.
    same_plant : str, optional
        See `DataConfig.same_plant`; each plant is drawn equally often.
    unlabeled : {"background", "green", "border"}
        What has no label is background; or, where not every leaf was labeled, vegetation without a label is *not
        annotated* ("green"), or what is as bright as the labeled leaves and touches the border ("border": neighbors in
        a fluorescence image).
    """

    model_config = ConfigDict(frozen=True)

    folder: str
    share: float = Field(gt=0, le=1)
    stems: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    exclude_file: str | None = None
    same_plant: str | None = None
    unlabeled: Literal["background", "green", "border"] = "background"


class PasteConfig(Entries):
    """How often the labeled folders' images lend something to the others; see `napari_leafseg.training.paste`.

    Attributes
    ----------
    leaves : float
        Chance that real leaves are pasted into an image.
    backgrounds, textures : float
        Chance that a synthetic image gets a real background; that its leaves get the texture of real ones.
    """

    model_config = ConfigDict(frozen=True)

    leaves: float = Field(0.35, ge=0, le=1)
    backgrounds: float = Field(0.35, ge=0, le=1)
    textures: float = Field(0.5, ge=0, le=1)


class DataConfig(Entries):
    r"""What to train on.

    Attributes
    ----------
    count : int
        Synthetic images in the pool that crops are cut from; 0 with a `folder` alone.
    seed : int
        The first scene's seed; scene i has seed + i.
    scenes : tuple of SceneShare
        The mixture.
    folder : str, optional
        A folder of ``<stem>.png`` images with ``<stem>_label.png`` files, trained on as well.
    folder_share : float
        Share of the crops that come from that folder.
    stems : tuple of str, optional
        Take only these images of the folder (a fold of a cross-validation).
    same_plant : str, optional
        Regular expression whose first group says which plant an image of the folder shows (``(plant\d+)_day``): images
        of one plant are no negatives of each other. Each image is a plant of its own when None.
    sources : tuple of LabeledFolder
        Several folders, each with its share; instead of `folder`.
    paste : PasteConfig, optional
        Real leaves, backgrounds and textures in other images.
    coco : CocoConfig, optional
        A COCO data set instead of all that.
    """

    model_config = ConfigDict(frozen=True)

    count: int = Field(4000, ge=0)
    seed: int = 1_000_000
    scenes: tuple[SceneShare, ...] = (SceneShare(share=1.0),)
    folder: str | None = None
    folder_share: float = Field(0.5, ge=0, le=1)
    stems: tuple[str, ...] | None = None
    same_plant: str | None = None
    sources: tuple[LabeledFolder, ...] = ()
    paste: PasteConfig | None = None
    coco: CocoConfig | None = None

    @model_validator(mode="after")
    def _one_way(self) -> DataConfig:
        if self.folder and self.sources:
            raise ValueError("give a folder or sources, not both")
        if self.coco and (self.folder or self.sources or self.paste):
            raise ValueError("give a COCO data set or folders, not both")
        return self

    def folders(self) -> tuple[LabeledFolder, ...]:
        """Return the labeled folders, however they were given."""
        if not self.folder:
            return self.sources
        share = self.folder_share if self.count else 1.0
        if not share:
            return ()
        return (LabeledFolder(folder=self.folder, share=share, stems=self.stems, same_plant=self.same_plant),)
