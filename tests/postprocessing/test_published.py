"""The published grouping, against plain loops, and where a user meets it."""

import numpy as np
import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.models.distance_embedding.family import DISTANCE_EMBEDDING
from napari_leafseg.models.parameters import check_values, describe_parameters, parse_values
from napari_leafseg.postprocessing import AngularGrouping, PublishedGrouping, quantize


def gaussian(plane, sigma):
    """Blur line by line, mirrored at the border."""
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (0, 1):
        padded = np.pad(plane, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], mode="symmetric")
        plane = sum(
            weight * np.take(padded, range(k, k + plane.shape[axis]), axis=axis) for k, weight in enumerate(weights)
        )
    return plane


def plain_seeds(distance, threshold):
    """Highest within 10 pixels along both axes, above the threshold, 10 pixels from the border; from the top down."""
    smooth = gaussian(distance.astype(float), 3)
    height, width = smooth.shape
    found = []
    for y in range(10, height - 10):
        for x in range(10, width - 10):
            window = smooth[y - 10 : y + 11, x - 10 : x + 11]
            if smooth[y, x] == window.max() and smooth[y, x] > threshold * smooth.max():
                found.append((y, x))
    return found


def plain_published(distance, embedding, threshold, cosine, smallest, foreground=None):
    height, width = distance.shape
    disc = [(dy, dx) for dy in range(-3, 4) for dx in range(-3, 4) if dy * dy + dx * dx <= 9]
    padded = np.pad(embedding.astype(float), ((0, 0), (3, 3), (3, 3)), mode="symmetric")
    vectors = np.zeros(embedding.shape)
    for dy, dx in disc:
        vectors += padded[:, 3 + dy : 3 + dy + height, 3 + dx : 3 + dx + width]
    vectors /= np.linalg.norm(vectors, axis=0)
    labels, seeds = np.zeros((height, width), int), plain_seeds(distance, threshold)
    for number, place in enumerate(seeds, start=1):
        labels[place] = number
    while True:
        wanted = []
        for y in range(height):
            for x in range(width):
                beside = labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max()
                if beside == labels[y, x] or (foreground is not None and not foreground[y, x]):
                    continue
                if vectors[:, y, x] @ vectors[:, *seeds[beside - 1]] > cosine:
                    wanted.append((y, x, beside))
        if not wanted:
            break
        for y, x, number in wanted:
            labels[y, x] = number
    for number in range(1, len(seeds) + 1):
        inside = labels == number
        if inside.sum() < smallest or distance[inside].mean() < 0.1 * distance.max():
            labels[inside] = 0
    return pieces(labels)


def pieces(labels):
    """Number the connected pieces of equal labels."""
    result, count = np.zeros_like(labels), 0
    for start in np.argwhere(labels):
        if result[tuple(start)]:
            continue
        count += 1
        waiting = [tuple(start)]
        while waiting:
            y, x = waiting.pop()
            if result[y, x] or labels[y, x] != labels[tuple(start)]:
                continue
            result[y, x] = count
            waiting += [
                (a, b)
                for a in range(max(0, y - 1), min(len(labels), y + 2))
                for b in range(max(0, x - 1), min(labels.shape[1], x + 2))
            ]
    return result


def case(seed):
    """Leaves that overlap in their directions, so that growing overwrites and cuts off."""
    rng = np.random.default_rng(seed)
    distance, embedding = np.zeros((56, 64)), rng.normal(0, 0.35, (4, 56, 64))
    y, x = np.mgrid[:56, :64]
    for _ in range(6):
        cy, cx = rng.integers(8, 48), rng.integers(8, 56)
        radius, direction = rng.uniform(6, 13), rng.normal([1.2, 0, 0, 0])
        gap = np.hypot(y - cy, (x - cx) * rng.uniform(0.6, 1.4)) / radius
        inside = gap < 1
        distance[inside] = np.maximum(distance, 1 - gap)[inside]
        embedding[:, inside] += 2 * (direction / np.linalg.norm(direction))[:, None]
    embedding /= np.linalg.norm(embedding, axis=0)
    return np.round(200 * distance).astype(np.uint8), quantize(embedding)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("threshold", "angle", "smallest", "confined"), [(0.3, 60, 10, False), (0.5, 45.57, 25, True)])
def test_it_agrees_with_plain_loops(seed, threshold, angle, smallest, confined):
    distance, embedding = case(seed)
    foreground = distance > 20 if confined else None
    grouping = PublishedGrouping(distance, embedding, foreground)
    wanted = plain_published(distance, embedding, threshold, np.cos(np.deg2rad(angle)), smallest, foreground)
    found = grouping.labels(threshold, angle, smallest)
    np.testing.assert_array_equal(found, wanted)
    assert found.max() >= 2
    assert [tuple(point) for point in grouping.seeds(threshold).points] == plain_seeds(distance, threshold)


def test_a_later_seed_overwrites_an_earlier_one_and_noise_is_dropped():
    distance = np.zeros((44, 60), np.uint8)
    distance[10:15, 10:50], distance[27:32, 10:50] = 150, 200
    embedding = np.zeros((2, 44, 60))
    embedding[0] = 1
    grouping = PublishedGrouping(distance, quantize(embedding))
    seeds = grouping.seeds(0.5).points
    assert len(seeds) >= 2
    # all directions agree: the last one has taken every pixel
    assert grouping.labels(0.5, 45, 10).tolist() == np.ones((44, 60), int).tolist()
    assert grouping.labels(0.5, 45, 44 * 60 + 1).max() == 0
    faint = distance.copy()
    faint[0, 0] = 255  # the mean of the whole image is now under a tenth of the maximum
    faint[faint < 255] //= 4
    assert PublishedGrouping(faint, quantize(embedding)).labels(0.1, 45, 1).max() == 0


def test_nothing_at_all():
    grouping = PublishedGrouping(np.zeros((30, 30), np.uint8), np.zeros((2, 30, 30), np.int8))
    assert grouping.labels().max() == 0
    assert grouping.seeds(0.5).points.shape == (0, 2)


# -- as a parameter ------------------------------------------------------------------------------------------------


def prediction_of(confined=True):
    from napari_leafseg.inference.leaf_prediction import LeafPrediction, PixelRegion
    from napari_leafseg.inference.prediction import ModelInfo
    from napari_leafseg.inference.tiling import DenseOutput

    distance, embedding = case(1)
    maps = DenseOutput(distance, (distance > 20).astype(np.uint8) * 255, embedding)
    region = PixelRegion(slice(0, 56), slice(0, 64), maps, confined=confined)
    return LeafPrediction((56, 64), 1.0, [region], ModelInfo("m", "1", kind="distance_embedding")), maps


def test_a_prediction_gives_the_papers_labels_when_asked_and_its_own_otherwise():
    prediction, maps = prediction_of()
    foreground = maps.foreground > 0
    ours = AngularGrouping(maps.distance, foreground, maps.embedding)
    theirs = PublishedGrouping(maps.distance, maps.embedding, foreground)
    values = {"seed_threshold": 0.3, "angle": 60.0, "min_area": 10.0}
    assert np.array_equal(prediction.labels(**values), ours.labels(0.3, 60, 10))
    assert np.array_equal(prediction.labels(**values, grouping=1.0), theirs.labels(0.3, 60, 10))
    assert not np.array_equal(prediction.labels(**values, grouping=1.0), prediction.labels(**values))
    assert prediction.defaults()["grouping"] == 0
    np.testing.assert_allclose(prediction.seeds(0.3, 1.0), theirs.seeds(0.3).points)
    np.testing.assert_allclose(prediction.seeds(0.3), ours.seeds(0.3).points)
    free, _ = prediction_of(confined=False)  # a network without a foreground, as published
    wanted = PublishedGrouping(maps.distance, maps.embedding).labels(0.3, 60, 10)
    assert np.array_equal(free.labels(**values, grouping=1.0), wanted)
    with pytest.raises(UserError, match="Grouping must be best-seed, published or watershed, not 3"):
        prediction.labels(grouping=3.0)


def test_the_parameter_search_keeps_to_the_chosen_grouping():
    from napari_leafseg.inference.parameter_search import search_parameters

    prediction, _ = prediction_of()
    truth = prediction.labels(seed_threshold=0.36, angle=60.0, min_area=8.0, grouping=1.0)
    searches = {}
    for grouping in (0.0, 1.0):
        current = {"seed_threshold": 0.9, "grouping": grouping}
        *_, last = search_parameters([prediction], [truth], current, rows=(0.36, 0.9), columns=(30.0, 60.0))
        searches[grouping] = last.search
    assert searches[1.0].best_sbd == 1
    assert searches[1.0].best == {
        "seed_threshold": 0.36, "angle": 60.0, "min_area_working": searches[1.0].best["min_area_working"],
        "grouping": 1.0,
    }  # fmt: skip
    assert searches[0.0].best_sbd < 1
    assert "grouping" not in searches[0.0].at(0, 0, 0)


def test_a_choice_is_written_by_name_or_number():
    specs = DISTANCE_EMBEDDING.settable
    assert parse_values(specs, ["grouping=published"]) == {"grouping": 1.0}
    assert parse_values(specs, ["grouping=0"]) == {"grouping": 0.0}
    for wrong in ("grouping=0.5", "grouping=3"):
        with pytest.raises(UserError, match="must be best-seed, published or watershed"):
            parse_values(specs, [wrong])
    with pytest.raises(UserError, match="is no number"):
        parse_values(specs, ["grouping=other"])
    with pytest.raises(UserError, match="must be best-seed, published or watershed"):
        check_values(specs, {"grouping": 7})
    assert any(
        "grouping (best-seed, published or watershed, default best-seed)" in line for line in describe_parameters(specs)
    )
