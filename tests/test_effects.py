"""Published means on one scale, and factorials, against least squares and loops."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from coadapt.analysis import effects, verdict
from coadapt.analysis.effects import Cells, Design
from coadapt.schema import ConfigError

NAN, INF = np.nan, np.inf


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def arms(scores):
    """Of [variants, runs, tasks], each variant's list of [runs]."""
    return [list(each.T) for each in scores]


# ---------------------------------------------------------------- published means


def cells(*runs):
    """What would be published of runs [seeds, tasks]."""
    return [Cells(x.mean(0), x.std(0, ddof=1), len(x)) for x in runs]


def test_a_range_is_from_the_worst_finite_mean_to_the_best():
    assert effects.by_range([3.0, -INF, -1.0, 2.0], "a") == (-1.0, 3.0)
    with pytest.raises(ConfigError, match="a cannot be put on a scale"):
        effects.by_range([3.0, 3.0, -INF], "a")


def test_one_task_is_welchs_t():
    x, y = drawn((10, 1)) + 1, 3 * drawn((10, 1), 1)
    ours = effects.of_cells(list(zip((1.0, -1.0), cells(x, y), strict=True)))
    test = scipy.stats.ttest_ind(x.ravel(), y.ravel(), equal_var=False)
    assert (ours.low, ours.high) == pytest.approx(tuple(test.confidence_interval()))


def test_the_published_gap_covers():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        runs = [rng.normal(size=(10, 3)) * [1, 2, 5] for _ in range(4)]
        gap = effects.of_cells(list(zip((1.0, -1, -1, 1), cells(*runs), strict=True)))
        hits += gap.low <= 0 <= gap.high
    assert hits / 400 == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 400))


def test_a_diverged_cell_is_the_worst():
    scales = [effects.by_range([0.0, 10.0], "a"), effects.by_range([5.0, 9.0], "b")]
    found = Cells(np.array([-INF, 7.0]), np.array([NAN, 2.0]), 10).scaled(scales)
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
    found = effects.factorial(design, arms(scores))
    for each in found:
        columns.append(np.prod([design.rows[:, names.index(n)] for n in each.term], 0))
    fitted = np.linalg.lstsq(np.stack(columns, 1), scores.mean((1, 2)), rcond=None)[0]
    assert [e.estimate.value for e in found] == pytest.approx(list(2 * fitted[1:]))


def test_known_effects_are_found():
    design = effects.full(["tanh", "norm", "double"])
    x = {name: design.rows[:, i] for i, name in enumerate(design.names)}
    truth = 2 * x["tanh"] - x["norm"] + 0.5 * x["tanh"] * x["double"]
    scores = truth[:, None, None] + 0.2 * drawn((8, 5, 3))
    found = {e.term: e.estimate for e in effects.factorial(design, arms(scores))}
    expected = {("tanh",): 4, ("norm",): -2, ("tanh", "double"): 1}
    for term, estimate in found.items():
        assert estimate.value == pytest.approx(expected.get(term, 0), abs=0.15)
        assert (estimate.sign != 0) == (term in expected)


def test_an_interaction_is_half_of_a_gap():
    scores = drawn((4, 5, 2))  # a b: --, -+, +-, ++
    found = effects.factorial(effects.full("ab"), arms(scores))
    signs = (1.0, -1.0, -1.0, 1.0)
    parts = [(w / 2, t) for w, x in zip(signs, scores, strict=True) for t in x.T]
    gap = verdict.effect(parts)
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
    found = effects.factorial(design, arms(np.tile(truth[:, None, None], (1, 3, 1))))
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
    with pytest.raises(ConfigError, match=r"the design's 4"):
        effects.factorial(effects.full("ab"), arms(np.zeros((3, 5, 1))))


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
