"""What a toggle does to an algorithm, and whether it does the same to another.

The effect of a toggle T on an algorithm A is the mean over tasks and seeds of the
score with T less that without, both runs having the same seed. Its co-adaptation to A
rather than B is effect(T | A) - effect(T | B), of the same seeds again. Scores of
different tasks are first put on one scale, which is a choice: `by_range`,
`by_baseline` or `by_reference`. Arrays are [runs, tasks] float64, as in stats.py.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from coadapt import stats
from coadapt.schema import ConfigError
from coadapt.stats import Estimate

# ---------------------------------------------------------------- one scale for tasks


class Scale(NamedTuple):
    """A score x is (x - low) / (high - low); arrays [tasks]."""

    low: np.ndarray
    high: np.ndarray
    floor: np.ndarray  # what a run that diverged, or has no score, counts as, scaled

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Scaled, [..., tasks], NaN and -inf being `floor`."""
        scores = np.asarray(scores, np.float64)
        lost = np.isnan(scores) | np.isneginf(scores)
        with np.errstate(invalid="ignore"):
            scaled = (scores - self.low) / (self.high - self.low)
        return np.where(lost, self.floor, scaled)


def by_range(scores: Sequence[np.ndarray], tasks: Sequence[str] = ()) -> Scale:
    """From the worst (0) to the best (1) mean over runs of any of the variants.

    Means are of finite runs. What has no finite score counts as the worst of them all.
    `tasks` are for messages. Raises: ConfigError where no two means differ.
    """
    worst, best = _ends(scores)
    return _scale(worst, best, scores, tasks, "no two variants differ in their means")


def differing(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Tasks on which two variants differ in their means, [tasks] bool."""
    worst, best = _ends(scores)
    return best > worst


def _ends(scores: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    means = np.array([_finite_means(each) for each in scores])
    lost = np.isnan(means)
    worst, best = np.where(lost, np.inf, means), np.where(lost, -np.inf, means)
    return worst.min(0), best.max(0)


def by_baseline(
    baseline: np.ndarray, scores: Sequence[np.ndarray], tasks: Sequence[str] = ()
) -> Scale:
    """In units of the size of the baseline's mean over finite runs, 0 staying 0.

    What has no finite score counts as the worst run of `scores`. Raises: ConfigError
    where that mean is 0, or there is none.
    """
    size = np.abs(_finite_means(baseline))
    return _scale(np.zeros_like(size), size, scores, tasks, "the baseline's mean is 0")


def by_reference(
    low: Sequence[float],
    high: Sequence[float],
    scores: Sequence[np.ndarray],
    tasks: Sequence[str] = (),
) -> Scale:
    """Between given scores of each task, of a random and an expert's policy, say."""
    ends = np.asarray(low, np.float64), np.asarray(high, np.float64)
    return _scale(*ends, scores, tasks, "the references are not in order")


def _finite_means(scores: np.ndarray) -> np.ndarray:
    """Over runs, [runs, tasks] -> [tasks]."""
    finite = np.where(np.isfinite(scores), scores, np.nan)
    return stats.mean(finite.T[:, :, None])  # each task by itself


def _scale(
    low: np.ndarray,
    high: np.ndarray,
    scores: Sequence[np.ndarray],
    tasks: Sequence[str],
    reason: str,
) -> Scale:
    for i, (bottom, top) in enumerate(zip(low, high, strict=True)):
        if not 0 < top - bottom < math.inf:
            name = tasks[i] if tasks else f"task {i}"
            raise ConfigError(f"{name} cannot be put on a scale: {reason}.")
    runs = np.concatenate([np.asarray(each, np.float64) for each in scores])
    scaled = (np.where(np.isfinite(runs), runs, np.inf) - low) / (high - low)
    worst = scaled.min(0)
    return Scale(low, high, np.where(np.isinf(worst), 0.0, worst))


# ---------------------------------------------------------------- verdicts

Word = Literal["transfers", "co-adapted", "not decided"]


class Pair(NamedTuple):
    """An algorithm with the toggle and without, [runs, tasks], the seeds in order."""

    on: np.ndarray
    off: np.ndarray


class Verdict(NamedTuple):
    """Whether a toggle does to B what it does to A, with the numbers."""

    word: Word
    first: Estimate  # effect(T | A)
    second: Estimate  # effect(T | B)
    gap: Estimate  # effect(T | A) - effect(T | B)
    margin: float  # what is no effect of note, in the scores' units
    p: float  # of the gap, by flipped signs; NaN where there are no seeds
    seeds: int | None  # that would show an effect of `margin` on B and in the gap


def effect(
    pair: Pair, *, seed: int, level: float = 0.95, resamples: int = 2000
) -> Estimate:
    """effect(T | A), paired by seed; see `stats.mean_interval`. Raises: ConfigError."""
    apart = stats.difference(*pair)
    return stats.mean_interval(apart, seed=seed, level=level, resamples=resamples)


def compare(
    first: Pair,
    second: Pair,
    *,
    seed: int,
    margin: float = 0.1,
    level: float = 0.95,
    resamples: int = 2000,
) -> Verdict:
    """Does the toggle transfer from `first` to `second`, or is it co-adapted?

    Scores are scaled before. Raises: ConfigError where runs do not pair.
    """
    ours, theirs = stats.difference(*first), stats.difference(*second)
    apart = stats.difference(ours, theirs)
    a, b, gap = (
        stats.mean_interval(each, seed=seed + i, level=level, resamples=resamples)
        for i, each in enumerate((ours, theirs, apart))
    )
    p = stats.sign_flip(apart, seed=seed, resamples=resamples)
    needed = _most(seed_std(theirs), seed_std(apart), margin)
    return Verdict(judge(a, b, gap, margin=margin), a, b, gap, margin, p, needed)


def judge(first: Estimate, second: Estimate, gap: Estimate, *, margin: float) -> Word:
    """The verdict on a toggle, from the intervals of its two effects and their gap.

    transfers    both effects have intervals on the same side of 0, or the gap's lies
                 within the margin: what it does to one, it does to the other.
    co-adapted   the gap's interval excludes 0, and the weaker effect is below the
                 margin, to the end of its interval, in the stronger one's direction:
                 the other gains nothing of note, or loses.
    not decided  otherwise, as where an interval is not defined.

    The size of the gap alone does not decide, since of two effects in one direction one
    is always larger. Where the gap is 0, 'co-adapted' is as rare as its interval errs.
    Raises: ConfigError on a margin that is not positive.
    """
    if not 0 < margin < math.inf:
        raise ConfigError(f"margin is {margin!r}: it must be a positive number.")
    if not (first.defined and second.defined and gap.defined):
        return "not decided"
    same = first.sign == second.sign != 0
    if same or (-margin < gap.low and gap.high < margin):
        return "transfers"
    weak, strong = sorted((first, second), key=lambda each: abs(each.value))
    gain = weak.high if strong.value > 0 else -weak.low
    return "co-adapted" if gap.sign and gain < margin else "not decided"


# ---------------------------------------------------------------- how many seeds


def seed_std(differences: np.ndarray) -> float:
    """The std (ddof=1) that the mean over tasks has from seed to seed.

    sqrt(sum over tasks of s^2) / tasks, of paired differences [runs, tasks]; NaN pairs
    are left out. NaN where a task has fewer than two pairs or one is infinite.
    """
    columns = [column[~np.isnan(column)] for column in np.transpose(differences)]
    finite = all(np.isfinite(column).all() and len(column) > 1 for column in columns)
    if not columns or not finite:
        return math.nan
    return math.sqrt(sum(column.var(ddof=1) for column in columns)) / len(columns)


def seeds_needed(
    std: float, size: float, *, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """The fewest seeds at which a paired effect of `size` is found with `power`.

    The least n >= 2 with n >= ((t_{1-alpha/2} + t_power) std / size)^2, t of n - 1
    degrees of freedom; two-sided. With many seeds t is normal's z: the closed form of
    Cohen 1988. `std` is of the difference from seed to seed, which few seeds tell
    badly. None where it is not known, or size is 0.
    """
    if math.isnan(std) or not size:
        return None
    normal = statistics.NormalDist().inv_cdf
    square = (std / size) ** 2
    n = max(2, math.ceil((normal(1 - alpha / 2) + normal(power)) ** 2 * square))
    while n < _t_total(n - 1, alpha, power) ** 2 * square:
        n += 1
    return n


def _most(std: float, other: float, size: float) -> int | None:
    """The seeds that both need, of stds of differences."""
    one, two = seeds_needed(std, size), seeds_needed(other, size)
    return None if one is None or two is None else max(one, two)


def _t_total(freedom: float, alpha: float, power: float) -> float:
    return sum(stats.t_quantile(p, freedom) for p in (1 - alpha / 2, power))


# ---------------------------------------------------------------- published means


class Cells(NamedTuple):
    """Published cells of a variant, arrays [tasks]: no seeds, so nothing pairs."""

    mean: np.ndarray
    std: np.ndarray  # over seeds, taken to have ddof=1; NaN where the mean is infinite
    seeds: int

    def scaled(self, scale: Scale) -> "Cells":
        """A cell that diverged is the scale's floor, exactly: its std is 0 then."""
        lost = ~np.isfinite(self.mean)
        std = np.where(lost, 0.0, self.std / (scale.high - scale.low))
        return Cells(scale(self.mean), std, self.seeds)


def published(
    parts: Sequence[tuple[float, Cells]], *, level: float = 0.95, welch: bool = True
) -> Estimate:
    """A sum of means over tasks, each with its weight: the difference of two, say.

    Its standard error is sqrt(sum (weight / tasks)^2 s^2 / n), as of independent seeds;
    the interval is Welch's, or the normal one. Counts are of cells.
    """
    value = sum(weight * float(stats.mean(c.mean[None])) for weight, c in parts)
    variances = np.concatenate(
        [(weight * c.std / len(c.std)) ** 2 / c.seeds for weight, c in parts]
    )
    freedom = np.concatenate([np.full(len(c.std), c.seeds - 1) for _, c in parts])
    tail, lost = 0.5 + level / 2, [~np.isfinite(c.mean) for _, c in parts]
    wide = (
        stats.t_quantile(tail, stats.satterthwaite(variances, freedom))
        if welch
        else statistics.NormalDist().inv_cdf(tail)
    )
    half = wide * math.sqrt(variances.sum())
    counts = stats.Counts(
        freedom.size,
        max(len(c.std) for _, c in parts),
        0,
        int(np.concatenate(lost).sum()),
    )
    return Estimate(value, value - half, value + half, counts)


def compare_published(
    first: tuple[Cells, Cells],
    second: tuple[Cells, Cells],
    *,
    margin: float = 0.1,
    level: float = 0.95,
    welch: bool = True,
) -> Verdict:
    """`compare` of scaled cells (with the toggle, without), from their means and stds.

    The two effects may be of different tasks: the gap is of their averages.
    """
    ours = [(1.0, first[0]), (-1.0, first[1])]
    theirs = [(1.0, second[0]), (-1.0, second[1])]
    apart = [*ours, *((-weight, cells) for weight, cells in theirs)]
    a, b, gap = (
        published(parts, level=level, welch=welch) for parts in (ours, theirs, apart)
    )
    needed = _most(_published_std(theirs), _published_std(apart), margin)
    return Verdict(judge(a, b, gap, margin=margin), a, b, gap, margin, math.nan, needed)


def _published_std(parts: Sequence[tuple[float, Cells]]) -> float:
    """What the sum would have from seed to seed, as `seed_std`."""
    squares = [(weight * c.std / len(c.std)) ** 2 for weight, c in parts]
    return math.sqrt(np.concatenate(squares).sum())


# ---------------------------------------------------------------- factorials

Term = tuple[str, ...]  # () is the mean, (a,) a main effect, (a, b) an interaction


class Design(NamedTuple):
    """Which toggles are on (1) or off (-1) in each variant."""

    names: tuple[str, ...]
    rows: np.ndarray  # [variants, toggles] of 1 and -1


class FactorialEffect(NamedTuple):
    """A contrast, and what it cannot be told from."""

    term: Term
    estimate: Estimate
    aliases: dict[Term, float]  # coefficient of each other term in this contrast


def full(names: Sequence[str]) -> Design:
    """All 2^n settings of n toggles, the last varying fastest."""
    rows = list(itertools.product((-1, 1), repeat=len(names)))
    return Design(tuple(names), np.array(rows, int).reshape(-1, len(names)))


def fraction(names: Sequence[str], generators: Mapping[str, Sequence[str]]) -> Design:
    """The full factorial of `names`, with further toggles as products of some of them.

    fraction("abc", {"d": "abc"}) is the half of 2^4 in which d = abc. Source: Box,
    Hunter and Hunter 2005, ch. 6. Raises: ConfigError on names that are not there.
    """
    base = full(names)
    for name, of in generators.items():
        unknown = [each for each in of if each not in base.names]
        if unknown or not of or name in base.names:
            raise ConfigError(
                f"generator {name!r} is {list(of)}: it must be a new toggle, as a "
                f"product of some of {', '.join(base.names)}."
            )
    made = [_column(base, tuple(of)) for of in generators.values()]
    rows = np.column_stack([base.rows, *made]) if made else base.rows
    return Design((*base.names, *generators), rows)


def fractional(names: Sequence[str], resolution: int) -> Design:
    """The smallest 2^(n-k) design of n toggles that has at least this resolution.

    In one of 3 no two main effects are aliased, in one of 4 no main effect with an
    interaction, in one of 5 no two interactions. Source: Box, Hunter and Hunter 2005,
    ch. 6. Raises: ConfigError below 3 or above 12 toggles.
    """
    if resolution < 3 or not 1 <= len(names) <= 12:
        raise ConfigError(
            f"resolution is {resolution} of {len(names)} toggles: it must be 3 or "
            "more, of 1 to 12 toggles."
        )
    for size in range(1, len(names) + 1):
        base, rest = tuple(names[:size]), tuple(names[size:])
        words = [
            word
            for length in range(size, resolution - 2, -1)
            for word in itertools.combinations(range(size), length)
        ]
        found = _generated(size, len(rest), words, (0,), resolution)
        if found is not None:
            products = [tuple(base[i] for i in word) for word in found]
            return fraction(base, dict(zip(rest, products, strict=True)))
    raise AssertionError("the full factorial has no words")


def _generated(
    size: int,
    more: int,
    words: Sequence[tuple[int, ...]],
    relation: tuple[int, ...],
    resolution: int,
) -> list[tuple[int, ...]] | None:
    """Products for `more` toggles after `size`; None where there are not as many.

    `relation` has the products of columns that are constant so far, as bits.
    """
    if not more:
        return []
    for i, word in enumerate(words):
        made = sum(1 << j for j in word) | 1 << size
        new = tuple(made ^ old for old in relation)
        if min(each.bit_count() for each in new) < resolution:
            continue
        rest = _generated(
            size + 1, more - 1, words[i + 1 :], (*relation, *new), resolution
        )
        if rest is not None:
            return [word, *rest]
    return None


def terms(design: Design, order: int = 2) -> list[Term]:
    """Main effects, and interactions of up to `order` toggles."""
    sizes = range(1, order + 1)
    return [t for size in sizes for t in itertools.combinations(design.names, size)]


def aliasing(design: Design, order: int = 2) -> dict[Term, dict[Term, float]]:
    """What each contrast also measures: term -> {other: coefficient}, of not 0.

    The mean of the product of two terms' columns. A coefficient of 1 or -1 says that
    the two cannot be told apart; a full factorial has none. Raises: ConfigError unless
    each toggle is on in half of the variants, and each two in a quarter.
    """
    _refuse_unbalanced(design)
    columns = {term: _column(design, term) for term in [(), *terms(design, order)]}
    return {
        term: {
            other: float((ours * theirs).mean())
            for other, theirs in columns.items()
            if other != term and (ours * theirs).sum()
        }
        for term, ours in columns.items()
        if term
    }


def factorial(
    design: Design, scores: np.ndarray, *, seed: int, level: float = 0.95
) -> list[FactorialEffect]:
    """Main effects and two-way interactions of scaled scores [variants, runs, tasks].

    A main effect is the mean of the variants with the toggle less that of those
    without. An interaction of a and b is half of effect(a | b on) - effect(a | b off),
    as in Box, Hunter and Hunter 2005: half of a gap of `compare`. Paired by seed.
    Raises: ConfigError.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 3 or len(scores) != len(design.rows):
        raise ConfigError(
            f"scores have the shape {scores.shape}: it must be [variants, runs, tasks] "
            f"with the design's {len(design.rows)} variants."
        )
    found = []
    for i, (term, others) in enumerate(aliasing(design).items()):
        weights = 2 * _column(design, term) / len(scores)
        with np.errstate(invalid="ignore"):
            contrast = np.tensordot(weights, scores, 1)
        found.append(
            FactorialEffect(
                term,
                stats.mean_interval(contrast, seed=seed + i, level=level),
                others,
            )
        )
    return found


def _column(design: Design, term: Term) -> np.ndarray:
    at = [design.names.index(name) for name in term]
    return design.rows[:, at].prod(1)


def _refuse_unbalanced(design: Design) -> None:
    rows = design.rows
    if rows.ndim != 2 or not rows.size or not (abs(rows) == 1).all():
        raise ConfigError("a design must have rows of 1 and -1, one for each variant.")
    product = rows.T @ rows
    for i, name in enumerate(design.names):
        if rows[:, i].sum():
            raise ConfigError(
                f"toggle {name!r} is on in {int((rows[:, i] > 0).sum())} of "
                f"{len(rows)} variants: it must be in half of them."
            )
        for j in range(i):
            if product[i, j]:
                raise ConfigError(
                    f"toggles {design.names[j]!r} and {name!r} go together: each must "
                    "be on as often with the other as without."
                )
