"""The score of a run, from the rows of a run store: three metrics, and what failed.

A run is read to its own horizon, which is its variant's: rows of different lengths can
be in one study. Metrics, each of the evaluations of a run in order:
    final   the mean of the last tenth of them, at least three (the primary metric)
    last    the last one
    area    the mean of all of them
A run failed if one of its last evaluations, of which `final` is the mean, is NaN, is
infinite, or is so low that no other could be read beside it (`stats.floor`; where the
unit is known, ten units below a random policy). That is a result of its own. In the
score a failed run counts by one of two rules:
    random  as a random policy's (primary)
    before  as its last score before, which pays a crash at its peak (sensitivity)
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats as distributions

from coadapt.analysis import stats
from coadapt.runs.tables import Cell
from coadapt.schema import ConfigError, nearest, shown
from coadapt.tasks.units import Unit

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("final", "last", "area")
RULES = ("random", "before")
SHARE, FEWEST = 0.1, 3  # of the evaluations, that `final` is the mean of
FAR = 10  # units below a random policy, where a score has run away


def require_metric(name: str) -> None:
    """Raises: ConfigError unless it is one of `METRICS`."""
    if name not in METRICS:
        raise ConfigError(
            f"metric is {shown(name)}: it must be one of {', '.join(METRICS)}"
            f"{nearest(name, METRICS)}"
        )


class Rate(NamedTuple):
    """How many of an arm's runs failed, with Clopper and Pearson's 95% interval."""

    failed: int
    runs: int
    low: float
    high: float


def rate(failed: int, runs: int, level: float = 0.95) -> Rate:
    """Source: Clopper and Pearson 1934. The interval of no runs is all of 0 to 1."""
    tail, beta = (1 - level) / 2, distributions.beta
    low = float(beta.ppf(tail, failed, runs - failed + 1)) if failed else 0.0
    high = (
        float(beta.ppf(1 - tail, failed + 1, runs - failed)) if failed < runs else 1.0
    )
    return Rate(failed, runs, low, high)


class Arm(NamedTuple):
    """The runs of a variant on a task that came to its horizon."""

    task: str
    variant: str
    env_steps: int  # its horizon
    evaluations: int  # of each run until there
    seeds: tuple[int, ...]
    before: Mapping[str, np.ndarray]  # metric -> [seeds], failed runs as they were
    failed: np.ndarray  # [seeds] bool
    unfinished: int  # runs that are left out
    unit: Unit

    def scores(self, metric: str = "final", rule: str = "random") -> np.ndarray:
        """Returns [seeds]; by `rule` 'random', failed runs are a random policy's.

        Where that is not known they count as they were before. NaN: a run that failed
        before its first score, where nothing else is known of it.
        """
        known, random = self.before[metric], self.unit.random
        if rule == "before" or random is None:
            # what failed at once was never better than a random policy
            return known if random is None else np.where(np.isnan(known), random, known)
        return np.where(self.failed, random, known)

    @property
    def rate(self) -> Rate:
        return rate(int(self.failed.sum()), len(self.seeds))


class _Run(NamedTuple):
    """The curve of a cell, NaN where it has no score that counts."""

    seed: int
    env_steps: np.ndarray  # [evaluations]
    values: np.ndarray  # [evaluations]
    reached: int
    asked: int


def arms(
    frame: "pd.DataFrame",
    units: Mapping[str, Unit] = {},
    asked: Mapping[Cell, int] | None = None,
    done: Mapping[Cell, int] | None = None,
    metric: str = "return",
) -> dict[tuple[str, str], Arm]:
    """The arms of a frame of rows, by task and variant.

    Args:
        units: of tasks, where they are known.
        asked: env steps that were asked for of each cell; a variant's horizon is the
            most of its cells. None: what the longest run of the variant has.
        done: env steps of the cells that are finished, which may have stopped early
            where no agent was left. None: runs that end in NaN.
    """
    curves = _curves(frame.loc[frame.metric == metric])
    lowest = _floors(curves, units)
    made: dict[tuple[str, str], list[_Run]] = {}
    for cell, (at, values) in curves.items():
        known = np.isfinite(values) & (values >= lowest[cell.task])
        reached = int(at[-1])
        if done is not None:
            reached = max(reached, done.get(cell, 0))
        elif np.isnan(values[-1]):
            reached = sys.maxsize
        run = _Run(
            cell.seed,
            at,
            np.where(known, values, np.nan),
            reached,
            int(at[-1]) if asked is None else asked.get(cell, 0),
        )
        made.setdefault((cell.task, cell.variant), []).append(run)
    return {
        key: _arm(*key, runs, units.get(key[0], Unit())) for key, runs in made.items()
    }


def _curves(rows: "pd.DataFrame") -> dict[Cell, tuple[np.ndarray, np.ndarray]]:
    """Env steps and values of each cell, in order."""
    points: dict[Cell, list[tuple[int, float]]] = {}
    names = ("task", "variant", "seed", "env_steps", "value")
    for task, variant, seed, steps, value in zip(
        *(rows[n] for n in names), strict=True
    ):
        at = points.setdefault(Cell(task, variant, int(seed)), [])
        at.append((int(steps), float(value)))
    found = {}
    for cell, at in points.items():
        steps, values = zip(*sorted(at, key=lambda each: each[0]), strict=True)
        found[cell] = np.array(steps), np.array(values)
    return found


def _floors(
    curves: Mapping[Cell, tuple[np.ndarray, np.ndarray]], units: Mapping[str, Unit]
) -> dict[str, float]:
    """Of each task, the score below which a run has run away."""
    last: dict[str, list[float]] = {}
    first: dict[str, list[float]] = {}
    for cell, (_, values) in curves.items():
        known = values[~np.isnan(values)]
        last.setdefault(cell.task, []).extend(known[-1:])
        first.setdefault(cell.task, []).extend(known[:1])
    found = {}
    for task, values in last.items():
        unit = units.get(task, Unit())
        if unit.random is not None and unit.size is not None:
            found[task] = unit.random - FAR * unit.size
        else:
            begin = unit.random
            if begin is None:
                begin = stats.begun(np.array(first[task]))
            found[task] = stats.floor(np.array(values), begin)
    return found


def _arm(
    task: str,
    variant: str,
    runs: Sequence[_Run],
    unit: Unit,
) -> Arm:
    """Of the runs that came to the horizon."""
    horizon = max(run.asked for run in runs)
    whole = [run for run in runs if run.reached >= horizon]
    whole = sorted(whole, key=lambda run: run.seed)
    found = [run.values[run.env_steps <= horizon] for run in whole]
    length = max((values.size for values in found), default=0)
    width = min(max(math.ceil(SHARE * length), FEWEST), length)
    curves = np.array([_padded(values, length) for values in found])
    curves = curves.reshape(len(whole), length)
    held = _held(curves) if curves.size else curves
    window = slice(length - width, length)
    before = {
        "final": _mean(held[:, window]),
        "last": _mean(held[:, -1:]),
        "area": _mean(held),
    }
    return Arm(
        task,
        variant,
        horizon,
        length,
        tuple(run.seed for run in whole),
        before,
        np.asarray(np.isnan(curves[:, window]).any(1)),
        len(runs) - len(whole),
        unit,
    )


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """What a run that stopped at its failure lacks is NaN."""
    return np.append(values, np.full(length - values.size, np.nan))


def _mean(values: np.ndarray) -> np.ndarray:
    """Of each row; of none, none."""
    return values.mean(1) if values.size else np.zeros(len(values))


def _held(curves: np.ndarray) -> np.ndarray:
    """Curves [seeds, evaluations] with the last score before in place of NaN.

    Before its first score a run has that one; a run that has none is NaN.
    """
    known = ~np.isnan(curves)
    places = np.where(known, np.arange(curves.shape[1]), -1)
    last = np.maximum.accumulate(places, 1)
    rows = np.arange(len(curves))[:, None]
    held = np.where(last < 0, np.nan, curves[rows, np.maximum(last, 0)])
    first = np.argmax(known, 1)[:, None]
    return np.where((last < 0) & known.any(1, keepdims=True), curves[rows, first], held)
