"""What a stranger adds works everywhere from one description: a slider, a correction tool, a query-based model."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import difference
from napari_leafseg.inference.parameter_search import search_parameters
from napari_leafseg.inference.prediction import ModelInfo
from napari_leafseg.inference.query_prediction import MaskRegion, MaskSet, QueryPrediction
from napari_leafseg.models import registry
from napari_leafseg.models.parameters import ParameterSpec
from napari_leafseg.models.query.config import Solov2Config
from napari_leafseg.models.query.family import query_family
from napari_leafseg.postprocessing.masks import SoftMask
from napari_leafseg.project import document
from napari_leafseg.project.document import Document


def not_larger(mask, value, zoom):
    """Drop leaves of more than `value` pixels of the image."""
    return mask if mask.sum() / zoom**2 <= value else np.zeros_like(mask)


LARGEST = ParameterSpec(
    "largest", "Largest leaf", "px", 0, 10_000, 1, 10_000, 0, "Larger ones are left out.", search=(20.0, 500.0, 1e4),
    refine=not_larger,
)  # fmt: skip


@pytest.fixture
def family(monkeypatch):
    """A query-based family with a slider more, as a patch of one file would make it."""
    made = query_family(
        "lite", "Lite", Solov2Config, "napari_leafseg.models.query.solov2:Solov2", {"lite": Solov2Config()}
    )
    score, *others = made.parameters
    made = replace(made, parameters=(score, LARGEST, *others))
    monkeypatch.setitem(registry._registered, "lite", made)
    return made


@pytest.fixture
def prediction(family):
    """Two leaves of 100 and 900 pixels of the image, of which the network saw half the size."""
    small = SoftMask(0.9, 5, 5, np.full((5, 5), 255, np.uint8))
    large = SoftMask(0.8, 20, 20, np.full((15, 15), 255, np.uint8))
    region = MaskRegion(slice(0, 80), slice(0, 80), MaskSet((40, 40), 1, [small, large]))
    return QueryPrediction((80, 80), 0.5, [region], ModelInfo("lite", "1", kind="lite"))


def test_a_slider_is_one_declaration(prediction):
    assert "largest" in prediction.defaults()
    assert prediction.labels().max() == 2
    assert prediction.labels(largest=500).max() == 1
    assert len(prediction.coco(largest=500)["annotations"]) == 1
    assert "| `largest` | Lite | 0 to 10000 px |" in registry.parameter_table()
    search = list(search_parameters([prediction], [prediction.labels(largest=500)]))[-1].search
    assert search.column.name == "largest"
    assert search.best["largest"] == 500
    assert search.best_sbd == 1 > search.current_sbd


def test_what_a_slider_leaves_of_a_leaf_is_numbered_without_gaps(prediction, monkeypatch, family):
    narrow = replace(LARGEST, refine=lambda mask, value, zoom: mask if mask.sum() > value else mask & False)
    parameters = tuple(narrow if spec is LARGEST else spec for spec in family.parameters)
    monkeypatch.setitem(registry._registered, "lite", replace(family, parameters=parameters))
    labels = prediction.labels(largest=500)
    assert np.unique(labels).tolist() == [0, 1]
    assert np.count_nonzero(labels) > 500


def test_the_command_line_takes_a_new_slider(family, tmp_path, monkeypatch):
    from napari_leafseg.models.build import build_network
    from napari_leafseg.models.store.checkpoint import save_checkpoint
    from napari_leafseg.models.store.model_card import ModelCard

    class Lite(Solov2Config):
        kind: Literal["lite"] = "lite"

    monkeypatch.setitem(registry._registered, "lite", replace(family, config=Lite))
    save_checkpoint(tmp_path / "lite.safetensors", build_network(Lite()), ModelCard("lite", "1", Lite()))
    result = CliRunner().invoke(app, ["models", "parameters", str(tmp_path / "lite.safetensors")])
    assert "largest (0 to 10000 px, default 10000): Larger ones are left out." in " ".join(result.stdout.split())


@pytest.mark.parametrize("shapes_all", [False, True])
def test_a_tool_is_one_entry(monkeypatch, shapes_all):
    def fade(scene, stroke):
        box = (slice(0, 4), slice(0, 4))
        return difference(scene.labels, box, np.full((4, 4), 2, np.uint16), "fade")

    tool = tools.Tool("fade", "Fade", "Y", "loop", "Give a leaf's pixels to another.", fade, shapes_all)
    monkeypatch.setattr(document, "TOOLS", (*tools.TOOLS, tool))
    labels = np.zeros((8, 8), np.uint16)
    labels[:4, :8] = 1
    labels[4:] = 2
    edited = Document(labels)
    edited.commit(tool.make(tools.Scene(labels, np.zeros((8, 8, 3), np.uint8)), np.zeros((1, 2))))
    assert {leaf for _, leaf in edited.verified} == ({1, 2} if shapes_all else {2})
