"""Corrected p against the definition and SciPy; verdicts under other choices."""

import itertools

import numpy as np
import pytest
import stores
from scipy import stats as scipy_stats

from coadapt import sweep
from coadapt.analysis import comparison, multiple_testing, verdict
from coadapt.report import run_data, sections
from coadapt.tasks.units import Unit

TASK = "gym/Hopper-v5"


def closed(ps):
    """Holm is the closure of Bonferroni: the largest p of a set that has the one."""
    number = range(len(ps))
    subsets = [
        set(each)
        for size in range(1, len(ps) + 1)
        for each in itertools.combinations(number, size)
    ]
    return [
        min(max(len(s) * min(ps[j] for j in s) for s in subsets if i in s), 1.0)
        for i in number
    ]


@pytest.mark.parametrize("seed", range(5))
def test_corrected_p_is_that_of_the_definition(seed):
    ps = np.random.default_rng(seed).random(6) ** 3
    assert multiple_testing.holm(ps) == pytest.approx(closed(ps))
    expected = scipy_stats.false_discovery_control(ps)
    assert multiple_testing.benjamini_hochberg(ps) == pytest.approx(expected)


def test_what_claims_nothing_counts_as_a_question():
    assert multiple_testing.holm([0.01, np.nan]) == pytest.approx([0.02, 1.0])
    assert multiple_testing.benjamini_hochberg([]).size == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """SAC gains 15, MPO nothing; a tenth of SAC's runs with the toggle fail."""
    folder = tmp_path_factory.mktemp("store")
    variants = sweep.grid(["sac", "mpo"], {"g_estimate.critics": [1, 2]}, task=TASK)
    seeds = 10
    z = np.linspace(-1, 1, seeds)
    gain = {"sac/g_estimate.critics=2": 15.0}

    def score(cell):
        return 1.5 * (60 + gain.get(cell.variant, 0.0) + z[cell.seed])

    dead = [stores.Cell(TASK, "sac/g_estimate.critics=2", 0)]
    unit = Unit(0.0, 0.0, 20, 100.0, "made up")
    stores.build(
        folder,
        "sweep",
        {TASK: variants},
        {TASK: 300},
        seeds=seeds,
        score=score,
        dead=dead,
        unit=unit,
    )
    return sections.compute(run_data.read(folder))


def test_a_verdict_stands_under_other_choices_too(made):
    (answer,), (words,) = made.answers, made.multiverse
    assert answer.found is not None
    assert set(words) == {
        (metric, rule, margin)
        for metric in ("final", "area")
        for rule in ("random", "before")
        for margin in (0.05, 0.1, 0.2)
    }
    # at its own choices it is the verdict by each rule
    assert words["final", "before", 0.1] == verdict.named(
        answer.found.before.word, answer.found.labels
    )
    pairs = {p.label: (p.on, p.off) for p in answer.question.pairs}
    arms = made.of.arms[""]
    for (metric, rule, margin), word in words.items():
        found = comparison.compare(arms, "x", pairs, margin=margin, metric=metric)
        if found.verdict.word != verdict.HANGS and rule == "random":
            assert word == found.word
    assert words["final", "before", 0.2] == verdict.NEITHER
    assert words["final", "random", 0.1] == verdict.UNDECIDED


def test_failed_runs_and_the_probability_of_improvement_stand_beside(made):
    (answer,) = made.answers
    sac, mpo = answer.found.beside[TASK]
    assert (sac.on.failed, sac.on.runs, sac.off.failed) == (1, 10, 0)
    assert sac.improvement == pytest.approx(0.9)  # all but the one that failed
    assert mpo.improvement == pytest.approx(0.5)
    page = sections.page(made)
    (choices,) = (s for s in page.sections if s.title == "Other choices")
    assert len(choices.tables[0].groups) == 4
    (effects,) = (s for s in page.sections if s.title == "What a toggle does")
    assert "P(improvement)" in effects.tables[1].columns
    assert "Holm" in effects.tables[0].columns
