"""Which experiment a store is of, and what the paper has beside its cells."""

import dataclasses
import math

import pytest

from coadapt.experiments import load, paper_comparison
from coadapt.experiments.base import scaled
from coadapt.report import compare
from coadapt.runs.store import Entry, Header

HOPPER, CHEETAH, ANT = "gym/Hopper-v4", "gym/HalfCheetah-v4", "gym/Ant-v4"


def header(experiment, variants, tasks=(HOPPER,), steps=50_000, **fields):
    named = {name: Entry("sac", "0", {}) for name in variants}
    given = {
        "seeds": (0, 1),
        "eval_every": 5000,
        "eval_episodes": 10,
        "checkpoint_every": 20_000,
    }
    rest = {"variants": dict.fromkeys(tasks, named)} | given | fields
    return Header(experiment=experiment, steps=steps, **rest)


def test_an_experiment_is_known_by_its_name():
    found = paper_comparison.of(header("table3@reduced", ["SAC(tanh)"]))
    assert found is not None and found.papers
    assert (found.experiment.name, found.scale) == ("table3", "reduced")
    found = paper_comparison.of(
        header("quickstart", ["sac"], ["gym/InvertedPendulum-v5"])
    )
    assert found is not None and not found.papers
    assert found.cell("gym/InvertedPendulum-v5", "sac") is None


@pytest.mark.parametrize(
    "names, task, experiment",
    [
        (["SAC(S)", "MPO(D) (minimum of means)"], HOPPER, "table2"),
        (["SAC-E+"], "gym/Swimmer-v5", "table11"),
        (["SAC", "SAC-E+"], "dmc/fish_swim", "table12"),
        (["sac"], HOPPER, None),
        (["SAC(S)"], "toy/lqr", None),
    ],
)
def test_or_by_its_variants(names, task, experiment):
    found = paper_comparison.of(header("mine", names, [task]))
    assert (found and found.experiment.tables) == (
        experiment and load(experiment).tables
    )


def test_a_cell_is_that_of_the_row_that_a_variant_reads():
    found = paper_comparison.of(header("table3@paper", ["SAC(tanh)"]))
    assert found is not None
    cell = found.cell("gym/Hopper-v5", "MPO(tanh) (safe inverse)")
    assert cell is not None and cell.variant == "MPO(tanh)"
    assert (cell.mean, cell.std, cell.numerical_error) == (301, 12, True)
    lost = found.cell(ANT, "SAC(no tanh)")
    assert lost is not None and lost.mean == -math.inf
    assert found.cell(HOPPER, "mine") is None and found.cell("toy/lqr", "MPO") is None
    first = paper_comparison.of(header("figure1", ["AWAC"]))
    assert first is not None and first.cell(HOPPER, "AWAC").variant == "AWAC(D)"


def test_the_order_is_the_papers_whatever_came_first():
    names = [
        "MPO", "SAC-L+ (norm alone)", "mine", "SAC-E+L+", "SAC", "MPO-L-", "SAC-E+"
    ]  # fmt: skip
    about = header("table11@reduced", names, [ANT, HOPPER, CHEETAH])
    found = paper_comparison.of(about)
    assert paper_comparison.variants(about, found) == [
        "SAC", "SAC-E+", "SAC-E+L+", "MPO", "mine", "SAC-L+ (norm alone)", "MPO-L-"
    ]  # fmt: skip
    assert paper_comparison.tasks(about, found) == [HOPPER, CHEETAH, ANT]
    assert paper_comparison.variants(about, None) == names


def test_rows_are_in_order_where_the_first_task_has_few():
    names = ["AWR", "MPO", "SAC-E+L+", "SAC-L+", "SAC-E+", "SAC"]
    about = header("table12", names, ["dmc/fish_swim", "dmc/cartpole_balance"])
    assert paper_comparison.variants(about, paper_comparison.of(about)) == [
        "SAC", "SAC-E+", "SAC-L+", "SAC-E+L+", "MPO", "AWR"
    ]  # fmt: skip


def test_comparisons_need_all_four_of_their_variants():
    three = ["SAC(tanh)", "SAC(no tanh)", "MPO(tanh)"]
    assert paper_comparison.comparisons(three) == []
    (found,) = paper_comparison.comparisons([*three, "MPO(no tanh)"])
    assert (found.toggle, found.first, found.second) == ("tanh", "SAC", "MPO")
    rows = ["SAC", "SAC-E+", "SAC-L+", "SAC-E+L+", "MPO", "MPO-E-L-"]
    assert [c.tables for c in paper_comparison.comparisons(rows)] == [("table11",)] * 3


def test_a_twin_answers_under_each_of_its_names():
    """SAC is SAC(tanh), SAC(D) and SAC(Net: SAC): it need not run four times."""
    names = ["SAC", "SAC(S)", "SAC(no tanh)", "MPO", "MPO(D)", "MPO(tanh)"]
    found = compare.questions(header("shortened", names))
    assert {q.toggle: [(p.on, p.off) for p in q.pairs] for q in found} == {
        "clipped double Q": [(("SAC",), ("SAC(S)",)), (("MPO(D)",), ("MPO",))],
        "tanh": [(("SAC",), ("SAC(no tanh)",)), (("MPO(tanh)",), ("MPO",))],
    }
    assert [q.paper for q in found] == ["co-adapted"] * 2
    assert compare.questions(header("shortened", ["SAC(S)", "MPO(D)"])) == []


def test_a_budget_is_told_beside_the_papers():
    for scale, words in (
        ("paper", "scale paper; 2 seeds (the paper: 10); env steps: "),
        ("reduced", "scale reduced; 2 seeds (the paper: 10); env steps: "),
    ):
        made = scaled(load("table2"), scale)
        steps = {task: made.steps_on(task) for task in (HOPPER, CHEETAH)}
        most = max(steps.values())
        less = {task: n for task, n in steps.items() if n != most}
        about = header(made.name, ["SAC(D)"], (HOPPER, CHEETAH), most, task_steps=less)
        text = paper_comparison.budget(about, paper_comparison.of(about))
        assert text.startswith(words) and text.endswith("; 2 of 6 tasks.")
        share = "the paper's" if scale == "paper" else "5% of the paper's"
        assert f"({share})" in text
    assert "50,000 on gym/Hopper-v4, 150,000 on all others" in text or (
        "150,000 on gym/HalfCheetah-v4, 50,000 on all others" in text
    )


def test_a_budget_of_ones_own_has_no_paper():
    about = header("sweep", ["sac"], ["toy/lqr"], 60)
    about = dataclasses.replace(about, eval_episodes=1, seeds=(0,))
    assert paper_comparison.budget(about, None) == (
        "1 seed; 60 env steps; an evaluation of 1 episode every 5,000 env steps."
    )
