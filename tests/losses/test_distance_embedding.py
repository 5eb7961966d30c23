"""The losses, against plain double-precision loops."""

import numpy as np
import pytest
import torch

from napari_leafseg._opencv import cv2
from napari_leafseg.losses.distance_embedding import (
    contacts,
    distance_loss,
    embedding_loss,
    foreground_loss,
    neighbor_pairs,
)


def plain_embedding_loss(embedding, labels, radius, per_leaf, background=False, weight=None):
    """Loops over images, leaves and pixels, in double precision; the means are those of each image first."""
    within, between = [], []
    for number, (vectors, truth) in enumerate(zip(embedding.numpy(), labels.numpy(), strict=True)):
        terms, weights, cosines = [], [], []
        means, points = {}, {}
        for leaf in np.unique(truth[truth >= (0 if background else 1)]):
            points[leaf] = np.argwhere(truth == leaf)
            total = np.zeros(len(vectors))
            for y, x in points[leaf]:
                total += vectors[:, y, x]
            means[leaf] = total / np.linalg.norm(total)
            away = [1 - means[leaf] @ vectors[:, y, x] for y, x in points[leaf]]
            counts = [1.0 if weight is None else float(weight[number, y, x]) for y, x in points[leaf]]
            if per_leaf:
                away, counts = [np.average(away, weights=counts)], [1.0]
            terms += away
            weights += counts
        for a in means:
            for b in means:
                if a < b and (a == 0 or radius is None or _gap(points[a], points[b]) <= radius):
                    cosines.append(abs(means[a] @ means[b]))
        within.append(np.average(terms, weights=weights) if terms else 0.0)
        between.append(np.mean(cosines) if cosines else 0.0)
    return float(np.mean(within)), float(np.mean(between))


def _gap(first, second):
    return np.linalg.norm(first[:, None] - second[None], axis=2).min()


def random_case(seed, leaves=4, dimensions=5):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(2, 24, 30, dtype=torch.long)
    for image in range(2):
        for leaf in range(1, leaves + 1):
            y, x = (int(v) for v in torch.randint(0, 20, (2,), generator=generator))
            labels[image, y : y + 5, x : x + 6] = leaf + 3 * image
    embedding = torch.randn(2, dimensions, 24, 30, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(embedding, dim=1), labels


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("per_leaf", [True, False])
def test_embedding_loss_agrees_with_plain_loops(seed, per_leaf):
    embedding, labels = random_case(seed)
    expected = plain_embedding_loss(embedding, labels, 1.5, per_leaf)
    result = embedding_loss(embedding, labels, radius=1, per_leaf=per_leaf)
    assert (float(result.within), float(result.between)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("radius", [1, None])
@pytest.mark.parametrize("per_leaf", [True, False])
def test_every_variant_agrees_with_plain_loops_on_partly_annotated_images(seed, background, radius, per_leaf):
    embedding, labels = random_case(seed)
    generator = torch.Generator().manual_seed(seed)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = -1
    labels[1, :4, :4] = 99  # a leaf alone in its corner
    labels[0, 23, 29] = 98  # a leaf of one pixel
    weight = 1 + torch.rand(labels.shape, generator=generator)
    reach = None if radius is None else radius + 0.5
    expected = plain_embedding_loss(embedding, labels, reach, per_leaf, background, weight)
    result = embedding_loss(embedding, labels, radius, per_leaf, background, weight)
    assert (float(result.within), float(result.between)) == pytest.approx(expected, abs=1e-6)


def test_two_hundred_leaves_agree_with_plain_loops():
    labels = torch.arange(1, 201).reshape(10, 20).repeat_interleave(3, 0).repeat_interleave(3, 1)[None]
    embedding = torch.nn.functional.normalize(torch.randn(1, 6, 30, 60, dtype=torch.float64), dim=1)
    expected = plain_embedding_loss(embedding, labels, 1.5, True)
    assert tuple(map(float, embedding_loss(embedding, labels, 1))) == pytest.approx(expected, abs=1e-9)


def test_what_is_not_annotated_carries_no_gradient():
    _, labels = random_case(2)
    labels[:, 6:12] = -1
    hidden = labels < 0
    target = (labels > 0).double()[:, None]
    weight = (~hidden).double()
    raw = torch.randn(2, 4, 24, 30, dtype=torch.float64, requires_grad=True)
    predicted, logits = (torch.randn(2, 1, 24, 30, dtype=torch.float64, requires_grad=True) for _ in range(2))
    for background in (False, True):
        terms = embedding_loss(torch.nn.functional.normalize(raw, dim=1), labels, None, True, background, weight)
        total = terms.within + terms.between + foreground_loss(logits, labels)
        for balanced in (False, True):
            total = total + distance_loss(predicted, target, balanced, weight[:, None])
        gradients = torch.autograd.grad(total, (raw, predicted, logits))
        for gradient in gradients:
            assert not gradient.permute(0, 2, 3, 1)[hidden].any()
            assert gradient.permute(0, 2, 3, 1)[~hidden].any()


@pytest.mark.parametrize("value", [-1, 0])
def test_an_image_without_any_leaf_costs_nothing_and_has_a_finite_gradient(value):
    labels = torch.full((2, 8, 8), value)
    raw = torch.randn(2, 3, 8, 8, requires_grad=True)
    weight = (labels >= 0).float()
    terms = embedding_loss(torch.nn.functional.normalize(raw, dim=1), labels, weight=weight)
    total = terms.within + terms.between + foreground_loss(raw[:, :1], labels)
    total = total + distance_loss(raw[:, :1], torch.zeros(2, 1, 8, 8), weight=weight[:, None])
    total.backward()
    assert torch.isfinite(raw.grad).all()
    assert float(terms.within.detach()) == float(terms.between.detach()) == 0
    if value < 0:
        assert not raw.grad.any()


def test_foreground_loss_is_the_mean_over_annotated_pixels():
    labels = torch.tensor([[[2, 0, -1, -1]]])
    logits = torch.tensor([[[[1.0, -2.0, 50.0, -50.0]]]])
    expected = (np.log1p(np.exp(-1)) + np.log1p(np.exp(-2))) / 2
    assert float(foreground_loss(logits, labels)) == pytest.approx(expected, abs=1e-6)


def test_perfect_embedding_costs_nothing():
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, :4, :4], labels[0, :4, 4:] = 1, 2
    embedding = torch.zeros(1, 3, 8, 8)
    embedding[:, 2] = 1
    embedding[0, :, labels[0] == 1] = torch.tensor([1.0, 0, 0])[:, None]
    embedding[0, :, labels[0] == 2] = torch.tensor([0, 1.0, 0])[:, None]
    result = embedding_loss(embedding, labels)
    assert float(result.within) == pytest.approx(0, abs=1e-6)
    assert float(result.between) == pytest.approx(0, abs=1e-6)


def test_leaves_far_apart_may_share_a_direction():
    labels = torch.zeros(1, 8, 60, dtype=torch.long)
    labels[0, :, :5], labels[0, :, -5:] = 1, 2
    embedding = torch.zeros(1, 2, 8, 60)
    embedding[:, 0] = 1
    assert float(embedding_loss(embedding, labels, radius=10).between) == 0
    assert float(embedding_loss(embedding, labels, radius=58).between) == pytest.approx(1)


def test_background_is_a_neighbor_of_all_when_asked():
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 2:5, 2:5] = 1
    embedding = torch.zeros(1, 2, 8, 8)
    embedding[:, 0] = 1
    assert float(embedding_loss(embedding, labels).between) == 0
    assert float(embedding_loss(embedding, labels, background=True).between) == pytest.approx(1)


@pytest.mark.parametrize("leaves", [0, 1])
def test_images_with_no_or_one_leaf_have_a_finite_gradient(leaves):
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 3, 3] = leaves  # a leaf of one pixel
    raw = torch.randn(1, 3, 8, 8, requires_grad=True)
    loss = embedding_loss(torch.nn.functional.normalize(raw, dim=1), labels)
    (loss.within + loss.between).backward()
    assert torch.isfinite(raw.grad).all()
    assert float(loss.between.detach()) == 0


@pytest.mark.parametrize(("radius", "per_leaf", "background"), [(3, True, False), (None, False, True)])
def test_gradient_agrees_with_finite_differences(radius, per_leaf, background):
    _, labels = random_case(1)
    labels = labels[:1, :8, :8]
    labels[0, 0, :3] = -1
    raw = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def loss(values):
        result = embedding_loss(torch.nn.functional.normalize(values, dim=1), labels, radius, per_leaf, background)
        return result.within + 0.5 * result.between

    assert torch.autograd.gradcheck(loss, (raw,))


def test_gradient_of_distance_and_foreground_agrees_with_finite_differences():
    _, labels = random_case(1)
    labels = labels[:1, :8, :8]
    labels[0, 0] = -1
    target = (labels > 0).double()[:, None] * 0.7
    weight = (labels >= 0).double()[:, None]
    raw = torch.randn(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    for balanced in (False, True):
        assert torch.autograd.gradcheck(lambda values, b=balanced: distance_loss(values, target, b, weight), (raw,))
    assert torch.autograd.gradcheck(lambda values: foreground_loss(values, labels), (raw,))


@pytest.mark.parametrize("radius", [1, 2, 3, 6, 10])
def test_every_pair_of_neighbors_is_found_as_by_dilating_each_leaf(radius):
    count = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        labels = np.zeros((2, 40, 50), np.int64)
        for leaf in range(1, 15):
            y, x, tall, wide = (*rng.integers(0, 46, 2), *rng.integers(1, 7, 2))
            labels[:, y : y + tall, x : x + wide] = leaf
        labels[1] = np.where(labels[1] > 0, labels[1] + 20, 0)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        kernel[radius - 1 : radius + 2, radius - 1 : radius + 2] = 1
        expected = set()
        for plane in labels:
            for leaf in np.unique(plane[plane > 0]):
                reached = cv2.dilate((plane == leaf).astype(np.uint8), kernel) > 0
                expected |= {(int(leaf), int(other)) for other in np.unique(plane[reached]) if other > leaf}
        pairs = neighbor_pairs(torch.tensor(labels), radius).tolist()
        assert len(pairs) == len({tuple(pair) for pair in pairs})
        assert {tuple(pair) for pair in pairs} == expected
        count += len(expected)
    assert count > 12
    assert neighbor_pairs(torch.zeros(1, 4, 4, dtype=torch.int64), radius).shape == (0, 2)


def test_distance_loss_balances_leaf_and_background():
    target = torch.zeros(1, 1, 10, 10)
    target[..., :1, :] = 1
    predicted = torch.zeros_like(target)
    assert float(distance_loss(predicted, target, balanced=False)) == pytest.approx(0.1)
    assert float(distance_loss(predicted, target, balanced=True)) == pytest.approx(0.5)
    assert float(distance_loss(target, torch.zeros_like(target))) == pytest.approx(0.05)
    weight = torch.where(target > 0, 3.0, 1.0)
    assert float(distance_loss(predicted, target, balanced=False, weight=weight)) == pytest.approx(30 / 120)


def test_contacts_are_where_two_leaves_meet():
    labels = torch.zeros(1, 12, 20, dtype=torch.long)
    labels[0, 3:9, 2:9], labels[0, 3:9, 9:16] = 1, 2
    expected = torch.zeros(12, 20, dtype=torch.bool)
    expected[1:11, 7:11] = True
    assert torch.equal(contacts(labels)[0], expected)
    assert not contacts(torch.where(labels == 2, 0, labels)).any()


def test_weighted_pixels_count_more_within_their_leaf():
    labels = torch.ones(1, 4, 4, dtype=torch.long)
    embedding = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    embedding[:, 0] = 1
    embedding[0, :, 0, 0] = torch.tensor([0.0, 1.0])
    weight = torch.ones(1, 4, 4)
    plain = embedding_loss(embedding, labels).within
    assert embedding_loss(embedding, labels, weight=weight).within == plain
    weight[0, 0, 0] = 16
    mean = torch.tensor([15.0, 1.0], dtype=torch.float64) / 226**0.5
    expected = (15 * (1 - mean[0]) + 16 * (1 - mean[1])) / 31
    for per_leaf in (True, False):
        assert torch.isclose(embedding_loss(embedding, labels, per_leaf=per_leaf, weight=weight).within, expected)
    assert expected > 3 * plain
