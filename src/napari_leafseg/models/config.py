"""What every model's configuration is; knows no torch."""

from __future__ import annotations

from pydantic import ConfigDict

from napari_leafseg._entries import Entries


class ModelConfig(Entries):
    """Configuration of a network; saved in each checkpoint, which alone rebuilds the network.

    Attributes
    ----------
    kind : str
        Which family of models it belongs to, see `napari_leafseg.models.registry`.
    """

    model_config = ConfigDict(frozen=True)

    kind: str

    @property
    def package(self) -> str:
        """The optional package that the network is built with, of `napari_leafseg._extras.PACKAGES`; "" for none."""
        return ""
