"""Effects are Welch's, as scipy has it, and of the words at most one holds."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from coadapt.analysis import verdict
from coadapt.analysis.verdict import Effect
from coadapt.schema import ConfigError

M = 0.1


def arm(mean, std, seeds, seed=0):
    """Scores with exactly this mean and std (ddof=1)."""
    x = np.random.default_rng(seed).normal(size=seeds)
    return mean + std * (x - x.mean()) / x.std(ddof=1)


def between(low, high, seeds=20):
    """An effect with this interval, of infinitely many degrees of freedom."""
    error = (high - low) / 2 / verdict.t_quantile(0.975, math.inf)
    variances = (error**2 * seeds / 2,) * 2
    return Effect((low + high) / 2, error, math.inf, seeds=seeds, variances=variances)


# ---------------------------------------------------------------- effects


def test_one_task_is_scipys_welch():
    on, off = arm(3.0, 2.0, 12, 1), arm(1.0, 0.5, 25, 2)
    found = verdict.effect([(1.0, on), (-1.0, off)])
    theirs = scipy_stats.ttest_ind(on, off, equal_var=False)
    ends = theirs.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.freedom == pytest.approx(theirs.df)
    for part, other in (("up", "greater"), ("under", "less")):
        p = scipy_stats.ttest_ind(on, off + 0.3, equal_var=False, alternative=other)
        assert found.p(part, 0.3) == pytest.approx(p.pvalue)


def test_tasks_are_averaged_by_hand():
    rng = np.random.default_rng(3)
    arms = [rng.normal(size=n) for n in (10, 12, 15, 11)]
    weights = (0.5, -0.5, 0.5, -0.5)
    found = verdict.effect(list(zip(weights, arms, strict=True)))
    squares = [x.var(ddof=1) / x.size / 4 for x in arms]
    freedom = sum(squares) ** 2 / sum(
        v**2 / (x.size - 1) for v, x in zip(squares, arms, strict=True)
    )
    half = scipy_stats.t.ppf(0.975, freedom) * math.sqrt(sum(squares))
    value = sum(w * x.mean() for w, x in zip(weights, arms, strict=True))
    assert found.value == pytest.approx(value)
    assert (found.low, found.high) == pytest.approx((value - half, value + half))
    assert found.seeds == 10


def test_published_means_are_as_their_runs():
    on, off = arm(3.0, 2.0, 10, 1), arm(1.0, 0.5, 10, 2)
    runs = verdict.effect([(1.0, on), (-1.0, off)])
    means = verdict.of_means([(1.0, 3.0, 2.0, 10), (-1.0, 1.0, 0.5, 10)])
    for name in ("value", "error", "freedom", "low", "high", "seeds"):
        assert getattr(means, name) == pytest.approx(getattr(runs, name)), name


@pytest.mark.parametrize("scores", [np.ones(1), np.ones(5), 1e9 * np.ones(5)])
def test_no_spread_is_known_of_one_run_or_of_equal_ones(scores):
    found = verdict.effect([(1.0, scores), (-1.0, scores)])
    assert not found.defined and found.value == 0 and found.sign == 0
    assert math.isnan(verdict.hedges(scores, scores))


@pytest.mark.parametrize("gap, word, p", [(1.0, "helps", 0.0), (0.0, "no effect", 0.0)])
def test_published_means_without_a_spread_are_exact(gap, word, p):
    found = verdict.of_means([(1.0, gap, 0.0, 10), (-1.0, 0.0, 0.0, 10)])
    said = verdict.judge([found], 0.1)
    assert (said.word, said.p) == (word, p)


def test_hedges_g_has_no_bias_where_cohens_d_has():
    """True difference: 1 std. Error of the mean of 20,000: 0.01."""
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(20_000, 2, 5))
    g = np.mean([verdict.hedges(on + 1, off) for on, off in pairs])
    assert g == pytest.approx(1.0, abs=0.02)  # d: 1.11
    on, off = pairs[0, 0], pairs[0, 1]
    d = (on.mean() - off.mean()) / math.sqrt((on.var(ddof=1) + off.var(ddof=1)) / 2)
    assert verdict.hedges(on, off) == pytest.approx(d * (1 - 3 / 31), rel=2e-3)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    "first, second, word, detail",
    [
        # what once was 'transfers', all three
        ((0.88, 0.92), (0.01, 0.03), verdict.HELPS_A, "B unchanged"),
        ((-0.02, 0.02), (-0.02, 0.02), verdict.NEITHER, ""),
        ((0.5, 0.6), (0.2, 0.3), verdict.HELPS_BOTH, ""),
        ((-0.6, -0.5), (-0.3, -0.2), verdict.HARMS_BOTH, ""),
        ((0.5, 0.6), (-0.6, -0.5), verdict.HELPS_A, "B harmed"),
        ((0.5, 0.6), (-0.5, 0.05), verdict.HELPS_A, "B unchanged or harmed"),
        ((-0.6, -0.5), (0.5, 0.6), verdict.HELPS_B, "A harmed"),
        ((-0.6, -0.5), (-0.02, 0.02), verdict.HARMS_A, "B unchanged"),
        ((-0.02, 0.3), (-0.6, -0.5), verdict.HARMS_B, "A unchanged or helped"),
        ((0.5, 0.6), (0.05, 0.3), verdict.UNDECIDED, ""),
        ((0.05, 0.6), (-0.02, 0.02), verdict.UNDECIDED, ""),
        ((-0.2, 0.02), (-0.02, 0.02), verdict.UNDECIDED, ""),
    ],
)
def test_words_of_two_algorithms(first, second, word, detail):
    found = verdict.judge([between(*first), between(*second)], M)
    assert (found.word, found.detail) == (word, detail)
    if word in verdict.WORDS:
        assert found.p <= verdict.ALPHA == found.wrong


@pytest.mark.parametrize(
    "ends, word",
    [
        ((0.11, 0.5), verdict.HELPS),
        ((-0.5, -0.11), verdict.HARMS),
        ((-0.09, 0.09), verdict.NOTHING),
        ((0.09, 0.5), verdict.UNDECIDED),
    ],
)
def test_words_of_one_algorithm(ends, word):
    assert verdict.judge([between(*ends)], M).word == word


def test_at_most_one_word_holds_and_swapping_algorithms_or_levels_mirrors_it():
    ends = [e for e in itertools.combinations(np.arange(-0.25, 0.26, 0.1), 2)]
    pairs = np.array(list(itertools.product(ends, repeat=2))).transpose(2, 1, 0)
    said = verdict.claims(*pairs, M)
    assert max(sum(said.values())) == 1
    assert all(holds.any() for holds in said.values())
    swapped = verdict.claims(*pairs[:, ::-1], M)
    for word, holds in said.items():
        other = {"A": word.replace("A", "B"), "B": word.replace("B", "A")}
        mirror = other.get(word.split()[2] if "only" in word else "", word)
        assert (swapped[mirror] == holds).all()
    off = verdict.claims(-pairs[1], -pairs[0], M)
    assert (off[verdict.HARMS_BOTH] == said[verdict.HELPS_BOTH]).all()
    assert (off[verdict.NEITHER] == said[verdict.NEITHER]).all()


def test_below_ten_seeds_nothing_is_claimed():
    few = [between(0.5, 0.6, seeds=9), between(-0.6, -0.5, seeds=9)]
    found = verdict.judge(few, M)
    assert found.word == verdict.NONE and not found.decided
    assert found.detail == "9 seeds per arm: a verdict needs 10"
    assert found.seeds == 10


def test_without_a_spread_nothing_is_decided():
    sure = verdict.effect([(1.0, np.ones(12)), (-1.0, np.zeros(12))])
    assert verdict.judge([sure, sure], M).word == verdict.UNDECIDED


@pytest.mark.parametrize("margin", [0.0, -0.1, math.inf, math.nan])
def test_a_margin_is_positive(margin):
    with pytest.raises(ConfigError, match="margin"):
        verdict.judge([between(0.5, 0.6)], margin)


def test_p_is_the_largest_of_its_parts():
    first, second = between(0.3, 0.5), between(-0.05, 0.09)
    found = verdict.judge([first, second], M)
    z = [(0.4 - M) / first.error, (M - 0.02) / second.error]
    assert found.p == pytest.approx(scipy_stats.norm.sf(min(z)))


# ---------------------------------------------------------------- seeds


def estimated(value, std, seeds):
    return verdict.effect([(1.0, arm(value, std, seeds)), (-1.0, arm(0, std, seeds))])


@pytest.mark.parametrize("truth", [(0.3, 0.0), (0.25, 0.25), (0.0, 0.0), (0.3, -0.3)])
def test_seeds_have_the_power_that_was_asked_for(truth):
    """By a simulation of its own; 4,000 runs have an error of 0.006."""
    std = 0.2
    effects = [estimated(value, std, 10) for value in truth]
    (word,) = (w for w, x in verdict.claims(*np.array([truth, truth]), M).items() if x)
    seeds = verdict.seeds_to_decide(effects, M)
    assert seeds is not None and seeds > 10

    def decided(n):
        rng, ends = np.random.default_rng(0), []
        for value in truth:
            on = rng.normal(value, std, (4000, n))
            off = rng.normal(0, std, (4000, n))
            error = np.sqrt((on.var(1, ddof=1) + off.var(1, ddof=1)) / n)
            half = error * scipy_stats.t.ppf(0.975, 2 * n - 2)
            apart = on.mean(1) - off.mean(1)
            ends.append((apart - half, apart + half))
        low, high = np.array(ends).transpose(1, 0, 2)
        return verdict.claims(low, high, M)[word].mean()

    assert decided(seeds) > 0.78 and decided(math.ceil(0.85 * seeds)) < 0.8


@pytest.mark.parametrize(
    "effects",
    [
        [between(0.0999, 0.1001)],  # on the margin's edge
        [between(-5000, 5020)],
        [verdict.effect([(1.0, np.ones(1)), (-1.0, np.zeros(1))])],
    ],
)
def test_seeds_that_nobody_has_are_not_named(effects):
    assert verdict.seeds_to_decide(effects, M) is None
