"""The curves of a page that can be asked: what its script draws, as plain data.

Of each task, variant and metric the mean over seeds at each evaluation, with Student's
95% interval and how many seeds there are; of returns each seed, too.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coadapt.analysis import curves
from coadapt.analysis.curves import Runs
from coadapt.analysis.verdict import ALPHA, t_quantile
from coadapt.metrics import registry
from coadapt.plot.styles import on_dark
from coadapt.report.compare import Answer
from coadapt.report.run_data import METRIC, Findings

if TYPE_CHECKING:
    import pandas as pd

MOST = 500_000  # numbers, of some seven letters each: a page of less than 5 MB
DIGITS = 5
DASHES = {"-": [], "--": [7, 3], ":": [2, 3], "-.": [8, 3, 2, 3]}

Data = dict[str, Any]


def of(found: Findings, answers: Sequence[Answer]) -> Data:
    """All that the script draws. Metrics beyond `MOST` numbers are named in `left`."""
    looks, names = found.looks, list(found.looks)
    whose = {label: name for name, label in found.labels.items()}
    tasks, grids = found.drawn_tasks, dict[tuple[int, ...], int]()
    rows = {str(name): group for name, group in found.drawn().groupby("metric")}
    failed = {
        name: curves.failed_in(here, METRIC)
        for name, here in _by(rows[METRIC], "task", tasks)
    }
    lines, metrics, left, numbers = [], [], [], 0
    for metric in (METRIC, *(name for name in rows if name != METRIC)):
        made = list(_lines(rows[metric], metric, names, failed, grids))
        size = sum(_size(line) for line in made)
        if metrics and numbers + size > MOST:
            left.append(metric)
            continue
        numbers += size
        metrics.append(metric)
        lines += [{**line, "m": len(metrics) - 1} for line in made]
    return {
        "tasks": tasks,
        "variants": [
            {
                "name": name,
                "whole": whose.get(name, name),
                "light": looks[name].color,
                "dark": on_dark(looks[name].color),
                "dash": DASHES[looks[name].dash],
            }
            for name in names
        ],
        "metrics": [{"name": m, "about": _about(m)} for m in metrics],
        "grids": [list(grid) for grid in grids],
        "lines": lines,
        "pairs": _pairs(found, answers, names),
        "left": left,
    }


def _about(metric: str) -> str:
    known = registry.METRICS.get(metric)
    return known.about if known else ""


def _pairs(
    found: Findings, answers: Iterable[Answer], names: Sequence[str]
) -> list[Data]:
    """Of each toggle the variants that it is about: with it, and without."""
    made = {}
    for each in answers:
        pairs = each.question.pairs
        whole = [name for pair in pairs for name in (*pair.on, *pair.off)]
        labels = [found.labels.get(name, name) for name in dict.fromkeys(whole)]
        title = f"{each.question.toggle}: {' and '.join(p.label for p in pairs)}"
        there = [names.index(label) for label in labels if label in names]
        if there:
            made[title] = {"title": title, "variants": there}
    return list(made.values())


# ---------------------------------------------------------------- numbers


def _lines(
    rows: "pd.DataFrame",
    metric: str,
    names: Sequence[str],
    failed: Mapping[str, Mapping[tuple[str, int], float]],
    grids: dict[tuple[int, ...], int],
) -> Iterable[Data]:
    """One for each task and variant, of a metric's rows under short names."""
    places = {task: i for i, task in enumerate(failed)}
    for task, here in _by(rows, "task", list(failed)):
        own = curves.until_failed(here, failed[task])
        groups = dict(_by(own, "variant", names))
        cut = _cut(curves.height(groups, metric))
        for name, group in groups.items():
            lost = {
                seed for seed in group.seed.unique() if (name, seed) in failed[task]
            }
            line = _line(curves.runs(group, lost), metric, grids)
            yield {"t": places[task], "v": names.index(name), **line, **cut}


def _by(
    rows: "pd.DataFrame", column: str, order: Sequence[str]
) -> Iterable[tuple[str, "pd.DataFrame"]]:
    groups = {str(name): group for name, group in rows.groupby(column, sort=False)}
    return [(name, groups[name]) for name in order if name in groups]


def _cut(ends: tuple[float, float] | None) -> Data:
    return {} if ends is None else {"cut": [_short(x) for x in ends]}


def _line(runs: Runs, metric: str, grids: dict[tuple[int, ...], int]) -> Data:
    mean, half, count = _interval(runs.counted)
    line: Data = {"g": _grid(runs.whole, grids), "y": _list(mean)}
    if np.isfinite(half).any():
        line |= {"low": _list(mean - half), "high": _list(mean + half)}
    line["n"] = int(count[0]) if len(set(count)) == 1 else [int(x) for x in count]
    if metric == METRIC:
        line["seeds"] = [_list(each) for each in runs.each.T]
        line["sg"] = _grid(runs.steps, grids)
    if runs.ends:
        line["ends"] = [[int(x), _short(y)] for x, y in runs.ends]
    return line


def _interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, half of Student's 95% interval, and how many, of each row; NaN: unknown."""
    known = ~np.isnan(values)
    count = known.sum(1)
    with np.errstate(all="ignore"):
        mean = np.where(known, values, 0.0).sum(1) / count
        squares = np.where(known, (values - mean[:, None]) ** 2, 0.0).sum(1)
        error = np.sqrt(squares / (count - 1) / count)
        wide = [t_quantile(1 - ALPHA, n - 1) if n > 1 else math.nan for n in count]
        return mean, error * np.array(wide), count


def _grid(steps: np.ndarray, grids: dict[tuple[int, ...], int]) -> int:
    return grids.setdefault(tuple(int(x) for x in steps), len(grids))


def _list(values: np.ndarray) -> list[float | int | None]:
    return [_short(float(x)) for x in values]


def _short(value: float) -> float | int | None:
    """What is no number is none; few digits are enough to draw."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _size(line: Data) -> int:
    """How many numbers it has."""
    seeds = sum(map(len, line.get("seeds", ())))
    return seeds + sum(len(line.get(name, ())) for name in ("y", "low", "high"))
