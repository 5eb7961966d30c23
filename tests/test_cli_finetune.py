"""The command ``napari-leafseg finetune``."""

import re

import pytest
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.finetuning import config, session
from napari_leafseg.io import write_image
from napari_leafseg.models.store import zoo
from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.project import Project
from napari_leafseg.synthetic import synthesize
from tests.finetuning.test_finetune import SCENE


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The user's models lie in a folder of the test; runs are of four small steps."""
    folder = tmp_path / "data" / "models"
    for place in (zoo, session, config):
        monkeypatch.setattr(place, "user_folder", lambda: folder)

    finetune_shortly(monkeypatch, 4)
    return folder


def finetune_shortly(monkeypatch, count):
    """Have the command line fine-tune in so many small steps a run."""

    class Few(config.FinetuneSettings):
        steps: int | None = count
        batch: int = 2
        crop: int = 64
        synthetic_share: float = 0.0

    monkeypatch.setattr(config, "FinetuneSettings", Few)


def test_a_project_makes_a_model_and_names_what_to_correct_next(tmp_path, models, tiny_checkpoint):
    with Project.create(tmp_path / "project") as project:
        paths = [tmp_path / f"plant{number}.png" for number in range(4)]
        for number, path in enumerate(paths):
            write_image(path, synthesize(4_000 + number, SCENE).image)
        for number, ref in enumerate(project.add_images(paths)):
            if number < 2:
                document = project.open_document(ref, (96, 96))
                document.labels[:] = synthesize(4_000 + number, SCENE).labels
                project.save(ref, document)
                ref.state = "done"
        project.save_list()
    command = [
        "finetune",
        str(tmp_path / "project"),
        "--base",
        str(tiny_checkpoint),
        "--name",
        "mine",
        "--device",
        "cpu",
    ]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, command)
    assert result.exit_code == 0, result.output
    card = read_card(models / "mine.safetensors")
    assert [item["name"] for item in card.provenance["images"]] == ["plant0", "plant1"]
    assert "2 images (2 reviewed as a whole)" in result.stdout
    assert re.search(r"SBD: \d\.\d{3} → \d\.\d{3}\n  AP: \d\.\d{3} → \d\.\d{3}\n  \|DiC\|: ", result.stdout)
    assert "Use it as --model mine" in result.stdout
    assert not config.session_folder("mine").exists()
    after = result.stdout.split("Correct next")[1]
    assert {str(paths[2]), str(paths[3])} == {line.split()[1] for line in after.splitlines()[1:] if line.strip()}
    again = CliRunner().invoke(app, command)
    assert "There is a model “mine” already" in str(again.exception)
    assert "no effort" in str(CliRunner().invoke(app, [*command[:2], "--effort", "much"]).exception)
