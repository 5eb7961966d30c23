"""Training on COCO data sets: overlaps, crowds, classes, sizes, a held-out AP; and what is no such set."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as run_length
from typer.testing import CliRunner

from napari_leafseg._opencv import cv2
from napari_leafseg.cli import app
from napari_leafseg.errors import InputFileError, ParameterError
from napari_leafseg.models.build import build_network
from napari_leafseg.models.query.base import CATEGORY_STEP, gather_instances
from napari_leafseg.models.query.config import QUERY_SIZES
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.training.coco import CocoImages, fit_size, stack_layers
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data_config import CocoConfig, DataConfig
from napari_leafseg.training.loop import train
from napari_leafseg.training.schedule import build_optimizer, learning_rate
from napari_leafseg.training.transforms import CropTransform, FreeTransform, GridTransform

CLASSES = ("disc", "box", "bar")
COLORS = ((230, 60, 60), (60, 200, 60), (70, 90, 240))


def draw_shape(kind, center, size):
    """Bool (64, 64) of a disc, a box or a bar."""
    plane = np.zeros((64, 64), np.uint8)
    x, y = center
    if kind == 0:
        cv2.circle(plane, center, size, 1, -1)
    elif kind == 1:
        plane[max(0, y - size) : y + size, max(0, x - size) : x + size] = 1
    else:
        plane[max(0, y - size // 2) : y + size // 2 + 1, max(0, x - 2 * size) : x + 2 * size] = 1
    return plane.astype(bool)


def make_set(folder, count=30, seed=5, crowd=False, first=1):
    """A COCO set of images with a disc, a box and a bar that overlap; some in polygons, some in run lengths."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(first, first + count):
        picture = rng.integers(0, 40, (64, 64, 3)).astype(np.uint8)
        middle = rng.integers(28, 37, 2)
        for kind, offset in zip(rng.permutation(3), rng.permutation([(-9, -5), (9, -5), (0, 9)]), strict=True):
            center = tuple(int(value) for value in middle + offset + rng.integers(-2, 3, 2))
            mask = draw_shape(int(kind), center, int(rng.integers(9, 13)))
            picture[mask] = COLORS[kind]
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            coded = run_length.encode(np.asfortranarray(mask.astype(np.uint8)))
            coded = {"size": [64, 64], "counts": coded["counts"].decode()}
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 10 * (int(kind) + 1), "iscrowd": 0,
                "segmentation": coded if number % 2 else [outlines[0].ravel().tolist()],
                "area": float(mask.sum()), "bbox": [float(v) for v in cv2.boundingRect(mask.astype(np.uint8))],
            })  # fmt: skip
        name = f"view_{number:03d}.png"
        cv2.imwrite(str(folder / "images" / name), picture[..., ::-1])
        images.append({"id": number, "file_name": name, "height": 64, "width": 64})
        if crowd:
            band = np.zeros((64, 64), np.uint8)
            band[:8] = 1
            coded = run_length.encode(np.asfortranarray(band))
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 10, "iscrowd": 1, "area": 512.0,
                "segmentation": {"size": [64, 64], "counts": coded["counts"].decode()}, "bbox": [0, 0, 64, 8],
            })  # fmt: skip
    categories = [{"id": 10 * (place + 1), "name": name} for place, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "marks.json").write_text(json.dumps(content))
    return content


def settings(folder, **coco):
    return CocoConfig(images=str(folder / "images"), annotations=str(folder / "marks.json"), **coco)


def config_of(folder, model="solov2-tiny", coco=None, **update):
    known = {"batch": 2, "steps": 3, "crop": 64, "warm_up": 1, "save_every": 2, "mixed_precision": False, "grays": 0.0}
    data = DataConfig(count=0, coco=settings(folder, **(coco or {})))
    return TrainingConfig(name="shapes", model=model, data=data, **{**known, **update})


def test_overlaps_classes_and_crowds_reach_the_network_whole(tmp_path):
    content = make_set(tmp_path, 4, crowd=True)
    config = config_of(tmp_path, batch=4, augment=False)
    images = CocoImages(config.data.coco)
    batch = images.draw_batch(config, 0, 16)
    assert sorted(batch["source"].tolist()) == [-4, -3, -2, -1]
    found = gather_instances(batch["labels"], 1)
    assert len(found.image) == 12
    for item in (entry for entry in content["annotations"] if not entry["iscrowd"]):
        where = batch["source"].tolist().index(-item["image_id"])
        which = (found.image == where) & (found.category == item["category_id"] // 10 - 1)
        outline = item["segmentation"]
        wanted = run_length.decode(
            outline if isinstance(outline, dict) else run_length.merge(run_length.frPyObjects(outline, 64, 64))
        )
        (mask,) = found.masks[which].numpy()
        np.testing.assert_array_equal(mask, wanted)  # whole, also under others
    covered = np.zeros((4, 64, 64), bool)
    for image, mask in zip(found.image.tolist(), found.masks.numpy(), strict=True):
        covered[image] |= mask > 0
    known = found.known.numpy()
    assert (known[:, 8:] == 1).all()
    np.testing.assert_array_equal(known[:, :8] == 1, covered[:, :8])  # a crowd carries no loss beside objects
    assert known[:, :8].min() == 0


def test_every_image_comes_once_in_an_epoch_and_a_step_is_always_the_same(tmp_path):
    make_set(tmp_path, 6)
    config = config_of(tmp_path)
    images = CocoImages(config.data.coco)
    seen = [images.draw_batch(config, step, 16)["source"].tolist() for step in range(6)]
    assert sorted(np.ravel(seen[:3])) == sorted(np.ravel(seen[3:])) == [-6, -5, -4, -3, -2, -1]
    again = CocoImages(config.data.coco).draw_batch(config, 4, 16)
    assert torch.equal(again["image"], images.draw_batch(config, 4, 16)["image"])
    one = config_of(tmp_path, coco={"one_class": True})
    first = gather_instances(CocoImages(one.data.coco).draw_batch(one, 0, 16)["labels"], 2)
    assert first.category.tolist() == [0] * 6


def test_images_of_any_shape_are_resized_as_published(tmp_path):
    content = make_set(tmp_path, 2)
    picture = np.random.default_rng(0).integers(0, 255, (40, 90, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "images" / "view_002.png"), picture)
    content["images"][1].update(height=40, width=90)
    for item in content["annotations"]:
        if item["image_id"] == 2:
            item["segmentation"] = [[10, 10, 60, 10, 60, 30, 10, 30]]
    (tmp_path / "marks.json").write_text(json.dumps(content))
    config = config_of(tmp_path, coco={"sizes": (48, 80), "longest": 120})
    images = CocoImages(config.data.coco)
    shapes = set()
    for step in range(12):
        batch = images.draw_batch(config, step, 32)
        shapes.add(tuple(batch["image"].shape[2:]))
        wide = batch["source"].tolist().index(-2)
        used = (batch["labels"][wide] >= 0).any(0)
        assert (int(used.any(1).sum()), int(used.any(0).sum())) in {(48, 108), (53, 120)}
        assert batch["labels"].shape[2:] == batch["image"].shape[2:]
        found = gather_instances(batch["labels"], 1)
        box = found.boxes[found.image == wide][0]
        assert float((box[2] - box[0]) / (box[3] - box[1])) == pytest.approx(2.5, rel=0.08)
    assert shapes == {(64, 128), (96, 128)}
    assert fit_size((480, 640), 800, 1333) == (800, 1067)
    assert fit_size((300, 1000), 800, 1333) == (400, 1333)
    assert fit_size((300, 500), None, 1333) == (300, 500)


def test_large_scale_jitter_fills_squares(tmp_path):
    make_set(tmp_path, 3)
    config = config_of(tmp_path, coco={"jitter": (0.5, 2.0)}, crop=96, batch=3)
    images = CocoImages(config.data.coco)
    shares, sizes = [], []
    for step in range(10):
        batch = images.draw_batch(config, step, 16)
        assert batch["image"].shape[2:] == (96, 96)
        known = gather_instances(batch["labels"], 1).known
        shares += known.mean((1, 2)).tolist()
        sizes += gather_instances(batch["labels"], 1).masks.sum((1, 2)).tolist()
    assert min(shares) < 0.6
    assert max(shares) == 1
    assert max(sizes) > 4 * min(sizes)
    assert images.usual_side(config) == 96


def test_transforms_move_layers_like_labels():
    masks = [(2, np.pad(np.ones((8, 8), bool), ((2, 6), (4, 4)))), (0, np.pad(np.ones((8, 8), bool), ((6, 2), (4, 4))))]
    layers = torch.from_numpy(stack_layers(masks, np.zeros((16, 16), bool)))[None]
    assert layers.shape == (1, 2, 16, 16)
    assert set(layers.unique().tolist()) == {0, 1 + 2 * CATEGORY_STEP, 2}
    for transform in (GridTransform(1, True), FreeTransform(30.0, 1.1, (0.1, 0.0))):
        moved = transform.labels(layers)
        for number in range(2):
            assert torch.equal(moved[:, number], transform.labels(layers[:, number]))
    assert gather_instances(GridTransform(1, True).labels(layers), 2).category.tolist() == [0, 2]


def test_a_window_cuts_layers_like_labels():
    plane = np.zeros((32, 32), bool)
    masks = [(0, plane.copy()), (1, plane.copy())]
    masks[0][1][4:20, 4:20] = True
    masks[1][1][2:30, 14:30] = True
    layers = torch.from_numpy(stack_layers(masks, plane))[None].repeat(2, 1, 1, 1)
    cut = CropTransform(GridTransform(1, False), (8, 8, 16, 16), 32)
    for number in range(layers.shape[1]):
        assert torch.equal(cut.labels(layers)[:, number], cut.labels(layers[:, number]))


def test_more_overlaps_than_layers_never_lose_a_mask():
    rng = np.random.default_rng(1)
    masks = []
    for number in range(40):
        plane = np.zeros((48, 48), bool)
        y, x = rng.integers(0, 32, 2)
        plane[y : y + 16, x : x + 16] = True
        masks.append((number % 5, plane))
    unknown = rng.random((48, 48)) < 0.2
    layers = stack_layers(masks, unknown)
    assert len(layers) < 40
    for number, (category, plane) in enumerate(masks, start=1):
        assert any(np.array_equal(layer == number + CATEGORY_STEP * category, plane) for layer in layers)
    found = gather_instances(torch.from_numpy(layers)[None], 1)
    covered = np.any([plane for _, plane in masks], axis=0)
    np.testing.assert_array_equal(found.known[0].numpy() > 0, covered | ~unknown)


@pytest.mark.parametrize("name", ["solov2", "condinst", "sotr", "mask2former", "sparseinst", "knet"])
def test_each_class_is_taught(tmp_path, name):
    make_set(tmp_path, 2)
    config = config_of(tmp_path, f"{name}-tiny")
    images = CocoImages(config.data.coco)
    torch.manual_seed(0)
    network = build_network(images.fitted(config).network()).train()
    batch = images.draw_batch(config, 0, network.stride)
    sum(network.losses(batch["image"], batch["labels"]).values()).backward()
    heads = {"mask2former": "class_head", "knet": "rounds.1.score_head"}
    head = network.get_submodule(heads.get(name, "score_head"))
    # a class that is in the images is to become likelier: the gradient of its bias alone is negative, or larger
    with_classes = head.bias.grad[:3].clone()
    network.zero_grad()
    shown = batch["labels"].clone()
    shown[shown >= 2 * CATEGORY_STEP] = 0  # without bars
    sum(network.losses(batch["image"], shown).values()).backward()
    assert float(head.bias.grad[2]) > float(with_classes[2])
    assert torch.isfinite(head.bias.grad).all()


def test_classes_are_the_data_sets(tmp_path):
    make_set(tmp_path, 1)
    images = CocoImages(settings(tmp_path))
    network = images.fitted(config_of(tmp_path)).network()
    assert (network.classes, network.class_names) == (3, CLASSES)
    with pytest.raises(ParameterError, match="neither classes nor leaves that overlap"):
        images.fitted(config_of(tmp_path, "tiny"))
    wrong = QUERY_SIZES["solov2-tiny"].model_copy(update={"classes": 80})
    with pytest.raises(ParameterError, match=r"model.classes is 80, but .* has 3"):
        images.fitted(config_of(tmp_path, type(wrong).model_validate(wrong.model_dump())))


def test_published_schedules():
    config = TrainingConfig(
        optimizer="sgd", momentum=0.9, learning_rate=0.01, schedule="milestones", milestones=(60, 80), steps=90,
        warm_up=10, decay_all=False, backbone_rate=0.1, model="solov2-tiny",
    )  # fmt: skip
    rates = [learning_rate(config, step) for step in (0, 9, 59, 60, 79, 80, 89)]
    assert rates == pytest.approx([0.001, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])
    network = build_network(config.network())
    optimizer = build_optimizer(config, network)
    assert isinstance(optimizer, torch.optim.SGD)
    named = {id(value): name for name, value in network.named_parameters()}
    for group in optimizer.param_groups:
        assert group["momentum"] == 0.9
        names = [named[id(value)] for value in group["params"]]
        slow = group["share"] == 0.1
        assert all(name.startswith("backbone.") == slow for name in names)
        if group["weight_decay"] == 0:
            assert all(value.dim() == 1 for value in group["params"])
        else:
            assert not any(name.startswith("score_tower.1.") for name in names)  # a group norm
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(named)


@pytest.mark.night
@pytest.mark.slow
@pytest.mark.train
@pytest.mark.timeout(900)  # a busy machine takes several times as long
def test_one_command_learns_thirty_images_by_heart(tmp_path):
    make_set(tmp_path)
    held = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "marks.json")}
    recipe = tmp_path / "shapes.yaml"
    recipe.write_text(json.dumps({
        "name": "shapes", "model": "solov2-tiny", "steps": 260, "batch": 8, "learning_rate": 0.004, "warm_up": 10,
        "validate_every": 260, "save_every": 260, "average": 0.9, "augment": False, "mixed_precision": False,
        "data": {"count": 0, "coco": {**held, "held_out": held}},
    }))  # fmt: skip
    told = CliRunner().invoke(app, ["train", str(recipe), "--output", str(tmp_path / "run"), "--device", "cpu"])
    assert told.exit_code == 0, told.output
    curves = [json.loads(line) for line in (tmp_path / "run" / "curves.jsonl").read_text().splitlines()]
    assert curves[-1]["ap"] > 0.9
    assert curves[-1]["ap50"] > 0.97  # classes are told apart, and what lies under another is found
    _, card = load_checkpoint(tmp_path / "run" / "shapes.safetensors")
    assert card.config.class_names == CLASSES
    assert card.whole_image_size == 64
    assert card.metrics["ap"] > 0.9


def broken(content, what):
    """What is wrong with a set, and a part of the words for it."""
    item = content["annotations"][0]
    if what == "image":
        item["image_id"] = 77
        return "annotation 1 is of image 77, which it lacks"
    if what == "category":
        item["category_id"] = 5
        return "annotation 1 is of category 5, which it lacks"
    if what == "categories":
        content["categories"] = []
        return "names no categories"
    if what == "outside":
        item["segmentation"] = [[900, 900, 950, 900, 950, 950]]
        return "annotation 1 (image “view_001.png”) has an outline outside its image"
    if what == "box":
        item["segmentation"] = []
        return "has no outline; a box alone"
    if what == "odd":
        item["segmentation"] = [[1, 2, 3]]
        return "has an outline of 3 numbers"
    if what == "runs":
        item["segmentation"] = {"size": [64, 64], "counts": [5, 5]}
        return "run lengths that add up to 10 pixels, not to 4,096"
    if what == "size":
        del content["images"][0]["height"]
        return "does not say how large “view_001.png” is"
    if what == "words":
        item["segmentation"] = [["a", "b", "c", "d", "e", "f"]]
        return "is no COCO file"
    if what == "escape":
        content["images"][0]["file_name"] = "../../secret.png"
        return "lies outside the folder of the images"
    if what == "empty":
        content["annotations"] = []
        return "has no annotation to learn from"
    content["images"][0]["file_name"] = "gone.png"
    return "holds no image gone.png"


@pytest.mark.parametrize(
    "what",
    ["image", "category", "categories", "outside", "box", "odd", "runs", "size", "words", "escape", "empty", "gone"],
)
def test_wrong_sets_are_refused_in_words(tmp_path, what):
    content = make_set(tmp_path, 2)
    words = broken(content, what)
    (tmp_path / "marks.json").write_text(json.dumps(content))
    with pytest.raises(InputFileError) as told:
        CocoImages(settings(tmp_path))
    assert words in str(told.value)


def test_the_command_says_what_is_wrong(tmp_path):
    make_set(tmp_path, 2)
    recipe = tmp_path / "shapes.yaml"

    def run(**coco):
        known = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "marks.json"), **coco}
        recipe.write_text(json.dumps({"model": "solov2-tiny", "data": {"count": 0, "coco": known}}))
        with pytest.raises(Exception) as told:  # noqa: PT011 - the program turns it into words and an exit code
            CliRunner().invoke(app, ["train", str(recipe), "--output", str(tmp_path / "run")], catch_exceptions=False)
        assert isinstance(told.value, InputFileError | ParameterError)
        assert not (tmp_path / "run").exists()
        return str(told.value)

    assert "There is no file" in run(annotations=str(tmp_path / "none.json"))
    assert "There is no folder" in run(images=str(tmp_path / "none"))
    (tmp_path / "torn.json").write_text('{"images": [')
    assert "cannot be read as JSON" in run(annotations=str(tmp_path / "torn.json"))
    assert "data.coco.sizes" in run(sizes=[1])
    other = json.loads((tmp_path / "marks.json").read_text())
    other["categories"][0]["name"] = "ring"
    (tmp_path / "other.json").write_text(json.dumps(other))
    held = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "other.json")}
    assert "has a category “disc” that" in run(held_out=held)


def test_an_image_of_another_size_is_named(tmp_path):
    make_set(tmp_path, 2)
    cv2.imwrite(str(tmp_path / "images" / "view_001.png"), np.eye(60, 70)[..., None].repeat(3, 2) * 200)
    config = config_of(tmp_path)
    with pytest.raises(InputFileError, match=r"view_001.png has 70 × 60 pixels; .* says 64 × 64"):
        list(train(config, tmp_path / "run"))
