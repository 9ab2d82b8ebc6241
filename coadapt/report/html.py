"""A report as one HTML page that needs nothing else: tables, figures, words.

What stands in a page is data here; how it looks is in templates/report.html.
"""

import csv
import importlib.resources
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from coadapt.analysis import forest
from coadapt.analysis.forest import Forest
from coadapt.plot import styles
from coadapt.plot.styles import Look
from coadapt.system.csv_text import word


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
    """A picture that a reader without scripts sees, with what it shows in words."""

    caption: str
    alt: str
    file: str  # beside the page


class Answer(NamedTuple):
    """What is said first of a question: a sentence, and a picture of it."""

    title: str
    sentence: str
    facts: tuple[str, ...]
    forests: tuple[Forest, ...]


class Section(NamedTuple):
    """A part of a page, with a title of its own."""

    title: str
    words: tuple[str, ...] = ()  # a paragraph each
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    looks: tuple[tuple[str, Look], ...] = ()  # the figures' legend
    notes: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    # what can be drawn by choice: see report/series.py
    series: Mapping[str, object] | None = None


class Page(NamedTuple):
    """`facts` are (name, what) pairs, which stand below what is answered."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: Sequence[Section]
    foot: str
    every: float = 0.0  # seconds after which a newer page is looked for; 0: never

    @property
    def answered(self) -> int:
        """How many sections answer something; they stand first."""
        return sum(bool(section.answers) for section in self.sections)

    @property
    def drawn(self) -> bool:
        """Whether its script draws something."""
        return any(section.series for section in self.sections)


MINUS = "\u2212"
STROKES = {"-": "", "--": "7 3", ":": "2 3", "-.": "8 3 2 3"}  # SVG's


def render(page: Page) -> str:
    """The page's HTML; the same page gives the same text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("coadapt.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["typeset"] = typeset
    environment.filters["bracketed"] = _bracketed
    environment.filters["data"] = _data
    environment.filters["on_dark"] = styles.on_dark
    environment.globals["place"] = forest.place
    environment.globals["source"] = _source
    template = environment.get_template("report.html")
    return template.render(page=page, strokes=STROKES) + "\n"


def _source(name: str) -> Markup:
    """A file of the package, to stand in the page as it is."""
    files = importlib.resources.files("coadapt.report").joinpath("templates")
    return Markup(files.joinpath(name).read_text(encoding="utf-8").strip())


def _data(value: object) -> Markup:
    """JSON that no name in it can end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _breakable(text: str) -> Markup:
    """A long name may be cut between its parts, and nowhere else."""
    parts = re.split(r"(?<=[/=,_])(?=\S)|(?<=[a-z]\.)(?=\w)|(?<=\S)(?=\()", text)
    return Markup("<wbr>").join(
        Markup(" ").join(map(_whole, part.split(" "))) for part in parts
    )


def _whole(word: str) -> Markup:
    """A browser would cut after a hyphen too."""
    return Markup('<span class="whole">{}</span>' if "-" in word else "{}").format(word)


def _bracketed(text: str) -> Markup:
    """An interval stays on one line, if need be on its own."""
    parts = re.split(r"(\[[^]]*\])", text)
    whole = Markup('<span class="whole">{}</span>')
    return Markup("").join(whole.format(x) if x[:1] == "[" else x for x in parts)


def typeset(text: str) -> str:
    """Numbers as they are printed, not typed: with a minus, a cross, ± and ∞."""
    text = text.replace(" +- ", " ± ").replace(" x ", " \u00d7 ")
    text = re.sub(r"\binf\b", "∞", text)
    return re.sub(r"-(?=[\d.∞])", MINUS, text)


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
