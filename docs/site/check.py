"""Check the built site, ``python docs/site/check.py build/site``: links lead somewhere, nothing is loaded from afar."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
LINKS = {"a": "href", **LOADED}


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has.

    Parameters
    ----------
    text : str
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links and anchors."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        target = values.get(LINKS.get(tag, ""))
        if target is None:
            return
        if re.match(r"(https?:)?//", target):
            if tag in LOADED and values.get("rel") not in {"canonical", "prev", "next"}:
                self.loaded.append(target)
        elif not re.match(r"\w+:", target):
            self.links.append(target)


def faults(site: Path) -> list[str]:
    """List what is wrong with a site."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site} holds no page"]
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name} loads {target}" for target in page.loaded]
        if path.name != "404.html":  # its links begin at the server's root
            found += [f"{name} links to {target}" for target in page.links if not _leads_somewhere(target, path, pages)]
    for path in sorted(site.rglob("*.css")):
        outside = re.findall(r"(?:@import\s*|url\()[\"']?(https?:[^\"')]+)", path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)} loads {target}" for target in outside]
    return found


def _leads_somewhere(target: str, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(target)
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    there = there / "index.html" if there.is_dir() else there
    page = next((page for known, page in pages.items() if known.resolve() == there), None)
    if page is None:
        return there.is_file()
    return not parts.fragment or unquote(parts.fragment) in page.anchors


def main() -> None:
    """Print the faults; exit with 1 where there are any."""
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]}: all links lead somewhere, and nothing is loaded from outside.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
