"""Query-based models in the training loop: the same data, events and files as the leaf model's."""

import pytest
import torch

from napari_leafseg.errors import UserError
from napari_leafseg.models.build import build_network
from napari_leafseg.models.query.config import QUERY_SIZES
from napari_leafseg.models.store.checkpoint import load_checkpoint, load_partial, save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard
from napari_leafseg.synthetic import SceneConfig
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data_config import DataConfig, SceneShare
from napari_leafseg.training.loop import train

SCENES = (SceneShare(share=1.0, scene=SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0)),)


def config_of(name, **update):
    data = DataConfig(count=4, seed=7_000, scenes=SCENES)
    return TrainingConfig(
        name=name, model=f"{name}-tiny", data=data, steps=4, batch=2, crop=64, validation_count=0, save_every=2,
        warm_up=1, target_diameter=60, **update,
    )  # fmt: skip


def events_of(config, folder):
    return [event for event in train(config, folder) if event.kind != "data"]


@pytest.mark.parametrize("name", ["condinst", "solov2", "sotr", "mask2former", "sparseinst", "knet"])
def test_each_trains_saves_and_goes_on(tmp_path, name):
    config = config_of(name, mixed_precision=False)
    run = train(config, tmp_path)
    for event in run:
        if event.kind == "saved":
            break
    run.close()
    later = events_of(config, tmp_path)
    assert [event.step for event in later if event.kind == "step"] == [3, 4]
    assert {"score", "mask", "total"} <= set(later[0].values)
    network, card = load_checkpoint(tmp_path / f"{name}.safetensors")
    assert card.config == QUERY_SIZES[f"{name}-tiny"]
    assert card.provenance["steps"] == 4
    assert all(torch.isfinite(value).all() for value in network.state_dict().values() if value.is_floating_point())


def test_the_backbone_waits_for_its_stage_and_moves_slower(tmp_path):
    config = config_of("solov2", staged=0.5, backbone_rate=0.5)
    torch.manual_seed(config.seed)
    before = build_network(config.network()).state_dict()
    states = []
    for event in train(config, tmp_path):
        if event.kind == "saved":
            states.append(torch.load(tmp_path / "state.pt", weights_only=True)["network"])
    for key, value in before.items():
        if key.startswith("backbone."):
            assert torch.equal(states[0][key], value), key
    moved = [key for key in before if key.startswith("backbone.") and not torch.equal(states[1][key], before[key])]
    assert any(key.endswith("running_mean") for key in moved)
    assert any(key.endswith("weight") for key in moved)


def test_a_leaf_models_weights_become_the_backbone(tmp_path, tiny_checkpoint):
    shape = load_checkpoint(tiny_checkpoint)[1].config
    backbone = QUERY_SIZES["solov2-tiny"].backbone.model_copy(update={"trunk": shape})
    config = QUERY_SIZES["solov2-tiny"].model_copy(update={"backbone": backbone, "levels": (0, 1, 2)})
    network = build_network(config.model_copy(update={"backbone": backbone}))
    count = load_partial(network, tiny_checkpoint)
    leaf, _ = load_checkpoint(tiny_checkpoint)
    assert count == len(leaf.state_dict())
    for key, value in leaf.state_dict().items():
        assert torch.equal(network.state_dict()[f"backbone.net.{key}"], value)


def test_weights_that_fit_nowhere_are_refused(tmp_path):
    swin = QUERY_SIZES["solov2-tiny"].model_copy(update={"width": 24, "groups": 4, "mask_channels": 20})
    other = build_network(QUERY_SIZES["mask2former-tiny"])
    path = tmp_path / "other.safetensors"
    torch.nn.Module.__init__(other)
    other.only = torch.nn.Parameter(torch.zeros(3))
    save_checkpoint(path, other, ModelCard("other", "1", QUERY_SIZES["mask2former-tiny"]))
    with pytest.raises(UserError, match="no weights in common"):
        load_partial(build_network(swin), path)


def test_variances_beyond_float16_are_kept(tmp_path):
    network = build_network(QUERY_SIZES["solov2-tiny"])
    name = next(key for key in network.state_dict() if key.endswith("running_var"))
    network.state_dict()[name].fill_(90_000.0)
    save_checkpoint(tmp_path / "a.safetensors", network, ModelCard("a", "1", QUERY_SIZES["solov2-tiny"]), half=True)
    again, _ = load_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(again.state_dict()[name], network.state_dict()[name])


def test_an_unknown_preset_is_named():
    with pytest.raises(UserError, match="no model size “condinst-huge”"):
        config_of("solov2").model_copy(update={"model": "condinst-huge"}).network()
