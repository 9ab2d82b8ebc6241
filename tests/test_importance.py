"""Functional ANOVA against a function whose shares are known."""

import sys

import numpy as np
import pytest
import stores

from coadapt import sweep
from coadapt.analysis import importance
from coadapt.analysis.importance import Tree
from coadapt.cli import importance as command
from coadapt.cli import sweep as sweep_command
from coadapt.schema import ConfigError
from coadapt.studies import tuning

pytest.importorskip("sklearn", reason="importance needs scikit-learn")

FIELDS = ["optim.policy.rate", "g_estimate.discount", "data.batch_size"]


def test_a_trees_shares_are_those_of_its_function():
    """Four boxes, by hand: x > 1/2 adds 2, and y > 1/4 adds 4 beyond it."""
    low = np.array([[0, 0], [0.5, 0], [0.5, 0.25]])
    high = np.array([[0.5, 1], [1, 0.25], [1, 1]])
    found = Tree(low, high, np.array([0.0, 2.0, 6.0])).shares()
    # marginals: of x 0 or 5, of y 1 or 3; variances 25/4, 3/4; the whole 14 - 2.5^2
    mean, square = 2.5, 0.125 * 4 + 0.375 * 36
    total = square - mean**2
    assert found[0,] == pytest.approx(6.25 / total)
    assert found[1,] == pytest.approx(0.75 / total)
    assert sum(found.values()) == pytest.approx(1.0)


def test_cubics_of_each_field_leave_noise_and_interactions():
    x = np.random.default_rng(0).random((40, 2))
    known = 3 * x[:, 0] ** 3 - x[:, 1] ** 2
    fitted, rest = importance._additive(x, known)
    assert fitted == pytest.approx(known)
    assert rest == pytest.approx(np.zeros(40), abs=1e-10)
    noise = np.random.default_rng(1).normal(size=40)
    _, rest = importance._additive(x, known + noise)
    # 33 degrees of freedom: a std has a standard error of 12%
    assert np.sqrt((rest**2).mean()) == pytest.approx(1.0, abs=0.4)


@pytest.fixture(scope="module")
def known():
    """One main effect, one interaction, and a field without either."""
    rng = np.random.default_rng(0)
    x = rng.random((60, 3))
    y = 2 * x[:, 0] + 3 * (x[:, 0] > 0.5) * (x[:, 1] > 0.5)
    noisy = y + 0.1 * rng.normal(size=60)
    return importance.importance(x, noisy, FIELDS, permutations=19)


def test_main_effects_and_the_interaction_of_a_known_function_are_found(known):
    shown = [each.fields for each in known.shares if each.shown]
    assert shown == [(FIELDS[0],), (FIELDS[1],), (FIELDS[0], FIELDS[1])]
    # of the function itself, by integration over a grid of midpoints
    a, b = np.meshgrid(*[(np.arange(200) + 0.5) / 200] * 2, indexing="ij")
    y = 2 * a + 3 * (a > 0.5) * (b > 0.5)
    first, second = y.mean(1).var() / y.var(), y.mean(0).var() / y.var()
    expected = [first, second, 1 - first - second]
    found = [each.value for each in known.shares if each.shown]
    # a forest of 60 points smooths: it is a tenth off at most
    assert found == pytest.approx(expected, abs=0.1)


def test_a_field_without_an_effect_is_below_its_null_and_as_noise_is(known):
    idle = [each for each in known.shares if FIELDS[2] in each.fields]
    assert len(idle) == 3 and not any(each.shown for each in idle)
    assert max(known.dummy, idle[0].value) < 0.05


@pytest.mark.long
def test_what_is_not_there_is_shown_in_a_twentieth():
    """An idle field, and pairs of two that add up, in 20 designs of 19 permutations:
    4 at the most, of which a binomial at 5% has more in 0.3%."""
    shown = dict.fromkeys([("c",), ("a", "b"), ("a", "c"), ("b", "c")], 0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.random((40, 3))
        known = 2 * x[:, 0] - 8 * (x[:, 1] - 0.5) ** 2
        y = known + 0.2 * rng.normal(size=40)
        found = importance.importance(x, y, list("abc"), permutations=19, seed=seed)
        for each in found.shares:
            if each.fields in shown:
                shown[each.fields] += each.shown
    assert max(shown.values()) <= 4, shown


def test_the_column_of_noise_is_not_the_design_of_the_same_seed():
    settings = tuning.uniform([tuning.Range("x", 0.0, 1.0)], 20, seed=0)
    x = np.array([[each["x"]] for each in settings])
    found = importance.importance(x, x[:, 0], ["x"], permutations=19, seed=0)
    assert found.shares[0].value > 0.9 and found.dummy < 0.1


def test_few_settings_are_refused_with_the_design_that_could():
    x = np.zeros((29, 3))
    with pytest.raises(ConfigError, match=r"here are 29 for 3; run .*--random=30"):
        importance.importance(x, np.zeros(29), FIELDS)


def test_the_same_scores_explain_nothing():
    x = np.random.default_rng(0).random((10, 1))
    (only,) = importance.importance(x, np.ones(10), FIELDS[:1], permutations=19).shares
    assert (only.value, only.shown) == (0.0, False)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(ConfigError, match=r"needs scikit-learn: pip install .*\[imp"):
        importance.importance(np.zeros((10, 1)), np.zeros(10), FIELDS[:1])


# ---------------------------------------------------------------- a run store

TASK, RATE = "gym/Hopper-v5", "optim.policy.rate"
FLAGS = ["--algorithms=sac,mpo", f"--task={TASK}", "--seeds=2", "--steps=300"]
FLAGS += [f"--vary={RATE}=1e-5..1e-2:log", "--vary=g_estimate.discount=0.9..0.99"]


def planned(flags) -> sweep.Sweep:
    """What a command would run."""
    asked = list[sweep.Sweep]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "plan", lambda x, *_: asked.append(x) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweep_command.main([*flags, "--dry_run"])
    return asked[0]


def written(folder, asked, score, seeds=2):
    how = {"seeds": seeds, "score": score, "protocol": asked.protocol}
    stores.build(folder, "sweep", asked.variants, {TASK: 300}, **how)


def test_the_command_ranks_the_fields_of_each_variant(tmp_path, capsys):
    """sac hangs on its rate, mpo on nothing."""
    rng = np.random.default_rng(0)

    def score(cell):
        rate = float(cell.variant.partition(f"{RATE}=")[2])
        known = 30 * (5 + np.log10(rate)) if cell.variant.startswith("sac") else 50
        return known + rng.normal()

    written(tmp_path, planned([*FLAGS[:-1], "--random=20"]), score)
    picture = tmp_path / "importance.svg"
    flags = [f"--workdir={tmp_path}", "--permutations=19", f"--figure={picture}"]
    assert command.main(flags) == 0
    said = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in said if line.startswith(("sac ", "mpo "))]
    assert rows[0][:3] == ["sac", TASK, RATE] and float(rows[0][3]) > 0.9
    assert rows[1][2:6] == ["none", "above", "its", "null"]
    assert "mpo on gym/Hopper-v5, 20 settings: not above its null:" in said[-1]
    assert RATE in picture.read_text()


def test_a_small_design_is_refused_by_the_command(tmp_path, capsys):
    written(tmp_path, planned([*FLAGS, "--random=19"]), lambda _: 50.0)
    assert command.main([f"--workdir={tmp_path}"]) == 2
    assert "here are 19 for 2; run coadapt sweep --random=20" in capsys.readouterr().err
