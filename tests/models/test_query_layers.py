"""The parts of the query-based models against plain references in double precision."""

import numpy as np
import pytest
import torch

from napari_leafseg.losses.masks import dice_loss, focal_loss, giou_loss
from napari_leafseg.models.query.base import gather_instances
from napari_leafseg.models.query.condinst import assign_locations, box_nms, centerness
from napari_leafseg.models.query.grid import assign_cells, point_nms
from napari_leafseg.models.query.layers import (
    coordinates,
    dynamic_convolution,
    dynamic_parameters,
    enlarge,
    locations,
)
from napari_leafseg.models.query.sotr import LineAttention, TwinTransformer
from napari_leafseg.postprocessing.masks import SoftMask, cut_mask, matrix_nms, overlaps
from tests.models import plain


def random_labels(rng, size=48, leaves=9, unknown=False):
    labels = np.zeros((size, size), np.int64)
    for leaf in range(1, leaves + 1):
        y, x = rng.integers(0, size - 4, 2)
        tall, wide = rng.integers(2, size // 2, 2)
        labels[y : y + tall, x : x + wide] = leaf
    if unknown:
        labels[: size // 4] = -1
    return labels


@pytest.mark.parametrize(("channels", "layers", "inputs"), [(8, 3, 10), (4, 2, 6), (1, 3, 3)])
def test_dynamic_convolution(channels, layers, inputs):
    rng = np.random.default_rng(3)
    count = dynamic_parameters(inputs, channels, layers)
    features, parameters = rng.normal(size=(5, inputs, 12)), rng.normal(size=(5, count))
    found = dynamic_convolution(torch.tensor(features), torch.tensor(parameters), channels, layers)
    np.testing.assert_allclose(found.numpy(), plain.dynamic_convolution(features, parameters, channels, layers))


def test_condinst_as_published_has_169_parameters():
    assert dynamic_parameters(10, 8, 3) == 169


@pytest.mark.parametrize("seed", range(6))
def test_cells_go_to_the_leaves_that_plain_loops_give_them_to(seed):
    rng = np.random.default_rng(seed)
    labels = np.stack([random_labels(rng), random_labels(rng, leaves=3)])
    instances = gather_instances(torch.tensor(labels), 2)
    numbers = [int(leaf) for plane in labels for leaf in np.unique(plane[plane > 0])]
    for shape, bounds in (((12, 12), (0, 14)), ((6, 6), (10, 1e5)), ((5, 9), (0, 1e5))):
        found = assign_cells(instances, 2, shape, (48, 48), bounds, 0.4)
        for number in range(2):
            wanted = plain.cells(labels[number], shape, bounds, 0.4)
            got = np.array([[numbers[leaf] if leaf >= 0 else 0 for leaf in row] for row in found[number].tolist()])
            np.testing.assert_array_equal(got, wanted)


def test_locations_go_to_the_leaves_that_plain_loops_give_them_to():
    rng = np.random.default_rng(1)
    labels = np.stack([random_labels(rng), random_labels(rng)])
    instances = gather_instances(torch.tensor(labels), 2)
    points = locations((12, 12), 4, torch.device("cpu"))
    for bounds in ((-1.0, 14.0), (14.0, 1e8)):
        image = torch.arange(2).repeat_interleave(len(points))
        leaf, sides = assign_locations(
            instances, image, points.repeat(2, 1), torch.full((len(image),), 4.0),
            torch.tensor(bounds).expand(len(image), 2), 1.5,
        )  # fmt: skip
        assert (leaf >= 0).any()
        for number in range(2):
            own = torch.nonzero(instances.image == number)[:, 0]
            boxes = instances.boxes[own].tolist()
            masks = [labels[number] == leaf for leaf in np.unique(labels[number]) if leaf > 0]
            for place, (x, y) in enumerate(points.tolist()):
                wanted = plain.location_leaf(masks, x, y, 4, bounds, 1.5)
                got = int(leaf[number * len(points) + place])
                assert got == (-1 if wanted < 0 else int(own[wanted]))
                if wanted >= 0:
                    x0, y0, x1, y1 = boxes[wanted]
                    assert sides[number * len(points) + place].tolist() == [x - x0, y - y0, x1 - x, y1 - y]


def test_centerness():
    found = centerness(torch.tensor([[2.0, 3.0, 4.0, 9.0], [5, 5, 5, 5]]))
    np.testing.assert_allclose(found.numpy(), [np.sqrt(0.5 / 3), 1], rtol=1e-6)


def test_leaves_of_a_batch():
    labels = random_labels(np.random.default_rng(8), unknown=True)
    instances = gather_instances(torch.tensor(np.stack([labels, 0 * labels])), 2)
    for at, leaf in enumerate(np.unique(labels[labels > 0])):
        ys, xs = np.nonzero(labels == leaf)
        assert instances.boxes[at].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(instances.centers[at].tolist(), [xs.mean() + 0.5, ys.mean() + 0.5], rtol=1e-5)
        np.testing.assert_allclose(instances.masks[at].sum() * 4, len(ys))
    assert (instances.image == 0).all()
    assert instances.known[0].sum() == 0.75 * labels.size


@pytest.mark.parametrize("strength", [0.0, 2.0, 7.5])
def test_matrix_nms(strength):
    rng = np.random.default_rng(5)
    masks, scores = [], np.sort(rng.random(14))[::-1]
    for _ in scores:
        plane = np.zeros((30, 30), bool)
        y, x = rng.integers(0, 18, 2)
        plane[y : y + rng.integers(4, 12), x : x + rng.integers(4, 12)] = True
        masks.append(plane)
    cut = [cut_mask(float(score), plane.astype(np.uint8) * 255) for score, plane in zip(scores, masks, strict=True)]
    found = matrix_nms(scores, overlaps(cut), strength)
    np.testing.assert_allclose(found, plain.matrix_nms(scores, masks, strength), rtol=1e-5)
    assert len(matrix_nms(np.zeros(0), overlaps([]), strength)) == 0


def test_an_empty_mask_is_none():
    assert cut_mask(0.5, np.zeros((4, 4), np.uint8)) is None
    assert isinstance(cut_mask(0.5, np.full((4, 4), 255, np.uint8)), SoftMask)


def test_box_nms():
    rng = np.random.default_rng(2)
    low = rng.random((40, 2)) * 20
    boxes = np.concatenate([low, low + 3 + rng.random((40, 2)) * 12], 1)
    scores = rng.random(40)
    for most in (0.3, 0.7):
        found = box_nms(torch.tensor(boxes), torch.tensor(scores), most)
        assert found.tolist() == plain.box_nms(boxes.tolist(), scores.tolist(), most)


def test_point_nms_keeps_the_first_of_neighbors_that_are_largest():
    scores = torch.tensor([[0.1, 0.9, 0.2], [0.3, 0.4, 0.8], [0.7, 0.1, 0.2]])[None, None]
    kept = point_nms(scores)[0, 0]
    for y in range(3):
        for x in range(3):
            around = [float(scores[0, 0, b, a]) for b in (y - 1, y) for a in (x - 1, x) if a >= 0 and b >= 0]
            value = float(scores[0, 0, y, x])
            assert float(kept[y, x]) == pytest.approx(value if value == max(around) else 0)


@pytest.mark.parametrize("axis", [2, 3])
def test_twin_attention(axis):
    torch.manual_seed(0)
    layer = LineAttention(12, 3, axis).double()
    layer.gain.data.fill_(0.7)
    maps = torch.randn(2, 12, 5, 7, dtype=torch.float64)
    weights = [item.detach().numpy() for item in (
        layer.to_query.weight, layer.to_key_value.weight, layer.to_out.weight, layer.to_out.bias
    )]  # fmt: skip
    found = layer(maps).detach().numpy()
    for number in range(2):
        wanted = plain.line_attention(maps[number].numpy(), weights, 3, axis, 0.7)
        np.testing.assert_allclose(found[number], wanted, atol=1e-12)


def test_twin_attention_begins_as_nothing_and_the_doubled_grid_differs_at_the_border_alone():
    torch.manual_seed(1)
    maps = torch.randn(1, 8, 9, 9, dtype=torch.float64)
    single, doubled = TwinTransformer(8, 2, 1, False).double(), TwinTransformer(8, 2, 1, True).double()
    assert torch.equal(single(maps), maps)
    for part in single.modules():
        if hasattr(part, "gain"):
            part.gain.data.fill_(0.5)
    doubled.load_state_dict(single.state_dict())
    gap = (single(maps) - doubled(maps)).abs().amax((0, 1, 2))
    assert gap[2:-2].max() < 1e-12 < gap[[0, -1]].min()


def test_losses_of_masks_and_boxes():
    rng = np.random.default_rng(4)
    logits, masks = rng.normal(size=(6, 9, 9)) * 3, (rng.random((6, 9, 9)) > 0.6).astype(float)
    found = dice_loss(torch.tensor(logits), torch.tensor(masks)).numpy()
    np.testing.assert_allclose(found, [plain.dice(a, b) for a, b in zip(logits, masks, strict=True)], rtol=1e-5)
    known = torch.ones(6, 9, 9)
    known[:, :4] = 0
    part = dice_loss(torch.tensor(logits), torch.tensor(masks), known).numpy()
    wanted = [plain.dice(a[4:], b[4:]) for a, b in zip(logits, masks, strict=True)]
    np.testing.assert_allclose(part, wanted, rtol=1e-5)
    found = focal_loss(torch.tensor(logits), torch.tensor(masks)).numpy()
    wanted = np.vectorize(plain.focal)(logits, masks)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-7)
    sides = rng.random((20, 2, 4)) * 9
    found = giou_loss(torch.tensor(sides[:, 0]), torch.tensor(sides[:, 1])).numpy()
    boxes = np.concatenate([-sides[..., :2], sides[..., 2:]], -1)
    np.testing.assert_allclose(found, [plain.giou(a, b) for a, b in boxes], rtol=1e-6)


def test_coordinates_are_those_of_the_pixels_middles_and_enlarging_keeps_the_first_corner():
    like = torch.zeros(1, 3, 4, 6)
    published = coordinates(like, 8, None)
    assert published[0, 0, 0].tolist() == pytest.approx(np.linspace(-1, 1, 6).tolist())
    assert published[0, 1, :, 0].tolist() == pytest.approx(np.linspace(-1, 1, 4).tolist())
    ours = coordinates(like, 8, 16)
    assert ours[0, 0, 0].tolist() == pytest.approx([-1.25, -0.75, -0.25, 0.25, 0.75, 1.25])
    ramp = torch.arange(6.0)[None, None, None].expand(1, 1, 4, 6)
    large = enlarge(ramp, 2)
    assert large.shape == (1, 1, 8, 12)
    # a stride-8 pixel's location lies at 4 + 8 i, a stride-4 pixel's at 2 + 4 j: j = 2 i + 1/2 is the same place
    assert large[0, 0, 0, 1:5].tolist() == pytest.approx([0, 0.5, 1, 1.5])
