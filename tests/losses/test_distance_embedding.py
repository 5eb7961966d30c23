"""The losses, against plain double-precision loops."""

import numpy as np
import pytest
import torch

from napari_leafseg.losses.distance_embedding import contacts, distance_loss, embedding_loss, neighbour_pairs


def plain_embedding_loss(embedding, labels, radius, per_leaf):
    """Loops over images, leaves and pixels."""
    terms, cosines = [], []
    for vectors, truth in zip(embedding.numpy(), labels.numpy(), strict=True):
        means = {}
        for leaf in np.unique(truth[truth > 0]):
            pixels = vectors[:, truth == leaf]
            mean = pixels.mean(1)
            means[leaf] = mean / np.linalg.norm(mean)
            away = 1 - means[leaf] @ pixels
            terms.extend([away.mean()] if per_leaf else away.tolist())
        points = {leaf: np.argwhere(truth == leaf) for leaf in means}
        for a in means:
            for b in means:
                if a < b:
                    gaps = np.linalg.norm(points[a][:, None] - points[b][None], axis=2)
                    if gaps.min() <= radius:
                        cosines.append(abs(means[a] @ means[b]))
    return float(np.mean(terms)), float(np.mean(cosines)) if cosines else 0.0


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


def test_background_is_a_neighbour_of_all_when_asked():
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


def test_gradient_agrees_with_finite_differences():
    _, labels = random_case(1)
    labels = labels[:1, :8, :8]
    raw = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def loss(values):
        result = embedding_loss(torch.nn.functional.normalize(values, dim=1), labels, radius=3)
        return result.within + 0.5 * result.between

    assert torch.autograd.gradcheck(loss, (raw,))


def test_neighbours_agree_with_brute_force():
    _, labels = random_case(3, leaves=6)
    labels = labels[:1]
    truth = labels[0].numpy()
    leaves = [leaf for leaf in np.unique(truth) if leaf]
    points = {leaf: np.argwhere(truth == leaf) for leaf in leaves}
    expected = {
        (a, b)
        for a in leaves
        for b in leaves
        if a < b and np.linalg.norm(points[a][:, None] - points[b][None], axis=2).min() <= 6
    }
    found = {tuple(pair) for pair in neighbour_pairs(labels, 6).tolist()}
    assert found <= expected
    near = {(a, b) for a, b in expected if np.linalg.norm(points[a][:, None] - points[b][None], axis=2).min() <= 4.5}
    assert near <= found


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
