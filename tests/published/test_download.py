"""Fetching files: stopped and gone on with, checked, and what goes wrong in words; from a server on this computer."""

import errno
import hashlib
import socket

import pytest

from napari_leafseg._files import UNFINISHED
from napari_leafseg.errors import UserError
from napari_leafseg.published import download
from napari_leafseg.published.download import RemoteFile, fetch_files
from tests.web_server import serve

pytest.importorskip("huggingface_hub", minversion="1.0")
CONTENT = bytes(range(256)) * 8192  # 2 MiB, eight pieces
HASH = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def site(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serve() as found:
        found.files["/w.pth"] = CONTENT
        yield found


def remote(site, path="/w.pth", **more):
    return RemoteFile(site.address + path, path.rpartition("/")[2], **more)


def fetch(folder, *files):
    return list(fetch_files(files, folder))


def names(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_file_is_fetched_with_its_progress_and_not_again(site, tmp_path):
    events = fetch(tmp_path, remote(site, known=HASH))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert events[-1][:2] == (len(CONTENT), None) or events[-1].total == len(CONTENT)
    assert names(tmp_path) == {"w.pth"}
    count = len(site.asked)
    fetch(tmp_path, remote(site, known=HASH))
    assert len(site.asked) == count


def test_it_is_stopped_and_goes_on_from_there(site, tmp_path):
    site.slow.add("/w.pth")
    events = fetch_files([remote(site, known=HASH)], tmp_path)
    for event in events:
        if event.done:
            break
    events.close()
    part = tmp_path / f"w.pth{UNFINISHED}"
    there = part.stat().st_size
    assert 0 < there < len(CONTENT)
    assert names(tmp_path) == {part.name}
    site.gate.set()
    fetch(tmp_path, remote(site, known=HASH))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    resumed = [first for method, path, first in site.asked if method == "GET"][1:]
    assert resumed[0] >= there
    assert names(tmp_path) == {"w.pth"}


def test_a_broken_connection_is_tried_again(site, tmp_path):
    site.cut["/w.pth"] = [700_000]
    fetch(tmp_path, remote(site, known=HASH))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert [first > 0 for method, path, first in site.asked if method == "GET"] == [False, True]


def test_a_server_that_gives_no_parts_starts_anew(site, tmp_path):
    site.ranges = False
    fetch_part(site, tmp_path)
    fetch(tmp_path, remote(site, known=HASH))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def fetch_part(site, folder):
    """Leave the half of a file."""
    site.slow.add("/w.pth")
    events = fetch_files([remote(site, known=HASH)], folder)
    next(event for event in events if event.done)
    events.close()
    site.gate.set()
    site.slow.clear()
    assert (folder / f"w.pth{UNFINISHED}").exists()


def test_a_file_that_changed_meanwhile_is_fetched_anew(site, tmp_path):
    fetch_part(site, tmp_path)
    site.files["/w.pth"] = CONTENT[::-1]
    fetch(tmp_path, remote(site))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT[::-1]


def test_a_part_of_which_nobody_knows_what_it_is_of_is_fetched_anew(site, tmp_path):
    for damage in ("{", "[]", None):
        fetch_part(site, tmp_path)
        about = tmp_path / ".w.pth.json"
        about.unlink() if damage is None else about.write_text(damage)
        (tmp_path / f"w.pth{UNFINISHED}").write_bytes(b"of something else")
        fetch(tmp_path, remote(site))
        assert (tmp_path / "w.pth").read_bytes() == CONTENT
        (tmp_path / "w.pth").unlink()
        site.gate.clear()


def test_a_part_that_is_longer_than_the_file_is_no_part_of_it(site, tmp_path):
    fetch_part(site, tmp_path)
    with (tmp_path / f"w.pth{UNFINISHED}").open("ab") as part:
        part.write(CONTENT)
    fetch(tmp_path, remote(site, known=HASH))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_another_file_than_the_known_one_is_deleted_and_named(site, tmp_path):
    site.files["/w.pth"] = b"something else"
    with pytest.raises(UserError, match=r"/w\.pth gave another file than the one that is known: its hash is sha256:.*"):
        fetch(tmp_path, remote(site, known=HASH))
    assert names(tmp_path) == set()
    with pytest.raises(UserError, match="md5:"):
        fetch(tmp_path, remote(site, known="md5:abcdef"))
    begun = hashlib.md5(b"something else").hexdigest()[:6]
    fetch(tmp_path, remote(site, known=f"md5:{begun}"))
    assert names(tmp_path) == {"w.pth"}


@pytest.mark.parametrize("page", [b"\n<!DOCTYPE html><html>", b"<HTML lang=en>", b"\xef\xbb\xbf<?xml version='1.0'?>"])
def test_a_web_page_is_no_file(site, tmp_path, page):
    site.files["/w.pth"] = page + b" " * 5000
    with pytest.raises(UserError, match=r"/w\.pth gave a web page, not a file\. Open it in a browser"):
        fetch(tmp_path, remote(site))
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "there is nothing at this address"), (401, "asks for an account"), (403, "without asking"),
     (410, "any more"), (500, r"an error \(500\)")],
)  # fmt: skip
def test_what_a_server_refuses_is_told(site, tmp_path, status, words):
    site.statuses["/w.pth"] = status
    with pytest.raises(UserError, match=rf"http://127.*/w\.pth: .*{words}.*--from"):
        fetch(tmp_path, remote(site))
    assert names(tmp_path) == set()


def test_a_server_that_tells_no_sizes_is_fetched_from(site, tmp_path):
    site.head = 405
    fetch(tmp_path, remote(site, known=HASH))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_no_connection_is_told_with_what_to_do(site, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/w.pth"
        with pytest.raises(UserError, match=r"w\.pth cannot be reached .*HTTPS_PROXY.*--from"):
            fetch(tmp_path, RemoteFile(url, "w.pth"))


def test_redirects_are_followed_and_circles_are_told(site, tmp_path):
    site.redirects["/latest"] = "/w.pth"
    fetch(tmp_path / "one", remote(site, "/latest", known=HASH))
    assert (tmp_path / "one" / "latest").read_bytes() == CONTENT
    site.redirects |= {"/a": "/b", "/b": "/a"}
    with pytest.raises(UserError, match=r"/a leads from one address to the next without an end|/a.*cannot be reached"):
        fetch(tmp_path / "two", remote(site, "/a"))


def test_a_proxy_is_asked(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", site.address)
    monkeypatch.setenv("http_proxy", site.address)
    site.files["http://far.example/w.pth"] = CONTENT
    from huggingface_hub import close_session

    close_session()
    try:
        fetch(tmp_path, RemoteFile("http://far.example/w.pth", "w.pth", known=HASH))
    finally:
        close_session()
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_full_disk_is_told_before_and_while_it_fills(site, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"MB are to be fetched, but only .* MB are free"):
        fetch(tmp_path, remote(site, size=10**18))
    real = download._Sink.write

    def full(sink, content):
        if sink.tell() > 500_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(sink, content)

    monkeypatch.setattr(download._Sink, "write", full)
    with pytest.raises(UserError, match=r"the disk is full\. What came is kept"):
        fetch(tmp_path, remote(site, known=HASH))
    assert names(tmp_path) == {f"w.pth{UNFINISHED}"}
    monkeypatch.setattr(download._Sink, "write", real)
    fetch(tmp_path, remote(site, known=HASH))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_told(site, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot be written.*Choose a folder"):
        fetch(tmp_path / "file" / "folder", remote(site))


def test_two_windows_do_not_fetch_the_same(site, tmp_path):
    site.slow.add("/w.pth")
    first = fetch_files([remote(site)], tmp_path)
    next(first)
    with pytest.raises(UserError, match="by another program or window"):
        fetch(tmp_path, remote(site))
    first.close()


def test_an_empty_file_and_an_address_that_is_none_are_told(site, tmp_path):
    site.files["/w.pth"] = b""
    with pytest.raises(UserError, match="gave an empty file"):
        fetch(tmp_path, remote(site))
    with pytest.raises(UserError, match=r"is no address that can be fetched|cannot be reached"):
        fetch(tmp_path, RemoteFile("nowhere:/x", "x"))


def test_a_redirect_to_an_open_connection_is_not_followed(site, tmp_path, monkeypatch):
    from types import SimpleNamespace

    hub = download.load_hub()
    found = SimpleNamespace(location=f"{site.address}/w.pth", size=1, etag="x")
    monkeypatch.setattr(hub, "get_hf_file_metadata", lambda *_what, **_more: found)
    with pytest.raises(UserError, match=r"leads to http://127.*can be changed on its way"):
        fetch(tmp_path, RemoteFile("https://example.org/w.pth", "w.pth"))
    assert site.asked == []
