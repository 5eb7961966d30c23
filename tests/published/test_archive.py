"""Zip files of others: everything stays in its folder, and no more comes than there is room for."""

import stat
import zipfile

import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.published import archive
from napari_leafseg.published.archive import unpack


def zip_of(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def unpacked(path, folder):
    return list(unpack(path, folder))


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_are_unpacked_with_progress_and_not_again(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"x/one.txt": "1" * 100, "two.txt": "2"})
    events = unpacked(path, tmp_path / "out")
    assert [event.done for event in events] == [0, 100, 101]
    assert names(tmp_path / "out") == ["two.txt", "x/one.txt"]
    before = (tmp_path / "out/two.txt").stat().st_mtime_ns
    (tmp_path / "out/x/one.txt").write_text("cut")  # half of it is there
    unpacked(path, tmp_path / "out")
    assert (tmp_path / "out/x/one.txt").read_text() == "1" * 100
    assert (tmp_path / "out/two.txt").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:evil"])
def test_what_leads_out_of_the_folder_is_refused_with_the_rest(tmp_path, name):
    path = zip_of(tmp_path / "a.zip", {"good.txt": "1", name: "2"})
    with pytest.raises(UserError, match="leads out of the folder"):
        unpacked(path, tmp_path / "in" / "out")
    assert not (tmp_path / "in").exists()
    assert names(tmp_path) == ["a.zip"]


def test_links_and_doubles_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as made:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc")
        made.writestr("link/passwd", "x")
    with pytest.raises(UserError, match="holds a link, link"):
        unpacked(tmp_path / "link.zip", tmp_path / "out")
    path = zip_of(tmp_path / "two.zip", {"a.txt": "1", "A.TXT": "2"})
    with pytest.raises(UserError, match=r"holds A\.TXT twice"):
        unpacked(path, tmp_path / "out")


def test_a_bomb_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_LARGE", 2**20)
    path = zip_of(tmp_path / "bomb.zip", {"bomb.png": b"\0" * 2**23})
    with pytest.raises(UserError, match="as no images do"):
        unpacked(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(archive, "_RATIO", 10**9)
    monkeypatch.setattr(archive, "_SPARE", 2**60)
    with pytest.raises(UserError, match=r"takes 8 MB unpacked, but only .* MB are free"):
        unpacked(path, tmp_path / "out")
    monkeypatch.setattr(archive, "_MOST_FILES", 0)
    with pytest.raises(UserError, match="holds 1 files"):
        unpacked(path, tmp_path / "out")


def test_an_archive_that_lies_about_a_size_gives_no_more_than_it_says(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"a.txt": b"\0" * 100_000})
    content = path.read_bytes()
    path.write_bytes(content.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(UserError, match="is damaged"):
        unpacked(path, tmp_path / "out")
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"<html>"])
def test_what_is_no_zip_file_is_told(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match="is damaged, or no zip file"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"a.txt": "1"})
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        unpacked(path, tmp_path / "out")
