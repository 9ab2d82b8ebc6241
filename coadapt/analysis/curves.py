"""What a learning curve is made of: the seeds of a variant over env steps.

`plot` draws it, and the page of a report.
"""

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coadapt.analysis import stats
from coadapt.metrics.registry import SCORE

if TYPE_CHECKING:
    import pandas as pd


class Runs(NamedTuple):
    """The seeds of a variant over T env steps."""

    steps: np.ndarray  # [T]
    each: np.ndarray  # [T, S], NaN where there is no value
    counted: np.ndarray  # [T', S], where a seed that failed has its last value
    whole: np.ndarray  # [T'], steps to which all seeds have come
    ends: list[tuple[float, float]]  # of those that failed with a value


def failed_in(rows: "pd.DataFrame", metric: str) -> dict[tuple[str, int], float]:
    """Variants and seeds whose last score is NaN, and the env steps of the one before.

    -inf where there was none. Without scores, those of the metric are looked at.
    """
    rows = rows.reset_index(drop=True)  # two runs' rows may have the same numbers
    score = SCORE if SCORE in set(rows.metric) else metric
    known = stats.last(rows.dropna(subset="value"), score)
    before = dict(zip(_keys(known), known.env_steps, strict=True))
    ends = stats.last(rows, score)
    gone = ends.loc[ends.value.isna()]
    return {key: before.get(key, -math.inf) for key in _keys(gone)}


def _keys(rows: "pd.DataFrame") -> list[tuple[str, int]]:
    return list(zip(rows.variant.astype(str), rows.seed, strict=True))


def until_failed(
    rows: "pd.DataFrame", failed: Mapping[tuple[str, int], float]
) -> "pd.DataFrame":
    """Without what agents tell that stand still: of a broken update it may be inf."""
    if not failed:
        return rows
    last = [failed.get(key, math.inf) for key in _keys(rows)]
    return rows.assign(value=rows.value.where(rows.env_steps <= np.array(last)))


def runs(rows: "pd.DataFrame", failed: Collection[int]) -> Runs:
    """Of a variant's rows, and the seeds that failed."""
    steps, down = np.unique(rows.env_steps.to_numpy(), return_inverse=True)
    seeds, across = np.unique(rows.seed.to_numpy(), return_inverse=True)
    each = np.full((len(steps), len(seeds)), np.nan)
    each[down, across] = rows.value.to_numpy(float)
    there = np.zeros(each.shape, bool)
    there[down, across] = True
    gone, counted, ends = np.isin(seeds, list(failed)), each.copy(), []
    for i in np.flatnonzero(gone):
        known = np.flatnonzero(~np.isnan(each[:, i]))
        if known.size:
            last = known[-1]
            counted[last:, i] = each[last, i]
            ends.append((steps[last], each[last, i]))
    complete = (there | gone).all(axis=1)
    if not complete.any():  # seeds that were measured at other steps
        complete = np.ones_like(complete)
    return Runs(steps, each, counted[complete], steps[complete], ends)


# ---------------------------------------------------------------- the axis


def height(
    groups: Mapping[str, "pd.DataFrame"], metric: str
) -> tuple[float, float] | None:
    """The ends of the axis where values ran away; None where none did.

    Downwards, and of what is no return upwards too.
    """
    every = [rows.value.to_numpy(float) for rows in groups.values()]
    first = [
        rows.value[rows.env_steps == rows.env_steps.min()].to_numpy(float)
        for rows in groups.values()
    ]
    values, first = np.concatenate(every), np.concatenate(first)
    floor = max(stats.floor(values, stats.begun(first)), _floor(values, first))
    top = math.inf if metric == SCORE else -_floor(-values, -first)
    if floor == -math.inf and top == math.inf:
        return None
    kept = values[np.isfinite(values) & (values >= floor) & (values <= top)]
    room = 0.05 * (np.ptp(kept) or 1.0)
    return kept.min() - room, kept.max() + room


def _floor(values: np.ndarray, first: np.ndarray) -> float:
    """`stats.floor` where most values ran away, and with them the median of all.

    Below a million, and by more than a thousand times the highest below what half of
    the curves begin with. -inf where there is none such.
    """
    middle, finite = stats.begun(first), values[np.isfinite(values)]
    if math.isnan(middle):
        return -math.inf
    top = finite.max()
    lowest = min(middle - 1000 * max(top - middle, abs(top)), -1e6)
    return float(lowest) if finite.min() < lowest else -math.inf
