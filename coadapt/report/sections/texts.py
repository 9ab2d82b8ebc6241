"""Tables of words, and numbers as they are written in them."""

import math
from collections.abc import Iterable, Sequence

from coadapt.analysis.score import Rate
from coadapt.analysis.stats import number
from coadapt.analysis.verdict import Effect
from coadapt.report.html import (
    Cell,
    Group,
    Line,
    Table,
    typeset,
)


def mean(found: Effect) -> str:
    """'741 [684, 785]', of returns; the number alone where no spread is known."""
    if math.isnan(found.value):
        return "no score"
    numbers = [found.value, *([found.low, found.high] if found.defined else [])]
    most = max(map(abs, numbers)) if found.defined else 0.0
    value, *ends = (number(each, most) for each in numbers)
    return f"{value} [{', '.join(ends)}]" if ends else value


def failures(found: Rate) -> str:
    """'0', '2 of 5 [5%, 85%]'."""
    if not found.failed:
        return "0"
    return f"{found.failed} of {found.runs} [{found.low:.0%}, {found.high:.0%}]"


def text_table(
    caption: str,
    columns: Sequence[str],
    lines: Iterable[Sequence[str]],
    notes: Iterable[str] = (),
    words: int = 0,
) -> Table:
    """Lines of words, the first of each being its head."""
    groups = tuple(
        Group(head, (Line((*map(Cell, cells[:words]), *_numbers(cells[words:]))),))
        for head, *cells in lines
    )
    return Table(caption, tuple(columns), groups, tuple(dict.fromkeys(notes)), words)


def _numbers(texts: Iterable[str]) -> list[Cell]:
    return [Cell(typeset(text)) for text in texts]
