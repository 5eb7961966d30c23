"""Importing checkpoints of mmdetection and of detectron2's Mask2Former: small files with their names and layouts."""

import pickle
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_leafseg.errors import UserError
from napari_leafseg.models.query.pretrained.convert import import_published
from tests.models.published import published_mask2former
from tests.models.test_pretrained import Evil, original, small  # noqa: F401 (a fixture)

_TOWERS = {
    "condinst": {"score_tower": "bbox_head.cls_convs", "box_tower": "bbox_head.reg_convs"},
    "solov2": {"score_tower": "mask_head.cls_convs", "query_tower": "mask_head.kernel_convs"},
}
_HEADS = {
    "condinst": {
        "score_head": "bbox_head.conv_cls", "box_head": "bbox_head.conv_reg",
        "centre_head": "bbox_head.conv_centerness", "controller": "bbox_head.controller",
        "mask_branch.tower.4": "mask_head.mask_feature_head.conv_pred",
    },
    "solov2": {"score_head": "mask_head.conv_cls", "query_head": "mask_head.conv_kernel"},
}  # fmt: skip
MASKS = "mask_head.mask_feature_head"


def mmdet_name(kind, key):
    """What mmdetection calls a weight of ours."""
    part, _, last = key.rpartition(".")
    if part in _HEADS[kind]:
        return f"{_HEADS[kind][part]}.{last}"
    if match := re.fullmatch(r"(score_tower|box_tower|query_tower)\.(\d+)\.(\w+)", key):
        number, norm = divmod(int(match[2]), 3)
        return f"{_TOWERS[kind][match[1]]}.{number}.{'gn' if norm else 'conv'}.{match[3]}"
    if match := re.fullmatch(r"backbone\.net\.embedder\.embedder\.(convolution|normalization)\.(\w+)", key):
        return f"backbone.{'conv1' if match[1] == 'convolution' else 'bn1'}.{match[2]}"
    if match := re.fullmatch(r"backbone\.net\.encoder\.stages\.(\d)\.layers\.(\d+)\.(.+)\.(\w+)", key):
        where = f"backbone.layer{int(match[1]) + 1}.{match[2]}"
        inner = match[3]
        if inner.startswith("shortcut"):
            return f"{where}.downsample.{'0' if inner.endswith('convolution') else '1'}.{match[4]}"
        layer = int(inner.split(".")[1]) + 1
        return f"{where}.{'conv' if inner.endswith('convolution') else 'bn'}{layer}.{match[4]}"
    if match := re.fullmatch(r"pyramid\.lateral\.(\d)\.(\w+)", key):
        return f"neck.lateral_convs.{match[1]}.conv.{match[2]}"
    if match := re.fullmatch(r"pyramid\.(output|strided)\.(\d)\.(\w+)", key):
        return f"neck.fpn_convs.{int(match[2]) + (3 if match[1] == 'strided' else 0)}.conv.{match[3]}"
    if match := re.fullmatch(r"scales\.(\d)\.factor", key):
        return f"bbox_head.scales.{match[1]}.scale"
    if match := re.fullmatch(r"mask_branch\.refine\.(\d)\.(\d)\.(\w+)", key):
        return f"{MASKS}.convs_all_levels.{match[1]}.conv{match[1]}.{('conv', 'bn')[int(match[2])]}.{match[3]}"
    if match := re.fullmatch(r"mask_branch\.tower\.(\d)\.(\d)\.(\w+)", key):
        return f"{MASKS}.conv_branch.{match[1]}.{('conv', 'bn')[int(match[2])]}.{match[3]}"
    if match := re.fullmatch(r"mask_branch\.steps\.(\d)\.(\d)\.(\d)\.(\w+)", key):
        return f"{MASKS}.convs_all_levels.{match[1]}.conv{match[2]}.{('conv', 'gn')[int(match[3])]}.{match[4]}"
    if match := re.fullmatch(r"mask_branch\.merge\.(\d)\.(\w+)", key):
        return f"{MASKS}.conv_pred.{('conv', 'gn')[int(match[1])]}.{match[2]}"
    raise AssertionError(f"no name for {key}")


def mmdet_file(kind, network):
    """A checkpoint of mmdetection: weights, and what it says of its training."""
    weights = {}
    for key, value in network.state_dict().items():
        if not key.startswith("semantic."):
            weights[mmdet_name(kind, key)] = value.clone().squeeze() if key.startswith("scales.") else value.clone()
    return {"meta": {"epoch": 12, "CLASSES": ("leaf",), "mmdet_version": "3.0.0"}, "state_dict": weights}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["condinst", "solov2"])
@pytest.mark.parametrize("told", [True, False])
def test_files_of_mmdetection_find_their_places(tmp_path, kind, told):
    network = original(kind)
    torch.save(mmdet_file(kind, network), tmp_path / "theirs.pth")
    found, card = import_published(tmp_path / "theirs.pth", kind if told else None, False, "mine")
    assert card.config.kind == kind
    assert card.config.classes == 5
    assert card.config.backbone.shape["downsample_in_bottleneck"] is False
    for key, value in found.state_dict().items():
        assert torch.equal(value, network.state_dict()[key]), key  # red, green, blue, and standardized, as ours


@pytest.mark.usefixtures("small")
def test_a_file_of_another_kind_or_program_is_named(tmp_path):
    torch.save(mmdet_file("solov2", original("solov2")), tmp_path / "theirs.pth")
    with pytest.raises(UserError, match="is a solov2 of mmdetection, not condinst"):
        import_published(tmp_path / "theirs.pth", "condinst", False, "mine")
    torch.save({"model": {"roi_heads.box_head.fc1.weight": torch.zeros(1)}}, tmp_path / "rcnn.pth")
    with pytest.raises(UserError, match=r"is a Mask R-CNN of detectron2\. There can be imported"):
        import_published(tmp_path / "rcnn.pth", None, False, "mine")
    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="nothing but arrays"):
        import_published(tmp_path / "evil.pth", None, False, "mine")


_PLAIN = (
    (r"model\.pixel_level_module\.encoder\.embedder\.embedder\.convolution\.", "backbone.stem.conv1."),
    (r"model\.pixel_level_module\.encoder\.embedder\.embedder\.normalization\.", "backbone.stem.conv1.norm."),
    (r"model\.pixel_level_module\.encoder\.(?:swin\.)?embeddings\.patch_embeddings\.projection\.",
     "backbone.patch_embed.proj."),
    (r"model\.pixel_level_module\.encoder\.(?:swin\.)?embeddings\.norm\.", "backbone.patch_embed.norm."),
    (r"model\.pixel_level_module\.encoder\.(?:swin\.)?encoder\.layers\.", "backbone.layers."),
    (r"layernorm_before", "norm1"), (r"layernorm_after", "norm2"),
    (r"(?:attention\.self|attention\.relative_position_bias)\.relative_position_bias_table",
     "attn.relative_position_bias_table"),
    (r"attention\.(?:output\.dense|o_proj)", "attn.proj"),
    (r"(blocks\.\d+)\.(?:intermediate\.dense|mlp\.fc1)", r"\1.mlp.fc1"),
    (r"(blocks\.\d+)\.(?:output\.dense|mlp\.fc2)", r"\1.mlp.fc2"),
    (r"model\.pixel_level_module\.encoder\.hidden_states_norms\.stage4\.", "backbone.norm3."),
    (r"model\.pixel_level_module\.encoder\.hidden_states_norms\.stage3\.", "backbone.norm2."),
    (r"model\.pixel_level_module\.encoder\.hidden_states_norms\.stage2\.", "backbone.norm1."),
    (r"model\.pixel_level_module\.encoder\.hidden_states_norms\.stage1\.", "backbone.norm0."),
    (r"model\.pixel_level_module\.decoder\.(adapter_1|layer_1)\.0\.", r"sem_seg_head.pixel_decoder.\1."),
    (r"model\.pixel_level_module\.decoder\.(adapter_1|layer_1)\.1\.", r"sem_seg_head.pixel_decoder.\1.norm."),
    (r"model\.pixel_level_module\.decoder\.input_projections\.", "sem_seg_head.pixel_decoder.input_proj."),
    (r"model\.pixel_level_module\.decoder\.mask_projection\.", "sem_seg_head.pixel_decoder.mask_features."),
    (r"model\.pixel_level_module\.decoder\.level_embed", "sem_seg_head.pixel_decoder.transformer.level_embed"),
    (r"model\.pixel_level_module\.decoder\.encoder\.layers\.(\d)\.fc",
     r"sem_seg_head.pixel_decoder.transformer.encoder.layers.\1.linear"),
    (r"model\.pixel_level_module\.decoder\.encoder\.layers\.(\d)\.self_attn_layer_norm",
     r"sem_seg_head.pixel_decoder.transformer.encoder.layers.\1.norm1"),
    (r"model\.pixel_level_module\.decoder\.encoder\.layers\.(\d)\.final_layer_norm",
     r"sem_seg_head.pixel_decoder.transformer.encoder.layers.\1.norm2"),
    (r"model\.pixel_level_module\.decoder\.encoder\.layers\.",
     "sem_seg_head.pixel_decoder.transformer.encoder.layers."),
    (r"model\.transformer_module\.decoder\.layers\.(\d)\.self_attn_layer_norm",
     r"sem_seg_head.predictor.transformer_self_attention_layers.\1.norm"),
    (r"model\.transformer_module\.decoder\.layers\.(\d)\.cross_attn_layer_norm",
     r"sem_seg_head.predictor.transformer_cross_attention_layers.\1.norm"),
    (r"model\.transformer_module\.decoder\.layers\.(\d)\.final_layer_norm",
     r"sem_seg_head.predictor.transformer_ffn_layers.\1.norm"),
    (r"model\.transformer_module\.decoder\.layers\.(\d)\.fc",
     r"sem_seg_head.predictor.transformer_ffn_layers.\1.linear"),
    (r"model\.transformer_module\.decoder\.layers\.(\d)\.cross_attn\.",
     r"sem_seg_head.predictor.transformer_cross_attention_layers.\1.multihead_attn."),
    (r"model\.transformer_module\.decoder\.layers\.(\d)\.self_attn\.",
     r"sem_seg_head.predictor.transformer_self_attention_layers.\1.self_attn."),
    (r"model\.transformer_module\.decoder\.layernorm", "sem_seg_head.predictor.decoder_norm"),
    (r"model\.transformer_module\.decoder\.mask_predictor\.mask_embedder\.(\d)\.0",
     r"sem_seg_head.predictor.mask_embed.layers.\1"),
    (r"model\.transformer_module\.queries_embedder", "sem_seg_head.predictor.query_embed"),
    (r"model\.transformer_module\.queries_features", "sem_seg_head.predictor.query_feat"),
    (r"model\.transformer_module\.level_embed", "sem_seg_head.predictor.level_embed"),
    (r"class_predictor", "sem_seg_head.predictor.class_embed"),
)  # fmt: skip


def detectron_file(network):
    """The network's weights as detectron2 writes them: numpy arrays, attention in one tensor."""
    found, joined = {}, {}
    for key, value in network.state_dict().items():
        name = key
        if match := re.fullmatch(r".*encoder\.stages\.(\d)\.layers\.(\d+)\.(.+)\.(\w+)", key):
            inner, where = match[3], f"backbone.res{int(match[1]) + 2}.{match[2]}"
            layer = "shortcut" if inner.startswith("shortcut") else f"conv{int(inner.split('.')[1]) + 1}"
            name = f"{where}.{layer}.{'norm.' if inner.endswith('normalization') else ''}{match[4]}"
        else:
            for pattern, theirs in _PLAIN:
                name = re.sub(pattern, theirs, name)
        if name.endswith(("num_batches_tracked", "empty_weight")) or "position_index" in name:
            continue
        if name.startswith("model.pixel_level_module.encoder.swin.layernorm"):  # never used, and not in such files
            continue
        swin = re.fullmatch(r"(.*)\.attention\.(?:self\.)?(query|key|value|q_proj|k_proj|v_proj)\.(\w+)", name)
        decoder = re.fullmatch(r"(.*transformer_self_attention_layers.*self_attn)\.([qkv])_proj\.(\w+)", name)
        if swin:
            joined.setdefault(f"{swin[1]}.attn.qkv.{swin[3]}", {})[swin[2][0]] = value
        elif decoder:
            joined.setdefault(f"{decoder[1]}.in_proj_{decoder[3]}", {})[decoder[2]] = value
        else:
            found[name] = value
    for name, parts in joined.items():
        found[name] = torch.cat([parts[part] for part in "qkv"])
    left = [name for name in found if not name.startswith(("backbone.", "sem_seg_head."))]
    assert not left, left
    arrays = {name: value.numpy() for name, value in found.items()}
    return {"model": {**arrays, "criterion.empty_weight": torch.ones(6).numpy()}, "__author__": "someone"}


@pytest.mark.parametrize("backbone", ["resnet", "swin"])
def test_a_mask2former_of_detectron2_predicts_as_the_same_one_of_transformers(tmp_path, backbone):
    theirs = published_mask2former(backbone)
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps(detectron_file(theirs)))
    ours, card = import_published(path, None, False, "mine")
    assert (card.config.kind, card.config.classes, card.config.queries) == ("mask2former", 5, 12)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        said = theirs(image)
        features = ours.encode(image)
        queries = ours.query(features)
        masks = ours.retrieve(queries, features.mask)
    score = said.class_queries_logits.softmax(-1)[0, :, :-1].flatten()
    order = score.argsort(descending=True, stable=True)
    order = order[score[order] >= card.config.score_floor]
    torch.testing.assert_close(queries.score, score[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(masks, said.masks_queries_logits[0, order // 5], rtol=1e-3, atol=1e-3)


def test_a_mask2former_of_detectron2_lacks_nothing(tmp_path):
    content = detectron_file(published_mask2former("resnet"))
    del content["model"]["sem_seg_head.predictor.level_embed.weight"]
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"1 weights are missing: .*level_embed"):
        import_published(tmp_path / "model.pkl", "mask2former", False, "mine")
    del content["model"]["sem_seg_head.pixel_decoder.mask_features.weight"]
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="built differently"):
        import_published(tmp_path / "model.pkl", "mask2former", False, "mine")


def test_a_swin_of_the_hub_lacks_the_norm_that_is_never_used(tmp_path):
    theirs = published_mask2former("swin")
    theirs.save_pretrained(tmp_path / "theirs")
    file = tmp_path / "theirs" / "model.safetensors"
    kept = {
        name: value for name, value in load_file(file).items() if not re.search(r"encoder\.(swin\.)?layernorm\.", name)
    }
    save_file(kept, file, {"format": "pt"})
    ours, card = import_published(tmp_path / "theirs", None, False, "mine")
    assert card.config.backbone.kind == "swin"
    assert torch.equal(ours.class_head.weight, theirs.class_predictor.weight)
