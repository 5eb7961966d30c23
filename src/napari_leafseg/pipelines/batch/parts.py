"""The tables of an experiment's images, image by image and joined: only what changed is read again."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from napari_leafseg._files import read_json, write_atomically
from napari_leafseg.errors import UserError, plain_reason
from napari_leafseg.traits.tracking import TrackMemory

_LOG = logging.getLogger(__name__)
_EARLIER = {"centre_y_px": "center_y_px", "centre_x_px": "center_x_px"}
_JOINED = "joined"  # a folder in parts/; may be deleted
TABLES = ("leaves", "plants")


def read_parts(place: Path, results: list[dict[str, Any]], kind: str) -> pd.DataFrame:
    """Return a table of all images, "leaves" or "plants"; one that cannot be read becomes its image's error.

    What was joined before is kept in ``parts/joined/``, with the checksum of each image's table.
    """
    done = [item for item in results if "error" not in item]
    wanted = {item["name"]: item.get("written", {}).get(f"parts/{item['name']}.{kind}.parquet") for item in done}
    joined, checksums = _joined(place, kind)
    same = {name for name, checksum in wanted.items() if checksum and checksums.get(name) == checksum}
    tables, fresh = [joined[joined["image"].isin(same)]] if same else [], dict[str, str]()
    for item in done:
        if item["name"] in same:
            continue
        path = place / "parts" / f"{item['name']}.{kind}.parquet"
        try:
            content = path.read_bytes()
            tables.append(pd.read_parquet(io.BytesIO(content)).rename(columns=_EARLIER))
            fresh[item["name"]] = hashlib.sha256(content).hexdigest()
        except Exception as error:  # of any kind, for a damaged file
            _LOG.exception("%s cannot be read.", path)
            item["error"] = (
                f"{path} cannot be read ({plain_reason(error, path)}). Run the experiment again: the image is done "
                "anew."
            )
    filled = [table for table in tables if len(table)] or tables[:1]
    if not filled:
        return pd.DataFrame()
    whole = pd.concat(filled, ignore_index=True)
    order = {item["name"]: number for number, item in enumerate(done)}
    whole = whole.iloc[whole["image"].map(order).argsort(kind="stable")].reset_index(drop=True)
    if fresh or checksums.keys() != same:
        _keep(place, kind, whole, {name: checksums[name] for name in same} | fresh)
    return whole


def _joined(place: Path, kind: str) -> tuple[pd.DataFrame, Mapping[str, str]]:
    """What was joined before, and what was said of it; nothing where that cannot be used."""
    folder = place / "parts" / _JOINED
    try:
        told, content = read_json(folder / f"{kind}.json"), (folder / f"{kind}.parquet").read_bytes()
        if told["joined"] != hashlib.sha256(content).hexdigest():
            raise ValueError("the table is another one")
        return pd.read_parquet(io.BytesIO(content)), told["images"]
    except Exception as error:  # of any kind, for a damaged file
        _LOG.debug("No joined %s are used in %s: %s", kind, folder, error)
        return pd.DataFrame({"image": []}), {}


def _keep(place: Path, kind: str, table: pd.DataFrame, checksums: Mapping[str, str]) -> None:
    """Keep a joined table; that it cannot be kept costs time alone."""
    folder = place / "parts" / _JOINED
    try:
        folder.mkdir(exist_ok=True)
        content = table.to_parquet(index=False)
        write_atomically(folder / f"{kind}.parquet", content)
        told = {"joined": hashlib.sha256(content).hexdigest(), "images": checksums}
        write_atomically(folder / f"{kind}.json", json.dumps(told).encode())
    except (OSError, UserError) as error:
        _LOG.warning("The joined tables cannot be kept in %s: %s", folder, error)


def read_tracks(place: Path) -> TrackMemory:
    """Return the tracks of series that were followed before; none where they cannot be read."""
    table, _ = _joined(place, "tracks")
    if "key" not in table:
        return TrackMemory()
    by_key = table.drop(columns="key").groupby(table["key"])
    return TrackMemory({str(key): rows.reset_index(drop=True) for key, rows in by_key})


def keep_tracks(place: Path, memory: TrackMemory) -> None:
    """Keep the tracks that were asked for."""
    tables = [rows.assign(key=key) for key, rows in memory.used.items() if len(rows)]
    if tables:
        _keep(place, "tracks", pd.concat(tables, ignore_index=True), {})
