"""Many images in one project."""

import pytest

from napari_leafseg.project import Project


@pytest.mark.slow
def test_ten_thousand_images_are_added_once_and_opened(tmp_path):
    count = 10_000
    paths = [(tmp_path / "images" / f"image{number:05d}.png", "0" * 64) for number in range(count)]
    with Project.create(tmp_path / "p") as project:
        project.add_all(paths)
        assert project.writer.flush()
        assert project.add_all(paths) == project.images  # none twice
    with Project.open(tmp_path / "p") as project:
        assert len(project.images) == count
        assert project.find(paths[-1][0]).id == f"image{count - 1:05d}"


def test_the_list_is_written_once_for_many_images(tmp_path, monkeypatch):
    from napari_leafseg.project import image_list

    written, real = [], image_list.write_list
    with Project.create(tmp_path / "p") as project:
        monkeypatch.setattr(image_list, "write_list", lambda *arguments: written.append(1) or real(*arguments))
        project.add_all([(tmp_path / f"{number}.png", "") for number in range(500)])
        assert project.writer.flush()
    assert len(written) == 1
