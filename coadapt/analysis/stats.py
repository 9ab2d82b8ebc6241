"""What the numbers say: means over seeds, with failures counted.

`summary` is of rows; what follows it is of arrays `scores[runs, tasks]`, after Agarwal
et al. 2021, 'Deep reinforcement learning at the edge of the statistical precipice'.
Two kinds of runs have no ordinary score there, and none is dropped unseen:
    NaN   the run failed before it had a score (later, its score is its last one before)
    -inf  its score diverged
What ranks runs (median, iqm, profile, improvement) takes NaN for -inf: no score is the
worst. What averages them (mean, std) is of the runs that have a score, as in `summary`:
an infinite one makes the mean infinite and the std NaN. How many there are of each is
in `Counts`, which every `Estimate` carries. Statistics of nothing are NaN.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coadapt.schema import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SUMMARY_COLUMNS = (
    "task", "algorithm", "variant", "env_steps", "mean", "std", "n", "failed",
    "provider",
)  # fmt: skip


_KEYS = ["task", "variant", "seed"]


def last(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """The last row of each (task, variant, seed), in the order of the first ones."""
    rows = frame[frame.metric == metric]
    return rows.loc[rows.groupby(_KEYS, sort=False).env_steps.idxmax()]


def versions(frame: "pd.DataFrame") -> dict[str, "pd.DataFrame"]:
    """Rows by simulator version, for tasks that several versions have produced.

    The rows of all other tasks are together, under ''. A task of several versions is
    renamed for each, 'gym/Hopper-v5 (gymnasium 1.4.0, mujoco 3.17.0)', because scores
    of two versions are scores on two tasks.
    """
    if "provider" not in frame:
        return {"": frame}
    several = frame.groupby("task").provider.transform("nunique") > 1
    if not several.any():
        return {"": frame}
    names = frame.task.where(~several, frame.task + " (" + frame.provider + ")")
    keys = frame.provider.where(several, "")
    apart = frame.assign(task=names).groupby(keys, sort=False)
    return {str(version): rows for version, rows in apart}


def unversioned(task: str) -> str:
    """The name of a task without the version that `versions` may have added."""
    return task.partition(" (")[0]


def refuse_versions(frame: "pd.DataFrame") -> None:
    """Refuse rows of a task that several versions of a simulator have produced.

    Raises: ConfigError.
    """
    apart = [name for name in versions(frame) if name]
    if apart:
        raise ConfigError(
            f"rows are of {len(apart)} versions of a simulator ({'; '.join(apart)}), "
            "whose scores are not comparable: use those of one version; "
            "coadapt.stats.versions separates them."
        )


def summary(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """The last evaluation of each variant on each task, over its seeds.

    A seed whose last value is NaN has failed: its last value before the failure is its
    score, and it counts in `failed`. mean and std (numpy's, ddof=0) are over the `n`
    seeds that have a score. If a score is infinite, so is the mean, and the std is NaN,
    as in the paper's tables; with n = 1 the std is NaN, with n = 0 both are.

    Args:
        frame: rows, as `store.read` gives them.

    Returns:
        A row for each task and variant, with the columns `SUMMARY_COLUMNS`. env_steps
        is that of the seed that is furthest behind. A task of several `versions` has
        rows for each of them.
    """
    import pandas as pd

    frame = pd.concat(versions(frame).values(), ignore_index=True)
    ends = last(frame, metric)
    known = last(frame.dropna(subset="value"), metric)
    scored = ends.drop(columns="value").merge(known[[*_KEYS, "value"]], "left", _KEYS)
    scored["failed"] = ends.value.isna().to_numpy()
    made = frame.groupby("task").provider.first()
    rows = []
    for _, group in scored.groupby(["task", "variant"], sort=False):
        values = group.value.dropna().to_numpy()
        with np.errstate(invalid="ignore"):  # inf - inf
            mean, std = (
                values.mean() if values.size else np.nan,
                values.std() if values.size > 1 else np.nan,
            )
        rows.append(
            (
                group.task.iloc[0],
                group.algorithm.iloc[0],
                group.variant.iloc[0],
                group.env_steps.min(),
                mean,
                std,
                values.size,
                group.failed.sum(),
                made[group.task.iloc[0]],
            )
        )
    return pd.DataFrame(rows, columns=pd.Index(SUMMARY_COLUMNS))


# ---------------------------------------------------------------- statistics


def floor(scores: np.ndarray, begin: float) -> float:
    """The threshold below which a return counts as diverged, for tasks without a unit.

    It is below the median by ten times the magnitude of the highest score, or by ten
    times its distance from the median if that is larger; and below `begin` by ten times
    the distance of the highest score from `begin`.

    Args:
        begin: the return of an agent that has learned nothing; NaN if unknown.

    Returns:
        The threshold; -inf if no score has diverged.
    """
    finite = scores[np.isfinite(scores)]
    if not finite.size:
        return -np.inf
    middle, top = np.median(finite), finite.max()
    lowest = middle - 10 * max(top - middle, abs(top))
    if np.isfinite(begin):
        lowest = min(lowest, begin - 10 * max(top - begin, 0.0))
    return float(lowest) if finite.min() < lowest else -np.inf


def begun(first: np.ndarray) -> float:
    """What half of the runs begin with at the least, of their first scores; or NaN."""
    known = first[np.isfinite(first)]
    return float(np.quantile(known, 0.5, method="higher")) if known.size else np.nan


class Counts(NamedTuple):
    """What there is to average."""

    runs: int  # of all tasks
    tasks: int
    failed: int  # runs without a score: NaN
    diverged: int  # runs whose score is infinite


def counts(*scores: np.ndarray) -> Counts:
    """Of arrays [runs, tasks] of the same tasks.

    Raises:
        ConfigError: of others.
    """
    shapes = [np.shape(each) for each in scores]
    if any(len(shape) != 2 or shape[1] != shapes[0][1] for shape in shapes):
        raise ConfigError(
            f"scores have the shapes {shapes}: each must be [runs, tasks], and the "
            "tasks the same."
        )
    return Counts(
        sum(np.size(each) for each in scores),
        shapes[0][1],
        sum(int(np.isnan(each).sum()) for each in scores),
        sum(int(np.isinf(each).sum()) for each in scores),
    )


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over tasks of the mean over the runs that have a score.

    Args:
        scores: [..., R, T], R runs on T tasks.

    Returns:
        [...]; NaN if a task has no run with a score, infinite if a score is.
    """
    return _average(_task_means(scores), -1)


def std(scores: np.ndarray) -> np.ndarray:
    """Mean over tasks of the std (ddof=0, as in `summary`) over runs with a score.

    Args:
        scores: [..., R, T], R runs on T tasks.

    Returns:
        [...]; NaN if a score is infinite.
    """
    scores = np.asarray(scores, np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf
        off = scores - _task_means(scores)[..., None, :]
    off = np.where(np.isnan(scores), np.nan, np.where(np.isnan(off), np.inf, off))
    squares = _task_means(off**2)
    return _average(np.sqrt(np.where(np.isinf(squares), np.nan, squares)), -1)


def median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean over runs; a task with a NaN counts as -inf.

    Source: Agarwal et al. 2021, Sec. 4.3, 'sample median'.

    Args:
        scores: [..., R, T], R runs on T tasks.

    Returns:
        [...].
    """
    means = _average(_ranked(scores), -2)
    count = means.shape[-1]
    if not count:
        return np.full(means.shape[:-1], np.nan)
    means = np.sort(means, -1)
    return _average(means[..., (count - 1) // 2 : count // 2 + 1], -1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean: the mean of the middle half of all runs; NaN counts as -inf.

    Of n runs, int(n / 4) are left out at either end. Source: Agarwal et al. 2021, Sec.
    4.3; rliable's aggregate_iqm.

    Args:
        scores: [..., R, T], R runs on T tasks.

    Returns:
        [...].
    """
    ranked = _ranked(scores)
    flat = np.sort(ranked.reshape(*ranked.shape[:-2], -1), -1)
    cut = flat.shape[-1] // 4
    return _average(flat[..., cut : flat.shape[-1] - cut], -1)


def improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(X > Y) + P(X = Y) / 2 for one run of each, averaged over tasks; NaN is -inf.

    It is Mann and Whitney's U / (R S). Two runs without a score are equal. Source:
    Agarwal et al. 2021, Sec. 4.3, 'probability of improvement'.

    Args:
        x: [..., R, T], R runs on T tasks.
        y: [..., S, T].

    Returns:
        [...], from 0 to 1.
    """
    ours, theirs = _ranked(x)[..., :, None, :], _ranked(y)[..., None, :, :]
    better = (ours > theirs) + 0.5 * (ours == theirs)
    return _average(_average(_average(better, -2), -2), -1)


def profile(scores: np.ndarray, taus: np.ndarray) -> np.ndarray:
    """Fraction of runs above each threshold, averaged over tasks; NaN counts as -inf.

    Source: Agarwal et al. 2021, Sec. 4.2, 'run-score distributions'.

    Args:
        scores: [..., R, T], R runs on T tasks.
        taus: [K], the thresholds.

    Returns:
        [..., K].
    """
    above = _ranked(scores)[..., None] > np.asarray(taus, np.float64)
    return _average(_average(above, -3), -2)


def _ranked(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    return np.where(np.isnan(scores), -np.inf, scores)


def _average(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean, NaN of nothing and of inf - inf, without a warning."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sum(values, axis) / np.float64(np.shape(values)[axis]))


def _task_means(scores: np.ndarray) -> np.ndarray:
    """Over the runs that have a score, [..., R, T] -> [..., T]."""
    scores = np.asarray(scores, np.float64)
    known = ~np.isnan(scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, scores, 0.0).sum(-2) / known.sum(-2, dtype=np.float64)


# ---------------------------------------------------------------- as text


def number(value: float, beside: float = 0.0) -> str:
    """A number with enough digits to compare it: '9,213', '98.1', '-4.21', '-7.9e12'.

    It has as many digits as the larger of itself and the number beside it has.
    """
    if not math.isfinite(value):
        return str(value)
    size = max(abs(value), abs(beside) if math.isfinite(beside) else 0.0)
    if size >= 1e7:
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{digits}e{int(power)}"
    return f"{value:,.{0 if size >= 1000 else 1 if size >= 10 else 2}f}"


# ---------------------------------------------------------------- intervals


class Estimate(NamedTuple):
    """A number with its interval, which is NaN where a task has fewer than two runs."""

    value: float
    low: float
    high: float
    counts: Counts

    @property
    def defined(self) -> bool:
        """Whether there is an interval."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below 0, otherwise 0."""
        return int(self.low > 0) - int(self.high < 0)

    def __str__(self) -> str:
        """'0.42 [0.31, 0.50]'; the number alone where it has no interval."""
        ends = f" [{self.low:.2f}, {self.high:.2f}]" if self.defined else ""
        return f"{self.value:.2f}{ends}"


class Bands(NamedTuple):
    """A profile at thresholds `taus`, arrays [K], with an interval at each of them."""

    taus: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    counts: Counts


Statistic = Callable[..., np.ndarray]  # of arrays [..., R, T], one or more


def interval(
    statistic: Statistic,
    *scores: np.ndarray,
    seed: int,
    paired: bool = False,
    level: float = 0.95,
    resamples: int = 2000,
) -> Estimate:
    """A statistic of scores with its stratified percentile bootstrap interval.

    Runs are drawn with replacement within each task. With few runs the interval is too
    narrow, by sqrt((R - 1) / R) at least. Source: Agarwal et al. 2021, Sec. 4.1.

    Args:
        statistic: of arrays [..., R, T], such as `iqm` or `improvement`.
        scores: each [R, T], R runs on T tasks.
        level: the share of the resampled statistics in the interval.
        paired: draw the same runs (seeds) in all arrays.

    Raises: ConfigError.
    """
    found = counts(*scores)
    value = float(statistic(*scores))
    low, high = _quantiles(_drawn(statistic, scores, seed, paired, resamples), level)
    if math.isnan(value):
        return Estimate(value, math.nan, math.nan, found)
    return Estimate(value, float(low), float(high), found)


def bands(
    scores: np.ndarray,
    taus: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 2000,
) -> Bands:
    """The profile of `scores` [runs, tasks] with pointwise bootstrap intervals."""
    found, taus = counts(scores), np.asarray(taus, np.float64)

    def of(each: np.ndarray) -> np.ndarray:
        return profile(each, taus)

    low, high = _quantiles(_drawn(of, [scores], seed, False, resamples), level)
    shape = taus.shape
    return Bands(
        taus,
        of(scores),
        np.broadcast_to(low, shape),
        np.broadcast_to(high, shape),
        found,
    )


def _drawn(
    statistic: Statistic,
    scores: Sequence[np.ndarray],
    seed: int,
    paired: bool,
    resamples: int,
) -> np.ndarray:
    """The statistic of resampled runs, [resamples, ...]; NaN with fewer than two."""
    rows = [np.shape(each)[0] for each in scores]
    if paired and len(set(rows)) > 1:
        raise ConfigError(
            f"runs cannot be paired: there are {' and '.join(map(str, rows))}, which "
            "must be of the same seeds."
        )
    if min(rows) < 2 or not np.size(scores[0]):
        return np.full((1, *np.shape(statistic(*scores))), np.nan)
    rng, found = np.random.default_rng(seed), []
    for begin in range(0, resamples, 100):  # few at once: P(X > Y) holds R x S of each
        size = min(100, resamples - begin)
        picked = [rng.integers(len(s), size=(size, *np.shape(s))) for s in scores]
        picked = [picked[0]] * len(scores) if paired else picked
        drawn = zip(scores, picked, strict=True)
        found.append(
            statistic(
                *(np.take_along_axis(np.asarray(s)[None], p, 1) for s, p in drawn)
            )
        )
    return np.concatenate(found)


def _quantiles(drawn: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the middle `level` of drawn [B, ...], of those that are no NaN.

    They are values that were drawn: between infinite ones nothing can be interpolated.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}: it must be between 0 and 1, as 0.95.")
    ordered, defined = np.sort(drawn, 0), (~np.isnan(drawn)).sum(0)
    cut = ((1 - level) / 2 * defined).astype(int)
    last = np.maximum(defined - 1 - cut, 0)
    ends = [np.take_along_axis(ordered, at[None], 0)[0] for at in (cut, last)]
    return ends[0], ends[1]
