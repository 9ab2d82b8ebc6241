"""A page as a browser would take it: what is on it, and whether it is well formed."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "wbr", "line", "link"}  # have no end


@dataclass
class FoundTable:
    caption: str = ""
    rows: list[list[str]] = field(default_factory=list)
    strong: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Raises AssertionError where tags do not nest."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words, self.title, self.data = "", "", ""
        self.tables: list[FoundTable] = []  # of numbers
        self.forests: list[FoundTable] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.here = FoundTable()
            forest = dict(attrs).get("class") == "forest"
            (self.forests if forest else self.tables).append(self.here)
        if tag == "tr":
            self.here.rows.append([])
        if tag in ("td", "th"):
            self.here.rows[-1].append("")
        if tag == "b":
            self.here.strong.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if self.open[-1:] == ["script"] and self.tags[-1][1].get("id") == "series":
            self.data += data
        if self.open[-1:] in (["style"], ["script"]):
            return
        self.words += data
        if self.open[-1:] == ["title"]:
            self.title += data
        if "caption" in self.open:
            self.here.caption += data
        if "td" in self.open or "th" in self.open:
            self.here.rows[-1][-1] += data
        if "b" in self.open:
            self.here.strong[-1] += data

    @property
    def series(self):
        """What the page's script draws."""
        return json.loads(self.data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def images(self):
        return self.named("img")


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open, reader.open
    return reader
