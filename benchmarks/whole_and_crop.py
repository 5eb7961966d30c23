"""Do a whole photograph and a tight crop around its plant give the same leaves?

``python -m benchmarks.whole_and_crop FOLDER`` with the four potato photographs (4608 x 3456) of
github.com/fengchen025/PhenoAssistant, ``data/PotatoLeaf`` (MIT license).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.io import read_image
from napari_leafseg.metrics import score

# top, bottom, left, right in the upright image, drawn by hand around each plant
CROPS = {
    "IMG_8064": (1400, 2450, 1430, 2780),
    "IMG_8090": (1150, 1690, 1900, 2440),
    "IMG_8153": (1560, 2330, 1540, 2500),
    "IMG_8185": (1540, 1970, 1370, 1750),
}


def main() -> None:
    """Measure counts, scales and agreement for each photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", nargs="?", default="leaf")
    add_record_option(parser, "whole-and-crop")
    options, rows = parser.parse_args(), []
    predictor = load_model(options.model)
    for name, (top, bottom, left, right) in CROPS.items():
        image = read_image(options.folder / f"{name}.JPG").array
        start = time.perf_counter()
        whole = predictor.predict(image)
        seconds = time.perf_counter() - start
        crop = predictor.predict(image[top:bottom, left:right])
        labels, alone = whole.labels(), np.zeros(image.shape[:2], np.uint16)
        alone[top:bottom, left:right] = crop.labels()
        outside = labels.copy()
        outside[top:bottom, left:right] = 0
        far = len(np.setdiff1d(np.unique(outside), np.unique(labels[top:bottom, left:right])))
        agreement = score(labels, alone).sbd
        print(
            f"{name}: {labels.max()} leaves in the whole (scale {whole.scale:.3f}, {seconds:.1f} s), "
            f"{alone.max()} in the crop (scale {crop.scale:.3f}), SBD between them {agreement:.3f}, "
            f"{far} far from the plant"
        )
        rows.append({"photograph": name, "leaves, whole": int(labels.max()), "leaves, crop": int(alone.max()),
                     "SBD between them": round(agreement, 3), "leaves far from the plant": far,
                     "seconds": round(seconds, 1)})  # fmt: skip
    if options.record:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
