"""The query-based models: what they promise, and that they learn."""

import numpy as np
import pytest
import torch

from napari_leafseg.metrics import average_precision
from napari_leafseg.models.build import build_network
from napari_leafseg.models.normalize import standardize
from napari_leafseg.models.query.backbones import TransformersBackbone
from napari_leafseg.models.query.base import Queries
from napari_leafseg.models.query.config import QUERY_SIZES, BackboneConfig
from napari_leafseg.postprocessing.masks import cut_mask, matrix_nms, overlaps
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.data import drop_small
from tests.models import plain

NAMES = ("condinst", "solov2", "sotr", "mask2former", "sparseinst", "knet")
SCENE = SceneConfig(size=(64, 64), diameter=(48, 60))


@pytest.fixture(autouse=True)
def one_thread():
    """These networks are too small to be shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name, seed=0, **update):
    torch.manual_seed(seed)
    network = build_network(QUERY_SIZES[f"{name}-tiny"].model_copy(update={"score_floor": 0.0, **update}))
    return network.place("cpu")


def plants(seeds):
    scenes = [synthesize(seed, SCENE) for seed in seeds]
    images = torch.from_numpy(np.stack([standardize(scene.image) for scene in scenes])).permute(0, 3, 1, 2)
    labels = np.stack([drop_small(scene.labels.astype(np.int32), 16) for scene in scenes])
    return images, torch.from_numpy(labels.astype(np.int64))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_predicted_like_its_images_alone(name):
    network = tiny(name).eval()
    images, _ = plants((11, 12))
    together = network.candidates(images)
    for number in range(2):
        (alone,) = network.candidates(images[number : number + 1])
        assert len(alone.scores) == len(together[number].scores)
        torch.testing.assert_close(alone.scores, together[number].scores, atol=2e-4, rtol=1e-3)
        # sorted by score: equal scores may change places, so the masks are compared as a heap
        torch.testing.assert_close(alone.masks.sum(0), together[number].masks.sum(0), atol=0.05, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_reduced_precision_agrees(name):
    network = tiny(name).eval()
    images, _ = plants((11,))
    with torch.no_grad():
        exact = network.encode(images).mask
        with torch.autocast("cpu", torch.bfloat16):
            rough = network.encode(images).mask.float()
    assert (exact - rough).abs().max() < 0.05 * exact.abs().max() + 0.02


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 160), (112, 48)])
def test_any_size_that_the_stride_divides(name, size):
    network = tiny(name).eval()
    (found,) = network.candidates(torch.randn(1, 3, *size))
    assert found.masks.shape[1:] == (size[0] // network.mask_stride, size[1] // network.mask_stride)
    assert (found.scores.diff() <= 0).all()
    assert found.masks.min() >= 0
    assert found.masks.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_part_gets_a_finite_gradient_and_no_leaves_are_no_harm(name):
    network = tiny(name).train()
    images, labels = plants((11, 12))
    losses = network.losses(images, labels)
    sum(losses.values()).backward()
    silent = [key for key, value in network.named_parameters() if value.grad is None]
    # the trunk's own heads are read, not all of them trained on: its last distance head is
    assert all(key.startswith("backbone.net") for key in silent), silent
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)
    empty = network.losses(images, labels * 0)
    assert all(torch.isfinite(value) for value in empty.values())
    sum(empty.values()).backward()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_annotated_carries_no_mask_loss(name):
    network = tiny(name).eval()
    images, labels = plants((13,))
    labels[:, :, 40:] = -1
    images.requires_grad_(True)
    features = network.encode(images)
    features.mask.retain_grad()
    losses = network.losses_of(features, labels)
    mask = sum(value for key, value in losses.items() if key in {"mask", "dice"})
    mask.backward()
    beyond = features.mask.grad[..., 40 // network.mask_stride + 2 :]
    assert float(features.mask.grad.abs().max()) > 0
    if name not in {"mask2former", "knet"}:  # their masks also steer what they see, all over the image
        assert float(beyond.abs().max()) == 0


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.timeout(900)  # a busy machine takes several times as long
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "solov2" else [pytest.mark.night]) for name in NAMES],
)
def test_it_learns_four_plants_by_heart(name):
    images, labels = plants((11, 12, 13, 14))
    network = tiny(name, score_floor=0.05).train()
    steps = {"solov2": 120, "condinst": 150, "sotr": 150}.get(name, 220)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        loss = sum(network.losses(images, labels).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        schedule.step()
    assert ap_of(network.eval(), images, labels).ap50 >= 0.95


def ap_of(network, images, labels):
    pairs = []
    for found, truth in zip(network.candidates(images), labels.numpy(), strict=True):
        masks = torch.nn.functional.interpolate(found.masks[None], truth.shape, mode="bilinear")[0]
        cut = [
            cut_mask(float(score), (mask * 255).byte().numpy()) for score, mask in zip(found.scores, masks, strict=True)
        ]
        scores = matrix_nms(np.array([mask.score for mask in cut]), overlaps(cut), 2.0)
        placed = [
            (float(score), (slice(mask.box[0], mask.box[2]), slice(mask.box[1], mask.box[3])), mask.values >= 128)
            for score, mask in zip(scores, cut, strict=True)
        ]
        pairs.append((truth, placed))
    return average_precision(pairs)


def test_presets_have_the_published_shapes():
    for name in NAMES:
        config = QUERY_SIZES[f"{name}-coco"]
        assert config.classes == 80
        assert config.backbone.size == "50"
    network = build_network(QUERY_SIZES["condinst-coco"])
    assert network.controller.out_channels == 169
    assert network.strides == [8, 16, 32, 64, 128]
    assert network.mask_stride == 4


def test_frozen_norms_stay_frozen_in_training():
    config = BackboneConfig(
        kind="resnet", shape={"depths": [1] * 4, "hidden_sizes": [8, 8, 8, 8], "embedding_size": 8}, frozen_norm=True
    )
    backbone = TransformersBackbone(config).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())
    norms = [part for part in backbone.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(value.requires_grad for part in norms for value in part.parameters())


@pytest.mark.parametrize("kind", ["resnet", "swin"])
def test_pretrained_weights_come_from_a_local_folder(tmp_path, kind):
    from transformers import AutoBackbone, AutoConfig

    shape = (
        {"depths": [1] * 4, "hidden_sizes": [8, 16, 16, 16], "embedding_size": 8, "layer_type": "basic"}
        if kind == "resnet"
        else {"embed_dim": 8, "depths": [1] * 4, "num_heads": [1, 1, 2, 2], "window_size": 4, "image_size": 64}
    )
    stages = [f"stage{number}" for number in range(1, 5)]
    saved = AutoBackbone.from_config(AutoConfig.for_model(kind, out_features=stages, **shape))
    saved.save_pretrained(tmp_path / "weights")
    backbone = TransformersBackbone(BackboneConfig(kind=kind, shape=shape))
    backbone.load_pretrained(str(tmp_path / "weights"))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = backbone.eval()(image)
        wanted = saved.eval()(image).feature_maps
    assert [tuple(item.shape[1:]) for item in maps] == [(c, 64 // s, 64 // s) for c, s in zip(
        backbone.channels, backbone.strides, strict=True
    )]  # fmt: skip
    assert all(torch.allclose(a, b) for a, b in zip(maps, wanted, strict=True))


def test_missing_and_wrong_pretrained_weights_are_explained(tmp_path):
    from transformers import AutoBackbone, AutoConfig

    from napari_leafseg.errors import UserError

    shape = {"depths": [1] * 4, "hidden_sizes": [8, 8, 8, 8], "embedding_size": 8, "layer_type": "basic"}
    backbone = TransformersBackbone(BackboneConfig(kind="resnet", shape=shape))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty gives no weights .* backbone\.pretrained"):
        backbone.load_pretrained(str(tmp_path / "empty"))
    other = AutoConfig.for_model("resnet", **{**shape, "hidden_sizes": [8, 8, 8, 24]})
    AutoBackbone.from_config(other).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="another shape"):
        backbone.load_pretrained(str(tmp_path / "other"))


def test_condinst_queries_see_coordinates_from_themselves_to_the_pixel_reversed_and_scaled():
    network = tiny("condinst").eval()
    rng = np.random.default_rng(0)
    channels = network.config.mask_channels
    masks = rng.normal(size=(2, channels, 6, 8))
    count = network.controller.out_channels
    weights, position = rng.normal(size=(3, count)), np.array([[3.0, 5.0], [9.0, 1.0], [5.0, 11.0]])
    image, reach = np.array([0, 1, 1]), np.array([20.0, 44.0, 88.0])
    queries = Queries(
        torch.tensor(image), torch.tensor(weights), torch.ones(3), torch.tensor(position), torch.tensor(reach)
    )
    found = network.retrieve(queries, torch.tensor(masks)).detach().numpy()
    for number in range(3):
        pixels = []
        for y in range(6):
            for x in range(8):
                there = np.array([2 * x + 1, 2 * y + 1])  # the middle of a pixel at stride 2
                relative = (position[number] - there) / reach[number]
                pixels.append(np.concatenate([relative, masks[image[number], :, y, x]]))
        wanted = plain.dynamic_convolution(np.array(pixels).T[None], weights[number : number + 1], channels, 3)
        np.testing.assert_allclose(found[number], wanted.reshape(6, 8), rtol=1e-6, atol=1e-8)
        # the same pixels asked for one by one, with coordinates relative to the same place
        y, x = np.mgrid[:6, :8]
        places = np.stack([2 * x.ravel() + 1, 2 * y.ravel() + 1], 1)
        relative = torch.tensor((position[number] - places) / reach[number])
        single = network.retrieve_pixels(
            queries.select(torch.tensor([number])), torch.tensor(masks[image[number]].reshape(channels, -1).T), relative
        )
        np.testing.assert_allclose(single.detach().numpy()[0], wanted[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["solov2", "sotr", "mask2former", "sparseinst", "knet"])
def test_a_query_is_a_convolution_of_one_pixel(name):
    network = tiny(name).eval()
    depth = network.config.mask_channels
    masks, weights = torch.randn(2, depth, 5, 7), torch.randn(4, depth)
    image = torch.tensor([1, 0, 1, 0])
    queries = Queries(image, weights, torch.ones(4), torch.zeros(4, 2), torch.ones(4))
    found = network.retrieve(queries, masks)
    for number in range(4):
        for y in range(5):
            for x in range(7):
                wanted = float((weights[number] * masks[image[number], :, y, x]).sum())
                assert float(found[number, y, x]) == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    single = network.retrieve_pixels(queries, masks[0].flatten(1).T, torch.zeros(35, 2))
    torch.testing.assert_close(single[1], found[1].flatten(), rtol=1e-4, atol=1e-4)


def test_mask2former_queries_where_nobody_annotated_learn_nothing():
    from napari_leafseg.models.query.mask2former import _silent

    logits = torch.full((1, 2, 8, 8), -9.0)
    logits[0, 0, :, :3], logits[0, 1, :, 5:] = 9.0, 9.0
    known = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    known[..., :4] = True
    classes = torch.zeros(1, 2, 2, requires_grad=True)
    _silent(classes, logits, known).log_softmax(-1)[..., 1].sum().backward()
    assert float(classes.grad[0, 0].abs().max()) > 0  # in the annotated part
    assert float(classes.grad[0, 1].abs().max()) == 0
    assert _silent(classes, logits, torch.ones_like(known)) is classes


@pytest.mark.slow
def test_swin_large_has_the_published_size_and_runs():
    network = TransformersBackbone(BackboneConfig(kind="swin", size="large")).eval()
    assert sum(value.numel() for value in network.parameters()) == pytest.approx(195.2e6, rel=0.01)
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in maps] == [(192, 16, 24), (384, 8, 12), (768, 4, 6), (1536, 2, 3)]
    with pytest.raises(ValueError, match="swin has no size 50"):
        BackboneConfig(kind="swin", size="50")
