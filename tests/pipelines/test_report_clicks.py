"""The report in Chromium: opened and clicked through."""

import pytest
from benchmarks.browser import Browser, can_browse
from benchmarks.report import make_experiment

from napari_leafseg.pipelines.report.attention import find_reasons
from napari_leafseg.pipelines.report.write import write_report

pytestmark = pytest.mark.skipif(not can_browse(), reason="Qt's WebEngine is not installed; make test installs it")

IMAGES = 80
NASTY = "<img src=x onerror=window.hurt=1>"
TITLE = "document.querySelector('#closer h3').textContent"
OPEN = "document.getElementById('closer').open"
FOCUSED = "document.activeElement.closest('article, tr').id"


def texts(selector):
    return f"[...document.querySelectorAll({selector!r})].map(node => node.textContent)"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    made = make_experiment(folder, IMAGES, size=96)
    made.images.loc[1, "notes"] = NASTY
    made.images.loc[60, "at_border"] = 1
    return made


@pytest.fixture(scope="module")
def report(source):
    return write_report(source)


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


@pytest.fixture
def page(browser, report):
    browser.open(report)
    yield browser
    assert browser.errors() == []
    assert browser.run("window.hurt === undefined")


def test_it_opens_with_the_first_page_of_overlays(page, source):
    assert page.run(texts(".card h3")) == source.images["name"][:30].tolist()
    page.wait("[...document.querySelectorAll('.card img')].slice(0, 3).every(image => image.naturalWidth > 20)")
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert NASTY in page.run("document.querySelectorAll('.card')[1].textContent")


def test_a_column_is_sorted_by_a_click_on_its_head_and_the_other_way_by_another(page, source):
    page.click(".views button", 1)
    column = page.run(texts("thead th")).index("Area (mm²)")
    by_area = source.images.sort_values("area")["name"].tolist()
    page.click("thead button", column)
    assert page.run(texts("tbody td:first-child"))[:50] == by_area[::-1][:50]
    assert page.run(f"document.querySelectorAll('thead th')[{column}].getAttribute('aria-sort')") == "descending"
    page.click("thead button", column)
    assert page.run(texts("tbody td:first-child"))[:50] == by_area[:50]
    shown = page.run(texts(f"tbody td:nth-child({column + 1})"))
    assert shown == [f"{area:,.0f}" for area in sorted(source.images["area"])[:50]]


def test_images_are_filtered_by_what_is_typed_and_by_what_is_to_be_looked_at(page, source):
    page.click("input[type=search]")
    page.type("p002 day03")
    assert page.run(texts(".card h3")) == ["P002_day03"]
    assert page.run("document.querySelector('[aria-live]').textContent") == f"1 of {IMAGES} images"
    give = "(node => { node.value = %r; node.dispatchEvent(new Event(%r)); })(document.querySelector(%r))"
    page.run(give % ("", "input", "[type=search]"))
    page.run(give % ("first", "change", "select"))
    reasons = find_reasons(source.images, source.followed.leaves, source.followed.repeated, "mm²")
    assert page.run(texts(".card h3"))[:30] == [source.images["name"][place] for place in reasons][:30]


def test_pages_are_turned(page, source):
    page.click("#browser .pager button", 1)
    assert page.run(texts(".card h3")) == source.images["name"][30:60].tolist()
    page.click("#browser .pager button", 1)
    assert page.run("document.querySelectorAll('#browser .pager button')[1].disabled")
    page.click("#browser .pager button", 0)
    assert page.run("document.querySelector('#browser .pager span').textContent") == "Page 2 of 3"


def test_a_closer_view_opens_goes_on_by_arrow_keys_and_closes_by_esc(page):
    page.click(".card .thumb", 1)
    assert page.run(OPEN)
    assert page.run(TITLE) == "P001_day01"
    page.wait("document.querySelector('#closer img').naturalWidth > 20")
    assert "napari-leafseg rerun labels/P001_day01_label.json" in page.run(
        "document.getElementById('closer').textContent"
    )
    page.press("Right")
    page.press("Right")
    assert page.run(TITLE) == "P001_day03"
    page.press("Left")
    assert page.run(TITLE) == "P001_day02"
    page.press("Escape")
    assert not page.run(OPEN)
    assert page.run(FOCUSED) == "image-2"  # where it began


def test_what_is_to_be_looked_at_first_leads_to_its_image_on_whatever_page(page, source):
    links = page.run(texts(".first a"))
    at = links.index(source.images["name"][60])
    page.click(".first a", at)
    page.wait("document.querySelector('.card.found h3') !== null")
    assert page.run("document.querySelector('.card.found h3').textContent") == links[at]
    assert "cut by the border" in page.run("document.querySelector('.card.found').textContent")
    assert page.run(FOCUSED) == "image-61"
    page.click(".first .thumb", 0)
    assert page.run(TITLE) == links[0]


def test_a_link_leads_to_its_image_though_the_list_leaves_it_out(page):
    first = page.run(texts(".first a"))[0]
    page.click("input[type=search]")
    page.type("no image is called so")
    page.click(".first a", 0)
    page.wait("document.querySelector('.card.found h3') !== null")
    assert page.run("document.querySelector('.card.found h3').textContent") == first
    assert page.run("document.querySelector('[type=search]').value") == ""


def test_a_plant_s_name_shows_its_images_in_order_and_a_point_its_image(page):
    page.click(".panel button", 2)
    assert page.run(texts(".card h3")) == [f"P003_day{day:02d}" for day in range(10)]
    page.run("document.querySelectorAll('.panel')[0].querySelectorAll('circle')[4].dispatchEvent(new Event('click'))")
    assert page.run(TITLE) == "P001_day04"


def test_it_fits_a_narrow_window(page):
    page.resize(800, 700)
    try:
        assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
        page.click(".card .thumb", 0)
        assert page.run("document.getElementById('closer').getBoundingClientRect().width <= window.innerWidth")
    finally:
        page.resize(1366, 900)
