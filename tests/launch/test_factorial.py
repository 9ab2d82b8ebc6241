"""Factorials: launched by `coadapt sweep`, and read by `coadapt effects`."""

import csv

import pytest
import stores

from coadapt import sweep
from coadapt.cli import effects as effects_command
from coadapt.cli import sweep as sweep_command

TASK = "toy/lqr"
AXES = {
    "g_estimate.critics": ["1", "2"],
    "networks.policy.activation": ["relu", "elu"],
    "data.batch_size": ["32", "64"],
    "target.critic.rate": ["5e-3", "1e-2"],
}
FLAGS = [f"--factorial={path}={','.join(levels)}" for path, levels in AXES.items()]
SWEEP = ["--algorithms=sac", f"--task={TASK}", "--steps=1000"]


def launched(monkeypatch, *flags):
    """The sweep that a command asks for."""
    found = []
    monkeypatch.setattr(
        sweep_command.running, "run_sweep", lambda _, asked, **__: found.append(asked)
    )
    assert sweep_command.main([*SWEEP, *flags]) == 0
    return found[0].variants[TASK]


def test_a_full_factorial_is_a_grid(monkeypatch):
    made = launched(monkeypatch, *FLAGS)
    assert made == sweep.grid(["sac"], AXES, task=TASK)


def test_a_fraction_has_the_product_of_three_as_its_fourth(monkeypatch):
    made = launched(monkeypatch, *FLAGS, "--resolution=4")
    assert len(made) == 8 and len({v.config for v in made}) == 8
    for variant in made:
        parts = dict(part.split("=") for part in variant.name.split("/")[1:])
        signs = [2 * levels.index(parts[p]) - 1 for p, levels in AXES.items()]
        assert signs[0] * signs[1] * signs[2] == signs[3]


def test_a_grid_goes_over_a_fraction(monkeypatch):
    grid = "--grid=optim.critic.rate=1e-3,1e-4,1e-5"
    made = launched(monkeypatch, *FLAGS, "--resolution=4", grid)
    assert len(made) == 24


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--factorial=data.batch_size=1,2,3"], "has data.batch_size with 3 levels"),
        (["--factorial=data.batch_size=1"], "has data.batch_size with 1 levels"),
        (["--factorial=data.batch_size"], "--factorial is 'data.batch_size'"),
        (["--factorial=data.batch_sise=1,2"], "did you mean 'batch_size'"),
        (["--resolution=4"], "also give --factorial"),
        ([*FLAGS, "--resolution=2"], "--resolution is '2'"),
        ([*FLAGS, "--resolution=high"], "--resolution is 'high'"),
    ],
)
def test_mistakes_in_a_factorial_are_one_sentence(capsys, flags, words):
    assert sweep_command.main([*SWEEP, *flags, "--dry_run"]) == 2
    shown = capsys.readouterr()
    assert not shown.out and shown.err.count("\n") == 1 and words in shown.err


def test_an_experiment_has_its_own_variants(capsys):
    flags = ["--experiment=quickstart", "--factorial=data.batch_size=1,2"]
    assert sweep_command.main(flags) == 2
    assert "--factorial and --experiment are both given" in capsys.readouterr().err


# ---------------------------------------------------------------- effects


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    where = tmp_path_factory.mktemp("stores") / "grid"
    axes = {**dict(list(AXES.items())[:2]), "data.batch_size": ["32", "64", "128"]}
    made = {TASK: sweep.grid(["sac", "mpo"], axes, task=TASK)}

    def score(cell):
        own = 40 * ("critics=2" in cell.variant) + 10 * ("=elu" in cell.variant)
        return own + 100 * cell.variant.startswith("mpo") + 3 * cell.seed

    stores.build(where, "sweep", made, {TASK: 300}, score=score)
    return where


def read(capsys, grid, *flags):
    assert effects_command.main([f"--workdir={grid}", *flags, "--format=csv"]) == 0
    return list(csv.DictReader(capsys.readouterr().out.splitlines()))


def test_some_toggles_of_a_grid(capsys, grid):
    rows = read(capsys, grid, FLAGS[0], "--factorial=data.batch_size=32,128")
    assert [(r["algorithm"], r["term"]) for r in rows] == [
        (a, t)
        for a in ("sac", "mpo")
        for t in (
            "g_estimate.critics",
            "data.batch_size",
            "g_estimate.critics x data.batch_size",
        )
    ]
    assert rows[0]["effect"].startswith("+0.27") and rows[0]["not told from"] == "-"


def test_a_metric_is_chosen(capsys, grid):
    """Two critics gain 40 at the end; runs begin at a third of it, and grow."""
    shown = [
        read(capsys, grid, FLAGS[0], f"--metric={metric}")[0]["effect"].split()[0]
        for metric in ("last", "final")
    ]
    assert shown == ["+0.40", "+0.27"]


def test_the_algorithm_among_them(capsys, grid):
    rows = read(capsys, grid, FLAGS[0], "--factorial=algorithm=sac,mpo")
    assert [r["effect"].split()[0] for r in rows] == ["+0.27", "+0.67", "+0.00"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--factorial=all"], "no algorithm's variants are a factorial"),
        (["--factorial=data.batch_size=32"], "a toggle and its levels off and on"),
        (["--factorial=data.batch_size=32,32"], "a toggle and its levels off and on"),
        (["--factorial=data.bach=32,64"], "did you mean 'data.batch_size'"),
        (["--factorial=data.batch_size=32,65"], "is on in"),
        ([FLAGS[0], "--pairs=a:b"], "--factorial and --pairs exclude each other"),
        ([FLAGS[0], "--margin=1"], "--factorial and --margin exclude each other"),
        ([FLAGS[0], "--metric=lst"], "did you mean 'last'?"),
    ],
)
def test_mistakes_are_one_sentence(capsys, grid, flags, words):
    assert effects_command.main([f"--workdir={grid}", *flags]) == 2
    shown = capsys.readouterr()
    assert not shown.out and shown.err.count("\n") == 1 and words in shown.err
