"""Importing published checkpoints: small files with the originals' names, shapes and layouts."""

import json
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_leafseg.errors import UserError
from napari_leafseg.models.build import build_network
from napari_leafseg.models.query.config import QUERY_SIZES, BackboneConfig
from napari_leafseg.models.query.pretrained import convert
from napari_leafseg.models.query.pretrained.convert import import_published, rename
from napari_leafseg.models.query.pretrained.key_mapping import RULES
from napari_leafseg.models.query.pretrained.read import read_weights
from tests.models.published import published_mask2former

SHAPE = {"depths": [3, 4, 6, 3], "hidden_sizes": [16, 16, 16, 16], "embedding_size": 8}
SMALL = {"width": 16, "groups": 4, "classes": 5}
SIZES = {
    "condinst": {**SMALL, "mask_width": 16, "towers": 2},
    "solov2": {**SMALL, "mask_channels": 16, "tower_width": 16, "mask_width": 16, "towers": 2},
    "sotr": {**SMALL, "mask_channels": 16, "mask_width": 16, "depth": 2, "heads": 2},
}
# one of each kind of weight, with its shape in the small model: (the originals' name, ours, shape)
KNOWN = {
    "condinst": [
        ("backbone.bottom_up.stem.conv1.norm.running_var", (8,)),
        ("backbone.bottom_up.res3.0.shortcut.weight", (16, 16, 1, 1)),
        ("backbone.bottom_up.res5.2.conv3.norm.weight", (16,)),
        ("backbone.fpn_lateral3.weight", (16, 16, 1, 1)),
        ("backbone.fpn_output5.bias", (16,)),
        ("backbone.top_block.p7.weight", (16, 16, 3, 3)),
        ("proposal_generator.fcos_head.cls_tower.0.bias", (16,)),
        ("proposal_generator.fcos_head.bbox_tower.4.weight", (16,)),
        ("proposal_generator.fcos_head.cls_logits.weight", (5, 16, 3, 3)),
        ("proposal_generator.fcos_head.ctrness.bias", (1,)),
        ("proposal_generator.fcos_head.scales.4.scale", (1,)),
        ("controller.weight", (169, 16, 3, 3)),
        ("mask_branch.refine.2.0.weight", (16, 16, 3, 3)),
        ("mask_branch.tower.3.1.running_mean", (16,)),
        ("mask_branch.tower.4.weight", (8, 16, 1, 1)),
        ("mask_branch.seg_head.1.1.bias", (16,)),
        ("mask_branch.logits.weight", (5, 16, 1, 1)),
    ],
    "solov2": [
        ("backbone.fpn_lateral2.bias", (16,)),
        ("ins_head.cate_tower.3.weight", (16, 16, 3, 3)),
        ("ins_head.kernel_tower.0.weight", (16, 18, 3, 3)),
        ("ins_head.cate_pred.bias", (5,)),
        ("ins_head.kernel_pred.weight", (16, 16, 3, 3)),
        ("mask_head.convs_all_levels.0.conv0.0.weight", (16, 16, 3, 3)),
        ("mask_head.convs_all_levels.3.conv0.0.weight", (16, 18, 3, 3)),
        ("mask_head.convs_all_levels.3.conv2.1.bias", (16,)),
        ("mask_head.conv_pred.0.weight", (16, 16, 1, 1)),
        ("mask_head.conv_pred.1.weight", (16,)),
    ],
    "sotr": [
        ("cate_head.transformer.layers.blocks.0.1.fn.g", ()),
        ("cate_head.transformer.layers.blocks.2.0.fn.fn.to_q.weight", (16, 16)),
        ("cate_head.transformer.layers.blocks.2.1.fn.fn.to_kv.weight", (32, 16)),
        ("cate_head.transformer.layers.blocks.0.0.fn.fn.to_out.bias", (16,)),
        ("cate_head.transformer.layers.blocks.3.1.g", ()),
        ("cate_head.transformer.layers.blocks.1.0.fn.2.weight", (16, 16, 3, 3)),
        ("cate_head.cate_pred.weight", (5, 16)),
        ("cate_head.kernel_pred.bias", (16,)),
        ("mask_head.convs_all_levels.3.conv0.0.weight", (16, 16, 3, 3)),
    ],
}


def small_config(kind):
    backbone = BackboneConfig(kind="resnet", shape={**SHAPE, "downsample_in_bottleneck": True}, frozen_norm=True)
    return QUERY_SIZES[f"{kind}-coco"].model_copy(update={"backbone": backbone, **SIZES[kind]})


def backwards(rules):
    """Rules from our names to theirs."""
    turned = []
    for pattern, ours in rules:
        groups = re.findall(r"\((?:[^()]|\\.)*\)", pattern)
        theirs, numbers = pattern, {}
        for number, group in enumerate(groups, start=1):
            theirs = theirs.replace(group, f"\\{number}", 1)
            numbers[number] = group
        theirs = theirs.replace("\\.", ".")
        seen = re.escape(ours).replace("\\\\", "\\")
        for number, group in numbers.items():
            seen = seen.replace(f"\\{number}", f"(?P<g{number}>{group[1:-1]})")
            theirs = theirs.replace(f"\\{number}", f"\\g<g{number}>")
        turned.append((seen, theirs))
    return turned


def published_file(kind, network):
    """The network's weights under the originals' names; batch norms without counters, as detectron2's are."""
    rules, found = backwards(RULES[kind]), {}
    for key, value in network.state_dict().items():
        if key.startswith("backbone") and key.endswith("num_batches_tracked"):
            continue
        for pattern, theirs in rules:
            match = re.fullmatch(pattern, key)
            if match:
                found[match.expand(theirs)] = value.clone()
                break
        else:
            raise AssertionError(f"no rule for {key}")
    return found


@pytest.fixture
def small(monkeypatch):
    """The importer reads the small stand-ins as it reads the published sizes."""
    sizes = {f"{kind}-coco": small_config(kind) for kind in SIZES}
    monkeypatch.setattr(convert, "QUERY_SIZES", sizes)
    real = convert.BackboneConfig

    def backbone(**entries):
        return real(**{**entries, "size": "custom", "shape": {**SHAPE, **entries["shape"]}})

    monkeypatch.setattr(convert, "BackboneConfig", backbone)


def original(kind, seed=1):
    torch.manual_seed(seed)
    network = build_network(small_config(kind))
    for value in network.parameters():
        value.data.normal_(std=0.2)
    return network.eval()


@pytest.mark.parametrize("kind", SIZES)
def test_every_weight_finds_its_place(tmp_path, small, kind):
    network = original(kind)
    theirs = published_file(kind, network)
    for name, shape in KNOWN[kind]:
        assert tuple(theirs[name].shape) == shape, name
    extra = {"pixel_mean": torch.zeros(3, 1, 1), "mask_head._iter": torch.zeros(1)} if kind == "condinst" else {}
    torch.save({"model": {**theirs, **extra}, "iteration": 90_000}, tmp_path / "theirs.pth")
    found, card = import_published(tmp_path / "theirs.pth", kind, False, "mine")
    stem = "backbone.net.embedder.embedder.convolution.weight"
    for key, value in found.state_dict().items():
        wanted = network.state_dict()[key]
        if key == stem:  # blue, green, red and undivided pixels become red, green, blue and standardized ones
            wanted = wanted.flip(1) * 58.8
        assert torch.equal(value, wanted), key
    assert card.config.classes == 5
    assert card.whole_image_size == 1024
    assert card.source == "the published file theirs.pth"


@pytest.mark.parametrize("kind", SIZES)
def test_imported_models_predict_what_the_original_does(tmp_path, small, kind):
    network = original(kind)
    torch.save({"model": published_file(kind, network)}, tmp_path / "theirs.pth")
    found, _ = import_published(tmp_path / "theirs.pth", kind, False, "mine")
    image = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        theirs = network.encode(58.8 * image.flip(1)).mask
        ours = found.encode(image).mask
    assert float(theirs.abs().max()) > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


def test_a_leaf_head_replaces_the_one_for_80_things(tmp_path, small):
    network = original("solov2")
    torch.save(published_file("solov2", network), tmp_path / "theirs.pth")
    found, card = import_published(tmp_path / "theirs.pth", "solov2", True, "mine")
    assert found.score_head.weight.shape[0] == card.config.classes == 1
    assert torch.equal(found.query_head.weight, network.query_head.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {"roi_heads.box.weight": torch.zeros(2)}, r"belong to no part .* roi_heads.box.weight"),
        (lambda w: {k: v for k, v in w.items() if "kernel_pred" not in k}, r"2 weights are missing: query_head"),
        (lambda w: w | {"ins_head.kernel_pred.bias": torch.zeros(7)}, r"1 weights have another shape: query_head.bias"),
        (lambda w: w | {"mask_head.conv_pred.9.bias": torch.zeros(7)}, r"are left over: mask_branch.merge.9.bias"),
        (lambda w: {k: v for k, v in w.items() if ".res4.5." not in k}, "no ResNet-50"),
    ],
)
def test_nothing_is_left_over_missing_or_misshapen(tmp_path, small, change, message):
    torch.save({"model": change(published_file("solov2", original("solov2")))}, tmp_path / "theirs.pth")
    with pytest.raises(UserError, match=message):
        import_published(tmp_path / "theirs.pth", "solov2", False, "mine")


def test_the_wrong_kind_is_refused(tmp_path, small):
    torch.save(published_file("solov2", original("solov2")), tmp_path / "theirs.pth")
    with pytest.raises(UserError, match="Choose with --as"):
        import_published(tmp_path / "theirs.pth", "condinst", False, "mine")


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize("ending", [".pkl", ".pth"])
def test_no_code_of_a_file_is_run(tmp_path, capsys, ending):
    path = tmp_path / f"evil{ending}"
    content = {"model": {"a": np.zeros(2), "b": Evil()}}
    if ending == ".pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match="nothing but arrays"):
        read_weights(path)
    assert "never" not in capsys.readouterr().out


def test_detectron2_pickles_of_arrays_are_read(tmp_path):
    path = tmp_path / "R-50.pkl"
    weights = {"stem.conv1.weight": np.random.default_rng(0).normal(size=(4, 3, 7, 7)).astype(np.float32)}
    path.write_bytes(pickle.dumps({"model": weights, "__author__": "someone", "matching_heuristics": True}))
    found = read_weights(path)
    np.testing.assert_array_equal(found["stem.conv1.weight"].numpy(), weights["stem.conv1.weight"])


def test_what_is_no_file_of_weights_is_explained(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_weights(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match="cannot be read as weights"):
        read_weights(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="no weights by name"):
        read_weights(tmp_path / "list.pth")
    with pytest.raises(UserError, match="no Hugging Face folder"):
        import_published(tmp_path, "mask2former", False, "mine")


@pytest.mark.parametrize("backbone", ["resnet", "swin"])
def test_a_hugging_face_mask2former_predicts_as_before(tmp_path, backbone):
    changes = {"layer_type": "basic"} if backbone == "resnet" else {"image_size": 64}
    theirs = published_mask2former(backbone, **changes)
    theirs.save_pretrained(tmp_path / "theirs")
    assert (tmp_path / "theirs" / "config.json").exists()
    ours, card = import_published(tmp_path / "theirs", "mask2former", False, "mine")
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        said = theirs(image)
        features = ours.encode(image)
        queries = ours.query(features)
        masks = ours.retrieve(queries, features.mask)
    each = said.class_queries_logits.softmax(-1)[0, :, :-1]  # each query as each class
    score = each.flatten()
    order = score.argsort(descending=True, stable=True)
    order = order[score[order] >= card.config.score_floor]
    torch.testing.assert_close(queries.score, score[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(masks, said.masks_queries_logits[0, order // each.shape[1]], rtol=1e-3, atol=1e-3)
    weights = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(weights)
    save_file({key: value for key, value in tensors.items() if "class_predictor" not in key}, weights, {"format": "pt"})
    with pytest.raises(UserError, match="2 weights are missing: class_predictor"):
        import_published(tmp_path / "theirs", "mask2former", False, "mine")
    save_file(tensors, weights, {"format": "pt"})
    fresh, card = import_published(tmp_path / "theirs", "mask2former", True, "mine")
    assert fresh.class_head.weight.shape[0] == card.config.classes + 1 == 2


def test_a_mask2former_of_another_build_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"backbone_config": {"model_type": "focalnet"}}))
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="focalnet"):
        import_published(tmp_path, "mask2former", False, "mine")


def test_rename_names_what_it_does_not_know():
    with pytest.raises(UserError, match=r"1 weights of the file belong to no part of this model: nonsense"):
        rename({"nonsense": torch.zeros(1)}, RULES["sotr"])
