"""Many images in one project."""

import time

import pytest

from napari_leafseg.project import Project


@pytest.mark.parametrize(
    ("count", "adding", "opening"), [(1_000, 5, 5), pytest.param(10_000, 20, 5, marks=pytest.mark.slow)]
)
def test_many_images_are_added_and_opened_soon(tmp_path, count, adding, opening, capsys):
    paths = [(tmp_path / "images" / f"image{number:05d}.png", "0" * 64) for number in range(count)]
    began = time.monotonic()
    with Project.create(tmp_path / "p") as project:
        project.add_all(paths)
        assert project.writer.flush()
        added = time.monotonic() - began
        began = time.monotonic()
        assert project.add_all(paths) == project.images  # none twice
        again = time.monotonic() - began
    began = time.monotonic()
    with Project.open(tmp_path / "p") as project:
        assert len(project.images) == count
        assert project.find(paths[-1][0]).id == f"image{count - 1:05d}"
    opened = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{count:,} images: added in {added:.1f} s, again in {again:.1f} s, opened in {opened:.1f} s")
    assert added < adding
    assert again < adding
    assert opened < opening


def test_the_list_is_written_once_for_many_images(tmp_path, monkeypatch):
    from napari_leafseg.project import image_list

    written, real = [], image_list.write_list
    with Project.create(tmp_path / "p") as project:
        monkeypatch.setattr(image_list, "write_list", lambda *arguments: written.append(1) or real(*arguments))
        project.add_all([(tmp_path / f"{number}.png", "") for number in range(500)])
        assert project.writer.flush()
    assert len(written) == 1
