"""Tables as LaTeX, for a paper: with booktabs, and no line that is upright."""

import re

from coadapt.page import Page, Table

_MARKS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "\u00b1": r"$\pm$", "\u00d7": r"$\times$", "\u2212": "$-$", "\u221e": r"$\infty$",
    "\u2020": r"$^\dagger$", "\u2013": "--",
}  # fmt: skip


def escaped(text: str) -> str:
    """What LaTeX would read as a command is a letter."""
    return "".join(_MARKS.get(letter, letter) for letter in text)


def booktabs(table: Table, label: str) -> str:
    """A table that floats, with its caption, its notes below it."""
    columns = len(table.columns)
    words = table.heads + table.words
    kinds = "l" * words + "r" * (columns - words)
    lines = []
    for i, group in enumerate(table.groups):
        if table.heads == 2 and i:
            lines.append(r"\addlinespace")
        for j, line in enumerate(group.lines):
            heads = ("" if j else group.head, line.head)[: table.heads]
            cells = [_cell(c.text, c.note, c.strong) for c in line.cells]
            lines.append(_row([*map(escaped, heads), *cells]))
    notes = [rf"\\[2pt] {{\footnotesize {escaped(note)}}}" for note in table.notes]
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{label}}}", rf"\begin{{tabular}}{{{kinds}}}", r"\toprule",
        _row(map(escaped, table.columns)), r"\midrule", *lines, r"\bottomrule",
        r"\end{tabular}", *notes, r"\end{table}", "",
    ])  # fmt: skip


def _row(cells) -> str:
    return rf"{' & '.join(cells)} \\"


def _cell(text: str, note: str, strong: bool) -> str:
    shown = escaped(text)
    shown = rf"\textbf{{{shown}}}" if strong else shown
    return f"{shown} ({escaped(note)})" if note else shown


def tables(page: Page) -> dict[str, str]:
    """Of each table of a page, by the name of its section: 'returns', 'effects2'."""
    found = {}
    for section in page.sections:
        name = re.sub(r"\W+", "_", section.title.lower()).strip("_")
        for i, table in enumerate(section.tables, 1):
            label = name if i == 1 else f"{name}{i}"
            found[label] = booktabs(table, label)
    return found
