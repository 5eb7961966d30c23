"""Predictions that come back from bytes: the same labels for any values, nothing believed that does not fit."""

import io
import json
import zipfile

import numpy as np
import pytest

from napari_leafseg import load_model
from napari_leafseg.errors import InputFileError
from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.kept_prediction import can_be_kept, pack_prediction, unpack_prediction
from napari_leafseg.models.registry import register_family, unregister_family
from napari_leafseg.synthetic import SceneConfig, synthesize

MODELS = ("leaf", "leaf-fluorescence", "condinst", "solov2", "sotr", "mask2former")
SCENE = SceneConfig(size=(200, 240), diameter=(150, 160), border=0.0, blank=0.0)


@pytest.fixture(scope="module")
def plant():
    return synthesize(108, SCENE).image


def values_of(prediction):
    """Defaults, and each slider at both ends and in between."""
    yield {}
    for spec in prediction.tunables:
        for share in (0.0, 1.0) if spec.choices else (0.0, 0.3, 0.7, 1.0):
            yield {spec.name: spec.minimum + share * (spec.maximum - spec.minimum)}


def same(one, other):
    for values in values_of(one):
        assert np.array_equal(one.labels(**values), other.labels(**values)), values
    assert one.key == other.key
    ours, theirs = one.record(), other.record()
    assert {**ours, "created": ""} == {**theirs, "created": ""}
    assert one.seconds == other.seconds
    assert one.model == other.model


@pytest.mark.parametrize("model", MODELS)
def test_it_gives_the_same_labels_and_confidence(plant, model):
    prediction = load_model(model).predict(plant, source={"name": "plant.png", "sha256": "0" * 64})
    again = unpack_prediction(pack_prediction(prediction))
    assert prediction.labels().max() > 2
    same(prediction, again)
    assert leaf_confidence(prediction, prediction.labels()) == leaf_confidence(again, again.labels())


@pytest.mark.parametrize("model", ["leaf", "solov2"])
def test_a_series_comes_back_frame_by_frame(plant, model):
    frames = np.stack([plant, plant[::-1], np.full_like(plant, 90)])
    frames[2, :20, :20] = 120
    prediction = load_model(model).predict(frames)
    same(prediction, unpack_prediction(pack_prediction(prediction)))


def test_a_given_plant_mask_comes_back(plant):
    mask = np.zeros(plant.shape[:2], np.uint8)
    mask[40:160, 50:190] = 1
    prediction = load_model("leaf").predict(plant, mask=mask)
    again = unpack_prediction(pack_prediction(prediction))
    same(prediction, again)
    assert np.array_equal(again.mask, mask > 0)


def test_pieces_left_out_stay_left_out(plant):
    prediction = load_model("leaf").predict(plant)
    (region,) = prediction.regions
    kept = region.grouped.copy()
    kept[:, : kept.shape[1] // 2] = False
    region.group(kept)
    same(prediction, unpack_prediction(pack_prediction(prediction)))


def test_another_packages_family_is_kept_only_where_it_says_how(plant):
    from tests.toy_family import STAR, StarNet, StarRunner

    register_family(STAR)
    try:
        from napari_leafseg.inference.predictor import Predictor
        from napari_leafseg.models.store.model_card import ModelCard

        card = ModelCard("star", "1", STAR.config())
        assert not can_be_kept(Predictor(StarNet(STAR.config()), card, "cpu").predict(plant))
    finally:
        unregister_family("star")
    assert StarRunner.prediction is not None


def rewritten(content, change):
    """The archive with another header or other arrays."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {item.filename: archive.read(item) for item in archive.infolist()}
    header = json.loads(entries["header.json"])
    change(header, entries)
    entries.setdefault("header.json", b"")
    if entries["header.json"]:
        entries["header.json"] = json.dumps(header).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _array(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


CHANGES = {
    "no header": lambda header, entries: entries.update({"header.json": b""}),
    "a later format": lambda header, entries: header.update(format=99),
    "an unknown family": lambda header, entries: header.update(family="os:system"),
    "a region outside": lambda header, entries: header["frames"][0].update(regions=[[[0, 10**9], [0, 10]]]),
    "an empty region": lambda header, entries: header["frames"][0].update(regions=[[[5, 5], [0, 10]]]),
    "no frames": lambda header, entries: header.update(frames=[]),
    "a scale of nothing": lambda header, entries: header["frames"][0].update(scale=0),
    "other keys": lambda header, entries: header.update(more=1),
    "a model of text": lambda header, entries: header.update(model="leaf"),
    "no map": lambda header, entries: entries.pop("0/0/distance.npy"),
    "a map of another size": lambda header, entries: entries.update(
        {"0/0/foreground.npy": _array(np.zeros((3, 3), np.uint8))}
    ),
    "a map of another type": lambda header, entries: entries.update(
        {"0/0/embedding.npy": _array(np.zeros((32, 9, 9)))}
    ),
    "an object": lambda header, entries: entries.update({"0/0/distance.npy": b"\x93NUMPY"}),
}


@pytest.fixture(scope="module")
def content(plant):
    """A prediction as bytes."""
    return pack_prediction(load_model("leaf").predict(plant))


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_refused_with_words(content, name):
    with pytest.raises(InputFileError, match="Run again"):
        unpack_prediction(rewritten(content, CHANGES[name]), "predictions/a.npz")


def test_any_damage_is_refused_or_changes_nothing(plant):
    prediction = load_model("leaf-small").predict(plant)
    content, wanted = pack_prediction(prediction), prediction.labels()
    rng, told = np.random.default_rng(3), []
    for _ in range(40):
        broken = bytearray(content)
        if rng.random() < 0.3:
            del broken[int(rng.integers(len(broken))) :]
        else:
            broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        try:
            again = unpack_prediction(bytes(broken))
        except InputFileError as error:
            told.append(str(error))
        else:
            assert np.array_equal(again.labels(), wanted)
    assert len(told) > 30
    assert all("Run again" in sentence for sentence in told)
