"""The report of an experiment: what is to be looked at first, numbers, words, and that nothing typed is run."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.report import make_experiment

from napari_leafseg.experiment import Series
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.report import embed
from napari_leafseg.pipelines.report.attention import find_reasons
from napari_leafseg.pipelines.report.content import rerun_command
from napari_leafseg.pipelines.report.numbers import decimals_for, number, percent
from napari_leafseg.pipelines.report.settings_words import WORDS, describe_settings
from napari_leafseg.pipelines.report.views import draw_view, plant_box, view_path
from napari_leafseg.pipelines.report.write import write_report
from tests.pipelines.report_page import Page

SIZE = 64


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_experiment(tmp_path_factory.mktemp("experiment"), 40, size=SIZE)


def page_of(source):
    return Page(write_report(source).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (10934.6, "mm²", "10,935 mm²"), (523.4, "mm²", "523 mm²"), (52.34, "mm²", "52.3 mm²"), (0.01234, "", "0.0123"),
        (0, "mm²", "0 mm²"), (-0.25, "", "−0.250"), (float("nan"), "mm²", "–"), (1_234_567.8, "px²", "1,234,568 px²"),
    ],
)  # fmt: skip
def test_numbers_are_as_people_write_them(value, unit, text):
    assert number(value, unit) == text.replace(" ", "\u00a0")


def test_shares_and_digits():
    assert [percent(share).replace("\u00a0", " ") for share in (0, 0.004, 0.126, 1)] == [
        "0 %",
        "under 1 %",
        "13 %",
        "100 %",
    ]
    assert [decimals_for(values) for values in ([], [0, np.nan], [10_930], [5.2, 4.8], [0.31])] == [0, 0, 0, 2, 3]


DAYS = 8


def experiment(plants=3, seed=0):
    """Rows of images, their leaves and their series: plants that grow evenly."""
    generator = np.random.default_rng(seed)
    rows = []
    for plant in range(plants):
        for day in range(DAYS):
            area = (80 + 30 * plant) * np.exp(0.2 * day - 0.006 * day**2) * generator.normal(1, 0.03)
            rows.append({"name": f"p{plant}d{day}", "count": 6 + day // 2, "area": area, "at_border": 0})
    images = pd.DataFrame(rows)
    images["at_border"] = images["at_border"].astype("Int64")
    leaves = pd.DataFrame({"image": images["name"].repeat(images["count"]), "confidence": 0.9}).reset_index(drop=True)
    ordered = [tuple(range(plant * DAYS, (plant + 1) * DAYS)) for plant in range(plants)]
    series = [
        Series(f"plant {number}", places, tuple(map(float, range(DAYS)))) for number, places in enumerate(ordered)
    ]
    return images, leaves, series


def kinds(images, leaves, series):
    found = find_reasons(images, leaves, series, "mm²")
    return {images["name"][place]: [reason.kind for reason in own] for place, own in found.items()}


def test_plants_that_grow_evenly_are_not_to_be_looked_at():
    assert kinds(*experiment()) == {}


@pytest.mark.parametrize("at", [0, 1, 4, 6, 7])
def test_what_stands_out_is_found_and_nothing_beside_it(at):
    images, leaves, series = experiment()
    images.loc[at, "area"] *= 3
    images.loc[DAYS + at, "count"] += 9
    images.loc[2 * DAYS, "at_border"] = 2
    leaves.loc[leaves.index[leaves["image"] == "p2d3"][:2], "confidence"] = (0.12, 0.25)
    found = kinds(images, leaves, series)
    assert found == {f"p1d{at}": ["jump"], f"p0d{at}": ["area"], "p2d3": ["uncertain"], "p2d0": ["border"]}
    assert list(found) == [f"p1d{at}", f"p0d{at}", "p2d3", "p2d0"]  # the weightiest first


def test_a_seedling_that_grows_faster_at_the_beginning_is_not_unusual():
    images, leaves, series = experiment(1)
    images["area"] = 1000 * (1 - 0.8 * np.exp(-0.35 * np.arange(DAYS)))
    assert kinds(images, leaves, series) == {}


def test_reasons_say_the_figures():
    images, leaves, series = experiment()
    images.loc[3, ["area", "count", "at_border"]] = [20_000.0, 20, 1]
    leaves.loc[leaves.index[leaves["image"] == "p0d3"][0], "confidence"] = 0.12
    texts = [reason.text.replace("\u00a0", " ") for reason in find_reasons(images, leaves, series, "mm²")[3]]
    assert texts[0] == "20 leaves, where the images before and after have about 8."
    assert texts[1].startswith("The area, 20,000 mm², is ")
    assert "times what the images before and after let expect (1" in texts[1]
    assert texts[2:] == [
        "1 of 7 leaves is uncertain: its confidence is 12 %.",
        "1 leaf is cut by the border of the image.",
    ]


def test_images_of_no_series_are_compared_with_all():
    images, leaves, _ = experiment()
    images["area"] = 100.0
    images.loc[5, "area"] = 900.0
    images.loc[7, ["area", "count"]] = 0
    assert kinds(images, leaves, []) == {"p0d7": ["empty"], "p0d5": ["area"]}
    assert "than" not in find_reasons(images, leaves, [], "mm²")[5][0].text
    assert kinds(images[:6], leaves, []) == {}  # too few to say what is usual


def test_a_lone_image_and_none_at_all():
    images, leaves, _ = experiment(1)
    assert find_reasons(images[:1], leaves, [], "px²") == {}
    assert find_reasons(images[:0], leaves[:0], [], "px²") == {}


def test_each_setting_is_told_in_words_or_on_purpose_not():
    assert set(WORDS) == set(BatchSettings.model_fields)
    plain = describe_settings(BatchSettings(), describe_model("leaf"))
    given = BatchSettings(
        values={"angle": 50.0}, scale=0.5, tta="careful", px_per_mm=12.5, exports=("coco",), channels={3: (3, 2, 1)},
        z=4, plant_masks="masks", full_masks=True, device="cpu", precision="float32",
    )  # fmt: skip
    told = dict(describe_settings(given, describe_model("leaf")))
    assert told["Clustering angle"] == "50°"
    assert told["Seed threshold"].endswith("(the model's own value)")
    assert told["Working scale"] == "50 % of the image's own pixels"
    assert told["Size of a pixel"] == "12.5 pixels are a millimeter"
    said = " ".join(text for _, text in (*plain, *told.items()))
    assert not any(word in said for word in ("None", "True", "False", "()", "_", "{"))


def test_the_plants_are_cropped_with_a_margin():
    labels = np.zeros((100, 200), np.int32)
    assert plant_box(labels) == (0, 0, 100, 200)
    labels[40:60, 150:190] = 1
    assert plant_box(labels) == (34, 144, 66, 196)
    labels[0, 0] = 2
    assert plant_box(labels) == (0, 0, 75, 200)
    image = np.zeros((100, 200, 3), np.uint8)
    assert draw_view(image, labels, 50).shape == (19, 50, 3)
    assert draw_view(image, labels, 50).any()


NASTY = "</script><script>window.hurt=1</script><img src=x onerror=window.hurt=1>"


def test_nothing_typed_is_run(source):
    images = source.images.copy()
    images.loc[0, ["name", "genotype", "notes"]] = NASTY
    by_plant = source.followed.by_plant.assign(genotype=NASTY)
    failed = [{"name": NASTY, "error": NASTY}]
    text = write_report(
        source._replace(images=images, followed=source.followed._replace(by_plant=by_plant), failed=failed)
    )
    text = text.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 2
    assert not any(link.startswith("on") for link in page.links)
    assert "<img src=x" not in text
    assert page.data["names"][0] == NASTY  # as it was, for the page's program
    assert NASTY in page.text


def test_names_that_are_no_text_do_not_stop_it(source):
    assert "plant?" in page_of(source._replace(failed=[{"name": "plant\udcff", "error": "It is no image."}])).text


def test_few_images_are_inside_and_many_beside(source, monkeypatch):
    page = page_of(source)
    assert all(view.startswith("data:image/jpeg") for view in page.data["small"] + page.data["closer"])
    assert "can be sent by itself" in page.text
    monkeypatch.setattr(embed, "_MOST_INSIDE", {"": 39, "closer": 39})
    page = page_of(source)
    assert page.data["small"] == page.data["closer"] == [1] * 40
    assert "send that folder along" in page.text
    assert all(source.startswith("overlays/P") for source in page.sources)
    assert len(page.sources) <= 12  # what is looked at first; the page's program asks for the others


def test_an_experiment_of_an_earlier_version_has_one_overlay_of_an_image(source):
    closer = view_path(source.place, source.images["name"][0], "closer")
    content = closer.read_bytes()
    closer.unlink()
    images = source.images.assign(at_border=pd.array([pd.NA] * 40, "Int64"))
    try:
        page = page_of(source._replace(images=images))
    finally:
        closer.write_bytes(content)
    assert page.data["closer"][0] == 0
    assert page.data["small"][0].startswith("data:")
    assert "not known of 40 images" in page.text


def test_headlines_and_groups(source):
    page = page_of(source)
    assert page.text.split("How it was made")[1].split("Look at these first")[0].split()[:8] == [
        "40", "images", "4", "plants", "9", "days", str(source.images["count"].sum()), "leaves",
    ]  # fmt: skip
    assert "Leaf area of a plant" in page.text
    assert "Col-0 control" in page.text
    assert [plant["name"] for plant in page.data["growth"]["plants"]] == [
        one.name for one in source.followed.grouping.series
    ]
    assert page.data["growth"]["plants"][0]["places"] == list(range(10))


def test_without_series_there_are_distributions(source):
    followed = source.followed._replace(by_plant=pd.DataFrame(), grouping=type(source.followed.grouping)())
    page = page_of(source._replace(followed=followed))
    assert "Leaf area by group" in page.text
    assert "Area of a leaf" in page.text


@pytest.mark.parametrize("images", [0, 1])
def test_a_report_of_one_image_and_of_none(source, images):
    empty = pd.DataFrame()
    followed = source.followed._replace(
        leaves=empty, growth=empty, by_plant=empty, grouping=type(source.followed.grouping)()
    )
    page = page_of(
        source._replace(images=source.images[:images], followed=followed, failed=[{"name": "a", "error": "no"}])
    )
    assert len(page.data["rows"]) == images
    assert "1 image could not be done" in page.text


def test_a_command_with_blanks_is_quoted():
    assert rerun_command("labels/plant 1_label.json").count("plant 1_label") == 1
    assert rerun_command("labels/plant 1_label.json") != "napari-leafseg rerun labels/plant 1_label.json"
