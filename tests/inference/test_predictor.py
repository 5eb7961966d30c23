"""The predictor: scale, tiles, kinds of input, fallbacks, kept predictions."""

import contextlib
import threading

import numpy as np
import pytest
import torch

from napari_leafseg.errors import UserError
from napari_leafseg.inference import device as devices
from napari_leafseg.inference.dense_output import DenseOutput
from napari_leafseg.inference.label_shapes import enlarge_labels
from napari_leafseg.inference.plants import Plant, adjust_exposure, gather_plants, plant_regions, typical_size
from napari_leafseg.inference.prediction import Prediction, StackPrediction
from napari_leafseg.inference.predictor import Predictor
from napari_leafseg.inference.search import find_plants
from napari_leafseg.inference.tiling import TiledNetwork, tile_spans
from napari_leafseg.inference.tta import TestTimeAugmentation, merge_scales
from napari_leafseg.io import resize
from napari_leafseg.metrics import foreground_dice, score
from napari_leafseg.models.normalize import brightness_statistics
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.conftest import discs


def test_the_bundled_model_finds_leaves(prediction, scene):
    labels = prediction.labels()
    assert labels.shape == scene.labels.shape
    assert labels.dtype == np.uint16
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert score(labels, scene.labels).sbd > 0.7


def test_labels_are_pure_and_follow_the_tunables(prediction):
    first = prediction.labels()
    assert prediction.labels(seed_threshold=0.9).max() <= prediction.labels(seed_threshold=0.2).max()
    narrow, wide = prediction.labels(angle=10), prediction.labels(angle=70)
    assert np.count_nonzero(narrow) < np.count_nonzero(wide)
    assert prediction.labels(min_area=1e9).max() == 0
    assert np.array_equal(prediction.labels(), first)


def test_tunables_describe_themselves_and_refuse_nonsense(prediction):
    names = [tunable.name for tunable in prediction.tunables]
    assert names == ["seed_threshold", "angle", "grouping", "min_confidence", "min_area"]
    assert all(t.minimum <= t.default <= t.maximum and t.help and t.label for t in prediction.tunables)
    with pytest.raises(UserError, match="between 5 and 75"):
        prediction.labels(angle=200)
    with pytest.raises(UserError, match="no parameter “angel”"):
        prediction.labels(angel=40)


def test_the_record_tells_how_labels_came_about(prediction):
    record = prediction.record(angle=30)
    assert record["model"]["name"] == "leaf"
    assert record["parameters"]["angle"] == 30
    assert record["parameters"]["seed_threshold"] == prediction.defaults()["seed_threshold"]
    assert record["scale"] == prediction.scale
    assert record["scale_found"] is True


@pytest.mark.parametrize("kind", ["gray", "uint16", "float", "rgba"])
def test_other_kinds_of_images_give_about_the_same_plant(predictor, prediction, scene, kind):
    image = scene.image
    changed = {
        "gray": image.mean(2).astype(np.uint8),
        "uint16": image.astype(np.uint16) * 257,
        "float": image.astype(np.float32) / 255,
        "rgba": np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]),
    }[kind]
    result = predictor.predict(changed)
    assert foreground_dice(result.labels(), scene.labels) > (0.6 if kind == "gray" else 0.85)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_working_scale_follows_the_size_of_the_plant(predictor, prediction, scene, factor):
    result = predictor.predict(resize(scene.image, factor))
    assert result.scale * factor == pytest.approx(prediction.scale, rel=0.3)
    assert result.labels().shape == resize(scene.image, factor).shape[:2]


def test_a_given_scale_is_used(predictor, scene):
    result = predictor.predict(scene.image, scale=0.8)
    assert (result.scale, result.scale_found) == (0.8, False)
    with pytest.raises(UserError, match="working scale"):
        predictor.predict(scene.image, scale=100)


def test_a_small_plant_in_a_large_image_is_found(predictor):
    config = SceneConfig(
        size=(220, 220), diameter=(180, 190), background="soil", habit="rosette", border=0.0, blank=0.0
    )
    plant = synthesize(105, config)
    large = synthesize(
        7, SceneConfig(size=(1500, 2000), plants=(0, 0), background="soil", distractors=False)
    ).image.copy()
    large[900:1120, 300:520] = plant.image
    result = predictor.predict(large)
    alone = predictor.predict(plant.image)
    assert not result.labels()[:700].any()
    assert score(result.labels()[900:1120, 300:520], alone.labels()).sbd > 0.8
    assert all(region.shape[0] < 600 for region in result.regions)  # the rest of the image is not worked on


def test_no_plant_gives_no_leaves_and_says_so(predictor):
    empty = synthesize(1, SceneConfig(size=(300, 300), plants=(0, 0), background="paper", distractors=False))
    result = predictor.predict(empty.image)
    assert result.labels().max() == 0
    assert "No plant" in result.notes[0]
    assert result.seeds().shape == (0, 2)
    assert not result.embedding_rgb().any()


def test_bad_images_are_named(predictor):
    with pytest.raises(UserError, match=r"layer.png is 1 × 1"):
        predictor.predict(np.zeros((1, 1, 3), np.uint8), name="layer.png")
    with pytest.raises(UserError, match="not one image"):
        predictor.predict(np.zeros((4, 50, 60), np.uint8))
    with pytest.raises(UserError, match="NaN"):
        predictor.predict(np.full((40, 40), np.nan))


def test_a_series_is_predicted_frame_by_frame(predictor, scene):
    stack = np.stack([scene.image, scene.image[:, ::-1]])
    result = predictor.predict(stack)
    assert isinstance(result, StackPrediction)
    labels = result.labels(angle=40)
    assert labels.shape == (2, 256, 256)
    assert np.array_equal(labels[0], result.frames[0].labels(**{**result.defaults(), "angle": 40}))
    assert result.record()["frames"] == 2
    assert [frame.shape for frame in result.frames] == [(256, 256)] * 2
    assert result.scale == np.median([frame.scale for frame in result.frames])
    single = predictor.predict(scene.image)
    assert single.frames == (single,)  # an image is one frame
    for item in (single, result):
        assert item.planes(item.labels()).shape == (len(item.frames), 256, 256)
        assert item.stack([frame.distance_map() for frame in item.frames]).shape == item.shape
        assert item.stack([frame.embedding_rgb() for frame in item.frames]).shape == (*item.shape, 3)
    with pytest.raises(UserError, match="not one image"):
        predictor.predict(stack[None])
    with pytest.raises(UserError, match="time series; a plant mask is for one image"):
        predictor.predict(stack, mask=scene.labels > 0)


def test_events_may_be_stopped_after_any(predictor, scene):
    events = predictor.run(scene.image)
    first = next(events)
    assert 0 <= first.done <= first.total
    events.close()
    assert predictor.predict(scene.image).labels().max() > 0


def test_tiles_cover_everything_once():
    for length in (10, 768, 769, 2000):
        covered = np.zeros(length, int)
        for seen, kept in tile_spans(length, 768, 128):
            assert seen.start <= kept.start
            assert kept.stop <= seen.stop
            assert seen.stop - seen.start <= 768
            covered[kept] += 1
        assert (covered == 1).all()


def test_seams_cut_no_leaves(predictor):
    """Tiles of 384 pixels with a halo of 96 agree with one pass over the whole."""
    config = SceneConfig(size=(608, 608), diameter=(160, 220), plants=(6, 6), background="soil", border=0.0, blank=0.0)
    image = synthesize(103, config).image
    whole = predictor.predict(image, scale=1.0).labels()
    network, card = load_checkpoint(find_model("leaf"))
    tiled = Predictor(network, card, "cpu")
    tiled._tiled.tile = 384
    pieces = tiled.predict(image, scale=1.0).labels()
    assert score(pieces, whole).sbd > 0.97


class _Short(torch.nn.Module):
    """A network for which memory is short above a number of pixels."""

    def __init__(self, network, limit):
        super().__init__()
        self.network, self.limit = network, limit
        self.config, self.stride = network.config, network.stride
        self.embed = getattr(network, "embed", None)  # of predicted centers alone

    def place(self, _device):
        return self

    def forward(self, images):
        if images.shape[-1] * images.shape[-2] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.network(images)


@pytest.mark.parametrize("name", ["leaf", "leaf-small"])
def test_short_memory_falls_back_to_tiles_and_says_so(name):
    network, _ = load_checkpoint(find_model(name))
    said = []
    image = synthesize(1, SceneConfig(size=(448, 448), diameter=(200, 300))).image
    statistics = brightness_statistics(image)
    tiled = TiledNetwork(_Short(network, 400 * 400), torch.device("cpu"), said.append)
    maps = tiled.maps(image, statistics)
    expected = TiledNetwork(network, torch.device("cpu"), said.append).maps(image, statistics)
    assert "tiles of 384" in said[0]
    assert np.mean(np.abs(maps.distance.astype(int) - expected.distance) > 12) < 0.02
    with pytest.raises(UserError, match="too little memory"):
        TiledNetwork(_Short(network, 10), torch.device("cpu"), said.append).maps(image, statistics)


def test_a_full_graphics_card_falls_back_to_the_cpu(monkeypatch):
    network, _ = load_checkpoint(find_model("leaf"))
    said = []
    tiled = TiledNetwork(network, torch.device("cpu"), said.append)
    tiled.device, tiled.tile = torch.device("mps"), 256
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    tiled._retreat()
    assert tiled.device.type == "cpu"
    assert "CPU" in said[0]


def test_devices(monkeypatch):
    assert devices.available_devices()[-1] == "cpu"
    assert devices.choose_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no device “cuda”"):
        devices.choose_device("cuda")
    assert isinstance(devices.fast_bfloat16(), bool)


def maps_of(labels, peak=200):
    foreground = ((labels > 0) * 255).astype(np.uint8)
    return DenseOutput(
        np.where(labels > 0, peak, 0).astype(np.uint8), foreground, np.zeros((0, *labels.shape), np.int8)
    )


def test_pieces_near_each_other_are_one_plant_and_flat_ones_none():
    labels = discs(400, ((60, 60), (60, 104), (300, 300)), 20)
    plants = gather_plants(maps_of(labels), scale=0.5)
    assert len(plants) == 2
    assert plants[0].diameter == pytest.approx(2 * 85, abs=4)
    assert gather_plants(maps_of(labels, peak=40), 0.5) == []
    sizes = [np.sqrt(10 * 1.75 * np.sqrt(300)), np.sqrt(100 * 1.75 * np.sqrt(100))]
    plants = [Plant(0, 0, 10, 10, 300), Plant(0, 0, 100, 50, 100)]
    assert typical_size(plants) == pytest.approx(0.75 * sizes[0] + 0.25 * sizes[1])
    whole, tip_cut = Plant(0, 0, 160, 160, 8000), Plant(0, 0, 120, 160, 7800)
    assert whole.size / tip_cut.size < 1.01
    one_leaf_more = Plant(0, 0, 120, 200, 8200)
    assert one_leaf_more.size / tip_cut.size < 0.92 * one_leaf_more.diameter / tip_cut.diameter


def test_false_plants_that_a_closer_look_does_not_confirm_are_dropped(monkeypatch):
    """Of what an overview takes for leaf, half may be a real plant; the rest must not keep it from being found."""
    from napari_leafseg.inference import search

    real, false = Plant(100, 100, 200, 200, 4000), Plant(300, 300, 380, 380, 5000)
    seen = [Plant(2, 2, 100, 100, 4100)]

    class Network:
        def maps(self, part, _statistics, embed):
            return None

    calls = []

    def gather(_maps, _zoom):
        calls.append(1)
        return seen if len(calls) % 2 else []

    monkeypatch.setattr(search, "gather_plants", gather)
    image = np.zeros((400, 400, 3), np.uint8)
    (found,) = search._look_again(Network(), image, [real, false], (100, 0.0), 255.0)
    assert found.area == 4100


def test_regions_have_a_margin_and_do_not_overlap():
    plants = [Plant(100, 100, 200, 200, 1), Plant(100, 210, 200, 300, 1), Plant(600, 600, 700, 700, 1)]
    regions = plant_regions(plants, (800, 800))
    assert len(regions) == 2
    rows, columns = regions[0]
    assert rows.start < 75
    assert columns.stop > 320
    assert regions[1][0].stop <= 800


def test_the_search_ends_with_its_result(predictor, scene):
    events = list(find_plants(predictor._tiled, scene.image, 160))
    assert [event[2] is None for event in events[:-1]] == [True] * (len(events) - 1)
    assert len(events[-1][2].plants) == 1


def test_dark_leaves_beside_bright_paper_are_exposed_for(predictor, scene):
    dark = (scene.image * 0.3).astype(np.uint8)
    dark = np.pad(dark, ((80, 80), (80, 80), (0, 0)), constant_values=235)
    findings = list(find_plants(predictor._tiled, dark, 130))[-1][2]
    assert findings.white_point < 150
    brightest = np.percentile(dark[80:-80, 80:-80][scene.labels > 0].max(1), 95)
    assert findings.white_point == pytest.approx(1.25 * brightest, rel=0.15)
    assert adjust_exposure(dark, findings.white_point).max() == 255
    assert adjust_exposure(dark, 255.0) is dark
    assert foreground_dice(predictor.predict(dark).labels()[80:-80, 80:-80], scene.labels) > 0.8


@pytest.mark.parametrize("factor", [0.5, 1.7, 4.0])
def test_enlarged_labels_keep_place_and_area(factor):
    labels = discs().astype(np.uint16)
    shape = (round(120 * factor), round(120 * factor))
    result = enlarge_labels(labels, shape)
    assert result.shape == shape
    for leaf in (1, 2, 3):
        assert np.count_nonzero(result == leaf) == pytest.approx(np.count_nonzero(labels == leaf) * factor**2, rel=0.05)
        for axis in (0, 1):
            here = np.argwhere(result == leaf)[:, axis].mean()
            there = (np.argwhere(labels == leaf)[:, axis].mean() + 0.5) * factor - 0.5
            assert here == pytest.approx(there, abs=0.4)


def test_enlarged_neighbors_leave_no_gap():
    labels = np.zeros((20, 20), np.uint16)
    labels[5:15, 5:10], labels[5:15, 10:15] = 1, 2
    result = enlarge_labels(labels, (80, 80))
    assert (result[30:50, 30:50] > 0).all()


def test_explaining_images_have_the_images_size(prediction, scene):
    assert isinstance(prediction, Prediction)
    distance = prediction.distance_map()
    assert distance.shape == scene.labels.shape
    assert distance[scene.labels > 0].mean() > 5 * distance[scene.labels == 0].mean()
    colors = prediction.embedding_rgb()
    assert colors.shape == scene.image.shape
    seeds = prediction.seeds(0.3)
    assert len(seeds) >= len(prediction.seeds(0.8))
    inside = prediction.labels(seed_threshold=0.3, min_area=0)[tuple(np.round(seeds).astype(int).T)]
    assert (inside > 0).all()


@pytest.mark.parametrize(
    ("views", "same"),
    [
        (4, lambda maps: maps[..., ::-1, ::-1]),
        (8, lambda maps: np.swapaxes(maps, -1, -2)),
        (8, lambda maps: np.swapaxes(maps, -1, -2)[..., ::-1]),
    ],
)
def test_all_views_together_do_not_depend_on_how_the_image_lies(scene, views, same):
    network, _ = load_checkpoint(find_model("leaf-small"))
    tiled = TiledNetwork(network, torch.device("cpu"), print, views=views)
    image = np.ascontiguousarray(scene.image[:192, :192])
    statistics = brightness_statistics(image)
    maps = tiled.maps(image, statistics)
    planes = np.moveaxis(image, -1, 0)
    other = tiled.maps(np.ascontiguousarray(np.moveaxis(same(planes), 0, -1)), statistics)
    assert np.abs(same(maps.distance).astype(int) - other.distance).max() <= 3
    assert np.abs(same(maps.foreground).astype(int) - other.foreground).max() <= 5
    assert maps.embedding.shape[0] == views * network.config.embedding
    # the cosine of two pixels is the mean of all views' cosines, whatever the views' order
    here = same(maps.embedding)[:, ::7, ::7].reshape(maps.embedding.shape[0], -1).astype(float)
    there = other.embedding[:, ::7, ::7].reshape(maps.embedding.shape[0], -1).astype(float)
    assert np.abs(here.T @ here - there.T @ there).max() < 0.04 * 127**2
    assert np.linalg.norm(here, axis=0) == pytest.approx(127, rel=0.03)


def test_the_mirror_image_gives_the_mirrored_maps(scene):
    """With mirroring, distance and foreground of an image and of its mirror image are mirror images."""
    network, _ = load_checkpoint(find_model("leaf"))
    tiled = TiledNetwork(network, torch.device("cpu"), print, views=2)
    statistics = brightness_statistics(scene.image)
    maps = tiled.maps(scene.image, statistics)
    mirrored = tiled.maps(np.ascontiguousarray(scene.image[:, ::-1]), statistics)
    assert np.abs(maps.distance.astype(int) - mirrored.distance[:, ::-1]).max() <= 2
    assert np.abs(maps.foreground.astype(int) - mirrored.foreground[:, ::-1]).max() <= 3


def test_maps_at_several_sizes_become_one_of_the_firsts_size():
    rng = np.random.default_rng(0)

    def maps(height, width, value):
        vectors = rng.normal(size=(4, height, width))
        vectors[:] = vectors[:, :1, :1]  # one direction all over
        vectors /= np.linalg.norm(vectors, axis=0)
        full = np.full((height, width), value, np.uint8)
        return DenseOutput(full, full, np.round(127 * vectors).astype(np.int8))

    first, second = maps(20, 30, 100), maps(25, 37, 50)
    merged = merge_scales([first, second])
    assert (merged.distance == 75).all()
    assert (merged.foreground == 75).all()
    assert merged.embedding.shape == (8, 20, 30)
    assert np.linalg.norm(merged.embedding.astype(float), axis=0) == pytest.approx(127, abs=3)
    assert merge_scales([first]) is first


def test_looks_reach_the_network_and_the_record(scene):
    network, card = load_checkpoint(find_model("leaf"))
    prediction = Predictor(network, card, "cpu", TestTimeAugmentation(views=1, scales=(1.0, 0.8))).predict(scene.image)
    size = network.config.embedding
    assert prediction.regions[0].maps.embedding.shape[0] == 2 * size
    assert prediction.record()["tta"] == {"views": 1, "scales": [1.0, 0.8]}
    assert score(prediction.labels(), scene.labels).sbd > 0.6
    standard = Predictor(network, card, "cpu").predict(scene.image)
    assert standard.record()["tta"] == {"views": card.tta_views, "scales": [1.0]}
    assert standard.scale == prediction.scale


def test_a_graphics_card_computes_one_thing_at_a_time_and_a_processor_several():
    from napari_leafseg.inference.device import device_lock

    def two(device):
        """Which of two threads was where, in order."""
        seen, inside = [], threading.Barrier(2, timeout=0.5)

        def work(name):
            with device_lock(device):
                seen.append(("in", name))
                with contextlib.suppress(threading.BrokenBarrierError):
                    inside.wait()  # both get here only where they need not wait for each other
                seen.append(("out", name))

        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [what for what, _ in seen]

    assert two(torch.device("cuda:0")) == ["in", "out", "in", "out"]
    assert two(torch.device("cuda")) == ["in", "out", "in", "out"]
    assert two(torch.device("cpu")) == ["in", "in", "out", "out"]
