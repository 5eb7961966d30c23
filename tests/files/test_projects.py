"""A project's choice of channels, wherever its images are read."""

from __future__ import annotations

import base64
import json

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from napari_leafseg.errors import ProjectError
from napari_leafseg.io import ReadOptions, write_image
from napari_leafseg.pipelines.batch.find import find_tasks
from napari_leafseg.pipelines.tune import reviewed_images
from napari_leafseg.project import Project
from napari_leafseg.project.read_options import FILE, save_read_options
from napari_leafseg.project.transfer import export_labels, import_labels, import_masks
from tests.files.cases import GRAY, RGB

CHOSEN = ReadOptions(by_count={4: (2, 3, 4)})


@pytest.fixture
def folder(tmp_path):
    """An image of four channels, and the label image of its only leaf."""
    folder = tmp_path / "in"
    folder.mkdir()
    many = np.stack([GRAY, *RGB.transpose(2, 0, 1)])
    tifffile.imwrite(folder / "many.ome.btf", many, photometric="minisblack", metadata={"axes": "CYX"})
    labels = np.zeros(GRAY.shape, np.uint8)
    labels[20:60, 20:60] = 1
    write_image(folder / "many.ome_label.png", labels)
    return folder


@pytest.fixture
def project(folder, tmp_path):
    """A project with the choice."""
    with Project.create(tmp_path / "project") as project:
        save_read_options(project.folder, CHOSEN)
        yield project


def test_masks_are_taken_in_and_labels_exported_with_the_colors_chosen(project, folder, tmp_path):
    list(import_masks(project, folder))
    list(export_labels(project, tmp_path / "out", "labelme"))
    (file,) = (tmp_path / "out").glob("*.json")
    content = imageio.imread(base64.b64decode(json.loads(file.read_text())["imageData"]))
    assert np.array_equal(content, RGB)
    project.images[0].state = "done"
    assert np.array_equal(reviewed_images(project)[0].image(), RGB)


def test_labels_are_taken_in_for_an_image_that_has_none(project, folder):
    (ref,) = project.add_images([folder])
    list(import_labels(project, [folder / "many.ome_label.png"]))
    project.writer.flush()
    assert project.read_labels(ref).max() == 1


def test_the_choice_goes_along_to_another_folder(project, folder, tmp_path):
    project.add_images([folder])
    with project.save_elsewhere(tmp_path / "other", {}) as other:
        assert other.read_options == CHOSEN


@pytest.mark.parametrize("content", ["{", "[]", '{"channels": {"4": [1, 2]}, "z": "max"}', '{"channels": 1, "z": 0}'])
def test_a_damaged_choice_is_named(project, content):
    (project.folder / FILE).write_text(content)
    with pytest.raises(ProjectError, match=FILE):
        _ = project.read_options


def test_a_pattern_that_looks_into_the_output_alone_finds_images(tmp_path):
    write_image(tmp_path / "plants" / "a.png", RGB)
    pattern = str(tmp_path / "plants" / "*.png")
    assert [task.name for task in find_tasks([pattern], tmp_path / "plants").tasks] == ["a"]
    write_image(tmp_path / "plants" / "out" / "b.png", RGB)
    pattern = str(tmp_path / "plants" / "**" / "*.png")
    assert [task.name for task in find_tasks([pattern], tmp_path / "plants" / "out").tasks] == ["a"]
