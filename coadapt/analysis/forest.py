"""Forest plots as data: effects with their intervals, in groups, each on an axis.

The page draws them as HTML, `plot.forest` for a paper.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

ROOM = 0.04  # of an axis, on either side of what stands on it


class Interval(Protocol):
    """A number with its ends, which are NaN where none are known."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Row(NamedTuple):
    """One effect."""

    label: str  # of what: an algorithm, or the difference of two
    value: float
    low: float
    high: float
    text: str  # '+0.57 [+0.48, +0.66]'
    color: str = ""  # of the algorithm; none: a difference, and no effect itself

    @property
    def known(self) -> list[float]:
        """What of it can stand on an axis."""
        return [x for x in (self.value, self.low, self.high) if math.isfinite(x)]


class Group(NamedTuple):
    """Effects on one axis, of a task."""

    title: str
    rows: tuple[Row, ...]
    ends: tuple[float, float]  # of the axis, 0 between them


class Forest(NamedTuple):
    """`title` is whose effects they are, `unit` what 1 is."""

    title: str
    unit: str
    groups: tuple[Group, ...]


def row(label: str, found: Interval, text: str, color: str = "") -> Row:
    return Row(label, found.value, found.low, found.high, text, color)


def forest(
    title: str,
    unit: str,
    groups: Iterable[tuple[str, tuple[Row, ...]]],
    *,
    shared: bool,
) -> Forest:
    """`shared`: all groups are of one unit, and stand on one axis."""
    groups = list(groups)
    every = [x for _, rows in groups for each in rows for x in each.known]
    made = []
    for name, rows in groups:
        own = every if shared else [x for each in rows for x in each.known]
        made.append(Group(name, rows, _ends(own)))
    return Forest(title, unit, tuple(made))


def _ends(values: Iterable[float]) -> tuple[float, float]:
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    room = ROOM * ((high - low) or 1.0)
    return low - room, high + room


def place(value: float, ends: tuple[float, float]) -> float:
    """Where a value stands on an axis, in percent; an infinite one is at its end."""
    low, high = ends
    share = 100 * (value - low) / (high - low)
    return round(min(max(share, 0.0), 100.0), 2)
