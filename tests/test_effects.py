"""Effects, co-adaptation and factorials, against loops, scipy and known truths."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from coadapt import effects
from coadapt.effects import Cells, Design, Pair
from coadapt.schema import ConfigError
from coadapt.stats import Counts, Estimate

NAN, INF = math.nan, math.inf


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# ---------------------------------------------------------------- scales


def test_a_range_is_from_the_worst_mean_to_the_best():
    worst = np.array([[0.0, -5.0], [4.0, -7.0]])  # means 2, -6
    best = np.array([[10.0, -1.0], [14.0, -3.0]])  # means 12, -2
    scale = effects.by_range([best, worst])
    assert scale(worst).mean(0) == pytest.approx([0, 0])
    assert scale(best).mean(0) == pytest.approx([1, 1])
    assert scale(np.array([7.0, -4.0])) == pytest.approx([0.5, 0.5])


def test_tasks_on_which_nothing_differs_are_told():
    a, b = np.array([[1.0, 1.0, NAN], [3.0, 1.0, NAN]]), np.array([[2.0, 1.0, 5.0]])
    assert effects.differing([a, b]).tolist() == [False, False, False]
    assert effects.differing([a, b + 1]).tolist() == [True, True, False]


def test_a_baseline_is_one_whatever_its_sign():
    baseline = np.array([[4.0, -10.0], [6.0, -30.0]])
    scale = effects.by_baseline(baseline, [baseline])
    assert scale(baseline).mean(0) == pytest.approx([1, -1])
    assert scale(np.array([[0.0, -10.0]])) == pytest.approx(np.array([[0, -0.5]]))


def test_references_are_zero_and_one():
    scale = effects.by_reference([-10], [30], [np.zeros((1, 1))])
    assert scale(np.array([[-10.0], [30.0], [10.0]])).ravel() == pytest.approx(
        [0, 1, 0.5]
    )


def test_what_has_no_score_counts_as_the_worst_run_of_its_task():
    a = np.array([[1.0, 1.0], [NAN, 3.0]])
    b = np.array([[-3.0, 5.0], [7.0, -INF]])  # means 1 and 2, 2 and 5
    scale = effects.by_range([a, b])
    assert scale.floor == pytest.approx([-4, (1 - 2) / 3])
    assert scale(a)[1, 0] == scale.floor[0] and scale(b)[1, 1] == scale.floor[1]
    lost = np.full((2, 2), -INF)  # a variant without any score
    assert effects.by_range([a, b, lost])(lost) == pytest.approx(
        np.array([scale.floor] * 2)
    )


@pytest.mark.parametrize(
    "scale",
    [
        lambda x: effects.by_range([x, x], ["toy/lqr"]),
        lambda x: effects.by_range([np.full_like(x, NAN)], ["toy/lqr"]),
        lambda x: effects.by_baseline(x - 1, [x], ["toy/lqr"]),
        lambda x: effects.by_reference([2], [2], [x], ["toy/lqr"]),
    ],
    ids=["equal", "lost", "zero", "references"],
)
def test_a_scale_of_no_width_is_refused(scale):
    with pytest.raises(ConfigError, match="toy/lqr cannot be put on a scale"):
        scale(np.ones((3, 1)))


# ---------------------------------------------------------------- verdicts


def test_an_effect_and_a_gap_are_means_of_paired_differences():
    on, off, other_on, other_off = (drawn((4, 3), i) for i in range(4))
    apart = [on[r, t] - off[r, t] for r in range(4) for t in range(3)]
    others = [other_on[r, t] - other_off[r, t] for r in range(4) for t in range(3)]
    found = effects.compare(Pair(on, off), Pair(other_on, other_off), seed=0)
    assert found.first.value == pytest.approx(sum(apart) / 12)
    assert found.second.value == pytest.approx(sum(others) / 12)
    assert found.gap.value == pytest.approx((sum(apart) - sum(others)) / 12)
    assert effects.effect(Pair(on, off), seed=0) == found.first


def test_what_the_seeds_share_cancels():
    """Common random numbers: seeds that differ by far more than the toggle does."""
    shared = 100 * drawn((5, 2))
    noise = [0.01 * drawn((5, 2), i) for i in range(1, 5)]
    on, off = Pair(shared + 1 + noise[0], shared + noise[1]), None
    off = Pair(shared + noise[2], shared + noise[3])
    found = effects.compare(on, off, seed=0)
    assert found.gap.high - found.gap.low < 0.1
    assert found.word == "co-adapted"


def between(low, high):
    return Estimate((low + high) / 2, low, high, Counts(4, 1, 0, 0))


@pytest.mark.parametrize(
    "first, second, gap, word",
    [
        ((0.4, 0.6), (-0.6, -0.4), (0.8, 1.2), "co-adapted"),  # opposite
        ((-0.6, -0.4), (0.4, 0.6), (-1.2, -0.8), "co-adapted"),
        ((0.4, 0.6), (-0.05, 0.05), (0.4, 0.6), "co-adapted"),  # nothing for B
        ((-0.05, 0.05), (0.4, 0.6), (-0.6, -0.4), "co-adapted"),  # nothing for A
        ((-0.6, -0.4), (-0.05, 0.05), (-0.6, -0.4), "co-adapted"),  # harms A alone
        ((0.4, 0.6), (-0.05, 0.2), (0.2, 0.6), "not decided"),  # B may gain
        ((-0.6, -0.4), (-0.2, 0.05), (-0.6, -0.2), "not decided"),
        ((0.4, 0.6), (0.1, 0.2), (0.2, 0.5), "transfers"),  # less, and yet
        ((-0.6, -0.4), (-0.2, -0.1), (-0.5, -0.2), "transfers"),
        ((-0.1, 0.1), (-0.1, 0.1), (-0.09, 0.09), "transfers"),  # the same
        ((-0.3, 0.5), (-0.3, 0.5), (-0.5, 0.5), "not decided"),
        ((NAN, NAN), (0.4, 0.6), (NAN, NAN), "not decided"),
    ],
)
def test_a_verdict_is_read_off_three_intervals(first, second, gap, word):
    found = [between(*ends) for ends in (first, second, gap)]
    assert effects.judge(*found, margin=0.1) == word
    flipped = between(-gap[1], -gap[0])  # the order of the two does not matter
    assert effects.judge(found[1], found[0], flipped, margin=0.1) == word


@pytest.mark.parametrize("margin", [0, -1, NAN, INF])
def test_a_margin_is_positive(margin):
    with pytest.raises(ConfigError, match="margin is"):
        effects.judge(*[between(0, 1)] * 3, margin=margin)


def words(ours, theirs, replications=300, runs=5, tasks=4, noise=0.3):
    """Verdicts over replications in which the two effects are known."""
    rng, found = np.random.default_rng(1), []
    for seed in range(replications):
        a, b = (
            Pair(e + noise * rng.normal(size=(runs, tasks)), np.zeros((runs, tasks)))
            for e in (ours, theirs)
        )
        found.append(effects.compare(a, b, seed=seed, resamples=300).word)
    return {word: found.count(word) / replications for word in set(found)}


# three standard errors of 300 replications at 0.05
TOLERANCE = 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("both", [0.0, 0.15, 0.6])
def test_without_an_interaction_co_adaptation_is_as_rare_as_its_level(both):
    assert words(both, both).get("co-adapted", 0) <= 0.05 + TOLERANCE


def test_an_interaction_is_found():
    assert words(0.6, -0.4)["co-adapted"] >= 0.98
    assert words(0.9, -0.2)["co-adapted"] >= 0.95


def test_what_helps_both_transfers():
    assert words(0.9, 0.5)["transfers"] >= 0.95


def test_two_seeds_do_not_decide():
    """Where percentiles of two seeds would err every other time."""
    found = words(0, 0, runs=2, tasks=1)
    assert found.get("co-adapted", 0) <= 0.05 + TOLERANCE


def test_one_seed_has_a_difference_and_no_interval():
    one = np.ones((1, 2))
    found = effects.compare(Pair(one, 0 * one), Pair(one, one), seed=0)
    assert (found.word, found.gap.value, found.seeds) == ("not decided", 1, None)
    assert not found.gap.defined and found.p == 0.5  # the two tasks' signs


def test_lost_runs_are_counted_and_keep_the_verdict_defined():
    on, off = drawn((6, 2)) / 10 + 1, drawn((6, 2), 1) / 10
    off[0, 0], off[1, 1] = NAN, -INF
    scale = effects.by_range([on, off])
    found = effects.effect(Pair(scale(on), scale(off)), seed=0)
    assert found.sign == 1 and found.counts.failed == 0
    found = effects.effect(Pair(on, off), seed=0)  # without a scale
    assert found.value == INF and not found.defined
    assert (found.counts.failed, found.counts.diverged) == (1, 1)


# ---------------------------------------------------------------- how many seeds


@pytest.mark.parametrize("std, size", [(1, 0.5), (1, 0.2), (3, 0.1), (0.01, 0.001)])
def test_seeds_are_those_of_the_closed_form(std, size):
    closed = (
        (scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8)) * std / size
    ) ** 2
    found = effects.seeds_needed(std, size)
    assert closed <= found <= closed + 3  # t has a little more than z


@pytest.mark.parametrize("ratio", [0.3, 0.5, 1, 1.5, 2, 3])
def test_seeds_have_the_power_that_was_asked_for(ratio):
    """Against the noncentral t: the fewest that have 0.8, or one more or less."""

    def power(n):
        t = scipy.stats.t.ppf(0.975, n - 1)
        shift = ratio * math.sqrt(n)
        return scipy.stats.nct.sf(t, n - 1, shift) + scipy.stats.nct.cdf(
            -t, n - 1, shift
        )

    exact = next(n for n in range(2, 1000) if power(n) >= 0.8)
    assert abs(effects.seeds_needed(1, ratio) - exact) <= 1


def test_no_effect_needs_no_number_of_seeds():
    assert effects.seeds_needed(1, 0) is None
    assert effects.seeds_needed(NAN, 1) is None
    assert effects.seeds_needed(0, 1) == 2


def test_the_std_of_a_seed_is_that_of_its_mean_over_tasks():
    differences = drawn((2000, 4)) * [1, 2, 3, 4]
    expected = differences.mean(1).std(ddof=1)
    assert effects.seed_std(differences) == pytest.approx(expected, rel=0.05)
    assert np.isnan(effects.seed_std(np.ones((1, 2))))
    assert np.isnan(effects.seed_std(np.ones((0, 0))))


# ---------------------------------------------------------------- published means


def cells(*runs):
    """What would be published of runs [seeds, tasks]."""
    return [Cells(x.mean(0), x.std(0, ddof=1), len(x)) for x in runs]


def test_one_task_is_welchs_t():
    x, y = drawn((10, 1)) + 1, 3 * drawn((10, 1), 1)
    ours = effects.published(list(zip((1.0, -1.0), cells(x, y), strict=True)))
    test = scipy.stats.ttest_ind(x.ravel(), y.ravel(), equal_var=False)
    assert tuple(ours[1:3]) == pytest.approx(
        tuple(test.confidence_interval()), rel=1e-6
    )


def test_the_normal_interval_is_of_the_standard_error():
    x, y = drawn((10, 3)) + 1, 3 * drawn((10, 3), 1)
    parts = list(zip((1.0, -1.0), cells(x, y), strict=True))
    found = effects.published(parts, welch=False)
    squares = [x[:, t].var(ddof=1) / 10 + y[:, t].var(ddof=1) / 10 for t in range(3)]
    half = scipy.stats.norm.ppf(0.975) * math.sqrt(sum(squares)) / 3
    value = sum(x[:, t].mean() - y[:, t].mean() for t in range(3)) / 3
    assert tuple(found[:3]) == pytest.approx((value, value - half, value + half))


def test_the_published_gap_covers():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        runs = [rng.normal(size=(10, 3)) * [1, 2, 5] for _ in range(4)]
        a, b, c, d = cells(*runs)
        gap = effects.compare_published((a, b), (c, d)).gap
        hits += gap.low <= 0 <= gap.high
    assert hits / 400 == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 400))


def test_a_diverged_cell_is_the_floor():
    scale = effects.by_range([np.array([[0.0, 5.0]]), np.array([[10.0, 9.0]])])
    found = Cells(np.array([-INF, 7.0]), np.array([NAN, 2.0]), 10).scaled(scale)
    assert list(found.mean) == [0, 0.5] and list(found.std) == [0, 0.5]


# ---------------------------------------------------------------- factorials


def test_a_full_factorial_has_every_setting_once_and_no_aliases():
    design = effects.full("abc")
    assert design.rows.tolist() == [
        list(row) for row in itertools.product((-1, 1), repeat=3)
    ]
    assert all(others == {} for others in effects.aliasing(design, 3).values())


def test_contrasts_are_least_squares():
    design, names = effects.full("abc"), list("abc")
    scores = drawn((8, 4, 2))
    columns = [np.ones(8)]
    found = effects.factorial(design, scores, seed=0)
    for each in found:
        columns.append(np.prod([design.rows[:, names.index(n)] for n in each.term], 0))
    fitted = np.linalg.lstsq(np.stack(columns, 1), scores.mean((1, 2)), rcond=None)[0]
    assert [e.estimate.value for e in found] == pytest.approx(list(2 * fitted[1:]))


def test_known_effects_are_found():
    design = effects.full(["tanh", "norm", "double"])
    x = {name: design.rows[:, i] for i, name in enumerate(design.names)}
    truth = 2 * x["tanh"] - x["norm"] + 0.5 * x["tanh"] * x["double"]
    scores = truth[:, None, None] + 0.2 * drawn((8, 5, 3))
    found = {e.term: e.estimate for e in effects.factorial(design, scores, seed=0)}
    expected = {("tanh",): 4, ("norm",): -2, ("tanh", "double"): 1}
    for term, estimate in found.items():
        assert estimate.value == pytest.approx(expected.get(term, 0), abs=0.15)
        assert (estimate.sign != 0) == (term in expected)


def test_an_interaction_is_half_of_a_gap():
    scores = drawn((4, 5, 2))  # a b: --, -+, +-, ++
    found = effects.factorial(effects.full("ab"), scores, seed=0)
    gap = effects.compare(
        Pair(scores[3], scores[1]), Pair(scores[2], scores[0]), seed=0
    ).gap
    assert found[2].term == ("a", "b")
    assert found[2].estimate.value == pytest.approx(gap.value / 2)


def test_a_half_fraction_says_what_it_confounds():
    design = effects.fraction("abc", {"d": "abc"})
    assert len(design.rows) == 8 and (design.rows.prod(1) == 1).all()
    found = effects.aliasing(design)
    assert all(
        found[(name,)] == {} for name in "abcd"
    )  # of two-way ones: resolution IV
    assert found["a", "b"] == {("c", "d"): 1}
    assert effects.aliasing(design, 3)[("a",)] == {("b", "c", "d"): 1}
    smaller = effects.aliasing(effects.fraction("ab", {"c": "ab"}))
    assert smaller[("c",)] == {("a", "b"): 1} and smaller["a", "b"] == {("c",): 1}


def test_a_contrast_measures_its_aliases_as_the_coefficients_say():
    """Plackett and Burman's twelve: a main effect has a third of each interaction."""
    first = [1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1]
    rows = [first[-i:] + first[:-i] for i in range(11)] + [[-1] * 11]
    design = Design(tuple("abcde"), np.array(rows)[:, :5])
    aliases = effects.aliasing(design)[("a",)]
    assert {abs(c) for c in aliases.values()} == {1 / 3}
    x = design.rows
    truth = 1.0 * x[:, 0] + 0.7 * x[:, 1] * x[:, 2]  # a, and b with c
    found = effects.factorial(design, np.tile(truth[:, None, None], (1, 3, 1)), seed=0)
    expected = 2 * (1.0 + 0.7 * aliases["b", "c"])
    assert found[0].estimate.value == pytest.approx(expected)


@pytest.mark.parametrize(
    "rows, words",
    [
        ([[1], [1], [-1]], "on in 2 of 3"),
        ([[1, 1], [-1, -1]], "go together"),
        ([[1], [0]], "rows of 1 and -1"),
        (np.zeros((0, 1)), "rows of 1 and -1"),
    ],
)
def test_a_design_that_is_not_balanced_is_refused(rows, words):
    with pytest.raises(ConfigError, match=words):
        effects.aliasing(Design(("a", "b"), np.array(rows)))


@pytest.mark.parametrize("generators", [{"d": "az"}, {"a": "bc"}, {"d": ""}], ids=str)
def test_a_generator_is_a_product_of_what_is_there(generators):
    with pytest.raises(ConfigError, match="a new toggle"):
        effects.fraction("abc", generators)


def test_scores_are_those_of_the_design():
    with pytest.raises(ConfigError, match="4 variants"):
        effects.factorial(effects.full("ab"), np.zeros((3, 5, 1)), seed=0)


def test_a_failed_seed_is_in_no_contrast_and_is_counted():
    scores = drawn((4, 5, 2))
    scores[1, 0, 0] = NAN
    for each in effects.factorial(effects.full("ab"), scores, seed=0):
        assert each.estimate.defined and each.estimate.counts.failed == 1


# ---------------------------------------------------------------- fractions


def shortest_word(design):
    """The fewest toggles whose product is constant, by trying all of them."""
    for size in range(1, len(design.names) + 1):
        for term in itertools.combinations(range(len(design.names)), size):
            if abs(design.rows[:, term].prod(1).sum()) == len(design.rows):
                return size
    return math.inf


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("resolution", [3, 4, 5])
def test_a_fraction_has_the_resolution_that_was_asked_for(count, resolution):
    design = effects.fractional([f"t{i}" for i in range(count)], resolution)
    assert shortest_word(design) >= resolution
    assert len({tuple(row) for row in design.rows}) == len(design.rows)


def test_fractions_are_as_small_as_in_the_tables():
    """The least runs of two-level fractions of 3 to 9 toggles."""
    known = {
        3: [4, 8, 8, 8, 8, 16, 16], 4: [8, 8, 16, 16, 16, 16, 32],
        5: [8, 16, 16, 32, 64, 64, 128],
    }  # fmt: skip
    for resolution, runs in known.items():
        found = [effects.fractional("abcdefghi"[:n], resolution) for n in range(3, 10)]
        assert [len(design.rows) for design in found] == runs


@pytest.mark.parametrize("count, resolution", [(4, 2), (0, 3), (13, 4)])
def test_fractions_that_there_are_not(count, resolution):
    with pytest.raises(ConfigError, match="it must be 3 or"):
        effects.fractional([f"t{i}" for i in range(count)], resolution)
