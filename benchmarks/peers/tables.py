"""What was measured, as tables in Markdown."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OURS = "coadapt"
AGAIN = f"{OURS}, compiled before"  # the same sweep, its programs on disk
WITHIN = f"{OURS}, phys2d"  # the task within the program


class Record(NamedTuple):
    """One number of one round."""

    setting: tuple[str, ...]  # the columns that say what was measured
    who: str
    round: int
    value: float  # units a second; seconds of a sweep
    fraction: float | None = None  # of the limit, where it is known
    note: str = ""  # beside the number


def table(
    records: Sequence[Record], columns: Sequence[str], peers: Sequence[str]
) -> list[str]:
    """A row a setting: medians and ranges over the rounds, ours over the best peer."""
    shows_limit = any(r.fraction is not None for r in records)
    names = [*columns, OURS, *(["of the limit"] if shows_limit else []), *peers]
    lines = []
    for setting in dict.fromkeys(r.setting for r in records):
        here = [r for r in records if r.setting == setting]
        ours = [r for r in here if r.who == OURS]
        cells = [*setting, shown(ours)]
        if shows_limit:
            parts = [r.fraction for r in ours if r.fraction is not None]
            cells.append(f"{statistics.median(parts):.0%}" if parts else "-")
        cells += [shown([r for r in here if r.who == peer]) for peer in peers]
        lines.append([*cells, ratio(ratios(here))])
    return markdown([*names, f"{OURS} / best peer"], lines)


def markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """A table, line by line."""
    rule = ["---"] * len(columns)
    return [f"| {' | '.join(line)} |" for line in (columns, rule, *lines)]


def shown(records: Sequence[Record]) -> str:
    """The median, and the range where there are more."""
    note = records[0].note if records else ""
    return spread([r.value for r in records]) + note


def spread(values: Sequence[float], form: str = "") -> str:
    if not values:
        return "-"
    most = max(values)
    form = form or ("{:,.0f}" if most >= 100 else "{:.1f}" if most >= 10 else "{:.2f}")
    middle = form.format(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({form.format(min(values))} to {form.format(most)})"


def ratio(values: Sequence[float]) -> str:
    """The median and the range, and of six rounds or more where the median lies."""
    found = median_interval(values)
    where = "; 95%: {:.2f} to {:.2f}".format(*found) if found else ""
    return spread(values, "{:.2f}") + where


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The narrowest pair of order statistics, as far from either end, that has the
    median between them in 95% of samples, whatever they are drawn from; None of fewer
    than six values, which have none.

    The number of values below the median is binomial, with a half.
    """
    number, low = sorted(values), -1
    outside = 0.0  # of samples whose median is below value `low`, or above its fellow
    while True:
        outside += 2 * math.comb(len(values), low + 1) / 2 ** len(values)
        if outside > 0.05:
            return None if low < 0 else (number[low], number[-1 - low])
        low += 1


def ratios(records: Iterable[Record]) -> list[float]:
    """Ours over the best peer, of each round that has both: drift hits both."""
    rounds: dict[int, dict[str, float]] = {}
    for record in records:
        rounds.setdefault(record.round, {})[record.who] = record.value
    return [
        found[OURS] / max(value for who, value in found.items() if who != OURS)
        for found in rounds.values()
        if OURS in found and len(found) > 1
    ]


def sweeps(records: Sequence[Record], peers: Sequence[str]) -> list[str]:
    """A row for each who: seconds, how much longer than ours, the mean return."""
    ways, lines = (OURS, AGAIN, WITHIN), []
    for who in (*ways, *peers):
        here = [r for r in records if r.who == who]
        over = [
            spread(_over(here, [r for r in records if r.who == own]), "{:.2f}")
            for own in ways
        ]
        mean = here[0].setting[0] if here else "-"
        lines.append([who, shown(here), *over, mean])
    columns = ["", "seconds", *(f"over {own}" for own in ways), "mean return"]
    return markdown(columns, lines)


def _over(records: Sequence[Record], ours: Sequence[Record]) -> list[float]:
    seconds = {r.round: r.value for r in ours}
    return [r.value / seconds[r.round] for r in records if r.round in seconds]
