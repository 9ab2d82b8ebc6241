"""Statistics of scores[runs, tasks] and their intervals, against loops and scipy."""

import math

import numpy as np
import pytest
import scipy.stats

from coadapt.analysis import stats
from coadapt.schema import ConfigError

NAN, INF = math.nan, math.inf
SHAPES = [(1, 1), (2, 1), (3, 2), (5, 3), (10, 6), (4, 1)]
STATISTICS = [stats.mean, stats.std, stats.median, stats.iqm]


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape) * 10


def loop(name, scores):
    """A reference that a reader can check; scores without NaN."""
    tasks = [list(column) for column in scores.T]
    means = [sum(column) / len(column) for column in tasks]
    if name == "mean":
        return sum(means) / len(means)
    if name == "std":
        squares = [
            sum((x - m) ** 2 for x in column) / len(column)
            for m, column in zip(means, tasks, strict=True)
        ]
        return sum(math.sqrt(s) for s in squares) / len(squares)
    if name == "median":
        ordered, n = sorted(means), len(means)
        return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    ordered = sorted(x for column in tasks for x in column)
    cut = int(0.25 * len(ordered))
    middle = ordered[cut : len(ordered) - cut]
    return sum(middle) / len(middle)


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda s: s.__name__)
def test_a_statistic_is_that_of_a_loop(statistic, shape):
    scores = drawn(shape)
    assert statistic(scores) == pytest.approx(loop(statistic.__name__, scores))


def test_known_arrays():
    scores = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [6.0, 40.0]])
    assert stats.mean(scores) == (3 + 25) / 2
    assert stats.median(scores) == 14.0  # of the means 3 and 25
    assert stats.iqm(scores) == (3 + 6 + 10 + 20) / 4
    assert stats.std(scores) == pytest.approx((math.sqrt(3.5) + math.sqrt(125)) / 2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_iqm_is_scipys_trimmed_mean(shape):
    scores = drawn(shape)
    trimmed = scipy.stats.trim_mean(scores, 0.25, axis=None)
    assert stats.iqm(scores) == pytest.approx(trimmed)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (10, 10)], ids=str)
def test_improvement_is_mann_and_whitneys_u(sizes):
    x, y = (np.round(drawn((n, 3), n), -1) for n in sizes)  # with ties
    found = [
        scipy.stats.mannwhitneyu(x[:, t], y[:, t]).statistic / (sizes[0] * sizes[1])
        for t in range(3)
    ]
    assert stats.improvement(x, y) == pytest.approx(sum(found) / 3)
    assert stats.improvement(y, x) == pytest.approx(1 - sum(found) / 3)


def test_a_profile_counts_runs_above_each_threshold():
    scores, taus = drawn((7, 3)), [-INF, -5.0, 0.0, 3.0, INF]
    expected = [sum(x > tau for x in scores.ravel()) / 21 for tau in taus]
    assert stats.profile(scores, np.array(taus)) == pytest.approx(expected)


def test_many_at_once_are_as_each():
    scores, other = drawn((4, 5, 3)), drawn((4, 6, 3), 1)
    for statistic in STATISTICS:
        assert statistic(scores) == pytest.approx(
            np.array([statistic(s) for s in scores])
        )
    pairs = zip(scores, other, strict=True)
    expected = [stats.improvement(x, y) for x, y in pairs]
    assert stats.improvement(scores, other) == pytest.approx(np.array(expected))


# ---------------------------------------------------------------- runs without a score


@pytest.mark.parametrize(
    "column, mean, std, median, iqm",
    [
        ([1, 2, 3, 4], 2.5, math.sqrt(1.25), 2.5, 2.5),
        ([NAN, 2, 3, 4], 3, math.sqrt(2 / 3), -INF, 2.5),
        ([-INF, 2, 3, 4], -INF, NAN, -INF, 2.5),
        ([NAN, -INF, 3, 4], -INF, NAN, -INF, -INF),
        ([1, 2, 3, INF], INF, NAN, INF, 2.5),
        ([-INF, 2, 3, INF], NAN, NAN, NAN, 2.5),
        ([NAN, NAN], NAN, NAN, -INF, -INF),
        ([NAN, 5], 5, 0, -INF, -INF),
        ([], NAN, NAN, NAN, NAN),
    ],
    ids=str,
)
def test_no_score_is_the_worst_and_is_in_no_mean(column, mean, std, median, iqm):
    scores = np.array(column, float).reshape(-1, 1)
    found = [float(statistic(scores)) for statistic in STATISTICS]
    assert found == pytest.approx([mean, std, median, iqm], nan_ok=True)


def test_a_task_without_a_score_leaves_no_mean_over_tasks():
    assert np.isnan(stats.mean(np.array([[1.0, NAN], [2.0, NAN]])))


def test_no_score_is_worse_than_any_and_equal_to_another():
    lost, low = np.array([[NAN]]), np.array([[-1e9]])
    assert stats.improvement(lost, low) == 0 and stats.improvement(low, lost) == 1
    assert stats.improvement(lost, lost) == 0.5
    assert stats.improvement(lost, np.array([[-INF]])) == 0.5
    assert stats.profile(lost, np.array([-1e9])) == [0]


def test_no_tasks_and_no_runs_are_nan():
    for shape in ((0, 3), (3, 0), (0, 0)):
        nothing = np.zeros(shape)
        for statistic in STATISTICS:
            assert np.isnan(statistic(nothing))
        assert np.isnan(stats.improvement(nothing, nothing))
        assert not stats.interval(stats.mean, nothing, seed=0).defined


def test_an_estimate_counts_what_failed_and_what_diverged():
    scores = np.array([[1, NAN], [-INF, 2], [3, 4], [5, INF]])
    assert stats.interval(stats.iqm, scores, seed=0).counts == (8, 2, 1, 2)


@pytest.mark.parametrize("x, y", [((2, 1), (2, 2)), ((2,), (2,))], ids=str)
def test_other_shapes_are_refused(x, y):
    with pytest.raises(ConfigError):
        stats.interval(stats.improvement, np.zeros(x), np.zeros(y), seed=0)


def test_other_seeds_cannot_be_paired():
    x, y = np.zeros((2, 1)), np.zeros((3, 1))
    with pytest.raises(ConfigError, match="paired"):
        stats.interval(stats.improvement, x, y, seed=0, paired=True)


# ---------------------------------------------------------------- intervals


def test_an_interval_is_scipys_percentile_bootstrap():
    scores = np.random.default_rng(3).exponential(size=(12, 1))
    ours = stats.interval(stats.mean, scores, seed=0, resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (scores.ravel(),), np.mean, method="percentile", n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # the quantiles of 20,000 resamples are known to about 1% of the width
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.02)


def test_tasks_are_strata():
    """Tasks that differ, and runs that do not: nothing is uncertain."""
    scores = np.array([[0.0, 100.0]] * 5)
    assert stats.interval(stats.iqm, scores, seed=0)[:3] == (50, 50, 50)


def test_the_same_seed_gives_the_same_interval():
    scores = drawn((5, 2))
    one, two, other = (
        stats.interval(stats.median, scores, seed=seed)[:3] for seed in (7, 7, 8)
    )
    assert one == two and one != other


def test_pairs_are_drawn_together():
    x = drawn((6, 2))

    def apart(a, b):
        return stats.mean(a) - stats.mean(b)

    together = stats.interval(apart, x + 1, x, seed=0, paired=True)
    assert together[:3] == pytest.approx((1, 1, 1))
    alone = stats.interval(apart, x + 1, x, seed=0)
    assert alone.high - alone.low > 1


@pytest.mark.parametrize("runs", [0, 1])
def test_of_fewer_than_two_runs_there_is_no_interval(runs):
    scores = np.ones((runs, 2))
    for found in (
        stats.interval(stats.iqm, scores, seed=0),
        stats.interval(stats.improvement, scores, np.ones((5, 2)), seed=0),
    ):
        assert not found.defined and found.sign == 0
        assert np.isnan(found.value) == (runs == 0)
    assert np.isnan(stats.bands(scores, np.zeros(3), seed=0).low).all()


def test_failed_runs_are_in_the_interval():
    scores = np.array([[NAN], [NAN], [3.0], [4.0], [5.0], [6.0], [7.0], [8.0]])
    found = stats.interval(stats.iqm, scores, seed=0)
    assert found.value == 4.5 and found.low == -INF and found.high < 8
    found = stats.interval(stats.mean, scores, seed=0)  # of those that have a score
    assert found.value == 5.5 and 3 <= found.low < 5.5 < found.high <= 8
    assert found.counts.failed == 2


def test_bands_are_around_the_profile():
    scores, taus = drawn((8, 3)), np.linspace(-20, 20, 9)
    found = stats.bands(scores, taus, seed=0)
    assert (found.low <= found.value).all() and (found.value <= found.high).all()
    assert found.value == pytest.approx(stats.profile(scores, taus))
    assert (found.high - found.low).max() > 0.1


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_is_a_fraction(level):
    with pytest.raises(ConfigError, match=r"between 0 and 1, as 0\.95"):
        stats.interval(stats.mean, np.ones((3, 1)), seed=0, level=level)


def coverage(runs, tasks, interval, replications=400):
    """How often an interval of 95% has the truth 0, of tasks of unlike spread."""
    rng, spread = np.random.default_rng(runs * tasks), 1 + np.arange(tasks)
    hits = 0
    for seed in range(replications):
        found = interval(rng.normal(size=(runs, tasks)) * spread, seed)
        hits += found.low <= 0 <= found.high
    return hits / replications


# three standard errors of 400 replications at 0.95
TOLERANCE = 3 * math.sqrt(0.95 * 0.05 / 400)


def test_the_percentile_interval_covers_with_many_runs_and_not_with_few():
    """Of three runs the resampled means have 0.8 of the spread."""

    def of(statistic):
        return lambda x, seed: stats.interval(statistic, x, seed=seed, resamples=500)

    for statistic in (stats.mean, stats.iqm):
        covered = coverage(10, 6, of(statistic))
        assert covered == pytest.approx(0.95, abs=TOLERANCE + 0.02)
    assert coverage(3, 1, of(stats.mean)) < 0.85


# ---------------------------------------------------------------- flipped signs
