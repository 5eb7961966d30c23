"""Trays and scales of camera positions, kept with a project."""

import json

import numpy as np
import pytest
from PIL import Image

from napari_leafseg import _files
from napari_leafseg.errors import ProjectError, UserError
from napari_leafseg.experiment.color_correction import ColorCorrection
from napari_leafseg.experiment.positions import KnownScale, Positions
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.project import Project
from napari_leafseg.project.elsewhere import copy_elsewhere
from napari_leafseg.project.positions_file import (
    FILE,
    KeptPositions,
    load_positions,
    positions_content,
    read_positions,
    write_positions,
)

TRAY = Tray(2, 3, ((0.1, 0.2), (0.15, 0.8), (0.9, 0.95), (0.85, 0.05)), "{number}", frozenset({(0, 1)}), 250.0)


@pytest.fixture
def project(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{name}.png")
    with Project.create(tmp_path / "p") as project:
        project.add_images([tmp_path / "a.png", tmp_path / "b.png"])
        yield project


@pytest.fixture
def kept(project):
    first, second = (project.path_of(ref) for ref in project.images)
    scale = KnownScale(8.125, "ArUco 4×4 no. 7, 20 mm", (600, 800))
    color = ColorCorrection(((1.2, 0.1, 0.0), (0.0, 1.1, 0.0), (0.1, 0.0, 1.9), (0.0, 0.01, 0.0)), "color card")
    return KeptPositions(
        Positions({first: TRAY}, {second: scale}, {first: color}), others={"gone": {"tray": {"rows": 1, "columns": 2}}}
    )


def test_all_is_read_as_it_was_written(project, kept):
    assert load_positions(project) == KeptPositions()
    write_positions(project.folder, positions_content(kept, project))
    assert load_positions(project) == kept
    assert read_positions(project.folder) == kept.positions


def test_it_goes_with_a_project_that_is_saved_elsewhere(project, kept, tmp_path):
    write_positions(project.folder, positions_content(kept, project))
    *_, last = copy_elsewhere(project, tmp_path / "other", {})
    with last.project as other:
        assert load_positions(other) == kept


def test_a_write_that_is_cut_off_leaves_what_was_there(project, kept, monkeypatch):
    write_positions(project.folder, positions_content(kept, project))

    def cut(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files.os, "replace", cut)
    with pytest.raises((UserError, OSError)):
        write_positions(project.folder, positions_content(KeptPositions(), project))
    assert load_positions(project) == kept


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(images=[]),
        lambda content: content["images"]["a"].update(tray=3),
        lambda content: content["images"]["a"]["tray"].update(rows=0),
        lambda content: content["images"]["a"]["tray"].update(corners=[[0, 0]] * 4),
        lambda content: content["images"]["b"]["scale"].update(px_per_mm="x"),
        lambda content: content["images"]["b"].update(pot={}),
        lambda content: content["images"].update(b=[]),
    ],
)
def test_a_damaged_entry_is_told_and_costs_nothing_else(project, kept, change):
    content = json.loads(positions_content(kept, project))
    change(content)
    text = json.dumps(content)
    (project.folder / FILE).write_text(text)
    with pytest.raises(ProjectError, match="damaged"):
        read_positions(project.folder)
    found = load_positions(project)
    assert str(project.folder / FILE) in found.problem
    assert (project.folder / f"{FILE}.damaged").read_text() == text
    assert found.writable
    if isinstance(content["images"], dict):
        assert len(found.positions.trays) + len(found.positions.scales) >= 1


@pytest.mark.parametrize("content", [b"{", b"[]", b"3", b"\xff\xfe", b""])
def test_a_damaged_file_never_costs_the_project(project, content):
    (project.folder / FILE).write_bytes(content)
    assert "damaged" in load_positions(project).problem
    assert (project.folder / f"{FILE}.damaged").read_bytes() == content


def test_the_file_of_a_later_version_is_left_alone(project):
    (project.folder / FILE).write_text('{"format": 99}')
    found = load_positions(project)
    assert "newer version" in found.problem
    assert not found.writable
