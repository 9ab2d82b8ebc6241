"""Levels of looks: against published bounds, and against random walks."""

import numpy as np
import pytest
from scipy import stats

from coadapt.analysis import alpha_spending, simulation, verdict
from coadapt.analysis.alpha_spending import Look
from coadapt.analysis.simulation import Source
from coadapt.schema import ConfigError

M = 0.1
LOOKS = alpha_spending.looks((16, 32, 64), verdict.ALPHA)


@pytest.mark.parametrize(
    ("seeds", "bounds"),
    [  # as tables of one-sided 2.5% have them, to their last digit
        ((1, 2, 3), [3.7103, 2.5114, 1.9930]),
        ((1, 2, 3, 4, 5), [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ((7,), [1.95996]),
    ],
)
def test_bounds_are_those_of_the_literature(seeds, bounds):
    found = [stats.norm.isf(look.alpha) for look in alpha_spending.looks(seeds, 0.025)]
    assert found == pytest.approx(bounds, abs=2e-4)  # their grids were coarser


def test_together_they_spend_alpha():
    """Of 400,000 random walks; 4 Monte Carlo errors are 0.001."""
    rng = np.random.default_rng(0)
    sums = np.cumsum(rng.standard_normal((400_000, 3)) * np.sqrt([16, 16, 32]), 1)
    z = sums / np.sqrt([16, 32, 64])
    bounds = stats.norm.isf([look.alpha for look in LOOKS])
    assert (z > bounds).any(1).mean() == pytest.approx(0.025, abs=0.001)
    assert alpha_spending.spent(1.0, 0.025) == pytest.approx(0.025)


def test_a_sequential_p_is_the_alpha_that_would_have_been_enough():
    alphas = [look.alpha for look in LOOKS]
    assert alpha_spending.sequential_p(alphas[:2], (16, 32, 64)) == pytest.approx(
        0.025, 1e-3
    )
    assert alpha_spending.sequential_p([0.3, 0.3, 0.01], (16, 32, 64)) < 0.025
    assert alpha_spending.sequential_p([0.3, 0.01], (16, 32, 64)) > 0.025
    assert alpha_spending.sequential_p([0.01], (16,)) == pytest.approx(0.01, 1e-3)
    assert alpha_spending.sequential_p([1.0], (16, 32)) == 1.0


def test_looks_double():
    assert alpha_spending.sizes(16, 64) == (16, 32, 64)
    assert alpha_spending.sizes(10, 50) == (10, 20, 40, 50)
    assert alpha_spending.sizes(10, 10) == (10,)
    with pytest.raises(ConfigError, match="max_seeds is 9"):
        alpha_spending.sizes(10, 9)


@pytest.mark.parametrize("effect", [0.0, M / 2, M])
@pytest.mark.parametrize("noise", ["normal", "t3"])
def test_looks_call_equal_effects_no_more_often_co_adapted(effect, noise):
    """At most 5%; the error of 5% of 4,000 is 0.35%."""
    pairs = [([Source(effect, 0.2)], [Source(0.0, 0.2)])] * 2
    said = simulation.studied(pairs, looks=LOOKS, margin=M, noise=noise, runs=4000)
    assert sum(said.words[word] for word in verdict.SPLIT) < 0.05 + 0.014


def test_no_effect_is_seldom_off_zero_at_any_look():
    """20,000 studies of two equal arms; 4 Monte Carlo errors of 5% are 0.6%."""
    x, y = np.random.default_rng(0).standard_normal((2, 20_000, 64))
    off = {}
    for looks in (LOOKS, simulation.NAIVE):
        tests = (stats.ttest_ind(x[:, :n], y[:, :n], axis=1) for n, _ in looks)
        found = [t.pvalue < 2 * n.alpha for t, n in zip(tests, looks, strict=True)]
        off[looks] = np.any(found, 0).mean()
    assert off[LOOKS] == pytest.approx(0.05, abs=0.006)
    assert off[simulation.NAIVE] == pytest.approx(0.2325, abs=0.012)  # as the page says


def test_a_clear_effect_ends_early():
    pairs = [([Source(x, 0.08)], [Source(0.0, 0.08)]) for x in (0.4, 0.0)]
    said = simulation.studied(pairs, looks=LOOKS, margin=M)
    fixed = simulation.studied(pairs, looks=[Look(64, verdict.ALPHA)], margin=M)
    assert said.words[verdict.HELPS_A] > 0.99 and fixed.seeds == 64
    assert 16 <= said.seeds < 40
