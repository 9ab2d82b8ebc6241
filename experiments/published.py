"""What Furuta et al. 2021 measured: the cells of Tables 2, 3 and 5 to 12, compared.

A cell is a mean and a std over ten seeds (scores.csv); the seeds themselves were not
published, so that nothing can be paired.
"""

import csv
import functools
import importlib.resources
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coadapt.analysis import effects
from coadapt.analysis import verdict as verdicts
from coadapt.analysis.effects import Cells
from coadapt.analysis.verdict import Verdict

SEEDS = 10  # of each cell
SWAPS = tuple(f"table{n}" for n in range(5, 11))  # networks, a table for each task


class Cell(NamedTuple):
    """A cell of a table."""

    table: str
    task: str
    variant: str
    mean: float  # -inf where a return diverged
    std: float  # NaN then
    numerical_error: bool  # a dagger: a seed ended in NaN, and counts as it was before


class Comparison(NamedTuple):
    """A toggle on two algorithms, by the names of their cells, with and without it."""

    toggle: str
    first: str  # algorithm
    second: str
    tables: tuple[str, ...]
    first_cells: tuple[str, str]
    second_cells: tuple[str, str]
    paper: str  # how its text reads them
    remark: str = ""  # what the cells of one side are besides


def _swap(first: str, second: str) -> Comparison:
    """The first's network instead of the second's, on either."""
    return Comparison(
        f"network of {first}, not {second}",
        first,
        second,
        SWAPS,
        (f"{first}(Net: {first})", f"{first}(Net: {second})"),
        (f"{second}(Net: {first})", f"{second}(Net: {second})"),
        "co-adapted",  # Sec. 5.3
    )


DOUBLE, BOTH = "clipped double Q", "ELU, layer norm"


def _mark(toggle: str, cell: str, tables: tuple[str, ...]) -> Comparison:
    """What MPO has of itself; SAC got each alone, MPO lost both at once."""
    mpo, both = ("MPO", "MPO-E-L-"), "MPO's cells have ELU and layer norm at once"
    return Comparison(
        toggle, "MPO", "SAC", tables, mpo, (cell, "SAC"), "transfers",
        "" if toggle == BOTH else both,
    )  # fmt: skip


COMPARISONS = (
    Comparison(
        DOUBLE, "SAC", "AWAC", ("table2",), ("SAC(D)", "SAC(S)"),
        ("AWAC(D)", "AWAC(S)"), "co-adapted",  # Sec. 5.1
    ),
    Comparison(
        DOUBLE, "SAC", "MPO", ("table2",), ("SAC(D)", "SAC(S)"),
        ("MPO(D)", "MPO(S)"), "co-adapted",
    ),
    *(
        Comparison(
            "tanh", "SAC", other, ("table3",), ("SAC(tanh)", "SAC(no tanh)"),
            (f"{other}(tanh)", f"{other}(no tanh)"), "co-adapted",  # Sec. 5.2
        )
        for other in ("MPO", "AWR")
    ),
    _swap("SAC", "MPO"),
    _swap("SAC", "AWR"),
    _swap("MPO", "AWR"),
    *(
        _mark(toggle, cell, tables)  # Sec. 5.4; Table 12 has no MPO-E-L-
        for tables in (("table11",), ("table11", "table12"))
        for toggle, cell in (
            ("ELU", "SAC-E+"),
            ("layer norm", "SAC-L+"),
            (BOTH, "SAC-E+L+"),
        )
    ),
)  # fmt: skip


@functools.cache
def cells(file: str = "scores.csv") -> tuple[Cell, ...]:
    """All cells of a file of this folder, in the order of the tables."""
    home = importlib.resources.files("coadapt.experiments")
    text = home.joinpath(file).read_text(encoding="utf-8")
    return tuple(
        Cell(
            row["table"],
            row["task"],
            row["variant"],
            float(row["mean"]),
            float(row["std"] or math.nan),
            row["numerical_error"] == "1",
        )
        for row in csv.DictReader(text.splitlines())
    )


class Effect(NamedTuple):
    """The cells of one algorithm with a toggle and without, scaled, arrays [tasks]."""

    on: Cells
    off: Cells
    tasks: tuple[str, ...]
    diverged: np.ndarray  # [tasks] bool: that have a cell of -inf

    @property
    def pair(self) -> tuple[Cells, Cells]:
        return self.on, self.off

    def where(self, keep: np.ndarray) -> "Effect":
        """On some of its tasks, [tasks] bool."""
        on, off = (Cells(c.mean[keep], c.std[keep], c.seeds) for c in self.pair)
        tasks = tuple(t for t, kept in zip(self.tasks, keep, strict=True) if kept)
        return Effect(on, off, tasks, self.diverged[keep])


def scaled(comparison: Comparison) -> tuple[Effect, Effect]:
    """The two effects of a comparison, on the tasks that have their cells.

    On the range from the worst to the best finite mean of the task's table, as the
    paper fixed no unit. Minus infinity counts as the worst finite mean.
    """
    found: dict[str, dict[str, Cell]] = {}
    for cell in cells():
        if cell.table in comparison.tables:
            found.setdefault(cell.task, {})[cell.variant] = cell
    return (
        _effect(found, comparison.first_cells),
        _effect(found, comparison.second_cells),
    )


def _effect(found: dict[str, dict[str, Cell]], names: Sequence[str]) -> Effect:
    tasks = tuple(task for task, there in found.items() if set(names) <= set(there))
    scales = [
        effects.by_range([cell.mean for cell in found[task].values()], task)
        for task in tasks
    ]
    rows = [[found[task][name] for task in tasks] for name in names]
    on, off = (
        Cells(
            np.array([cell.mean for cell in row]),
            np.array([cell.std for cell in row]),
            SEEDS,
        )
        for row in rows
    )
    lost = ~np.isfinite(on.mean) | ~np.isfinite(off.mean)
    return Effect(on.scaled(scales), off.scaled(scales), tasks, lost)


def on_task(comparison: Comparison, task: str) -> tuple[verdicts.Effect | None, ...]:
    """The effects on one task, in returns: on each algorithm, and their difference.

    None where the paper has not both cells; infinite where one diverged, and NaN where
    both did.

    Args:
        task: as the paper calls it, 'Hopper-v2'.
    """
    tables = comparison.tables
    there = {c.variant: c for c in cells() if c.task == task and c.table in tables}
    found = []
    for names in (comparison.first_cells, comparison.second_cells):
        whole = set(names) <= set(there)
        found.append([there[name] for name in names] if whole else None)
    first, second = (_difference(pair) if pair else None for pair in found)
    gap = None
    if first and second:
        gap = [*first, *((-weight, *rest) for weight, *rest in second)]
    return tuple(map(_of_means, (first, second, gap)))


_Means = list[tuple[float, float, float, int]]


def _difference(pair: Sequence[Cell]) -> _Means:
    signs = (1.0, -1.0)
    return [
        (sign, cell.mean, cell.std, SEEDS)
        for sign, cell in zip(signs, pair, strict=True)
    ]


def _of_means(parts: _Means | None) -> verdicts.Effect | None:
    if parts is None:
        return None
    if all(math.isfinite(mean) for _, mean, _, _ in parts):
        return verdicts.of_means(parts)
    value = sum(weight * mean for weight, mean, _, _ in parts)  # inf - inf is NaN
    return verdicts.Effect(value, math.nan, math.nan, seeds=SEEDS)


class Judged(NamedTuple):
    """A comparison's effects on the algorithms, their difference, and the verdict."""

    first: verdicts.Effect
    second: verdicts.Effect
    gap: verdicts.Effect
    verdict: Verdict


def judged(
    comparison: Comparison, *, margin: float = 0.1, diverged: bool = True
) -> Judged:
    """Without `diverged`, on the tasks in which no cell of an effect is -inf."""
    first, second = scaled(comparison)
    if not diverged:
        first, second = first.where(~first.diverged), second.where(~second.diverged)
    ours = [(1.0, first.on), (-1.0, first.off)]
    theirs = [(1.0, second.on), (-1.0, second.off)]
    a, b = effects.of_cells(ours), effects.of_cells(theirs)
    gap = effects.of_cells([*ours, *((-weight, cells) for weight, cells in theirs)])
    return Judged(a, b, gap, verdicts.judge([a, b], margin))


def signs(effect: Effect) -> list[int]:
    """Of each task 1 or -1 where its Welch interval excludes 0, otherwise 0."""
    found = []
    for i in range(len(effect.tasks)):
        one = effect.where(np.arange(len(effect.tasks)) == i)
        found.append(effects.of_cells([(1.0, one.on), (-1.0, one.off)]).sign)
    return found
