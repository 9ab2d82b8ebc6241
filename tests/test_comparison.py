"""`coadapt.compare` on rows with a known truth, against plain NumPy and scipy."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stores
from scipy import stats as scipy_stats

import coadapt
from coadapt import sweep
from coadapt.analysis import comparison, stats, verdict
from coadapt.envs import toy
from coadapt.report import compare as verdicts
from coadapt.report import run_data, sections
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.tasks.units import Unit

A, B = "toy/lqr", "toy/chain"
UNITS = {A: Unit(-100.0, reference=100.0), B: Unit(0.0, reference=10.0)}
PAIRS = {"SAC": ("sac", "sac-off"), "MPO": ("mpo", "mpo-off")}


def rows(means, tasks=(A,), seeds=12, std=0.02, failed=(), length=None, scale=True):
    """Scores in units, put into returns; `failed` are cells that end in NaN."""
    rng, found = np.random.default_rng(0), []
    for task in tasks:
        unit = UNITS[task] if scale else Unit(0.0, reference=1.0)
        assert unit.size and unit.random is not None
        for name, mean in means.items():
            for seed in range(seeds):
                value = unit.random + unit.size * (mean + std * rng.normal())
                for i in range((length or {}).get(name, 3)):
                    gone = (name, seed) in failed and i > 0
                    shown = math.nan if gone else value
                    found.append((task, name, seed, 100 * i + 100, "return", shown))
    columns = ["task", "variant", "seed", "env_steps", "metric", "value"]
    return pd.DataFrame(found, columns=columns)


def of(sac, mpo):
    return {"sac": 0.2 + sac, "sac-off": 0.2, "mpo": 0.4 + mpo, "mpo-off": 0.4}


def last(frame, name, task=A):
    mine = frame[(frame.variant == name) & (frame.task == task)]
    return mine[mine.env_steps == mine.env_steps.max()].value.to_numpy()


def compare(frame, **options):
    return coadapt.compare(frame, "tanh", PAIRS, units=UNITS, **options)


def test_returns_come_first_and_are_scipys():
    frame = rows(of(0.5, 0.0))
    found = compare(frame)
    for i, (on, off) in enumerate(PAIRS.values()):
        x, y = last(frame, on), last(frame, off)
        theirs = scipy_stats.ttest_ind(x, y, equal_var=False).confidence_interval()
        assert found.returns[A][i].low == pytest.approx(theirs.low)
        assert found.effects[i].value == pytest.approx((x.mean() - y.mean()) / 200)
    assert found.word == "co-adapted: helps SAC only"
    assert found.detail == "MPO unchanged"
    gap = found.effects[0].value - found.effects[1].value
    assert found.gap and found.gap.value == pytest.approx(gap)


def test_tasks_are_averaged_in_their_units():
    frame = rows(of(0.5, 0.3), tasks=(A, B), seeds=10)
    found = compare(frame)
    apart = [
        last(frame, "sac", t).mean() - last(frame, "sac-off", t).mean() for t in (A, B)
    ]
    by_hand = (apart[0] / UNITS[A].size + apart[1] / UNITS[B].size) / 2
    assert found.effects[0].value == pytest.approx(by_hand)
    assert found.word == verdict.HELPS_BOTH and found.unit == "reference"
    assert set(found.returns) == {A, B}
    alone = compare(frame, tasks=[B])
    assert alone.tasks == (B,)


def test_without_a_reference_a_margin_is_in_returns():
    frame, units = rows(of(0.5, 0.0)), {A: Unit(-100.0)}
    found = coadapt.compare(frame, "tanh", PAIRS, units=units)
    assert found.unit == "returns" and found.margin is None
    assert found.word == verdict.NONE and "give a margin in returns" in found.detail
    given = coadapt.compare(frame, "tanh", PAIRS, units=units, margin=20)
    assert given.word == "co-adapted: helps SAC only" == compare(frame).word
    assert given.verdict.p == pytest.approx(compare(frame).verdict.p)


def test_several_tasks_without_references_have_no_mean():
    found = coadapt.compare(rows(of(0.5, 0), (A, B)), "tanh", PAIRS, margin=3)
    assert (found.unit, found.effects, found.gap) == ("", (), None)
    assert "no unit in common" in found.detail and set(found.returns) == {A, B}


def test_below_ten_seeds_there_is_no_verdict_and_a_number_that_would_do():
    found = compare(rows(of(0.2, 0.0), seeds=9, std=0.2))
    assert found.word == verdict.NONE
    assert found.detail == "9 seeds per arm: a verdict needs 10"
    assert found.verdict.seeds and found.verdict.seeds > 10


def test_one_variant_more_changes_nothing():
    """The unit was fixed before: no variant is its end."""
    frame = rows(of(0.5, 0.0))
    more = pd.concat([frame, rows({"other": -3.0})], ignore_index=True)
    assert compare(frame) == compare(more)


def test_two_almost_equal_variants_do_not_differ_by_one():
    frame = rows({"sac": -388.6, "sac-off": -388.4}, std=0.5, scale=False)
    pair = {"SAC": ("sac", "sac-off")}
    found = coadapt.compare(frame, "rate", pair, margin=10)
    assert found.word == verdict.NOTHING
    assert abs(found.effects[0].value + 0.2) < 0.5


def test_horizons_are_each_rows_own():
    frame = rows(of(0.5, 0.0), length={"mpo": 6, "mpo-off": 6})
    found = compare(frame)
    assert found.notes[0] == (
        "horizon: sac on toy/lqr 300, sac-off on toy/lqr 300, mpo on toy/lqr 600, "
        "mpo-off on toy/lqr 600 env steps"
    )


# ---------------------------------------------------------------- failures


def test_a_verdict_that_hangs_on_failures_says_so():
    """Four of twelve runs break at their peak."""
    broken = [("sac", seed) for seed in (1, 5, 7, 9)]
    frame = rows(of(0.5, 0.0), std=0.02, failed=broken)
    found = compare(frame)
    assert found.word == verdict.HANGS
    assert found.verdict.detail.startswith("not decided if a failed run counts as a ")
    assert found.before.word == verdict.HELPS_A
    scores = np.where(np.isnan(last(frame, "sac")), -100, last(frame, "sac"))
    by_hand = scores.mean() - last(frame, "sac-off").mean()
    assert found.returns[A][0].value == pytest.approx(by_hand)
    assert found.rates["SAC", True][:2] == (4, 12)
    assert "sac on toy/lqr: 4 of 12 runs failed [10%, 65%]" in found.notes


def test_failures_count_as_nothing_that_is_not_known():
    frame = rows(of(0.5, 0.0), failed=[("sac", 1)])
    found = coadapt.compare(frame, "tanh", PAIRS, margin=20)
    assert found.word == verdict.NONE
    assert "a random policy's return on toy/lqr is not known" in found.detail


@pytest.mark.parametrize("fixed", [False, True])
def test_a_random_policy_that_is_measured_after_the_runs_is_said_to_be(tmp_path, fixed):
    """A store of before units has none; where a run failed, its reader measures it."""
    made = {A: sweep.presets(["sac", "awac"], A)}
    unit = UNITS[A] if fixed else Unit()
    dead = [store.Cell(A, "sac", 0)]
    stores.build(tmp_path, "e", made, {A: 100}, seeds=3, dead=dead, unit=unit)
    found = coadapt.compare(tmp_path, "x", {"x": ("sac", "awac")}, margin=20)
    number = stats.number(toy.baseline(A))
    said = f"a random policy on {A}, {number}, was measured now, after the runs"
    assert (said in found.notes) == (not fixed)
    shown = sections.unit_line(A, sections.units_of(run_data.read(tmp_path))[0])
    assert (f"{number} (measured now, after the runs)" in shown) == (not fixed)
    text = (tmp_path / "manifest.json").read_text()
    assert '"random"' in text and '"now"' not in text


def test_a_verdict_says_how_often_it_is_wrong_if_arms_fail():
    found = compare(rows(of(0.5, 0.0)))
    assert found.verdict.wrong == pytest.approx(0.025)
    assert found.verdict.wrong_with_failures
    assert 0.01 < found.verdict.wrong_with_failures < 0.1
    clean = compare(rows(of(0.5, 0.0), seeds=59))
    assert clean.verdict.wrong_with_failures is None


def test_an_arm_without_any_score_has_no_effect_and_no_verdict():
    """All runs were lost before their first score, and no random policy is known."""
    frame = rows(of(0.5, 0.0))
    frame.loc[frame.variant == "sac", "value"] = math.nan
    found = coadapt.compare(frame, "tanh", PAIRS, margin=20)
    assert found.word == verdict.NONE
    assert "a random policy's return on toy/lqr is not known" in found.detail
    assert found.before.detail == "0 seeds per arm: a verdict needs 10"
    lost, whole = found.returns[A]
    assert math.isnan(lost.value) and not lost.defined and lost.seeds == 0
    assert whole.defined and str(found)
    assert not math.isnan(comparison.correlation(frame))  # of the other arms


# ---------------------------------------------------------------- pairing


def test_runs_are_paired_where_a_pilot_says_so():
    frame = rows(of(0.5, 0.0), std=0.2)
    alone = compare(frame, correlation=0.3)
    assert not alone.paired and alone.effects == compare(frame).effects
    paired = compare(frame, correlation=0.31)
    apart = last(frame, "sac") - last(frame, "sac-off")
    theirs = scipy_stats.ttest_1samp(apart, 0).confidence_interval()
    assert paired.returns[A][0].low == pytest.approx(theirs.low)


def test_correlation_is_of_equal_seeds():
    frame = rows(of(0.5, 0.0), std=0.2)
    assert abs(comparison.correlation(frame)) < 0.3
    luck = frame.seed.map(dict(enumerate(np.random.default_rng(1).normal(size=12))))
    frame["value"] += 200 * luck
    assert comparison.correlation(frame) > 0.8


# ---------------------------------------------------------------- questions


GRID = {"sac/critics=2": 0.6, "sac/critics=1": 0.2, "mpo/critics=2": 0.4}
GRID |= {"mpo/critics=1": 0.4}


def test_a_field_of_a_grid():
    frame = rows(GRID)
    found = coadapt.compare(frame, "critics", 2, units=UNITS)
    assert (found.labels, found.word) == (("sac", "mpo"), "co-adapted: helps sac only")
    other = coadapt.compare(frame, "critics", 1, units=UNITS)
    assert other.word == "co-adapted: harms sac only"
    three = rows(GRID | {"mpo/critics=4": 0.4, "sac/critics=4": 0.9})
    assert coadapt.compare(three, "critics", 2, off=1, units=UNITS) == found


def test_others_are_averaged_over():
    names = {f"sac/a={a}/b={b}": 0.3 * a + 0.1 * b for a in (0, 1) for b in (0, 1)}
    frame = rows(names)
    found = coadapt.compare(frame, "a", 1, units=UNITS)
    on, off = (
        np.concatenate([last(frame, f"sac/a={a}/b={b}") for b in (0, 1)])
        for a in (1, 0)
    )
    assert found.effects[0].value == pytest.approx((on.mean() - off.mean()) / 200)
    assert (found.word, found.labels) == (verdict.HELPS, ("sac",))


def test_what_stands_beside_an_effect_is_of_variants_that_differ_in_it_alone():
    """Of twins: beside b, which moves a run by 5 stds, a would not be seen."""
    names = {f"a={a}/b={b}": 0.02 * a + 0.1 * b for a in (0, 1) for b in (0, 1)}
    on, off = (tuple(n for n in names if n.startswith(f"a={a}")) for a in (1, 0))
    frame = rows(names)
    found = coadapt.compare(frame, "a", {"x": (on, off)}, units=UNITS)
    twins = [(last(frame, x), last(frame, y)) for x, y in zip(on, off, strict=True)]
    (effect,), (beside,) = found.effects, found.beside[A]
    assert effect.g == pytest.approx(np.mean([verdict.hedges(*x) for x in twins]))
    better = [(x[:, None] > y).mean() for x, y in twins]
    assert beside.improvement == pytest.approx(np.mean(better))
    # of sides that are not as many, each with each
    more = coadapt.compare(frame, "a", {"x": (on, off[:1])}, units=UNITS)
    better = [(last(frame, n)[:, None] > last(frame, off[0])).mean() for n in on]
    assert more.beside[A][0].improvement == pytest.approx(np.mean(better))
    with pytest.raises(ConfigError, match="are 2, and without it 1; they must be as"):
        coadapt.compare(frame, "a", {"x": (on, off[:1])}, correlation=0.5)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"on": {"SAC": ("sac", "sacoff")}}, "did you mean 'sac-off'"),
        ({"on": {}}, "name one or two"),
        ({"on": 3}, "no variant with tanh=3"),
        ({"on": PAIRS, "metric": "lst"}, "did you mean 'last'"),
        ({"on": PAIRS, "tasks": ["toy/lqt"]}, "did you mean 'toy/lqr'"),
        ({"on": PAIRS, "margin": 0.0}, "margin"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(options, words):
    with pytest.raises(ConfigError, match=words):
        coadapt.compare(rows(of(0.5, 0.0)), "tanh", **options)


def test_off_could_be_several():
    three = rows(GRID | {"sac/critics=4": 0.9})
    with pytest.raises(ConfigError, match="choose one with off=value"):
        coadapt.compare(three, "critics", 2)


def test_a_grid_of_rates_is_on_no_scale_of_its_own():
    """Once each pair was its own scale: +1.00, +1.00, +1.00."""
    means = {"1e-4": 100.1, "2e-4": 100.2, "3e-4": 101.0, "1e-3": 199.9}
    frame = rows({f"sac/rate={k}": x for k, x in means.items()}, std=0.3, scale=False)
    unit = {A: Unit(0.0, reference=500.0)}
    found = [
        coadapt.compare(frame, "rate", level, off="1e-4", units=unit)
        for level in ("2e-4", "3e-4", "1e-3")
    ]
    values = [each.effects[0].value for each in found]
    assert values == pytest.approx([0.0002, 0.0018, 0.1996], abs=0.001)
    assert [each.word for each in found] == [verdict.NOTHING] * 2 + [verdict.HELPS]


def test_the_report_and_the_library_give_one_answer():
    """Of a whole study, whose store has no unit, and failed runs."""
    place = Path(__file__).parent / "data" / "shortened"
    header = store.load(place)
    asked = [q for q in verdicts.questions(header) if q.toggle == "tanh"]
    (arms,) = run_data.read(place).arms.values()
    assert len(asked) == 2
    for question in asked:
        on = {pair.label: (pair.on, pair.off) for pair in question.pairs}
        for answer in verdicts.answers(arms, question):
            alone = coadapt.compare(place, "tanh", on, tasks=[answer.task])
            assert answer.found == dataclasses.replace(alone, published=question.cells)
            assert alone.word == verdict.NONE and "5 seeds per arm" in alone.detail
