"""Draw synthetic plants into files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_leafseg._samples import write_samples
from napari_leafseg.io import label_path, write_image, write_labels


def synthesize_files(
    folder: Path, count: int, seed: int, size: int, plants: int, samples: bool
) -> Iterator[tuple[int, int]]:
    """Draw synthetic plants into ``<stem>.png`` and ``<stem>_label.tif``; yields (done, total)."""
    from napari_leafseg.synthetic import SceneConfig, synthesize

    if samples:
        yield from write_samples(folder)
        return
    config = SceneConfig(size=(size, size), diameter=(0.35 * size, 0.95 * size), plants=(plants, plants))
    for number in range(count):
        scene = synthesize(seed + number, config)
        write_image(folder / f"plant{seed + number:06d}.png", scene.image)
        write_labels(label_path(folder, f"plant{seed + number:06d}"), scene.labels)
        yield number + 1, count
