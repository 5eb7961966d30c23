"""An annotation project on disk: images, labels, what is verified, and every edit; nothing is lost."""

from napari_leafseg.project.document import Document
from napari_leafseg.project.store import Project

__all__ = ["Document", "Project"]
