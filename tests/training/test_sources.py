"""Several labeled folders, partly labeled images, coarse crops."""

import imageio.v3 as imageio
import numpy as np
import pytest
import torch

from napari_leafseg.errors import UserError
from napari_leafseg.inference.plants import Plant, working_scale
from napari_leafseg.losses.distance_embedding import center_loss
from napari_leafseg.training.augment import degrade, random_crop
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data import SyntheticDataset, draw_batch, unlabeled_neighbors, unlabeled_vegetation
from napari_leafseg.training.data_config import DataConfig, LabeledFolder
from napari_leafseg.training.loop import train


def _folder(path, names, value):
    path.mkdir()
    for name in names:
        image = np.full((40, 40, 3), value, np.uint8)
        image[0, 0] += 1  # not one color all over
        labels = np.zeros((40, 40), np.uint16)
        labels[10:30, 8:18], labels[10:30, 20:32] = 1, 2
        imageio.imwrite(path / f"{name}.png", image)
        imageio.imwrite(path / f"{name}_label.png", labels)
    return str(path)


def test_each_folder_has_its_share_and_each_plant_within_it(tmp_path):
    many = _folder(tmp_path / "many", [f"a_{day}" for day in range(9)] + ["b_0"], 10)
    few = _folder(tmp_path / "few", ["c_0"], 200)
    sources = (LabeledFolder(folder=many, share=0.6, same_plant="^(.)_"), LabeledFolder(folder=few, share=0.2))
    pool = SyntheticDataset(tmp_path / "pool", DataConfig(count=2, sources=sources, scenes=DataConfig().scenes))
    assert list(pool.fill())
    rng = np.random.default_rng(0)
    drawn = [pool.sample(rng) for _ in range(600)]
    shares = [sum(int(np.median(item.image)) == value and item.source < 0 for item in drawn) for value in (10, 200)]
    assert shares[0] / 600 == pytest.approx(0.6, abs=0.06)
    assert shares[1] / 600 == pytest.approx(0.2, abs=0.05)
    plants = [item.source for item in drawn if item.source < 0]
    counts = np.array([plants.count(source) for source in sorted(set(plants))])
    assert len(counts) == 3
    assert counts[np.argsort(counts)][1:] == pytest.approx(180, abs=45)  # plant b as often as plant a


def test_images_are_left_out_by_name(tmp_path):
    folder = _folder(tmp_path / "all", ["one", "two", "three"], 10)
    (tmp_path / "kept.txt").write_text("two\n\n")
    source = LabeledFolder(folder=folder, share=1.0, exclude=("three",), exclude_file=str(tmp_path / "kept.txt"))
    pool = SyntheticDataset(tmp_path / "pool", DataConfig(count=0, sources=(source,)))
    list(pool.fill())
    assert len(pool._own[0].pairs) == 1
    gone = source.model_copy(update={"exclude_file": str(tmp_path / "none.txt")})
    with pytest.raises(UserError, match=r"none\.txt"):
        list(SyntheticDataset(tmp_path / "pool", DataConfig(count=0, sources=(gone,))).fill())


def test_vegetation_without_a_label_is_not_annotated():
    image = np.full((30, 30, 3), 120, np.uint8)
    image[5:25, 5:12] = image[5:25, 18:25] = (60, 160, 50)
    labels = np.zeros((30, 30), int)
    labels[5:25, 5:12] = 1
    found = unlabeled_vegetation(image, labels)
    assert (found[5:25, 5:12] == 1).all()
    assert (found[6:24, 19:24] == -1).all()
    assert found[0, 0] == 0


def test_bright_neighbors_at_the_border_are_not_annotated():
    image = np.full((40, 40, 3), 20, np.uint8)
    image[10:25, 10:25] = image[0:8, 28:40] = image[30:36, 10:16] = 180
    labels = np.zeros((40, 40), int)
    labels[10:25, 10:25] = 1
    found = unlabeled_neighbors(image, labels)
    assert (found[10:25, 10:25] == 1).all()
    assert (found[1:7, 30:39] == -1).all()
    assert (found[31:35, 11:15] == 0).all()  # not at the border: the labels know it


def test_a_coarse_crop_keeps_its_shape_and_mean_and_loses_detail():
    rng = np.random.default_rng(3)
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    found = [degrade(rng, image, 1.0) for _ in range(20)]
    assert {item.shape for item in found} == {image.shape}
    assert all(abs(float(item.mean()) - float(image.mean())) < 6 for item in found)
    assert any(item.astype(float).std() < 0.7 * image.std() for item in found)
    assert np.array_equal(degrade(rng, image, 0.0), image)


def test_the_aspect_changes_within_the_image():
    labels = np.zeros((80, 80), np.int32)
    labels[30:50, 30:50] = 1
    image = np.repeat((labels * 200)[..., None], 3, 2).astype(np.uint8)
    rng = np.random.default_rng(1)
    sides = []
    for _ in range(30):
        _, truth = random_crop(rng, image, labels, 64, 1.0, (40, 40), turn=False, aspect=0.3)
        rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
        sides.append(len(rows) / len(columns))
    assert max(sides) > 1.2
    assert min(sides) < 0.85


def test_plants_of_many_leaves_are_seen_closer():
    plant = Plant(0, 0, 100, 100, 4900.0, leaves=49)  # a leaf is 10 pixels across
    plain = working_scale([plant], 200)
    assert working_scale([plant], 200, 10 * plain) == pytest.approx(plain)
    assert working_scale([plant], 200, 15 * plain) == pytest.approx(1.5 * plain)
    assert working_scale([plant], 200, 90 * plain) == pytest.approx(2.5 * plain)
    assert working_scale([plant], 200, 15 * plain, leaves=4) == pytest.approx(plain)


def test_centers_that_hit_cost_nothing():
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, 2:9, 3:8] = 1
    labels[0, 12:18, 2:18] = 2
    labels[0, :, 19] = -1
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    places = torch.stack([rows, columns])
    offset = torch.zeros(1, 2, 20, 20)
    for leaf in (1, 2):
        inside = labels[0] == leaf
        offset[0, :, inside] = places[:, inside].mean(1)[:, None] - places[:, inside]
    assert float(center_loss(offset, labels)) == pytest.approx(0, abs=1e-6)
    offset[0, :, labels[0] == 1] += 4.0
    wrong = float(center_loss(offset, labels))
    assert wrong > 0.05
    offset[0, :, labels[0] < 1] = 99.0  # neither background nor what is not annotated counts
    assert float(center_loss(offset, labels)) == pytest.approx(wrong)
    assert float(center_loss(offset, torch.zeros_like(labels))) == 0


def test_a_model_with_centers_trains_on_folders(tmp_path):
    folder = _folder(tmp_path / "all", ["one", "two"], 90)
    sources = (LabeledFolder(folder=folder, share=1.0, unlabeled="green"),)
    config = TrainingConfig(
        model="pretrained", steps=2, batch=2, crop=64, diameter=60, data=DataConfig(count=0, sources=sources),
        validation_count=0, grays=0.5, degrade=0.5, aspect=0.1, least_leaf=12,
        loss={"embedding_stride": 2, "neighbor_radius": 6},
    )  # fmt: skip
    events = list(train(config, tmp_path / "run"))
    steps = [event for event in events if event.kind == "step"]
    assert len(steps) == 2
    assert {"distance", "within", "between", "center", "foreground"} <= set(steps[0].values)
    assert all(np.isfinite(value) for value in steps[-1].values.values())


def test_batches_drawn_ahead_are_those_of_their_steps(tmp_path, monkeypatch):
    folder = _folder(tmp_path / "all", ["one", "two"], 90)
    config = TrainingConfig(
        model="tiny", steps=3, batch=2, crop=32, diameter=30, validation_count=0, draw_ahead=True,
        data=DataConfig(count=0, sources=(LabeledFolder(folder=folder, share=1.0),)),
    )  # fmt: skip
    from napari_leafseg.training import loop

    seen = []
    plain = loop._Run.train_step
    monkeypatch.setattr(loop._Run, "train_step", lambda run, batch: (seen.append(batch), plain(run, batch))[1])
    list(train(config, tmp_path / "run"))
    pool = SyntheticDataset(tmp_path / "run" / "pool", config.data)
    list(pool.fill())
    for step, batch in enumerate(seen):
        expected = draw_batch(pool, config, step)
        assert all(torch.equal(batch[key], expected[key]) for key in expected)
