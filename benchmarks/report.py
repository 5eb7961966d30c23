"""The report of 5,000 images: writing it, opening it in Chromium, and what both take of memory.

Run with ``python -m benchmarks.report [--images 5000] [--record]``. Needs a screen, real or virtual, and Qt's
WebEngine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from benchmarks.browser import Browser
from benchmarks.record import add_record_option, write_result
from napari_leafseg.experiment import Grouping, Series
from napari_leafseg.experiment.growth import plant_curves
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.growth import Followed
from napari_leafseg.pipelines.report.content import Source
from napari_leafseg.pipelines.report.views import view_path, write_views
from napari_leafseg.pipelines.report.write import write_report
from napari_leafseg.synthetic import SceneConfig, synthesize

DAYS, DRAWN, TURNED = 10, 8, 60
GENOTYPES, TREATMENTS = ("Col-0", "Ler", "Cvi"), ("control", "drought")


def make_experiment(folder: Path, images: int, seed: int = 0, size: int = 512) -> Source:
    """Make up an experiment of plants that were seen on ten days each, with overlays of a few drawn ones."""
    generator = np.random.default_rng(seed)
    rows, growing, series = [], [], []
    for plant in range(-(-images // DAYS)):
        known = {"plant_id": f"P{plant + 1:03d}", "genotype": GENOTYPES[plant % 3], "treatment": TREATMENTS[plant % 2]}
        begin, rate = generator.uniform(60, 120), generator.uniform(0.16, 0.24) - 0.04 * (plant % 2)
        places = tuple(range(plant * DAYS, min((plant + 1) * DAYS, images)))
        series.append(Series(" ".join(known.values()), places, tuple(float(day) for day in range(len(places)))))
        for day, place in enumerate(places):
            odd = generator.random() < 0.02
            count = 5 + day // 2 + int(generator.random() < 0.3) + 6 * odd
            area = begin * np.exp(rate * day) * generator.normal(1, 0.03) * (3 if odd else 1)
            name = f"{known['plant_id']}_day{day:02d}"
            about = {"name": name, **known, "day": float(day), "path": f"{name}.png", "count": count, "plants": 1}
            about |= {"area": area, "scale": 1.0, "seconds": 1.0, "at_border": int(generator.random() < 0.02)}
            rows.append(about | {"notes": "", "record": f"labels/{name}_label.json"})
            for leaf, share in enumerate(generator.dirichlet(np.full(count, 4.0)), start=1):
                sure = generator.uniform(0.35, 1) if generator.random() > 0.004 else generator.uniform(0, 0.3)
                of_leaf = {"image": name, "leaf": leaf, "track": 100 * plant + leaf, "frame": place, "time": float(day)}
                growing.append(of_leaf | known | {"area_mm2": share * area, "lasts": True, "confidence": sure})
    table, leaves = pd.DataFrame(rows), pd.DataFrame(growing)
    _draw(folder, table["name"].tolist(), size)
    by_plant = plant_curves(leaves, [one.places for one in series], "area_mm2")
    followed = Followed(leaves, pd.DataFrame(), leaves, pd.DataFrame(), Grouping(tuple(series)), by_plant)
    return Source(folder, table, followed, [], BatchSettings(px_per_mm=8.0))


def _draw(folder: Path, names: list[str], size: int) -> None:
    """Overlays: some are drawn, the others are copies."""
    config = SceneConfig(size=(size, size), diameter=(size // 3, size // 2), border=0.0, blank=0.0)
    for number, name in enumerate(names):
        if number < DRAWN:
            scene = synthesize(70 + number, config)
            write_views(folder, name, scene.image, scene.labels)
            continue
        for kind in ("", "closer"):
            shutil.copyfile(view_path(folder, names[number % DRAWN], kind), view_path(folder, name, kind))


def measure(images: int) -> list[dict[str, str]]:
    """Write and open a report; the rows of its table."""
    with tempfile.TemporaryDirectory() as folder:
        source = make_experiment(Path(folder), images)
        memory = psutil.Process(os.getpid())
        before, began = memory.memory_info().rss, time.perf_counter()
        report = write_report(source)
        written, more = time.perf_counter() - began, memory.memory_info().rss - before
        large = report.stat().st_size / 2**20
        with Browser() as browser:
            opened = [browser.open(report) for _ in range(5)]
            nodes = browser.run("document.querySelectorAll('*').length")
            first = browser.memory()
            sizes = {}
            for part, column in enumerate(
                (1, 4, 6, 1, 4, 6), start=1
            ):  # by plant, day, area and so on: all images come by
                browser.click(".views button", 1)
                browser.click("thead button", column)
                browser.click(".views button", 0)
                for _ in range(TURNED):
                    browser.click("#browser .pager button", 1)
                sizes[part * TURNED] = browser.memory()
            errors = browser.errors()
        if errors:
            raise RuntimeError(f"The page has errors: {errors}")
    values = {
        "writing it, s": f"{written:.1f}", "memory that writing takes, MiB": f"{more / 2**20:.0f}",
        "size of the file, MiB": f"{large:.1f}",
        "opening it, s (median of 5)": f"{np.median(opened):.2f}", "opening it, s (longest)": f"{max(opened):.2f}",
        "elements of the page": f"{nodes:,}", "memory of the page's process, MiB": f"{first / 2**20:.0f}",
        **{f"the same, {pages} pages later, MiB": f"{size / 2**20:.0f}" for pages, size in sizes.items()},
    }  # fmt: skip
    return [{"what": what, f"{images:,} images": value} for what, value in values.items()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    add_record_option(parser, "report")
    args = parser.parse_args()
    rows = measure(args.images)
    for row in rows:
        print(*row.values(), sep=": ")
    if args.record:
        write_result(args.record, rows)


if __name__ == "__main__":
    main()
