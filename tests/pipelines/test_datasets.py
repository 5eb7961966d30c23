"""Data sets by name: tiny ones in the original layouts, converted, trained on, and what is wrong with others."""

import json
import shlex
import shutil

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.errors import UserError
from napari_leafseg.experiment.table import read_table
from napari_leafseg.io import read_image, read_labels
from napari_leafseg.pipelines.datasets import convert
from napari_leafseg.pipelines.datasets.colors import read_palette
from napari_leafseg.pipelines.datasets.convert import convert_data, hold_out, labeled_files
from napari_leafseg.pipelines.datasets.learn import load_converted
from napari_leafseg.pipelines.datasets.sample import Sample, names_of
from tests import data_sets
from tests.test_cli_finetune import models  # noqa: F401 (a fixture)

MADE = {
    "lsc": data_sets.lsc, "phenoleaf-ts": data_sets.phenoleaf, "komatsuna": data_sets.komatsuna,
    "msu-pid": data_sets.msu_pid, "coco": data_sets.coco, "yolo": data_sets.yolo,
}  # fmt: skip


def run(*words):
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [*map(str, words)])


def converted(name, source, output):
    *_, last = convert_data(name, source, output)
    return last.summary


def labels_of(folder, stem):
    return read_labels(folder / "labels" / f"{stem}_label.png")


def stems(folder):
    return sorted(path.stem for path in (folder / "images").iterdir())


def same_leaves(ours, truth):
    """Whether two label images outline the same leaves, by whatever numbers."""
    pairs = np.unique(np.stack([ours.ravel(), truth.ravel()]), axis=1).T
    return len(pairs) == len(set(pairs[:, 0])) == len(set(pairs[:, 1]))


@pytest.mark.train
@pytest.mark.parametrize("name", MADE)
def test_from_the_files_to_training_fine_tuning_and_a_scored_table(name, tmp_path, models, tiny_checkpoint):  # noqa: F811
    source, output = MADE[name](tmp_path / "downloaded"), tmp_path / "my converted"
    result = run("data", "convert", name, source, output)
    assert result.exit_code == 0, result.output
    assert "license: " in result.stdout
    train, finetune, score = (
        shlex.split(line)[1:] for line in result.stdout.splitlines() if line.startswith("napari-leafseg ")
    )
    recipe = yaml.safe_load((output / "train.yaml").read_text())
    recipe |= {"steps": 2, "batch": 1, "crop": 64, "model": "tiny", "init_from": None, "validation_count": 2}
    (output / "train.yaml").write_text(yaml.safe_dump(recipe))
    assert (train[0], finetune[0], score[:2]) == ("train", "finetune", ["data", "score"])
    trained = run(*train, "--device", "cpu")
    assert trained.exit_code == 0, trained.output
    model = output / "run" / f"{name}-leaf-small.safetensors"
    assert model.exists()
    tuned = run(*finetune, "--base", tiny_checkpoint, "--name", "mine", "--device", "cpu")
    assert tuned.exit_code == 0, tuned.output
    assert (models / "mine.safetensors").exists()
    scored = run(*score[:-1], model, "--device", "cpu")
    assert scored.exit_code == 0, scored.output
    assert "SBD" in scored.stdout
    assert "mean" in scored.stdout
    figures = json.loads((output / f"scores-{name}-leaf-small.json").read_text())
    held_out = (output / "held_out.txt").read_text().split()
    assert set(figures["images"]) == set(held_out)
    assert figures["table"]["mean"]["images"] == len(held_out)


@pytest.mark.parametrize("name", MADE)
def test_every_image_has_its_leaves_and_what_is_known_of_it(name, tmp_path):
    source, output = MADE[name](tmp_path / "downloaded"), tmp_path / "out"
    summary = converted(name, source, output)
    assert summary.images == len(stems(output)) > 1
    assert not summary.failed
    assert 0 < summary.held_out < summary.images
    originals = {imageio.imread(path).tobytes() for path in source.rglob("*.png")}
    for stem in stems(output):
        image = read_image(next((output / "images").glob(f"{stem}.*"))).array
        assert np.asarray(image).tobytes() in originals
        assert labels_of(output, stem).max() > 1
    if name != "yolo":
        table = read_table(output / "metadata.csv")
        assert {key.rpartition(".")[0] for key in table.rows} == set(stems(output))
    assert json.loads((output / "data.json").read_text())["finished"] is True


def test_the_challenge_comes_from_hdf5_as_well(tmp_path):
    source = data_sets.lsc_hdf5(tmp_path / "down")
    summary = converted("lsc", source, tmp_path / "out")
    assert summary.images == 3
    image, labels = data_sets.plant(2)
    np.testing.assert_array_equal(read_image(tmp_path / "out/images/A1_plant002.png").array, image)
    np.testing.assert_array_equal(labels_of(tmp_path / "out", "A1_plant002"), labels)


def test_a_leaf_of_phenoleaf_keeps_its_number_from_image_to_image(tmp_path):
    source = data_sets.phenoleaf(tmp_path / "down", plants=1, frames=3)
    marked = sorted((source / "leaf_dataset_colour/02_leaf_labels").rglob("*.png"))
    _, labels = data_sets.plant(0)
    imageio.imwrite(marked[1], data_sets.colored(np.where(labels == 1, 0, labels)))  # the first leaf is gone
    output = tmp_path / "out"
    converted("phenoleaf-ts", source, output)
    first, second, _ = stems(output)
    np.testing.assert_array_equal(labels_of(output, first), labels)
    np.testing.assert_array_equal(labels_of(output, second), np.where(labels == 1, 0, labels))
    rows = pd.read_csv(output / "metadata.csv", dtype=str)
    assert list(rows["date"]) == [f"2022-05-{day} 12:09:35" for day in (11, 12, 13)]
    assert set(rows["genotype"]) == {"Col-0"}
    assert set(rows["plant_id"]) == {"Col-0_rep_00"}
    assert first.startswith("Col-0_rep_00__")
    recipe = yaml.safe_load((output / "train.yaml").read_text())
    assert recipe["data"]["sources"][0]["same_plant"] == "(.+?)__"


def test_leaves_without_a_table_of_colors_are_numbered_as_they_appear_in_time(tmp_path):
    source = data_sets.phenoleaf(tmp_path / "down", plants=1, frames=2)
    (source / "leaf_dataset_colour/leaves_unique_colours.xlsx").unlink()
    marked = sorted((source / "leaf_dataset_colour/02_leaf_labels").rglob("*.png"))
    early = np.zeros((96, 96, 3), np.uint8)
    early[10:20, 10:20] = (9, 9, 9)
    late = early.copy()
    late[40:50, 40:50] = (1, 1, 1)
    for path, image in zip(marked, (early, late), strict=True):
        imageio.imwrite(path, image)
    summary = converted("phenoleaf-ts", source, tmp_path / "out")
    assert any("leaves_unique_colours.xlsx is missing" in note for note in summary.notes)
    one, two = (labels_of(tmp_path / "out", stem) for stem in stems(tmp_path / "out"))
    assert one[15, 15] == two[15, 15] == 1
    assert two[45, 45] == 2


def test_a_leaf_of_komatsuna_keeps_its_number_in_all_images_of_its_plant(tmp_path):
    source = data_sets.komatsuna(tmp_path / "down", plants=2, days=2)
    labels = np.zeros((96, 96), int)
    labels[10:30, 10:30], labels[50:70, 50:70] = 1, 2
    save = imageio.imwrite
    save(source / "multi_label/label_00_00_000_00.png", data_sets.colored(np.where(labels == 2, 0, labels)))
    save(source / "multi_label/label_00_00_001_00.png", data_sets.colored(labels, data_sets.PALETTE))
    converted("komatsuna", source, tmp_path / "out")
    early, late = (labels_of(tmp_path / "out", f"multi_00__00_00_00{day}_00") for day in (0, 1))
    assert early[20, 20] == late[20, 20] == 1
    assert late[60, 60] == 2
    rows = pd.read_csv(tmp_path / "out/metadata.csv", dtype=str)
    assert {"plant_id", "day", "camera", "timepoint"} <= set(rows)


def test_msu_pid_keeps_its_own_plants_for_scoring_and_takes_labeled_color(tmp_path):
    summary = converted("msu-pid", data_sets.msu_pid(tmp_path / "down"), tmp_path / "out")
    assert (tmp_path / "out/held_out.txt").read_text().split() == [
        "arabidopsis_plant07_rgb__day01_hour09", "arabidopsis_plant07_rgb__day01_hour12",
    ]  # fmt: skip
    assert any("1 file: without labels" in note and "hour_10" in note for note in summary.notes)


def test_coco_and_yolo_keep_their_own_images_for_scoring(tmp_path):
    converted("coco", data_sets.coco(tmp_path / "a"), tmp_path / "coco")
    assert (tmp_path / "coco/held_out.txt").read_text().split() == ["instances_val_p3", "instances_val_p4"]
    converted("yolo", data_sets.yolo(tmp_path / "b"), tmp_path / "yolo")
    assert (tmp_path / "yolo/held_out.txt").read_text().split() == ["val_p3", "val_p4"]
    for number in range(5):
        _, labels = data_sets.plant(number)
        part = "train" if number < 3 else "val"
        assert same_leaves(labels_of(tmp_path / "coco", f"instances_{part}_p{number}"), labels)
        assert same_leaves(labels_of(tmp_path / "yolo", f"{part}_p{number}"), labels)


def test_what_is_left_out_is_counted_and_named(tmp_path):
    source = data_sets.phenoleaf(tmp_path / "down", plants=2, frames=2)
    raw = sorted((source / "leaf_dataset_colour/01_raw_dataset").rglob("*.png"))
    marked = sorted((source / "leaf_dataset_colour/02_leaf_labels").rglob("*.png"))
    raw[0].unlink()
    marked[1].unlink()
    imageio.imwrite(marked[2], data_sets.colored(data_sets.plant(1)[1])[:50])  # of another size
    result = run("data", "convert", "phenoleaf-ts", source, tmp_path / "out")
    assert result.exit_code == 1
    assert "1 file: without labels" in result.output
    assert "1 file: labels without an image" in result.output
    assert "has 96 × 96 pixels, its labels have 96 × 50" in result.output
    assert "1 image could not be converted" in result.output
    about = json.loads((tmp_path / "out/data.json").read_text())
    assert list(about["left_out"]["without labels"]) == [str(raw[1])]
    assert list(about["failed"]) == [str(raw[2])]
    assert "out: 1 image of 1 plant; 0 images held out" in result.output


def test_images_that_are_damaged_or_no_labels_are_told_and_the_others_converted(tmp_path):
    source = data_sets.phenoleaf(tmp_path / "down", plants=3, frames=1)
    raw = sorted((source / "leaf_dataset_colour/01_raw_dataset").rglob("*.png"))
    marked = sorted((source / "leaf_dataset_colour/02_leaf_labels").rglob("*.png"))
    raw[0].write_bytes(raw[0].read_bytes()[:200])
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    imageio.imwrite(marked[1], noise)
    summary = converted("phenoleaf-ts", source, tmp_path / "out")
    assert summary.images == 1
    assert str(raw[0]) in summary.failed[str(raw[0])]
    assert "compressed like a photograph" in summary.failed[str(raw[1])]


def test_a_conversion_that_was_stopped_goes_on(tmp_path, monkeypatch):
    source, output = data_sets.phenoleaf(tmp_path / "down"), tmp_path / "out"
    events = convert_data("phenoleaf-ts", source, output)
    for event in events:
        if event.done == 2:
            break
    events.close()
    assert json.loads((output / "data.json").read_text())["finished"] is False
    with pytest.raises(UserError, match="is not finished"):
        labeled_files(output, True)
    (output / "train.yaml").write_text("mine: 1\n")
    read = []
    real = convert._read
    monkeypatch.setattr(convert, "_read", lambda sample: read.append(sample.place) or real(sample))
    assert converted("phenoleaf-ts", source, output).images == 4
    assert len(read) == 2
    assert (output / "train.yaml").read_text() == "mine: 1\n"


def test_places_that_do_not_suit_are_told(tmp_path):
    source = data_sets.lsc(tmp_path / "down")
    for name, place, output, words in (
        ("lsc", tmp_path / "none", "out", "no folder or file"),
        ("lsc", source, "down/out", "lies in the data set itself"),
        ("lsc", source, "file", "is a file, not a folder"),
        ("lsc", source, "full", "is not empty"),
        ("other", source, "out", r"no data set “other”\. It has: lsc"),
        ("phenoleaf-ts", source, "out", "is not PhenoLeaf-TS"),
        ("komatsuna", source, "out", "is not KOMATSUNA"),
        ("msu-pid", source, "out", "is not MSU-PID"),
        ("coco", source, "out", "holds no JSON file"),
        ("yolo", source, "out", "holds no text file"),
    ):
        (tmp_path / "file").write_text("")
        (tmp_path / "full").mkdir(exist_ok=True)
        (tmp_path / "full/x").write_text("")
        with pytest.raises(UserError, match=words):
            converted(name, place, tmp_path / output)
        assert not (tmp_path / "out").exists()
    converted("lsc", source, tmp_path / "out")
    shutil.copytree(source, tmp_path / "again")
    with pytest.raises(UserError, match=r"holds “lsc” of .* already"):
        converted("lsc", tmp_path / "again", tmp_path / "out")
    with pytest.raises(UserError, match="was not made by"):
        labeled_files(tmp_path / "full", True)


def test_a_folder_that_cannot_be_written_ends_it_at_once(tmp_path):
    (tmp_path / "way").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        converted("lsc", data_sets.lsc(tmp_path / "down"), tmp_path / "way" / "out")


def test_annotations_that_lead_out_of_the_folder_are_refused(tmp_path):
    source = data_sets.coco(tmp_path / "down")
    path = source / "annotations/instances_train.json"
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = "../../etc/passwd"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="lies outside the folder"):
        converted("coco", source, tmp_path / "out")
    content["images"][0]["file_name"] = "gone.png"
    path.write_text(json.dumps(content))
    summary = converted("coco", source, tmp_path / "out2")
    assert any("it is not there" in note and "gone.png" in note for note in summary.notes)
    path.write_text("{")
    with pytest.raises(UserError, match=r"instances_train\.json cannot be read as JSON"):
        converted("coco", source, tmp_path / "out3")


def test_links_out_of_a_data_set_are_not_followed(tmp_path):
    source = data_sets.phenoleaf(tmp_path / "down", plants=1, frames=2)
    (secret,) = [tmp_path / "secret.png"]
    imageio.imwrite(secret, data_sets.plant(0)[0])
    for folder in ("01_raw_dataset", "02_leaf_labels"):
        (source / "leaf_dataset_colour" / folder / "Col-0/rep_00/zz.png").symlink_to(secret)
    assert converted("phenoleaf-ts", source, tmp_path / "out").images == 2


def test_yolo_boxes_are_told_and_other_classes_counted(tmp_path):
    source = data_sets.yolo(tmp_path / "down")
    (source / "data.yaml").write_text("names: {0: leaf, 1: pot}\n")
    file = source / "labels/train/p0.txt"
    file.write_text(file.read_text() + "1 0.1 0.1 0.2 0.1 0.2 0.2\n")
    (source / "labels/train/p1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    summary = converted("yolo", source, tmp_path / "out")
    assert any("1 shapes of other classes than leaf" in note or "1 shape of other" in note for note in summary.notes)
    assert any("box without an outline" in why for why in summary.failed.values())
    assert summary.images == 4


def test_names_are_safe_and_each_there_once():
    def sample(*parts):
        return Sample(parts, lambda: np.zeros((2, 2)))

    found = names_of([sample("a/b", "c"), sample("a", "b_c"), sample("A", "B_c"), sample("..", "x"), sample("con")])
    assert len({name.casefold() for name in found}) == 5
    assert not any("/" in name or ".." in name for name in found)
    with pytest.raises(UserError, match="Two images of the data set are called a/b"):
        names_of([sample("a", "b")] * 3)


def test_every_fifth_plant_is_held_out():
    kept = [(f"p{plant}__{frame}", "", Sample((), lambda: None, about={"plant_id": f"p{plant}"}))
            for plant in range(10) for frame in range(2)]  # fmt: skip
    assert hold_out(kept) == ["p4__0", "p4__1", "p9__0", "p9__1"]
    assert hold_out(kept[:2]) == ["p0__1"]
    assert hold_out(kept[:1]) == []


@pytest.mark.parametrize(
    "row", [["Leaf 1", 244, 64, 14], ["Leaf 1", "#F4400E"], [1, "(244, 64, 14)"], [1, "red", "244 / 64 / 14"]]
)
def test_tables_of_colors_are_read_as_people_write_them(tmp_path, row):
    pd.DataFrame([["leaf", *["color"] * (len(row) - 1)], row]).to_excel(tmp_path / "c.xlsx", index=False, header=False)
    assert read_palette(tmp_path / "c.xlsx") == {(244, 64, 14): 1}
    (tmp_path / "bad.xlsx").write_bytes(b"no")
    with pytest.raises(UserError, match="cannot be read as a table of colors"):
        read_palette(tmp_path / "bad.xlsx")


def test_fine_tuning_takes_images_from_all_over_the_set(tmp_path):
    converted("phenoleaf-ts", data_sets.phenoleaf(tmp_path / "down", plants=5, frames=3), tmp_path / "out")
    images, notes = load_converted(tmp_path / "out", most=4)
    assert len(images) == 4
    assert len({item.name.split("__")[0] for item in images}) == 4
    assert "4 of 12 images" in notes[0]
    aside = (tmp_path / "out/held_out.txt").read_text().split()
    assert not {item.name for item in images} & set(aside)


def test_a_large_set_is_thinned_for_training(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "MOST_TRAINED", 3)
    converted("phenoleaf-ts", data_sets.phenoleaf(tmp_path / "down", plants=3, frames=3), tmp_path / "out")
    left = set((tmp_path / "out/not_trained.txt").read_text().split())
    assert len(set(stems(tmp_path / "out")) - left) == 3
    assert left >= set((tmp_path / "out/held_out.txt").read_text().split())


def test_of_two_files_of_one_image_the_second_is_named(tmp_path):
    source = data_sets.yolo(tmp_path / "yolo")
    imageio.imwrite(source / "images/train/p0.tif", data_sets.plant(9)[0])
    notes = converted("yolo", source, tmp_path / "a").notes
    assert any("another image of the same name" in note and "p0.tif" in note for note in notes)
    source = data_sets.msu_pid(tmp_path / "msu")
    (first, *_) = sorted(source.rglob("*_label_rgb.png"))
    shutil.copy(first, first.with_name(f"again_{first.name}"))
    assert any("another file of the same plant" in note for note in converted("msu-pid", source, tmp_path / "b").notes)


def test_one_file_of_annotations_is_enough(tmp_path):
    source = data_sets.coco(tmp_path / "down")
    summary = converted("coco", source / "annotations/instances_train.json", tmp_path / "out")
    assert summary.images == 3
    assert stems(tmp_path / "out") == ["p0", "p1", "p2"]
