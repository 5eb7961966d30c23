"""GeoJSON as QuPath reads and writes it: one file an image, polygons with holes."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.polygons import draw_shape, leaf_polygons


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
    labels = np.zeros(size, np.uint16)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        features = content["features"] if isinstance(content, dict) else content
        largest = max((int(item.get("properties", {}).get("leaf", 0)) for item in features), default=0)
        for item in features:
            leaf = int(item.get("properties", {}).get("leaf", 0))
            if not leaf:
                leaf = largest = largest + 1
            geometry = shape(item["geometry"])
            if geometry.geom_type in {"Polygon", "MultiPolygon"}:
                draw_shape(labels, leaf, shapely.make_valid(geometry))
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, ShapelyError) as error:
        raise InputFileError(f"{path} is no GeoJSON ({type(error).__name__}: {error}).") from error
    return labels
