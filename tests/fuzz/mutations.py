"""Valid files made invalid, always in the same way for the same seed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

NASTY: list[Any] = [
    None, True, "", "x", "../../evil", "\0", "=1+1", -1, 0, 1, 2**31, 2**63, 2**70, 1e308, float("nan"), float("inf"),
    -1.5, [], [[]], [1], [1, 2], {}, {"a": 1}, "9" * 400, "~" * 30, [[0, 0], [1e300, 1e300], [-1e300, 5]],
    [10**6, 10**6],
]  # fmt: skip
TOKENS = [
    b"\0", b"\xff" * 8, b"-1", b"99999999999", b"1e999", b"nan", b'"', b"]", b"{", b"<", b"&x;", b"..", b"\xef\xbb\xbf",
]  # fmt: skip


def mutate(content: bytes, seed: int) -> bytes:
    """Change a file in one to four places; JSON also in its structure."""
    rng = np.random.default_rng(seed)
    if content[:1] in b"{[" and rng.random() < 0.6:
        entries = json.loads(content)
        for _ in range(rng.integers(1, 4)):
            entries = _mutate_entry(entries, rng)
        return json.dumps(entries).encode()
    for _ in range(rng.integers(1, 5)):
        content = _mutate_bytes(content, rng)
    return content


def _mutate_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    if not content:
        return bytes(rng.integers(0, 256, 20).astype(np.uint8))
    at = int(rng.integers(0, len(content)))
    length = int(rng.integers(1, 1 + min(200, len(content))))
    kind = rng.integers(0, 7)
    if kind == 0:
        changed = bytearray(content)
        changed[at] ^= 1 << int(rng.integers(0, 8))
        return bytes(changed)
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + content[at + length :]
    if kind == 3:
        return content[:at] + content[at : at + length] * int(rng.integers(2, 6)) + content[at + length :]
    if kind == 4:
        token = TOKENS[int(rng.integers(0, len(TOKENS)))]
        return content[:at] + token + content[at + int(rng.integers(0, 1 + len(token))) :]
    if kind == 5:
        return content[:at] + bytes(rng.integers(0, 256, length).astype(np.uint8)) + content[at + length :]
    digits = [index for index, byte in enumerate(content) if byte in b"0123456789"]
    if not digits:
        return content[at:]
    spot = digits[int(rng.integers(0, len(digits)))]
    return content[:spot] + str(rng.choice([0, 7, 99, 65536, 10**9, 10**15])).encode() + content[spot + 1 :]


def _mutate_entry(entries: Any, rng: np.random.Generator) -> Any:
    """Replace, delete or repeat an entry somewhere."""
    if not isinstance(entries, dict | list) or not entries or rng.random() < 0.1:
        return NASTY[int(rng.integers(0, len(NASTY)))]
    keys = list(entries) if isinstance(entries, dict) else list(range(len(entries)))
    key = keys[int(rng.integers(0, len(keys)))]
    kind = rng.random()
    if kind < 0.7:
        entries[key] = _mutate_entry(entries[key], rng)
    elif kind < 0.85:
        del entries[key]
    elif isinstance(entries, list):
        entries += [entries[key]] * int(rng.integers(1, 20))
    else:
        entries[f"{key}x"] = entries.pop(key)
    return entries
