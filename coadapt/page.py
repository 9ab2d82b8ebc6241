"""A report as one HTML page that needs nothing else: tables, figures, words.

What stands in a page is data here; how it looks is in templates/report.html.
"""

import base64
import csv
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from coadapt.looks import Look
from coadapt.words import word


class Cell(NamedTuple):
    """What stands in a table."""

    text: str
    note: str = ""  # small, below
    strong: bool = False


class Line(NamedTuple):
    """A line of a table."""

    cells: tuple[Cell, ...]
    head: str = ""  # what it is, of the lines of its group
    muted: bool = False  # beside what counts


class Group(NamedTuple):
    """Lines with one head in common, ruled off from the next."""

    head: str
    lines: tuple[Line, ...]


class Table(NamedTuple):
    """`columns` names the heads of groups, then those of lines if they have any, then
    the cells; of the cells' columns the first `words` are text, the others numbers.
    """

    caption: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()
    words: int = 0

    @property
    def heads(self) -> int:
        """How many columns stand before the cells: 1, or 2 if lines have heads."""
        return 1 + any(line.head for group in self.groups for line in group.lines)


class Figure(NamedTuple):
    """A picture with what it shows in words."""

    caption: str
    alt: str
    png: bytes

    @property
    def source(self) -> str:
        """The picture itself, as a link that leads nowhere else."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


class Section(NamedTuple):
    """A part of a page, with a title of its own."""

    title: str
    words: tuple[str, ...] = ()  # a paragraph each
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    looks: tuple[tuple[str, Look], ...] = ()  # the figures' legend
    notes: tuple[str, ...] = ()


class Page(NamedTuple):
    """`facts` are (name, what) pairs, above all else."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: Sequence[Section]
    foot: str


STROKES = {"-": "", "--": "7 3", ":": "2 3", "-.": "8 3 2 3"}  # SVG's


def render(page: Page) -> str:
    """The page's HTML; the same page gives the same text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("coadapt"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["breakable"] = _breakable
    template = environment.get_template("report.html")
    return template.render(page=page, strokes=STROKES) + "\n"


def _breakable(text: str) -> Markup:
    """A long name may be cut between its parts, and nowhere else."""
    parts = re.split(r"(?<=[/=,_])(?=\S)|(?<=[a-z]\.)(?=\w)|(?<=\S)(?=\()", text)
    return Markup("<wbr>").join(
        Markup(" ").join(map(_whole, part.split(" "))) for part in parts
    )


def _whole(word: str) -> Markup:
    """A browser would cut after a hyphen too."""
    return Markup('<span class="whole">{}</span>' if "-" in word else "{}").format(word)


def records(table: Table) -> str:
    """The table as CSV, notes of cells in brackets; a line has its group's head."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(word, table.columns))
    for group in table.groups:
        for line in group.lines:
            heads = (group.head, line.head)[: table.heads]
            writer.writerow(map(word, (*heads, *map(_plain, line.cells))))
    return out.getvalue()


def _plain(cell: Cell) -> str:
    return f"{cell.text} ({cell.note})" if cell.note else cell.text
