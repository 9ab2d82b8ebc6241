"""How often verdicts are right and wrong; tolerances are four Monte Carlo errors."""

import numpy as np
import pytest

import coadapt
from coadapt.analysis import score, simulation, verdict
from coadapt.analysis.alpha_spending import Look
from coadapt.analysis.simulation import Source
from coadapt.tasks.units import Unit

M = 0.1


def pairs(effects, std, failing=0.0, spread=1.0):
    """Arms around 0.9; the first with the toggle may fail."""
    return [
        (
            [Source(0.9 + effect, spread * std, failing if i == 0 else 0.0)],
            [Source(0.9, std)],
        )
        for i, effect in enumerate(effects)
    ]


@pytest.mark.parametrize(
    "std, seeds, expected",
    [(0.15, 64, 0.93), (0.2, 64, 0.65), (0.35, 64, 0.13), (0.1, 16, 0.61)],
)
def test_an_effect_on_one_is_found_as_often_as_it_was_computed_elsewhere(
    std, seeds, expected
):
    said = simulation.frequencies(
        pairs((0.2, 0.0), std), seeds=seeds, margin=M, runs=4000
    )
    assert said[verdict.HELPS_A] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("effect", [-M, 0.0, M / 2, M])
@pytest.mark.parametrize("std, spread", [(0.03, 1.0), (0.2, 1.0), (0.2, 0.25)])
@pytest.mark.parametrize("noise", ["normal", "t3"])
def test_equal_effects_are_seldom_called_co_adapted(effect, std, spread, noise):
    """At most 5%, where no arm fails; the error of 5% of 4,000 is 0.35%."""
    said = simulation.frequencies(
        pairs((effect, effect), std, spread=spread),
        seeds=16,
        margin=M,
        noise=noise,
        runs=4000,
    )
    assert sum(said[word] for word in verdict.SPLIT) < 0.05 + 0.014


def test_an_arm_that_fails_makes_them_common_and_the_rate_says_so():
    sources = pairs((0.05, 0.05), 0.03, failing=0.1)
    for seeds, expected in ((10, 0.31), (64, 0.02)):
        looks = [Look(seeds, verdict.ALPHA)]
        found = simulation.wrong(verdict.HELPS_A, sources, looks=looks, margin=M)
        assert found == pytest.approx(expected, abs=0.05)
    clean = pairs((0.05, 0.05), 0.03)
    looks = [Look(10, verdict.ALPHA)]
    assert simulation.wrong(verdict.HELPS_A, clean, looks=looks, margin=M) < 0.064


@pytest.mark.parametrize(
    "word", [verdict.HELPS_BOTH, verdict.HARMS_BOTH, verdict.NEITHER]
)
def test_other_words_are_wrong_in_a_fortieth_at_the_most(word):
    looks = [Look(16, verdict.ALPHA)]
    found = simulation.wrong(word, pairs((0, 0), 0.05), looks=looks, margin=M)
    assert found < 0.025 + 0.01


def test_simulated_studies_have_the_words_of_compare():
    """One by one, on the same scores; of 64 seeds an arm no failure is feared."""
    rng, runs, seeds = np.random.default_rng(0), 30, 64
    names = ("a", "a-off", "b", "b-off")
    means = rng.choice([0.0, 0.1, 0.25], (runs, len(names), 1))
    scores = 0.9 + means + 0.1 * rng.standard_normal((runs, len(names), seeds))
    looks, said = [Look(seeds, verdict.ALPHA)], set[str]()
    for study in scores:
        effects = [[(1.0, study[None, i]), (-1.0, study[None, i + 1])] for i in (0, 2)]
        words = simulation.judged(effects, looks, M).words
        (word,) = (each for each, share in words.items() if share)
        arms = {("toy/lqr", n): arm(n, x) for n, x in zip(names, study, strict=True)}
        pairs_ = {"A": ("a", "a-off"), "B": ("b", "b-off")}
        assert coadapt.compare(arms, "tanh", pairs_).verdict.word == word
        said.add(word)
    assert len(said) > 5


def arm(name, scores):
    nothing = np.zeros(scores.size, bool)
    metrics = dict.fromkeys(score.METRICS, scores)
    unit, every = Unit(0.0, reference=1.0), tuple(range(scores.size))
    return score.Arm("toy/lqr", name, 300, 3, every, metrics, nothing, 0, unit)


def test_tuning_finds_the_best_of_the_surface_or_noise():
    """Without noise the nearest of 16 places is chosen; with it alone, any of them."""
    rng, surface = np.random.default_rng(0), simulation.Surface(0.3, 0.8)
    scores, places = simulation.tuned(surface, 0.0, 2, 500, rng)
    assert np.abs(places - 0.8).max() <= 1 / 16
    assert scores == pytest.approx(np.tile(surface.at(places)[:, None], 2))
    _, places = simulation.tuned(surface, 1e6, 2, 4000, rng)
    assert places.mean() == pytest.approx(0.5, abs=0.02)  # four errors of 1/sqrt(12)
    assert surface.at(simulation.PRESET) == pytest.approx(0.3 - 2 * M)


def test_the_truth_has_failures_and_all():
    source = Source(1.0, 0.1, 0.2, -1.0)
    assert source.truth == pytest.approx(0.6)
    low, high = [Source(0.3, 0.1)], [source]
    for pair in ((high, low), (low, high)):
        moved = simulation.moved(pair, 0.5)
        assert moved[0][0].truth - moved[1][0].truth == pytest.approx(0.5)
        assert max(x[0].mean for x in moved) >= 1.0  # no failure costs less than it did
