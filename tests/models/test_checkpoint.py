"""Networks, checkpoints and the list of models."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from napari_leafseg.errors import UserError
from napari_leafseg.models.distance_embedding.config import SIZES, UNetConfig
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet
from napari_leafseg.models.normalize import brightness_statistics, standardize
from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard, read_card
from napari_leafseg.models.store.zoo import describe_model, find_model, list_models


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_outputs_have_the_stated_shapes(size):
    network = DistanceEmbeddingNet(SIZES[size]).eval()
    with torch.inference_mode():
        output = network(torch.randn(2, 3, 32, 48))
        distances = network.distances(torch.randn(2, 3, 32, 48))
    assert output.distance.shape == (2, 1, 32, 48)
    assert output.embedding.shape == (2, SIZES[size].embedding, 32, 48)
    assert torch.allclose(output.embedding.norm(dim=1), torch.ones(2, 32, 48), atol=1e-4)
    assert float(output.distance.min()) >= 0
    assert (output.foreground is None) == (size == "paper")
    assert distances.embedding.shape == (2, 0, 32, 48)


def test_paper_size_has_the_published_widths():
    network = DistanceEmbeddingNet(SIZES["paper"])
    millions = sum(p.numel() for p in network.distance_net.parameters()) / 1e6
    assert millions == pytest.approx(7.8, abs=0.15)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


def test_embedding_loss_reaches_the_first_network_unless_stopped():
    for stopped in (False, True):
        config = SIZES["tiny"].model_copy(update={"stop_gradient": stopped})
        network = DistanceEmbeddingNet(config)
        network(torch.randn(1, 3, 16, 16)).embedding[:, 0].sum().backward()
        reached = any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.distance_net.parameters())
        assert reached != stopped


def test_first_network_changes_the_embedding():
    """The concatenation is really there."""
    torch.manual_seed(0)
    network = DistanceEmbeddingNet(SIZES["tiny"]).eval()
    image = torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        before = network(image).embedding.clone()
        network.link.weight.mul_(-1)
        assert not torch.allclose(before, network(image).embedding)


@pytest.mark.parametrize("half", [False, True])
def test_a_checkpoint_alone_rebuilds_its_model(tmp_path, half):
    torch.manual_seed(1)
    config = SIZES["tiny"].model_copy(update={"unet": UNetConfig(filters=3, depth=2), "embedding": 5})
    network = DistanceEmbeddingNet(config).eval()
    card = ModelCard("mine", "3", config, {"angle": 30.0}, {"sbd": 0.5}, {"steps": 7}, "A test.", target_diameter=99.0)
    save_checkpoint(tmp_path / "mine.safetensors", network, card, half)
    again, about = load_checkpoint(tmp_path / "mine.safetensors")
    assert about == card
    assert not again.training
    image = torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(network(image).distance, again(image).distance, atol=2e-2 if half else 1e-6)


def test_bad_weights_are_refused_with_the_files_name(tmp_path, tiny_checkpoint):
    text = tmp_path / "notes.safetensors"
    text.write_text("these are no weights")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, foreign)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_checkpoint.read_bytes()[:-500])
    for path, words in (
        (text, "not a napari-leafseg checkpoint"),
        (foreign, "some other program"),
        (cut, "not a napari"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            load_checkpoint(path)
        assert path.name in str(caught.value)
    with pytest.raises(UserError, match=r"missing\.safetensors"):
        read_card(tmp_path / "missing.safetensors")


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    from safetensors.torch import save_file as save_torch

    path = tmp_path / "solo.safetensors"
    meta = {"format": "napari-leafseg 1", "config": '{"kind": "solov2"}', "card": "{}"}
    save_torch({"x": torch.zeros(1)}, path, meta)
    with pytest.raises(UserError, match="another kind of model"):
        load_checkpoint(path)
    config = SIZES["tiny"].model_dump_json()
    meta = {"format": "napari-leafseg 1", "config": config, "card": '{"name": "a", "version": "1"}'}
    save_torch({"x": torch.zeros(1)}, path, meta)
    with pytest.raises(UserError, match="do not fit"):
        load_checkpoint(path)


def test_failed_writing_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    config = SIZES["tiny"]
    with pytest.raises(UserError, match="Cannot write"):
        save_checkpoint(tmp_path / "file" / "m.safetensors", DistanceEmbeddingNet(config), ModelCard("m", "1", config))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_bundled_model_is_listed_and_small():
    assert "leaf" in list_models()
    assert find_model("leaf").stat().st_size <= 12e6
    card = describe_model("leaf")
    assert card.name == "leaf"
    small = describe_model("leaf-small")
    assert small.provenance["training"]["data"]["folder"] is None  # synthetic plants only
    assert find_model("leaf-small").stat().st_size < find_model("leaf").stat().st_size
    with pytest.raises(UserError, match="no model “oak”"):
        find_model("oak")


def test_black_surroundings_do_not_change_how_a_plant_looks():
    image = np.random.default_rng(0).integers(1, 255, (20, 20, 3)).astype(np.uint8)
    framed = np.pad(image, ((50, 50), (50, 50), (0, 0)))
    assert brightness_statistics(framed) == pytest.approx(brightness_statistics(image))
    assert np.allclose(standardize(framed)[50:-50, 50:-50], standardize(image))
    assert np.isfinite(standardize(np.zeros((4, 4, 3), np.uint8))).all()


def test_cards_of_the_first_release_say_whether_they_mirror(tmp_path):
    config = SIZES["tiny"]
    save_checkpoint(tmp_path / "m.safetensors", DistanceEmbeddingNet(config), ModelCard("m", "1", config, tta_views=4))
    assert read_card(tmp_path / "m.safetensors").tta_views == 4
    with safe_open(tmp_path / "m.safetensors", framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    entries = json.loads(metadata["card"])
    del entries["tta_views"]
    for mirror, views in ((True, 2), (False, 1)):
        metadata["card"] = json.dumps({**entries, "mirror": mirror})
        save_file(tensors, tmp_path / "old.safetensors", metadata)
        assert read_card(tmp_path / "old.safetensors").tta_views == views
