"""The catalogs, and what a name, a repository or an address stands for."""

import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.models.registry import importers
from napari_leafseg.published.catalog import bundled_catalog, read_catalog
from napari_leafseg.published.hub import choose_weights, make_offer
from tests.web_server import point_hub_to, serve

GOOD = "mine:\n  title: Mine\n  license: MIT\n  source: https://example.org/mine.pth\n"


def test_the_bundled_models_are_described():
    found = read_catalog(bundled_catalog("models"))
    assert {entry.kind for entry in found.values()} - {""} == set(importers())
    for name, entry in found.items():
        heads = [head for head, _ in entry.terms]
        assert {"what", "page", "license"} <= set(heads), name
        assert entry.source or entry.files, name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no entries by name"),
        ("- a\n- b", "no entries by name"),
        ("a: [", "is no catalog"),
        (GOOD + GOOD, "“mine” is there twice"),
        (GOOD + "  title: again\n", "“title” is there twice"),
        (GOOD.replace("mine:", '"../mine":'), r"“\.\./mine” is no name for an entry"),
        (GOOD.replace("mine:", "a/b:"), "“a/b” is no name"),
        (GOOD.replace("mine:", "1:"), "“1” is no name"),
        (GOOD + "  files: {../../x.pth: ''}\n", r"“mine”: “files”: .*“\.\./\.\./x\.pth” is no name for a file"),
        (GOOD + "  files: {x.pth: sha1:abc}\n", "is no hash"),
        (GOOD.replace("https", "ftp"), r"“mine”: “source”: .*no https:// address"),
        (GOOD + "  run: me\n", "“mine”: “run” is not known"),
        (GOOD + "  leaf_head: 3\n", "“mine”: “leaf_head” must be"),
        ("mine: &a [*a]", "is no catalog"),
        ("mine: !!python/object/apply:os.system [ls]", "is no catalog"),
        ("{" * 20_000, "is no catalog"),
    ],
)
def test_a_catalog_that_is_none_is_told_with_the_entry(tmp_path, text, words):
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        read_catalog(path)


def test_a_name_that_is_not_there_is_told_with_those_that_are(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(GOOD)
    with pytest.raises(UserError, match=r"no model “yours”\. It has: mine\."):
        make_offer("yours", read_catalog(path), "model")
    offer = make_offer("mine", read_catalog(path), "model")
    assert [file.name for file in offer.files] == ["mine.pth"]


@pytest.mark.parametrize(
    ("address", "words"),
    [("http://example.org/w.pth", "only https://"), ("file:///etc/passwd", "only https://"),
     ("https://example.org/", "names no file"), ("hf:alone", "is no repository"), ("hf:../..", "is no|cannot|no such")],
)  # fmt: skip
def test_addresses_that_are_not_taken(address, words):
    with pytest.raises(UserError, match=words):
        make_offer(address, {}, "model")


def test_a_files_name_leads_to_no_other_folder():
    offer = make_offer("https://example.org/a/..%2F..%2Fetc%2Fpasswd.pth?x=1", {}, "model")
    assert "/" not in offer.files[0].name
    assert offer.name
    assert offer.entry.license.startswith("not stated")


@pytest.fixture
def hub(monkeypatch):
    pytest.importorskip("huggingface_hub", minversion="1.0")
    with serve() as site:
        point_hub_to(site, monkeypatch)
        yield site


def test_a_repository_says_its_license_its_files_and_their_hashes(hub):
    hub.repository("someone/leaves", {"config.json": b"{}", "model.safetensors": b"x" * 9000, "README.md": b"hello"})
    offer = make_offer("hf:someone/leaves", {}, "model")
    assert offer.entry.license.startswith("mit; http")
    assert [file.name for file in offer.files] == ["config.json", "model.safetensors"]
    assert offer.files[1].known.startswith("sha256:")
    assert offer.size == 9002
    assert offer.version == "c0ffee"
    assert all("/resolve/c0ffee/" in file.url for file in offer.files)
    hub.repository("someone/bare", {"w.pth": b"1"}, license_name="")
    assert "state no license" in make_offer("hf:someone/bare", {}, "model").entry.license


def test_a_repository_that_is_not_there_or_closed_is_told(hub):
    hub.statuses["/api/models/some/one"] = 500
    with pytest.raises(UserError, match=r"no such repository|nothing at this address"):
        make_offer("hf:no/where", {}, "model")
    with pytest.raises(UserError, match="500"):
        make_offer("hf:some/one", {}, "model")
    hub.repository("some/data", {"readme": b"1"})
    with pytest.raises(UserError, match=r"no file of weights .*It has: readme"):
        make_offer("hf:some/data", {}, "model")


def test_of_several_files_one_is_chosen(hub):
    hub.repository("some/models", {"a.pth": b"1", "b.pkl": b"2"})
    with pytest.raises(UserError, match=r"Choose one with --file: a\.pth, b\.pkl"):
        make_offer("hf:some/models", {}, "model")
    assert [file.name for file in make_offer("hf:some/models", {}, "model", "b.pkl").files] == ["b.pkl"]
    with pytest.raises(UserError, match=r"has no file c\.pth"):
        make_offer("hf:some/models", {}, "model", "c.pth")


def test_weights_in_pieces_belong_together():
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    assert choose_weights(["config.json", *shards, "pytorch_model.bin"], "x") == ["config.json", *shards]
    assert choose_weights(["config.json", "pytorch_model.bin"], "x") == ["config.json", "pytorch_model.bin"]
