"""Valid files, changed at random: each is read, or refused with a sentence, soon and within little memory."""

import json
import pickle
import random
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from safetensors.numpy import save_file

from napari_leafseg.errors import UserError
from napari_leafseg.experiment import group_series
from napari_leafseg.io import read_image, read_labels
from napari_leafseg.models.query.pretrained.read import read_weights
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.pipelines.batch.rerun import read_records
from napari_leafseg.project import Project
from napari_leafseg.project.experiment_file import experiment_content, load_experiment
from napari_leafseg.project.measurement_settings import read_measurement_settings
from napari_leafseg.project.recent_projects import projects_using
from napari_leafseg.project.review import tally
from napari_leafseg.training.config import TrainingConfig, read_training_config
from tests.reliability.kept import SHAPE, draw, image

COUNTS = [25, pytest.param(500, marks=pytest.mark.night)]
SECONDS, MEMORY = 10, 2_000_000  # for one file; kilobytes more than before
ODD = [
    None, True, -1, 0, 2**70, 1e400, float("nan"), "", "../../../../../../tmp/leafseg-victim", "/etc/passwd", "a\0b",
    "abc", [], [1], {}, {"a": [None]}, "=1+1", "\ud800", "x" * 100_000, [[[[[]]]]], 5.5, "con", "🌿",
]  # fmt: skip


def places(value, path=()):
    """Where something could be changed in nested lists and dicts."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def odd_value(content, rng):
    """A copy in which one value is another one, is gone, or has come twice."""
    content = json.loads(json.dumps(content))
    path = rng.choice(list(places(content)))
    if not path:
        return rng.choice(ODD)
    at = content
    for key in path[:-1]:
        at = at[key]
    how = rng.randrange(4)
    if how == 0:
        del at[path[-1]]
    elif how == 1 and isinstance(at, list):
        at.append(at[path[-1]])
    elif how == 2 and isinstance(at, dict):
        at[f"{path[-1]}x"] = at.pop(path[-1])
    else:
        at[path[-1]] = rng.choice(ODD)
    return content


def damaged(content, rng):
    """Bytes of which some are others, gone, or there twice."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 20))):
        at = rng.randrange(max(1, len(content)))
        how = rng.randrange(5)
        if how == 0:
            content[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            del content[at : at + rng.randrange(1, 40)]
        elif how == 2:
            content[at:at] = content[at : at + rng.randrange(1, 200)]
        elif how == 3:
            del content[at:]
        else:
            content[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"))
    return bytes(content)


def changed(path, rng):
    """Change a file: as JSON or YAML half of the times, else as bytes."""
    before = path.read_bytes()
    after = damaged(before, rng)
    if path.suffix in {".json", ".yaml"} and rng.randrange(3):
        try:
            if path.suffix == ".json":
                after = json.dumps(odd_value(json.loads(before), rng)).encode()
            else:
                after = yaml.safe_dump(odd_value(yaml.safe_load(before), rng)).encode()
        except (UnicodeEncodeError, yaml.YAMLError):
            pass
    if rng.randrange(25) == 0:
        after = b"[" * 50_000
    path.write_bytes(after)


def tried(what, read):
    """Read; a sentence is as good as a result."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()  # whoever else works here
    sentence = "none"
    try:
        read()
    except UserError as error:
        sentence = str(error).strip()
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    assert sentence, what
    assert "Traceback" not in sentence
    assert time.process_time() - began < SECONDS, what
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY, what


def inventory(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def project_folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("fuzz")
    with Project.create(place / "p") as project:
        (ref,) = project.add_images([image(place / "a.png")])
        document = project.open_document(ref, SHAPE)
        for leaf in range(1, 4):
            draw(document, leaf)
        document.undo()
        document.info["model"] = {"name": "leaf", "version": "1"}
        project.save(ref, document)
        draw(document, 5)
    (place / "p" / "measure.json").write_text('{"px_per_mm": 3.0, "images": {"a": {"names": {"1": "pot"}}}}')
    (place / "p" / "experiment.json").write_text(
        '{"format": 1, "pattern": "{plant}_{date}", "images": {"a": {"hand": {"plant": "7", "day": "3"},'
        ' "table": {"time": "2021-05-03T11:05:00"}}}}'
    )
    (place / "p" / "lock.json").write_text(
        '{"user": "ann", "host": "here", "process": 4194303, "since": "2026-01-01T00:00:00Z", "boot": "b",'
        ' "started": "1", "key": "k"}'
    )
    return place


FILES = (
    "project.json",
    "lock.json",
    "measure.json",
    "experiment.json",
    "labels/a.tif",
    "records/a.json",
    "journal/a.journal",
)


def work(folder):
    """What the window does with a project."""
    read_measurement_settings(folder)
    with Project.open(folder, force=True) as project:
        kept = load_experiment(project)
        group_series(list(kept.experiment.describe([project.path_of(ref) for ref in project.images]).values()), "ab")
        experiment_content(kept, project)
        for ref in project.images:
            document = project.open_document(ref, SHAPE)
            draw(document, 9)
            document.undo()
            project.save(ref, document)
            project.writer.flush()
        tally(project, {})
        project.missing()
        project.catch_up()
        for ref in project.images:
            project.read_labels(ref)


@pytest.mark.parametrize("count", COUNTS)
def test_projects(project_folder, tmp_path, count, monkeypatch):
    from napari_leafseg.project import recent_projects

    monkeypatch.setattr(recent_projects, "data_folder", lambda: tmp_path / "data")
    victim = Path("/tmp/leafseg-victim")
    rng = random.Random(count)
    for number in range(count):
        place = tmp_path / f"{number:04d}"
        shutil.copytree(project_folder, place)
        before = inventory(place)
        name = FILES[number % len(FILES)]
        changed(place / "p" / name, rng)
        tried(f"{number} {name}", lambda place=place: work(place / "p"))
        tried(f"{number} {name}", lambda: projects_using("leaf"))
        new = [path for path in inventory(place) - before if not path.startswith("p/")]
        assert not new, number
        assert not list(victim.parent.glob(f"{victim.name}*")), number
        shutil.rmtree(place)


@pytest.mark.parametrize("count", COUNTS)
def test_lists_of_projects(project_folder, tmp_path, count, monkeypatch):
    from napari_leafseg.project import recent_projects

    monkeypatch.setattr(recent_projects, "data_folder", lambda: tmp_path)
    rng, path = random.Random(count), tmp_path / "projects.json"
    for number in range(count):
        path.write_text(json.dumps([str(project_folder / "p"), "/gone"]))
        changed(path, rng)
        tried(number, recent_projects.recent_projects)


@pytest.mark.parametrize("count", COUNTS)
def test_checkpoints(tiny_checkpoint, count):
    rng, whole = random.Random(count), tiny_checkpoint.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    for number in range(count):
        if number % 2:
            tiny_checkpoint.write_bytes(damaged(whole, rng))
        else:
            entries = json.loads(json.dumps(header))
            about = entries["__metadata__"]
            name = rng.choice(("config", "card"))
            about[name] = json.dumps(odd_value(json.loads(about[name]), rng))
            text = json.dumps(entries if number % 4 else odd_value(entries, rng)).encode()
            tiny_checkpoint.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + size :])
        tried(number, lambda: load_checkpoint(tiny_checkpoint))


@pytest.mark.parametrize("count", COUNTS)
def test_training_configurations(tmp_path, count):
    rng, path = random.Random(count), tmp_path / "x.yaml"
    text = yaml.safe_dump(json.loads(TrainingConfig().model_dump_json()))
    for number in range(count):
        path.write_text(text)
        changed(path, rng)
        tried(number, lambda: read_training_config(path))


@pytest.mark.parametrize("count", COUNTS)
def test_records(tmp_path, count):
    rng, path = random.Random(count), tmp_path / "a_label.json"
    record = {
        "model": {"name": "leaf", "version": "1.0"}, "parameters": {"angle": 40.0, "seed_threshold": 0.4},
        "tta": {"views": 2, "scales": [1.0, 1.25]}, "device": "cpu", "precision": "bfloat16", "scale": [0.5, 0.5],
        "scale_found": False, "image": {"name": "a.png", "path": "/x/a.png", "sha256": "0" * 64}, "plant_mask": False,
        "notes": [], "batch": {"model": "leaf"},
    }  # fmt: skip
    for number in range(count):
        path.write_text(json.dumps({"session": [record, record]} if number % 3 == 0 else record))
        changed(path, rng)
        tried(number, lambda: read_records(path))


def test_the_changes_change_something(tmp_path):
    rng, path = random.Random(0), tmp_path / "a.json"
    found = set()
    for _ in range(50):
        path.write_text('{"a": [1, 2, {"b": "c"}]}')
        changed(path, rng)
        found.add(path.read_bytes())
    assert len(found) > 30


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("ending", [".pkl", ".pth", ".safetensors"])
def test_foreign_weights(tmp_path, count, ending):
    rng, path = random.Random(count), tmp_path / f"x{ending}"
    arrays = {"a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "b.bias": np.zeros(5, np.float32)}
    if ending == ".pkl":
        path.write_bytes(pickle.dumps({"model": arrays}))
    elif ending == ".pth":
        torch.save({"model": {name: torch.from_numpy(array) for name, array in arrays.items()}}, path)
    else:
        save_file(arrays, path)
    whole = path.read_bytes()
    for number in range(count):
        path.write_bytes(damaged(whole, rng))
        tried(f"{number} {ending}", lambda: read_weights(path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"N.",
        b"cbuiltins\neval\n.",
        pickle.dumps({"model": {"a": np.array(["x"])}}),
        pickle.dumps({"model": {"a": np.array([object], object)}}, 2),
        b"cnumpy\nndarray\n(I99999999\nI99999999\ntR.",
    ],
)
@pytest.mark.parametrize("ending", [".pkl", ".pth"])
def test_odd_weights(tmp_path, content, ending):
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError):
        read_weights(path)


def valid_images(folder):
    """An image in each of some formats."""
    rng = np.random.default_rng(0)
    color, gray = rng.integers(0, 255, (24, 30, 3)).astype(np.uint8), rng.integers(0, 60000, (24, 30)).astype(np.uint16)
    for name in ("a.png", "a.jpg", "a.bmp", "a.webp", "a.gif", "a.jp2"):
        Image.fromarray(color).save(folder / name)
    Image.fromarray(gray).save(folder / "gray.png")
    tifffile.imwrite(folder / "plain.tif", color)
    tifffile.imwrite(folder / "packed.tif", color, compression="zlib", predictor=True, tile=(16, 16))
    tifffile.imwrite(folder / "stack.tif", np.stack([gray] * 3), photometric="minisblack")
    tifffile.imwrite(folder / "a.ome.tif", np.stack([gray] * 3), metadata={"axes": "TYX", "PhysicalSizeX": 0.1})
    return sorted(folder.iterdir())


@pytest.mark.parametrize("count", COUNTS)
def test_images(tmp_path, count):
    rng, whole = random.Random(count), {path: path.read_bytes() for path in valid_images(tmp_path)}
    for number in range(count):
        path = list(whole)[number % len(whole)]
        path.write_bytes(damaged(whole[path], rng))
        tried(f"{number} {path.name}", lambda path=path: read_image(path))
        tried(f"{number} {path.name}", lambda path=path: read_labels(path))
        path.write_bytes(whole[path])
