"""Tables as LaTeX, for a paper: with booktabs, and no line that is upright."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from coadapt.report.html import Cell, Group, Page, Table

_MARKS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "{''}",
    "\u00b1": r"$\pm$", "\u00d7": r"$\times$", "\u2212": "$-$", "\u221e": r"$\infty$",
    "\u2020": r"$^\dagger$", "\u2013": "--",
}  # fmt: skip


def escaped(text: str) -> str:
    """What LaTeX would read as a command is a letter; what it has no letter for, its
    number: pdflatex stops at any of another script."""
    return "".join(
        _MARKS.get(x, x if x < "\u0180" else f"U+{ord(x):04X}") for x in text
    )


WIDTH = 397.0  # points: 5.5 inches, of the text of NeurIPS and ICLR
_WORDS = 14  # letters in a line of a column of words, where a table is too wide


class _Fit(NamedTuple):
    """How a table is set."""

    size: str
    letter: float  # points that a letter takes
    gap: float  # points on either side of a column
    folded: bool  # a cell may have several lines


# the first is taken that a table is narrow enough for
_FITS = (
    _Fit("", 5.0, 6.0, folded=False),
    _Fit(r"\footnotesize", 4.3, 3.0, folded=True),
    _Fit(r"\scriptsize", 3.8, 1.5, folded=True),
)


def booktabs(table: Table, label: str) -> str:
    """A table that floats, with its caption, its notes below it.

    One that is wider than `WIDTH` has smaller letters, and cells of several lines.
    """
    words = table.heads + table.words
    fit = next((f for f in _FITS if _width(table, f) <= WIDTH), _FITS[-1])
    lines = []
    for i, group in enumerate(table.groups):
        if table.heads == 2 and i:
            lines.append(r"\addlinespace")
        for heads, line in _headed(table, group):
            cells = [_cell(cell, fit, j < table.words) for j, cell in enumerate(line)]
            lines.append(_row([*(_word(head, fit) for head in heads), *cells], fit))
    names = [
        _stacked([*map(escaped, _folded(_lines(x), fit))], "l" if i < words else "r")
        for i, x in enumerate(table.columns)
    ]
    notes = [rf"\\[2pt] {{\footnotesize {escaped(note)}}}" for note in table.notes]
    return "\n".join([
        r"\begin{table}", r"\centering", r"\setlength{\belowcaptionskip}{6pt}",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"{{{fit.size}\setlength{{\tabcolsep}}{{{fit.gap:g}pt}}",
        rf"\begin{{tabular}}{{{_kinds(table, fit)}}}", r"\toprule",
        _row(names, _FITS[0]), r"\midrule", *lines, r"\bottomrule",
        r"\end{tabular}}", *notes, r"\end{table}", "",
    ])  # fmt: skip


def _headed(
    table: Table, group: Group
) -> Iterator[tuple[tuple[str, ...], tuple[Cell, ...]]]:
    """The heads of each line, its group's on the first alone, and its cells."""
    for i, line in enumerate(group.lines):
        yield ("" if i else group.head, line.head)[: table.heads], line.cells


def _letters(table: Table, fit: _Fit) -> list[int]:
    """Of the longest line of each column."""
    words = table.heads + table.words
    found = [max(map(len, _folded(_lines(x), fit))) for x in table.columns]
    for group in table.groups:
        for heads, cells in _headed(table, group):
            texts = [*heads, *(cell.text for cell in cells[: table.words])]
            sizes = [len(x) for x in texts]
            sizes += [max(map(len, _parts(cell, fit))) for cell in cells[table.words :]]
            found = [max(pair) for pair in zip(found, sizes, strict=True)]
    return [
        min(n, _WORDS) + 1 if fit.folded and i < words else n
        for i, n in enumerate(found)
    ]


def _width(table: Table, fit: _Fit) -> float:
    """Points, about."""
    letters = _letters(table, fit)
    return sum(letters) * fit.letter + 2 * fit.gap * len(letters)


def _kinds(table: Table, fit: _Fit) -> str:
    """Of the columns, as tabular has them."""
    words, letters = table.heads + table.words, _letters(table, fit)
    texts = [
        rf"p{{{n * fit.letter:.0f}pt}}" if fit.folded else "l" for n in letters[:words]
    ]
    return "".join([*texts, *"r" * (len(letters) - words)])


def _parts(cell: Cell, fit: _Fit) -> list[str]:
    """The lines of a number: an interval, and a note, may stand below it."""
    parts = re.split(r" (?=[\[(])", cell.text) if fit.folded else [cell.text]
    return _folded([*parts, f"({cell.note})"] if cell.note else parts, fit)


def _lines(name: str) -> list[str]:
    """Of a column's name."""
    return textwrap.wrap(name, 8, break_long_words=False, break_on_hyphens=False)


def _folded(parts: list[str], fit: _Fit) -> list[str]:
    return parts if fit.folded and parts else [" ".join(parts)]


def _stacked(lines: list[str], side: str) -> str:
    """Lines of LaTeX in one cell; a bare bracket after a break would be a length."""
    if len(lines) == 1:
        return lines[0]
    whole = r" \\ ".join(f"{{{line}}}" for line in lines)
    return rf"\shortstack[{side}]{{{whole}}}"


def _row(cells: Iterable[str], fit: _Fit) -> str:
    return rf"{' & '.join(cells)} \\{'[3pt]' if fit.folded else ''}"


def _word(text: str, fit: _Fit) -> str:
    """In a narrow column a long name may be cut between its parts."""
    if not fit.folded:
        return escaped(text)
    parts = re.split(r"(?<=[/=_])|(?<=[a-z]\.)(?=\w)", text)
    return r"\raggedright " + r"\allowbreak{}".join(map(escaped, parts))


def _cell(cell: Cell, fit: _Fit, word: bool) -> str:
    strong = r"\textbf{%s}" if cell.strong else "%s"
    note = f" ({escaped(cell.note)})" if cell.note else ""
    if word or not fit.folded:
        return strong % _word(cell.text, fit if word else _FITS[0]) + note
    *numbers, last = map(escaped, _parts(cell, fit))
    shown = [strong % x for x in numbers]
    return _stacked([*shown, last if cell.note else strong % last], "r")


def tables(page: Page) -> dict[str, str]:
    """Of each table of a page, by the name of its section: 'returns', 'effects2'."""
    found = {}
    for section in page.sections:
        name = re.sub(r"\W+", "_", section.title.lower()).strip("_")
        for i, table in enumerate(section.tables, 1):
            label = name if i == 1 else f"{name}{i}"
            found[label] = booktabs(table, label)
    return found
