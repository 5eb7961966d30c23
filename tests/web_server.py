"""A web server on this computer: files with ranges, a small hub, and everything that goes wrong elsewhere."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Site:
    """What a server has, and how it behaves.

    Attributes
    ----------
    files : dict
        Contents by path.
    cut : dict
        The connection for a path breaks after so many bytes, as often as the list has entries.
    redirects, statuses : dict
        Where a path leads to; what a path answers with.
    ranges : bool
        Whether parts of files are given.
    head : int
        What is answered to the question how large a file is.
    gate : threading.Event
        Files of `slow` are given piece by piece while it is not set.
    asked : list
        (method, path, first byte that was asked for).
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    head: int = 200
    slow: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    address: str = ""

    def repository(self, name: str, files: dict[str, bytes], license_name: str = "mit", kind: str = "models") -> None:
        """Add a repository of the hub."""
        siblings = []
        for path, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            large = {"lfs": {"sha256": digest, "size": len(content), "pointerSize": 1}} if len(content) > 5000 else {}
            siblings.append({"rfilename": path, "size": len(content), "blobId": "0", **large})
            start = "datasets/" if kind == "datasets" else ""
            self.files[f"/{start}{name}/resolve/c0ffee/{path}"] = content
        card = {"license": license_name} if license_name else {}
        about = {"id": name, "modelId": name, "sha": "c0ffee", "siblings": siblings, "tags": [], "cardData": card,
                 "private": False, "downloads": 0, "likes": 0}  # fmt: skip
        self.files[f"/api/{kind}/{name}"] = json.dumps(about).encode()


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_what: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        site, path = self.site, self.path.partition("?")[0]
        first = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
        site.asked.append((self.command, path, first))
        if path in site.redirects:
            return self._plain(302, b"", {"Location": site.redirects[path]})
        if path in site.statuses:
            return self._plain(site.statuses[path], b"no")
        if not body and site.head != 200:
            return self._plain(site.head, b"")
        if path not in site.files:
            return self._plain(404, b"not here")
        content = site.files[path]
        partly = first > 0 and site.ranges
        if partly and first >= len(content):
            return self._plain(416, b"")
        sent = content[first:] if partly else content
        self.send_response(206 if partly else 200)
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        if partly:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self._send(path, sent)
        return None

    def _send(self, path: str, sent: bytes) -> None:
        cuts = self.site.cut.get(path, [])
        if cuts:
            self.wfile.write(sent[: cuts.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        if path not in self.site.slow:
            self.wfile.write(sent)
            return
        step = 2**18
        for start in range(0, len(sent), step):
            self.wfile.write(sent[start : start + step])
            self.wfile.flush()
            if start:
                self.site.gate.wait(20)

    def _plain(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_what: object) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def serve() -> Iterator[Site]:
    """Serve a site until the end of the block."""
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    server = _Server(("127.0.0.1", 0), handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.gate.set()
        server.shutdown()
        server.server_close()


def point_hub_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the hub's client ask this site, as HF_ENDPOINT does when a program starts."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, site.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", site.address)
