"""GeoJSON as QuPath reads and writes it: one file an image, polygons with holes."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import mapping

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.exchange.canvas import Canvas, leaf_of
from napari_leafseg.io.exchange.names import labeled_path
from napari_leafseg.io.exchange.reading import Found, Reading, entries, entry, explained, load_json, read_alone
from napari_leafseg.io.polygons import leaf_polygons


def write_geojson(path: str | Path, labels: np.ndarray) -> None:
    """Write labels (H, W) as annotations of the class *Leaf*."""
    features = [
        {
            "type": "Feature",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{Path(path).name}/{leaf}")),
            "geometry": mapping(outline.geoms[0] if len(outline.geoms) == 1 else outline),
            "properties": {
                "objectType": "annotation",
                "name": f"leaf {leaf}",
                "classification": {"name": "Leaf", "color": [0, 158, 115]},
                "leaf": leaf,
            },
        }
        for leaf, outline in leaf_polygons(labels).items()
    ]
    content = {"type": "FeatureCollection", "features": features}
    write_atomically(Path(path), (json.dumps(content) + "\n").encode())


def read_geojson(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """Read annotations for an image of a size (H, W), uint16; those without a number of ours count on.

    Raises
    ------
    InputFileError
        When it is no GeoJSON.
    """
    found: dict[str, np.ndarray] = read_alone(iterate_geojson, path, Reading(lambda names: dict.fromkeys(names, size)))
    return found[labeled_path(Path(path))]


def iterate_geojson(path: Path, reading: Reading) -> Found:
    """Read the labels of a file whose image is known."""
    with explained(path, "GeoJSON"):
        name = labeled_path(path)
        features = _features(load_json(path))
        plane, leaves = reading.plane(name), reading.leaves(count_geojson(path))
        if plane is not None:
            canvas = Canvas(plane, reading)
            for number, item in enumerate(features, start=1):
                with entry(f"feature {number}"):
                    _draw(canvas, item, leaves)
            yield name, canvas.labels()


def _draw(canvas: Canvas, item: dict[str, Any], leaves: set[str]) -> None:
    geometry, kind = item.get("geometry") or {}, _class_of(item)
    form = geometry.get("type")
    if kind not in leaves:
        canvas.reading.leave_out(f"“{kind}”")
    elif form not in ("Polygon", "MultiPolygon"):
        canvas.reading.leave_out(f"{form or 'nothing'}, which encloses nothing")
    else:
        number = (item.get("properties") or {}).get("leaf")
        leaf = leaf_of(number if isinstance(number, int) and number > 0 else None)
        polygons = [geometry["coordinates"]] if form == "Polygon" else geometry["coordinates"]
        for rings in polygons:
            canvas.polygon(leaf, [[point[:2] for point in ring] for ring in rings])


def _features(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, dict):
        content = content.get("features", [content])
    features = entries({"features": content}, "features")
    if any(item["type"] != "Feature" for item in features):
        raise InputFileError("it holds something else than features; export it again as a feature collection")
    return features


def _class_of(item: dict[str, Any]) -> str:
    properties = item.get("properties") or {}
    return str((properties.get("classification") or {}).get("name") or "")


def count_geojson(path: Path) -> Counter[str]:
    """Count the shapes of each class."""
    return Counter(map(_class_of, _features(load_json(path))))


def is_geojson(path: Path) -> bool:
    """Tell whether a JSON file is one."""
    content = load_json(path)
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and first.get("type") in ("Feature", "FeatureCollection")
