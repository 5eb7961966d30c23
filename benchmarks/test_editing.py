"""Every correction at 2048 × 2048 with 100 leaves, on the labels alone: target 50 ms each, undo too."""

import numpy as np
import pytest

from benchmarks.cases import network_maps
from napari_leafseg.editing import operations as ops
from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import leaf_box
from napari_leafseg.editing.grow import ColorGrowth
from napari_leafseg.project.document import Document

SIDE, LEAVES = 2048, 100


def paint_field():
    """100 leaves of about 200 pixels on a grid, overlapping in rows, and an image of them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.uint16)
    step = SIDE // 10
    for leaf in range(LEAVES):
        cy, cx = (leaf // 10 + 0.5) * step, (leaf % 10 + 0.5) * step
        box = slice(int(cy - step / 2), int(cy + step / 2)), slice(max(0, int(cx - 0.6 * step)), int(cx + 0.6 * step))
        inside = ((y[box] - cy) / (0.42 * step)) ** 2 + ((x[box] - cx) / (0.58 * step)) ** 2 < 1
        labels[box][inside] = leaf + 1
    image = np.where(labels[..., None] > 0, (50, 150, 60), (120, 90, 70)) + rng.normal(0, 8, (SIDE, SIDE, 3))
    return labels, np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def field():
    return paint_field()


def middle(labels, leaf):
    rows, columns = leaf_box(labels, leaf)
    return np.array([(rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2])


def off(at, down, right):
    return at + np.array([down, right], float)


OPERATIONS = {
    "add (color)": lambda scene, at: tools.Adding(200, ColorGrowth(scene.image, at[None]), None).at(scene, 45),
    "add (part of a leaf)": lambda scene, at: tools.add(scene, off(at, 0, 60)[None], 45).edit,
    "split by stroke": lambda scene, at: tools.split(scene, np.array([off(at, -90, -0), off(at, 90, 0)])),
    "split by points": lambda scene, at: tools.split_points(scene, np.array([off(at, -0, -60), off(at, 0, 60)])),
    "merge": lambda scene, at: tools.merge(scene, np.array([at, off(at, 0, 200)])),
    "border": lambda scene, at: tools.border(scene, at + np.array([[-84.0, -50], [-92, 0], [-84, 50]])),
    "lasso": lambda scene, at: tools.lasso(scene, at + np.array([[-80.0, -80], [-80, 80], [80, 80], [80, -80]])),
    "front": lambda scene, at: tools.front(scene, np.array([at, off(at, 0, 200)])),
    "delete": lambda scene, at: ops.delete(scene.labels, 45),
    "fill holes": lambda scene, at: ops.fill_holes(scene.labels, 45) or True,
    "smooth": lambda scene, at: ops.smooth(scene.labels, 45),
    "keep largest piece": lambda scene, at: ops.keep_largest(scene.labels, 45) or True,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.benchmark(group="a correction at 2048 × 2048, 100 leaves: target 50 ms")
def test_operation(benchmark, field, name):
    labels, image = field
    scene = tools.Scene(labels, image)
    assert benchmark(OPERATIONS[name], scene, middle(labels, 45))


@pytest.mark.benchmark(group="a correction at 2048 × 2048, 100 leaves: target 50 ms")
def test_commit_and_undo(benchmark, field):
    labels, _ = field
    document = Document(labels.copy())
    edit = ops.merge(document.labels, 45, 46)

    def there_and_back():
        document.commit(edit)
        document.undo()

    benchmark(there_and_back)
    assert np.array_equal(document.labels, labels)


@pytest.mark.benchmark(group="what autosave costs the window at 2048 × 2048: target 20 ms")
def test_snapshot(benchmark, field):
    document = Document(field[0].copy())
    assert benchmark(document.snapshot).labels.shape == (SIDE, SIDE)


@pytest.mark.benchmark(group="a correction at 2048 × 2048, 100 leaves: target 50 ms")
def test_add_by_the_embedding(benchmark):
    from napari_leafseg.inference.dense_output import DenseOutput
    from napari_leafseg.inference.leaf_prediction import LeafPrediction, PixelRegion
    from napari_leafseg.inference.prediction import ModelInfo
    from napari_leafseg.inference.prompts import PredictionModel

    distance, foreground, embedding = network_maps(SIDE)
    everywhere = slice(0, SIDE)
    maps = DenseOutput(distance, np.where(foreground, 255, 0).astype(np.uint8), embedding)
    prediction = LeafPrediction((SIDE, SIDE), 1.0, [PixelRegion(everywhere, everywhere, maps)], ModelInfo("x", "1"))
    point = prediction.seeds(0.5)[:1]
    assert benchmark(lambda: PredictionModel(prediction).growth(point).mask(45)) is not None
