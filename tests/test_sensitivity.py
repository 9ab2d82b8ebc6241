"""Best of n against all subsets; sensitivity by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
import stores

from coadapt import sweep
from coadapt.analysis import score, sensitivity
from coadapt.cli import sensitivity as command
from coadapt.cli import sweep as sweep_command
from coadapt.runs import store
from coadapt.schema import ConfigError


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_n_is_the_mean_over_all_subsets(seed):
    chosen, scored = np.random.default_rng(seed).normal(size=(2, 7))
    found = sensitivity.best_of(chosen, scored)
    expected = [
        np.mean(
            [
                scored[max(each, key=lambda i: chosen[i])]
                for each in itertools.combinations(range(7), n)
            ]
        )
        for n in (1, 2, 3)
    ]
    assert found == pytest.approx(expected)


def test_the_luckiest_is_not_the_best():
    """Without any difference between settings the best of n gains nothing."""
    draws = np.random.default_rng(0).normal(size=(2000, 2, 8))
    curves = np.array([sensitivity.best_of(*each) for each in draws])
    assert curves.mean(0) == pytest.approx(np.zeros(4), abs=0.06)  # 4 errors
    same = np.array([sensitivity.best_of(x, x) for x, _ in draws]).mean(0)
    assert same[3] > 0.9  # the mean largest of four normals is 1.03


def test_one_setting_for_all_tasks_loses_what_each_had_at_its_own():
    found = sensitivity.sensitivity({"a": [1.0, 0.2], "b": [0.5, 0.6], "c": [0.0, 0.9]})
    assert (found.own, found.shared) == pytest.approx((0.95, 0.6))
    assert found.setting == "a"
    assert found.value == pytest.approx(0.35)


def test_the_fields_that_must_be_tuned_are_counted():
    grid = {(a, b): 1.0 - 0.4 * a - 0.01 * b for a in (0, 1) for b in (0, 1)}
    at = list(grid).index((1, 1))
    assert sensitivity.dimensions(grid, at) == 1  # the first field alone
    assert sensitivity.dimensions(grid, at, share=1.0) == 2
    assert sensitivity.dimensions(grid, list(grid).index((0, 1))) == 0


def test_fields_are_counted_over_tasks_with_one_set_for_all():
    """Each task hangs on one of three fields: two must be tuned, though each alone
    asks for one."""
    points = list(itertools.product((0, 1), repeat=3))
    tasks = [{p: 1.0 - 0.5 * p[i] for p in points} for i in (0, 1)]
    assert [sensitivity.effective([t], (1, 1, 1)) for t in tasks] == [1, 1]
    assert sensitivity.effective(tasks, (1, 1, 1)) == 2
    assert sensitivity.effective(tasks, (0, 1, 1)) == 1
    assert sensitivity.effective(tasks, (0, 0, 1)) == 0


def test_what_can_not_be_answered_is_refused_with_what_could():
    with pytest.raises(ConfigError, match=r"best of n needs 4 settings.*random design"):
        sensitivity.best_of([1, 2, 3], [1, 2, 3])
    with pytest.raises(ConfigError, match="run the same settings on more tasks"):
        sensitivity.sensitivity({"a": [1.0], "b": [2.0]})
    with pytest.raises(ConfigError, match="here are 3 of 4 points; run all"):
        sensitivity.dimensions({(0, 0): 1.0, (0, 1): 1.0, (1, 0): 1.0}, 0)


def test_a_curve_is_of_the_task_whose_scores_it_is_made_of():
    """A setting has no runs on the first task, which all others have.

    Scores are 0 to 3: the best of two is 3 in three pairs of six, 2 in two, 1 in one.
    """
    names = [f"x/{i}" for i in range(4)]
    cells = [
        (task, name, seed, 10, "return", float(i))
        for task in ("first", "second")
        for i, name in enumerate(names)
        for seed in range(2)
        if (task, name) != ("first", names[3])
    ]
    columns = ["task", "variant", "seed", "env_steps", "metric", "value"]
    arms = score.arms(pd.DataFrame(cells, columns=columns))
    (found,) = sensitivity.curves(arms, {"x": names})
    assert found.task == "second"
    assert found.values == pytest.approx([1.5, (3 * 3 + 2 * 2 + 1) / 6])
    longer = found._replace(task="third", values=np.array([1.0, 2.0, 3.0]))
    rows = command._rows([found, longer])
    assert [row["best of 3"] for row in rows] == ["-", "3.00"]


# ---------------------------------------------------------------- a random design

TASK = "gym/Hopper-v5"
RATE = "optim.policy.rate"
FLAGS = ["--algorithms=sac", f"--task={TASK}", "--seeds=4", "--steps=300"]
FLAGS += ["--random=8", f"--vary={RATE}=1e-5..1e-2:log"]


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    """Scores are the decades of the rate; seeds do not matter."""
    folder, asked = tmp_path_factory.mktemp("design"), list[sweep.Sweep]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "plan", lambda x, *_: asked.append(x) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweep_command.main([*FLAGS, "--dry_run"])
    variants = asked[0].variants

    def score(cell):
        return 1.5 * 10 * (5 + np.log10(float(cell.variant.partition(f"{RATE}=")[2])))

    made = {"seeds": 4, "score": score, "protocol": asked[0].protocol}
    stores.build(folder, "sweep", variants, {TASK: 300}, **made)
    return folder, variants[TASK]


def test_settings_are_uniform_in_their_range(design):
    _, variants = design
    found = np.array([v.config.optim.policy.rate for v in variants])
    expected = 10 ** (-5 + 3 * np.random.default_rng(0).random(8))
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_command_prints_the_best_of_n(design, tmp_path, capsys):
    folder, variants = design
    scores = [0.1 * (5 + np.log10(v.config.optim.policy.rate)) for v in variants]
    expected = sensitivity.best_of(scores, scores)
    picture = tmp_path / "best.png"
    flags = [f"--workdir={folder}", "--format=csv", f"--figure={picture}"]
    assert command.main(flags) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert head == "variant,task,unit,best of 1,best of 2,best of 4"
    shown = [float(x) for x in row.split(",")[3:]]
    assert shown == pytest.approx(expected[[0, 1, 3]], abs=0.005)
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize("flag", ["--by_setting", "--by_task", "--procedure=3", ""])
def test_a_folder_without_a_store_is_a_sentence(flag, tmp_path, capsys):
    flags = [f"--workdir={tmp_path / 'none'}", *([flag] if flag else [])]
    assert command.main(flags) == 2
    assert "is not a run store: there is nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag, words",
    [("--format=pdf", "format is 'pdf'"), ("--figure=x.bmp", ".svg, .png")],
)
def test_what_cannot_be_written_is_known_before_anything_is_printed(
    flag, words, design, capsys
):
    assert command.main([f"--workdir={design[0]}", flag]) == 2
    said = capsys.readouterr()
    assert words in said.err and not said.out


def test_another_design_is_refused_with_the_one_that_answers(tmp_path, capsys):
    stores.build(tmp_path, "sweep", {TASK: sweep.presets(["sac"], TASK)}, {TASK: 300})
    assert command.main([f"--workdir={tmp_path}"]) == 2
    assert "run coadapt sweep --random=16 --vary=" in capsys.readouterr().err
    assert sweep_command.main([*FLAGS[:-1], "--dry_run"]) == 2
    assert "--random and --vary go together" in capsys.readouterr().err
    bad = [*FLAGS[:-1], f"--vary={RATE}=1e-2..1e-5", "--dry_run"]
    assert sweep_command.main(bad) == 2
    assert "vary is optim.policy.rate='1e-2..1e-5'" in capsys.readouterr().err
    assert store.load(tmp_path) is not None


OTHER = "gym/Walker2d-v5"


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A rate that is best high on one task and low on the other, and an idle field."""
    folder = tmp_path_factory.mktemp("grid")
    axes = {RATE: [1e-4, 1e-3], "g_estimate.discount": [0.9, 0.99]}
    variants = {task: sweep.grid(["sac"], axes, task=task) for task in (TASK, OTHER)}

    def score(cell):
        high = f"{RATE}=0.001" in cell.variant
        return 1.5 * ((80 if high else 40) if cell.task == TASK else 60 - 20 * high)

    stores.build(folder, "sweep", variants, dict.fromkeys(variants, 300), score=score)
    return folder


def test_one_setting_for_all_tasks_is_asked_of_a_grid(grid, tmp_path, capsys):
    picture = tmp_path / "tasks.svg"
    flags = [f"--workdir={grid}", "--by_task", "--format=csv", f"--figure={picture}"]
    assert command.main(flags) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert head == (
        "variant,settings,own setting,one for all,sensitivity,fields,to tune,that one"
    )
    # 0.8 and 0.6 at their own rates, 0.8 and 0.4 at the high one
    assert row.split(",")[:7] == ["sac", "4", "0.70", "0.60", "0.10", "2", "1"]
    assert f"{RATE}=0.001" in row
    assert "sac" in picture.read_text()


def test_two_answers_at_once_and_one_setting_are_refused(grid, tmp_path, capsys):
    assert command.main([f"--workdir={grid}", "--by_task", "--by_setting"]) == 2
    assert "--by_setting and --by_task exclude each other" in capsys.readouterr().err
    stores.build(tmp_path, "sweep", {TASK: sweep.presets(["sac"], TASK)}, {TASK: 300})
    assert command.main([f"--workdir={tmp_path}", "--by_task"]) == 2
    assert "one setting of each variant: run a design" in capsys.readouterr().err
