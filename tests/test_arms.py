"""The score of a run, from rows: horizons, failures, three metrics, by plain NumPy."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from coadapt.analysis import score
from coadapt.runs.tables import Cell
from coadapt.tasks.units import Unit

NAN, INF = math.nan, math.inf
TASK = "toy/lqr"


def rows(curves, task=TASK, every=10):
    """Of {(variant, seed): values}, an evaluation every 10 env steps."""
    return pd.DataFrame(
        [
            (task, variant, seed, every * (i + 1), "return", float(value))
            for (variant, seed), values in curves.items()
            for i, value in enumerate(values)
        ],
        columns=["task", "variant", "seed", "env_steps", "metric", "value"],
    )


def one(values, metric="final", rule="random", random=0.0):
    made = score.arms(rows({("a", 0): values}), {TASK: Unit(random)})
    return made[TASK, "a"].scores(metric, rule)[0]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 29, 30, 31, 50])
def test_metrics_are_means_of_a_curve(length):
    values = np.random.default_rng(length).normal(size=length)
    width = min(max(math.ceil(length / 10), 3), length)
    assert one(values) == pytest.approx(values[-width:].mean())
    assert one(values, "last") == values[-1]
    assert one(values, "area") == pytest.approx(values.mean())


@pytest.mark.parametrize(
    "values, before",
    [
        ([1, 2, 3, 90, NAN, NAN, NAN], 90),  # a crash at its peak
        ([1, 2, 3, 90, NAN], (3 + 90 + 90) / 3),
        ([1, 2, 3, 90, INF], (3 + 90 + 90) / 3),
        ([1, 2, 3, 90, -INF, 95], (90 + 90 + 95) / 3),
        ([NAN, NAN, NAN, NAN], -7),  # nothing was ever scored
    ],
)
def test_a_failed_run_counts_as_a_random_policy_or_as_it_was(values, before):
    assert one(values, rule="random", random=-7) == -7
    assert one(values, rule="before", random=-7) == pytest.approx(before)


def test_what_is_not_known_is_nan():
    made = score.arms(rows({("a", 0): [NAN, NAN], ("a", 1): [1, 1]}))[TASK, "a"]
    np.testing.assert_array_equal(made.scores(), [NAN, 1])
    assert made.rate[:2] == (1, 2)


def test_an_evaluation_that_is_lost_long_before_the_end_is_no_failure():
    values = [1.0, NAN, 3, 4, 5, 6]
    assert one(values) == 5 and one(values, "area") == pytest.approx(20 / 6)


def test_each_variant_is_read_at_its_own_horizon():
    """Four evaluations of one beside ten of the other: none is cut."""
    short, long = np.arange(4.0), 10 * np.arange(10.0)
    made = score.arms(rows({("sac", 0): short, ("awr", 0): long}))
    assert made[TASK, "sac"].scores()[0] == 2 and made[TASK, "sac"].env_steps == 40
    assert made[TASK, "awr"].scores()[0] == 80 and made[TASK, "awr"].env_steps == 100


def test_unfinished_runs_are_left_out():
    curves = {("a", 0): [1, 1, 1, 1], ("a", 1): [9, 9], ("a", 2): [2, 2, 2, 2]}
    made = score.arms(rows(curves))[TASK, "a"]
    assert (made.seeds, made.unfinished) == ((0, 2), 1)
    asked = {Cell(TASK, "a", seed): 80 for seed in range(3)}
    made = score.arms(rows(curves), asked=asked, done={})[TASK, "a"]
    assert (made.seeds, made.unfinished, made.scores().size) == ((), 3, 0)


def test_seeds_that_were_asked_for_less_are_not_beside_longer_ones():
    curves = {("a", 0): [1, 1], ("a", 1): [9, 9, 9, 9]}
    asked = {Cell(TASK, "a", 0): 20, Cell(TASK, "a", 1): 40}
    made = score.arms(rows(curves), asked=asked, done=asked)[TASK, "a"]
    assert (made.seeds, made.unfinished) == ((1,), 1)


def test_a_run_that_failed_and_was_not_finished_is_no_result_yet():
    """Else failures would come before the scores of the same arm."""
    curves = {("a", 0): [1, NAN], ("a", 1): [9, 9]}
    asked = {Cell(TASK, "a", seed): 40 for seed in range(2)}
    assert score.arms(rows(curves), asked=asked, done={})[TASK, "a"].seeds == ()
    # finished: its program ended where no agent was left
    done = {Cell(TASK, "a", 0): 40}
    made = score.arms(rows(curves), asked=asked, done=done)[TASK, "a"]
    assert made.seeds == (0,) and made.rate.failed == 1


@pytest.mark.parametrize("unit", [Unit(10.0, reference=110.0), Unit()])
def test_a_score_that_ran_away_is_a_failure(unit):
    curves = {("a", seed): [10, 50, 90, 100] for seed in range(3)}
    curves["b", 0] = [10, 20, 30, -8e9]
    made = score.arms(rows(curves), {TASK: unit})[TASK, "b"]
    assert made.rate.failed == 1
    assert made.scores(rule="before")[0] == pytest.approx((20 + 30 + 30) / 3)


@pytest.mark.parametrize("unit", [Unit(-1200.0), Unit()])
def test_what_learned_nothing_has_not_run_away(unit):
    """Pendulum: three that solve it, of -76, and one that stays as it began."""
    curves = {("good", seed): [-1200, -90, -76 - seed] for seed in range(3)}
    curves |= {("poor", 0): [-1250, -1300, -1100], ("lost", 0): [-1200, -1300, -2e4]}
    made = score.arms(rows(curves), {TASK: unit})
    assert [made[TASK, name].failed.sum() for name in ("good", "poor")] == [0, 0]
    # below -1,200 by ten times what the best, -76, is above that
    assert made[TASK, "lost"].failed.all()


def test_a_floor_is_ten_units_below_a_random_policy():
    unit = {TASK: Unit(10.0, reference=110.0)}
    for low, failed in ((-989.0, 0), (-991.0, 1)):
        made = score.arms(rows({("a", 0): [low] * 3}), unit)
        assert made[TASK, "a"].rate.failed == failed


@pytest.mark.parametrize("failed, runs", [(0, 10), (4, 5), (5, 5), (3, 64), (0, 59)])
def test_a_rate_has_clopper_and_pearsons_interval(failed, runs):
    theirs = scipy_stats.binomtest(failed, runs).proportion_ci(0.95, "exact")
    found = score.rate(failed, runs)
    assert found == pytest.approx((failed, runs, theirs.low, theirs.high))
