"""What is in a report, as a parser sees it."""

import json
from html.parser import HTMLParser

VOID = {"img", "meta", "br"}


class Page(HTMLParser):
    """A report's tags, links, text and data."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.links, self.tags, self.scripts = [], [], [], []
        self._text, self._inside, self._data = [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self._text).split())
        self.data = json.loads("".join(self._data))

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.append(tag)
        if tag not in VOID:
            self._inside.append((tag, named))
        if tag == "img":
            self.sources.append(named["src"])
        self.links += [named[key] for key in ("href", "src") if key in named and tag != "img"]
        self.links += [name for name in named if name.startswith("on")]  # none is to be there

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tag, named = self._inside[-1] if self._inside else ("", {})
        if tag == "script" and named.get("id") == "data":
            self._data.append(data)
        elif tag not in ("script", "style"):
            self._text.append(data)
