"""`--steps` with lengths of single algorithms, and `--reference`."""

import pytest

from coadapt import sweep
from coadapt.cli import sweep as sweep_command
from coadapt.experiments.base import Row, variants

TASK = "toy/lqr"
SWEEP = ["--algorithms=sac,awr", f"--task={TASK}"]


def asked(monkeypatch, *flags):
    """The sweep that a command asks for."""
    found = []
    monkeypatch.setattr(
        sweep_command.running, "run_sweep", lambda _, each, **__: found.append(each)
    )
    assert sweep_command.main(list(flags)) == 0
    return found[0]


def lengths(made, task=TASK):
    return {v.name: made.steps_of(task, v) for v in made.variants[task]}


def test_an_algorithm_has_its_own_length_in_a_grid(monkeypatch):
    grid = "--grid=g_estimate.discount=0.9,0.99"
    made = asked(monkeypatch, *SWEEP, "--steps=1e5,awr:6e5", grid)
    assert set(lengths(made).values()) == {100_000, 600_000}
    assert all((n == 600_000) == k.startswith("awr") for k, n in lengths(made).items())
    about = sweep.header(made)
    assert about.steps == 600_000
    assert about.steps_of_variant(TASK, "sac/g_estimate.discount=0.9") == 100_000


def test_variants_of_an_experiment_have_their_own(monkeypatch):
    task = "gym/Hopper-v5"
    flags = ["--experiment=table3", f"--task={task}", "--variants=SAC(tanh),AWR(tanh)"]
    made = asked(monkeypatch, *flags, "--steps=AWR(tanh):6e6")
    assert lengths(made, task) == {"SAC(tanh)": 1_000_000, "AWR(tanh)": 6_000_000}
    rows = variants({"a": Row("sac"), "b": Row("sac", steps=7)})(TASK)
    assert [v.steps for v in rows] == [None, 7]


def test_a_reference_is_of_a_task(monkeypatch):
    made = asked(monkeypatch, *SWEEP, "--steps=10", "--reference=toy/lqr:-5")
    unit = sweep.header(made).units[TASK]
    assert (unit.reference, unit.source) == (-5.0, "given")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--steps=1e5,arw:6e5"], "did you mean 'awr'"),
        (["--steps=1e5,2e5"], "one number for all"),
        (["--steps=1e5,awr:6e5,awr:7e5"], "--steps has 'awr' twice"),
        (
            ["--steps=9", *["--reference=toy/lqr:1"] * 2],
            "--reference has toy/lqr twice",
        ),
        ([f"--seeds=0-{'9' * 5000}"], "--seeds is '0-999"),
        (["--steps=awr:6e5"], "one number for all"),
        (["--steps=1e5,awr:x"], "--steps is 'x'"),
        (["--steps=10", "--reference=5"], "it must be task:value"),
        (["--steps=10", "--reference=toy/lqr:high"], "it must be task:value"),
        (["--steps=10", "--reference=toy/lqt:5"], "did you mean 'toy/lqr'"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(capsys, flags, words):
    assert sweep_command.main([*SWEEP, *flags, "--dry_run"]) == 2
    shown = capsys.readouterr()
    assert not shown.out and shown.err.count("\n") == 1 and words in shown.err
