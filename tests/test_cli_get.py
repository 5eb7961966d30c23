"""The command ``napari-leafseg models get``, from a server on this computer and from folders."""

import pickle
import shutil

import pytest
import torch
from typer.testing import CliRunner

from napari_leafseg import _console
from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.models.store import get, zoo
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.models.store.model_card import read_card
from tests.models.published import published_mask2former
from tests.models.test_pretrained import Evil
from tests.models.test_pretrained_layouts import detectron_file

pytest.importorskip("huggingface_hub", minversion="1.0")


@pytest.fixture
def folder(own_models, monkeypatch):
    """The user's models and downloads lie in a folder of the test."""
    monkeypatch.setattr(_console.out, "width", 300)
    return own_models


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory):
    """A small Mask2Former as transformers saves it."""
    place = tmp_path_factory.mktemp("theirs")
    published_mask2former("resnet").save_pretrained(place)
    return place


def run(*arguments, typed=None):
    return CliRunner().invoke(app, ["models", "get", *map(str, arguments)], input=typed)


def mistake(*arguments, typed=None):
    result = run(*arguments, typed=typed)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def listed():
    return set(zoo.list_models()) - {path.stem for path in (zoo.resource_folder() / "models").glob("*.safetensors")}


def downloads(folder):
    place = folder.parent / "downloads"
    return list(place.iterdir()) if place.exists() else []


def test_the_catalog_is_listed(folder):
    result = run()
    assert result.exit_code == 0
    for word in ("cvppp-mask2former", "phenoleaf-ts", "Apache-2.0", "hf:owner/repository"):
        assert word in result.stdout


def test_a_repository_of_the_hub_becomes_a_model_with_its_terms(folder, site, hub_folder):
    files = {path.name: path.read_bytes() for path in hub_folder.iterdir()}
    site.repository("someone/leaves", files, license_name="apache-2.0")
    asked = run("hf:someone/leaves", typed="n\n")
    assert asked.exit_code == 1
    for words in ("license: apache-2.0", "source: hf:someone/leaves", "file: model.safetensors", "sha256:"):
        assert words in asked.stdout
    assert not any("resolve" in path for _, path, _ in site.asked)  # nothing is fetched before
    assert not listed()
    result = run("hf:someone/leaves", "--name", "mine", "--leaf-head", typed="y\n")
    assert result.exit_code == 0, result.output
    network, card = load_checkpoint(folder / "mine.safetensors")
    assert network.class_head.weight.shape == (2, 32)
    assert card.license.startswith("apache-2.0")
    about = card.provenance
    assert about["imported"] == "hf:someone/leaves"
    assert about["version"] == "c0ffee"
    assert about["hashes"]["model.safetensors"].startswith("sha256:")
    assert listed() == {"mine"}
    assert downloads(folder) == []
    assert "already" in mistake("hf:someone/leaves", "--name", "mine", "--yes")


def test_a_model_of_ours_is_fetched_by_its_address(folder, site, tiny_checkpoint):
    site.files["/x/tiny.safetensors"] = tiny_checkpoint.read_bytes()
    result = run(f"{site.address}/x/tiny.safetensors", "--yes")
    assert result.exit_code == 0, result.output
    assert "not stated at the address" in result.stdout
    card = read_card(folder / "tiny.safetensors")
    assert card.name == "tiny"
    assert card.provenance["imported"].startswith("http://127")


def test_a_catalog_of_ones_own_and_a_known_hash(folder, site, tmp_path, tiny_checkpoint):
    site.files["/tiny.safetensors"] = tiny_checkpoint.read_bytes()
    catalog = tmp_path / "lab.yaml"
    text = "ours:\n  title: Ours\n  license: MIT\n  source: https://x/tiny.safetensors\n"
    text += "  files: {{tiny.safetensors: '{}'}}\n"
    entries = {}

    def known(text):
        catalog.write_text(text)
        entries.update(get.read_catalog(catalog))
        entry = entries["ours"].model_copy(update={"source": f"{site.address}/tiny.safetensors"})
        return {"ours": entry}

    wrong, right = "sha256:" + "0" * 64, get.file_hash(tiny_checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(get, "published_models", lambda catalog=None: known(text.format(wrong)))
        assert "gave another file than the one that is known" in mistake("ours", "--yes")
        assert not listed()
        patch.setattr(get, "published_models", lambda catalog=None: known(text.format(right)))
        assert run("ours", "--yes").exit_code == 0
    card = read_card(folder / "ours.safetensors")
    assert card.provenance["hash_known"] is True


def test_a_file_of_detectron2_from_a_folder_without_a_connection(folder, tmp_path):
    place = tmp_path / "carried"
    place.mkdir()
    (place / "model_final.pkl").write_bytes(pickle.dumps(detectron_file(published_mask2former("resnet"))))
    result = run("--from", place, "--name", "carried", "--yes")
    assert result.exit_code == 0, result.output
    assert read_card(folder / "carried.safetensors").config.kind == "mask2former"
    assert (place / "model_final.pkl").exists()
    named = mistake("mask2former-resnet-50-coco", "--from", place, "--yes")
    assert "lacks model_final_3c8ec9.pkl" in named
    shutil.copy(place / "model_final.pkl", place / "model_final_3c8ec9.pkl")
    assert "another file than the one that is known" in mistake("mask2former-resnet-50-coco", "--from", place, "--yes")
    (place / "model_final.pkl").unlink()
    assert "another file" in mistake("--from", place, "--yes")  # the entry is found by the name
    assert listed() == {"carried"}
    assert "no folder or file" in mistake("--from", tmp_path / "none", "--yes")


def test_a_hugging_face_folder_is_taken_as_it_is(folder, hub_folder):
    assert run("cvppp-mask2former", "--from", hub_folder, "--yes").exit_code == 0
    card = read_card(folder / "cvppp-mask2former.safetensors")
    assert card.provenance["imported"].startswith("hf:fengchen025/")
    assert card.config.classes == 5  # its own head stays


@pytest.mark.parametrize("ending", [".pkl", ".pth"])
def test_a_pickle_with_code_is_refused_and_deleted(folder, site, ending, capsys):
    if ending == ".pkl":
        site.files["/w.pkl"] = pickle.dumps({"model": Evil()})
    else:
        buffer = folder.parent.parent / "evil.pth"
        torch.save({"model": Evil()}, buffer)
        site.files["/w.pth"] = buffer.read_bytes()
    told = mistake(f"{site.address}/w{ending}", "--yes")
    assert told.startswith(f"{site.address}/w{ending}: ")
    assert "Only files that hold nothing but arrays" in told
    assert "deleted" in told
    assert "never" not in capsys.readouterr().out
    assert not listed()
    assert downloads(folder) == []


def test_what_is_another_network_is_kept_and_named(folder, site, tmp_path):
    torch.save({"model": {"roi_heads.box_head.fc1.weight": torch.zeros(1)}}, tmp_path / "rcnn.pth")
    site.files["/rcnn.pth"] = (tmp_path / "rcnn.pth").read_bytes()
    told = mistake(f"{site.address}/rcnn.pth", "--yes")
    assert "a Mask R-CNN of detectron2" in told
    (kept,) = downloads(folder)
    assert f"--from {kept}" in told
    assert not listed()


def test_what_went_wrong_on_the_way_names_the_address(folder, site):
    site.files["/page.pth"] = b"<!doctype html><html></html>"
    assert "/page.pth gave a web page" in mistake(f"{site.address}/page.pth", "--yes")
    assert "/no.pth: there is nothing at this address (404)" in mistake(f"{site.address}/no.pth", "--yes")
    assert "Its authors have it on Google Drive" in mistake("sotr-resnet-101-coco", "--yes")
    assert not listed()


@pytest.mark.parametrize("name", ["a/b", "..", "../x", ""])
def test_names_that_lead_elsewhere_are_refused_before_anything_is_fetched(folder, site, name):
    count = len(site.asked)
    site.files["/w.pth"] = b"1"
    if name:
        assert "no name for a model" in mistake(f"{site.address}/w.pth", "--yes", "--name", name)
        assert len(site.asked) == count


def test_stopped_half_way_nothing_is_listed_and_it_goes_on(folder, site, hub_folder):
    content = (hub_folder / "model.safetensors").read_bytes() + b""
    files = {path.name: path.read_bytes() for path in hub_folder.iterdir()}
    site.repository("someone/leaves", {**files, "model.safetensors": content})
    weights = "/someone/leaves/resolve/c0ffee/model.safetensors"
    site.slow.add(weights)
    events = get.get_model(get.offer_model("hf:someone/leaves"))
    for event in events:
        if event.done > len(files["config.json"]):
            break
    events.close()
    assert not listed()
    site.gate.set()
    *_, last = get.get_model(get.offer_model("hf:someone/leaves"))
    assert last.model == folder / "leaves.safetensors"
    assert listed() == {"leaves"}


def test_a_folder_that_cannot_be_written_is_told(folder, site, tiny_checkpoint):
    site.files["/tiny.safetensors"] = tiny_checkpoint.read_bytes()
    folder.parent.mkdir(parents=True)
    (folder.parent / "downloads").write_text("in the way")
    assert "cannot be written" in mistake(f"{site.address}/tiny.safetensors", "--yes")
    (folder.parent / "downloads").unlink()
    folder.write_text("in the way")
    assert "Cannot write" in mistake(f"{site.address}/tiny.safetensors", "--yes") or not listed()


def test_without_the_package_it_says_which_extra_brings_it(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub.file_download", None)
    assert 'pip install "napari-leafseg[get]"' in mistake("condinst-resnet-50-coco", "--yes")
