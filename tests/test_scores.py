"""Statistics of scores[runs, tasks] and their intervals, against loops and scipy."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from coadapt import stats, store
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
        assert not stats.mean_interval(nothing, seed=0).defined
        assert np.isnan(stats.sign_flip(nothing, seed=0))


def test_means_and_stds_are_those_of_the_summary():
    nan = float("nan")
    values = [(0, 1.0), (1, nan), (2, 4.0), (3, 9.0)]
    frame = pd.DataFrame(
        [("e", "a", "a", "t", s, 9, "return", v, "p") for s, v in values],
        columns=list(store.COLUMNS),
    )
    (row,) = stats.summary(frame).to_dict("records")
    scores = stats.table(frame, ["a"]).values[0]
    assert stats.mean(scores) == row["mean"] and stats.std(scores) == row["std"]
    found = stats.counts(scores)
    assert (found.failed, found.runs - found.failed) == (row["failed"], row["n"])


def test_an_estimate_counts_what_failed_and_what_diverged():
    scores = np.array([[1, NAN], [-INF, 2], [3, 4], [5, INF]])
    assert stats.interval(stats.iqm, scores, seed=0).counts == (8, 2, 1, 2)


# ---------------------------------------------------------------- paired runs


def test_differences_are_of_the_same_seed():
    x, y = np.array([[1, NAN, -INF, -INF]]), np.array([[3, 1, 1, -INF]])
    assert stats.difference(x.T, y.T).ravel() == pytest.approx(
        [-2, NAN, -INF, NAN], nan_ok=True
    )


@pytest.mark.parametrize(
    "x, y", [((2, 1), (3, 1)), ((2, 1), (2, 2)), ((2,), (2,))], ids=str
)
def test_other_shapes_are_refused(x, y):
    with pytest.raises(ConfigError):
        stats.difference(np.zeros(x), np.zeros(y))
    if len(x) == 2 and x[1] == y[1]:
        with pytest.raises(ConfigError, match="paired"):
            stats.interval(
                stats.improvement, np.zeros(x), np.zeros(y), seed=0, paired=True
            )


def frame_of(*cells):
    """(variant, task, seed, env_steps, value) -> rows."""
    return pd.DataFrame(
        [("e", v, v, t, s, n, "return", x, "p") for v, t, s, n, x in cells],
        columns=list(store.COLUMNS),
    )


def test_a_table_pairs_seeds_and_reads_them_at_the_same_step():
    frame = frame_of(
        ("a", "t", 0, 10, 1), ("a", "t", 0, 20, 2), ("a", "t", 0, 30, 3),
        ("b", "t", 0, 10, 4), ("b", "t", 0, 20, 5),
        ("a", "t", 1, 10, 6), ("a", "t", 1, 20, NAN),
        ("b", "t", 1, 20, NAN),
        ("a", "t", 2, 30, 9),  # b has no seed 2
        ("a", "u", 0, 30, 9),  # nor this task
    )  # fmt: skip
    found = stats.table(frame, ["b", "a"])
    assert (found.tasks, found.seeds, found.env_steps) == (("t",), (0, 1), (20,))
    assert found.values.ravel() == pytest.approx([5, NAN, 2, 6], nan_ok=True)
    assert (found.failed, found.absent) == (2, 2)


@pytest.mark.parametrize(
    "variants, words",
    [(["a", "c"], "'c' has no rows"), (["a", "b"], "no seed"), (["a", "d"], "no task")],
)
def test_a_table_of_nothing_is_refused(variants, words):
    frame = frame_of(("a", "t", 0, 9, 1), ("b", "t", 1, 9, 1), ("d", "u", 0, 9, 1))
    with pytest.raises(ConfigError, match=words):
        stats.table(frame, variants)


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
    one, two = (stats.mean_interval(scores, seed=7)[:3] for _ in range(2))
    assert one == two


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
        stats.mean_interval(scores, seed=0),
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


@pytest.mark.parametrize("freedom", [1, 1.5, 4, 9, 27.3, 1e3, 2e6])
@pytest.mark.parametrize("p", [0.8, 0.975, 0.9995])
def test_students_quantile_is_scipys(p, freedom):
    expected = scipy.stats.t.ppf(p, freedom)
    assert stats.t_quantile(p, freedom) == pytest.approx(expected, rel=1e-5)


def test_degrees_of_freedom_are_welchs():
    x, y = drawn(7), 5 * drawn(12, 1)
    variances = np.array([x.var(ddof=1) / 7, y.var(ddof=1) / 12])
    expected = scipy.stats.ttest_ind(x, y, equal_var=False).df
    assert stats.satterthwaite(variances, np.array([6, 11])) == pytest.approx(expected)
    assert stats.satterthwaite(np.zeros(2), np.ones(2)) == INF


@pytest.mark.parametrize("runs", [3, 5, 10])
def test_the_widened_interval_is_students_for_normal_differences(runs):
    """Averaged over samples; a bootstrap of three has steps."""
    ratios = []
    for seed in range(60):
        column = drawn((runs, 1), seed)
        ours = stats.mean_interval(column, seed=seed)
        theirs = scipy.stats.ttest_1samp(column.ravel(), 0).confidence_interval()
        ratios.append((ours.high - ours.low) / (theirs.high - theirs.low))
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)


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


@pytest.mark.parametrize("runs, tasks", [(3, 1), (3, 6), (5, 3), (10, 1)])
def test_the_widened_interval_covers(runs, tasks):
    covered = coverage(
        runs, tasks, lambda x, seed: stats.mean_interval(x, seed=seed, resamples=500)
    )
    assert covered == pytest.approx(0.95, abs=TOLERANCE)


def test_the_percentile_interval_covers_with_many_runs_and_not_with_few():
    """Of three runs the resampled means have 0.8 of the spread."""

    def of(statistic):
        return lambda x, seed: stats.interval(statistic, x, seed=seed, resamples=500)

    for statistic in (stats.mean, stats.iqm):
        covered = coverage(10, 6, of(statistic))
        assert covered == pytest.approx(0.95, abs=TOLERANCE + 0.02)
    assert coverage(3, 1, of(stats.mean)) < 0.85


# ---------------------------------------------------------------- flipped signs


def enumerated(differences):
    """p by a loop over all signs."""
    flat, hits = differences.ravel(), 0
    for signs in itertools.product((1, -1), repeat=flat.size):
        total = sum(s * x for s, x in zip(signs, flat, strict=True))
        hits += abs(total) >= abs(sum(flat)) - 1e-9
    return hits / 2**flat.size


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (6, 1), (4, 2)], ids=str)
def test_all_signs_are_tried(shape):
    differences = drawn(shape) + 6
    p = stats.sign_flip(differences, seed=0)
    assert p == pytest.approx(enumerated(differences))


def test_it_is_scipys_permutation_test_of_paired_samples():
    x, y = drawn(9), drawn(9, 1) + 5
    theirs = scipy.stats.permutation_test(
        (x, y), lambda a, b: np.mean(a - b), permutation_type="samples"
    ).pvalue
    assert stats.sign_flip((x - y)[:, None], seed=0) == pytest.approx(theirs)


def test_random_signs_come_close_to_all():
    differences = drawn((4, 3)) + 4
    sampled = stats.sign_flip(differences, seed=0, exact=0)
    # four standard errors of 10,000 draws
    assert sampled == pytest.approx(enumerated(differences), abs=0.02)


def test_tasks_weigh_the_same_and_lost_pairs_nothing():
    whole = np.array([[1.0, 4.0], [2.0, NAN], [-3.0, 5.0]])
    parts = [1 / 3, 2 / 3, -3 / 3, 4 / 2, 5 / 2]
    expected = enumerated(np.array(parts)[:, None])
    assert stats.sign_flip(whole, seed=0) == pytest.approx(expected)
    assert np.isnan(stats.sign_flip(np.array([[1.0, NAN]]), seed=0))
    assert np.isnan(stats.sign_flip(np.array([[1.0, -INF]]), seed=0))


def test_where_nothing_differs_p_is_one():
    assert stats.sign_flip(np.zeros((5, 2)), seed=0) == 1
    assert stats.sign_flip(np.zeros((50, 2)), seed=0) == 1


@pytest.mark.parametrize("shape", [(6, 1), (6, 4)], ids=["all", "random"])
def test_p_is_below_a_twentieth_one_time_in_twenty(shape):
    rng = np.random.default_rng(0)
    found = [
        stats.sign_flip(rng.normal(size=shape), seed=i, resamples=300)
        for i in range(400)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + TOLERANCE
