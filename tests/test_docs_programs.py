"""Every command in the docs is run: this program's own in a small folder, all others where `ELSEWHERE` says."""

import io
import re
import zipfile

import pytest
import torch
import yaml
from typer.testing import CliRunner

from napari_leafseg import _console
from napari_leafseg.cli import app
from napari_leafseg.finetuning import config as finetuning
from napari_leafseg.finetuning import session
from napari_leafseg.models.store import get
from tests import data_sets
from tests.conftest import REPOSITORY
from tests.docs_folders import FOLDERS, RECIPE
from tests.models.published import published_mask2former
from tests.models.test_pretrained import original, small  # noqa: F401 (a fixture)
from tests.models.test_pretrained_layouts import mmdet_file
from tests.test_cli_finetune import finetune_shortly
from tests.test_docs_commands import PAGES, blocks, without_settings

pytest.importorskip("huggingface_hub", minversion="1.0")

PAGE = {page.stem: page for page in PAGES}
OURS = {
    name: found
    for name, page in PAGE.items()
    if (found := [line for line in blocks(page.read_text(encoding="utf-8")) if line.startswith("napari-leafseg")])
}
OTHERS = {
    line: page.name
    for page in PAGES
    for line in blocks(page.read_text(encoding="utf-8"))
    if not line.startswith("napari-leafseg")
}
WORKFLOWS = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / ".github/workflows").glob("*.yml"))
RUN_BY_THE_SERVER = WORKFLOWS + (REPOSITORY / ".ci/run").read_text(encoding="utf-8")
ELSEWHERE = {  # command: the test that does what it does
    "napari-leafseg demo": "tests/widgets/test_demo.py::test_demo_leaves_screenshot_labels_and_traits",
    "napari-leafseg batch 'day*/**/*.jpg' --output experiment --scheduler tcp://HOST:8786":
        "tests/test_docs_processes.py::test_dask_on_the_command_line_computes_a_batch",
    "dask scheduler": "tests/test_docs_processes.py::test_dask_on_the_command_line_computes_a_batch",
    "MALLOC_TRIM_THRESHOLD_=1073741824 dask worker tcp://HOST:8786 --nworkers 4 --nthreads 1":
        "tests/test_docs_processes.py::test_dask_on_the_command_line_computes_a_batch",
    "accelerate launch --multi_gpu --num_processes 4 -m napari_leafseg.cli finetune PROJECT":
        "tests/test_docs_processes.py::test_two_processes_fine_tune_a_project_by_the_command_line",
    "python -m benchmarks.gpu_check --size small":
        "tests/test_gpu_check.py::test_everything_is_checked_on_the_processor",
}  # fmt: skip
FEWER = {
    "challenge": ["--epochs", "1", "--config", "resources/training/leaf-small.yaml"], "synthesize": ["--size", "64"],
    "batch": ["--workers", "0"],
}  # fmt: skip
"""What is added to a command for the sake of time; the last value of an option counts."""
SERVED = "https://example.org/weights.pth"


@pytest.fixture
def folder(tmp_path, monkeypatch, own_models):
    """The folder in which the commands are typed; models are the test's own, fine-tunings short."""
    monkeypatch.setattr(_console.out, "width", 300)
    for place in (session, finetuning):
        monkeypatch.setattr(place, "user_folder", lambda: own_models)

    finetune_shortly(monkeypatch, 2)
    place = tmp_path / "typed"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def fill(site, monkeypatch):
    """Put what the pages fetch onto a server on this computer, made small."""
    buffer = io.BytesIO()
    torch.save(mmdet_file("condinst", original("condinst")), buffer)
    site.files["/condinst.pth"] = buffer.getvalue()
    buffer = io.BytesIO()
    torch.save(mmdet_file("solov2", original("solov2")), buffer)
    site.files["/weights.pth"] = buffer.getvalue()
    known = get.published_models()
    entry = known["condinst-resnet-50-coco"].model_copy(update={"source": f"{site.address}/condinst.pth", "files": {}})
    monkeypatch.setattr(get, "published_models", lambda catalog=None: {**known, "condinst-resnet-50-coco": entry})
    return site


def words_of(line, site):
    """What is typed: with all that is optional, but for “…”."""
    line = re.sub(r" \[[^\]]*…[^\]]*\]", "", line)
    _, *words = without_settings(line.replace(SERVED, f"{site.address}/weights.pth"))
    return [*words, *FEWER.get(words[0], [])]


def shorten(folder):
    """Have the recipe that a command wrote train for two steps."""
    recipe = folder / "phenoleaf/train.yaml"
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    short = {name: RECIPE[name] for name in ("steps", "batch", "crop", "model")}
    recipe.write_text(yaml.safe_dump({**content, **short, "init_from": None}))


def others_away(folder):
    """Leave those labels that are of the project's images: the commands above wrote more into their folder."""
    for path in (folder / "labels").iterdir():
        if not path.stem.startswith("project"):
            path.unlink()


BEFORE = {"napari-leafseg train phenoleaf": shorten, "napari-leafseg import project": others_away}
"""What is done before a command that begins so."""


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.usefixtures("small")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", sorted(FOLDERS))
def test_the_commands_of_a_page_do_their_work(page, folder, site, monkeypatch):
    lines = [line for line in OURS[page] if line not in ELSEWHERE]
    FOLDERS[page](folder)
    fill(site, monkeypatch)
    fill_hub(site, folder)
    for line in lines:
        for start, action in BEFORE.items():
            if line.startswith(start):
                action(folder)
        result = CliRunner(env={"COLUMNS": "250"}).invoke(app, words_of(line, site), input="y\n")
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"


def fill_hub(site, folder):
    """Put repositories onto the server: PhenoLeaf-TS, and a model of somebody."""
    source = data_sets.phenoleaf(folder.parent / "source")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for file in sorted(source.rglob("*.*")):
            made.write(file, file.relative_to(source))
    site.repository("rick77a/PhenoLeaf_TS", {"PhenoLeaf-TS_DS.zip": packed.getvalue()}, kind="datasets")
    place = folder.parent / "theirs"
    published_mask2former("resnet").save_pretrained(place)
    site.repository("owner/repository", {path.name: path.read_bytes() for path in place.iterdir()})


def test_every_other_command_is_run_somewhere():
    left = {line: page for line, page in OTHERS.items() if line not in ELSEWHERE}
    unknown = {line: page for line, page in left.items() if not run_by_the_server(line)}
    assert unknown == {}, "have a job of .github/workflows/ run it, or name its test in ELSEWHERE"
    assert not run_by_the_server("make everything")


def run_by_the_server(line):
    """Whether a job, or what CI begins, has a command; of make, its targets."""
    if not line.startswith("make "):
        return f"run: {line}\n" in RUN_BY_THE_SERVER
    made = re.findall(r"^(?: *- run: )?make (.*)$", RUN_BY_THE_SERVER, re.M)
    return set(line.partition(" ARGS=")[0].split()[1:]) <= {target for targets in made for target in targets.split()}


def test_what_is_run_elsewhere_is_there():
    typed = {line for lines in OURS.values() for line in lines} | set(OTHERS)
    assert set(ELSEWHERE) <= typed
    for test in ELSEWHERE.values():
        path, _, name = test.partition("::")
        assert f"\ndef {name}(" in (REPOSITORY / path).read_text(encoding="utf-8"), test
    assert set(FOLDERS) == {page for page, lines in OURS.items() if set(lines) - set(ELSEWHERE)}
