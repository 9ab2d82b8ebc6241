"""The rule of experiments/parity.py: what two arms of runs say of each other.

Of each row and task d = (ours - theirs) / (theirs - random), within kinds of CPU.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from coadapt.analysis import multiple_testing
from coadapt.schema import ConfigError

MARGIN, ALPHA, ABOVE = 0.25, 0.025, 3.0  # the rule's; ABOVE in a random policy's stds
UNLEARNED, WORSE, NOT_WORSE, OPEN = (
    "did not learn",
    "worse",
    "not worse",
    "not decided",
)
Stratum = tuple[np.ndarray, np.ndarray]  # scores of ours and of theirs, of a CPU's kind


class Found(NamedTuple):
    """Of a row on a task; ratios are of (theirs - random)."""

    ours: np.ndarray  # scores
    theirs: np.ndarray
    d: float
    low: float  # each bound 97.5%
    high: float
    p: float  # of theirs being better, one-sided
    learned: bool  # whether theirs did
    power: float  # of 'not worse', of equal programs with these stds
    left_out: int  # runs of a kind of CPU that the other side has not
    error: float  # of d
    freedom: float  # degrees of it
    level: float  # the error of d if the programs were equal


class Pooled(NamedTuple):
    """Of a row over tasks, each counting the same: the mean of its d."""

    tasks: int
    d: float
    low: float  # each bound 97.5%
    high: float
    word: str
    power: float  # as of a task


def found(strata: Sequence[Stratum], random: float, std: float) -> Found:
    """What two arms say. Welch's bounds within strata, by the delta method.

    Args:
        random: the mean return of a random policy; `std` is that of its episodes.
    Raises: ConfigError, where no stratum has two runs of either.
    """
    whole = [each for each in strata if min(map(len, each)) > 1]
    if not whole:
        raise ConfigError("no kind of CPU has two runs of ours and of theirs.")
    sizes = np.array([len(o) + len(t) for o, t in whole], float)
    means = np.array([(o.mean(), t.mean()) for o, t in whole])
    ours, theirs = sizes / sizes.sum() @ means
    scale = theirs - random
    d = (ours - theirs) / scale
    error, freedom = _error(whole, sizes / sizes.sum(), (1.0, 1.0 + d))
    error, reach = error / abs(scale), distributions.t.isf(ALPHA, freedom)
    level = _error(whole, sizes / sizes.sum(), (1.0, 1.0))[0] / abs(scale)
    kept = int(sizes.sum())
    return Found(
        np.concatenate([o for o, _ in whole]),
        np.concatenate([t for _, t in whole]),
        float(d),
        float(d - reach * error),
        float(d + reach * error),
        float(distributions.t.cdf(d / max(error, 1e-12), freedom)),
        bool(theirs - random >= ABOVE * std),
        _power(error, freedom, level),
        sum(len(o) + len(t) for o, t in strata) - kept,
        float(error),
        float(freedom),
        float(level),
    )


def _power(error: float, freedom: float, level: float) -> float:
    """Of 'not worse', where programs are equal."""
    if error == 0:  # all runs alike: there is nothing to be mistaken by
        return 1.0
    reach, shift = distributions.t.isf(ALPHA, freedom), MARGIN / max(level, 1e-12)
    return float(distributions.nct.sf(reach, freedom, shift))


def pooled(cells: Mapping[tuple[str, str], Found]) -> dict[str, Pooled]:
    """Of each row with two tasks or more that the other side learned.

    A row's tasks are independent, so that variances add up.
    """
    rows: dict[str, list[Found]] = {}
    for (_, row), cell in sorted(cells.items()):
        if cell.learned:
            rows.setdefault(row, []).append(cell)
    return {row: _pooled(found) for row, found in rows.items() if len(found) > 1}


def _pooled(found: Sequence[Found]) -> Pooled:
    number = len(found)
    d = float(np.mean([each.d for each in found]))
    error, freedom = _summed([(x.error**2 / number**2, x.freedom) for x in found])
    level = math.sqrt(sum(x.level**2 for x in found)) / number
    reach = float(distributions.t.isf(ALPHA, freedom)) * error
    word = NOT_WORSE if d - reach > -MARGIN else OPEN
    word = WORSE if d + reach < 0 else word
    return Pooled(number, d, d - reach, d + reach, word, _power(error, freedom, level))


def _error(
    strata: Sequence[Stratum], shares: np.ndarray, factors: tuple[float, float]
) -> tuple[float, float]:
    """Standard error of a weighted contrast, and Satterthwaite's degrees of freedom."""
    parts = [
        ((share * factor) ** 2 * arm.var(ddof=1) / len(arm), len(arm) - 1)
        for share, arms in zip(shares, strata, strict=True)
        for factor, arm in zip(factors, arms, strict=True)
    ]
    return _summed(parts)


def _summed(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The error of a sum, of variances and their degrees of freedom; and its own."""
    total = sum(v for v, _ in parts)
    squares = sum(v**2 / f for v, f in parts)
    least = float(min(f for _, f in parts))
    return math.sqrt(total), total**2 / squares if squares > 0 else least


def verdicts(cells: Mapping[tuple[str, str], Found]) -> dict[tuple[str, str], str]:
    """The word of each cell; 'worse' by Holm (1979) over those that learned."""
    judged = [key for key, cell in cells.items() if cell.learned]
    corrected = multiple_testing.holm([cells[key].p for key in judged])
    worse = {key for key, p in zip(judged, corrected, strict=True) if p < ALPHA}
    said = {}
    for key, cell in cells.items():
        if not cell.learned:
            said[key] = UNLEARNED
        elif key in worse:
            said[key] = WORSE
        else:
            said[key] = NOT_WORSE if cell.low > -MARGIN else OPEN
    return said
