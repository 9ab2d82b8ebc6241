"""Whether a preset learns: its bounds by formulas of their own, and its section."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks import learns, sections
from benchmarks.learns import Baseline
from coadapt.experiments import load
from coadapt.schema import ConfigError
from coadapt.tasks import references
from coadapt.tasks.units import Unit

RNG = np.random.default_rng(0)
ZERO = Baseline(0.0, 0.1, 20)


def of(scores, random=ZERO, still=ZERO):
    above = [learns.above(np.array(scores, float), each) for each in (random, still)]
    return learns.Found(100, np.array(scores, float), 0, *above)


def test_bounds_are_welchs_of_all_episodes():
    """SciPy's, of the episodes that the baseline has the mean and the error of."""
    scores, episodes = RNG.normal(3, 2, 5), RNG.normal(1, 4, 20)
    error = episodes.std(ddof=1) / math.sqrt(20)
    got = learns.above(scores, Baseline(episodes.mean(), error, 20))
    test: Any = stats.ttest_ind(
        scores, episodes, equal_var=False, alternative="greater"
    )
    assert got.p == pytest.approx(test.pvalue)
    assert got.low == pytest.approx(test.confidence_interval(0.975).low)
    assert got.value == pytest.approx(scores.mean() - episodes.mean())
    with pytest.raises(ConfigError, match="1 run has"):
        learns.above(scores[:1], ZERO)


def test_a_row_learns_where_it_is_above_both():
    good, higher = [9, 10, 11, 9, 11], Baseline(10.5, 0.1, 20)
    assert of(good).learns
    assert not of(good, random=higher).learns and not of(good, still=higher).learns


def test_all_bounds_share_one_alpha_by_holm():
    """Two rows have four bounds: p of 0.02 is enough alone, not as one of four."""
    weak = of([0, 1, 2, 3, 1.2])
    assert 0.025 / 2 < weak.random.p < 0.025 and weak.learns
    strong = of([9, 10, 11, 9, 11])
    assert learns.holm([strong, weak]) == [True, False]
    assert learns.holm([strong]) == [True]


def test_the_section_says_what_learns_and_is_put_in_its_place():
    found = {("t", "a"): of([9, 10, 11]), ("t", "b"): of([-3, 0, 3])}
    text = learns.section(found, {"t": Unit(0.0, 0.1, 20)}, {"t": ZERO})
    assert "| a | 100 | 10.0 ± 1.0 (3) | +10.0, > +" in text
    assert "**Not shown to learn: b on t.**" in text
    page = (
        f"# Results\n\n{sections.mark(learns.SECTION)}\nold\n{sections.END}\n\n## A\n"
    )
    made = sections.put(page, learns.SECTION, text)
    assert made == page.replace("old\n", text)
    assert sections.put(made, learns.SECTION, "old") == page
    with pytest.raises(ConfigError, match="no line <!-- another -->"):
        sections.put(page, "another", text)


def test_doing_nothing_is_measured_once(tmp_path, monkeypatch):
    """On Pendulum it is a cost of some -1,200 to -1,400 an episode, at random alike."""
    (found,) = learns.nothing(tmp_path, ["gym/Pendulum-v1"]).values()
    assert found.episodes == references.EPISODES and -1800 < found.mean < -800
    kept = json.loads((tmp_path / learns.NOTHING).read_text())
    assert kept == {"gym/Pendulum-v1": list(found)}
    monkeypatch.setattr(learns, "_still", None)
    assert learns.nothing(tmp_path, ["gym/Pendulum-v1"]) == {"gym/Pendulum-v1": found}


def test_the_results_are_what_the_store_says():
    page = learns.PAGE.read_text()
    if not (learns.PLACE / learns.OURS).is_dir():
        assert sections.mark(learns.SECTION) not in page
        pytest.skip("docs/results/learns has no store, and so there is no section")
    assert page == sections.put(page, learns.SECTION, learns.made())


def test_the_rule_is_the_plans():
    plan = load("learns").plan
    assert plan is not None and "lower 97.5% bound" in plan.rule
    assert learns.ALPHA == 0.025 and f"{references.EPISODES} episodes" in plan.rule
