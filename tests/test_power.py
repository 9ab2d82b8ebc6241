"""What a plan can decide: against SciPy's tests, and stores of known std."""

from pathlib import Path

import numpy as np
import pytest
import stores
from scipy import stats

from coadapt import sweep
from coadapt.cli import power as command
from coadapt.cli import running
from coadapt.cli import sweep as sweep_command
from coadapt.schema import ConfigError
from coadapt.studies import power, until

TASK = "gym/Hopper-v5"
GRID = ["--algorithms=sac,mpo", f"--task={TASK}", "--steps=1e5"]
GRID += ["--grid=g_estimate.critics=1,2"]


@pytest.mark.parametrize(("std", "seeds"), [(0.1, 16), (0.2, 64), (0.15, 32)])
def test_power_is_that_of_two_t_tests(std, seeds):
    """Both ends are noncentral t, of independent arms; 4 Monte Carlo errors."""
    shift = 0.1 / (std * np.sqrt(2 / seeds))
    freedom = 2 * (seeds - 1)
    cut = stats.t.isf(0.025, freedom)
    expected = stats.nct.sf(cut, freedom, shift) ** 2
    found = power.chances((std, std), power.plan(seeds))[2.0, 0.0]
    assert found.word == "co-adapted: helps A only"
    assert found.found == pytest.approx(expected, abs=0.045)
    assert found.seeds == seeds


def test_a_gap_of_twice_the_margin_is_found_with_64_seeds():
    """As a study of std 0.17 is planned: in four of five."""
    found = power.chances((0.17, 0.17), power.plan(64))[2.0, 0.0]
    assert found.found >= 0.8 and found.needed is not None and found.needed <= 64


def test_failures_take_power_and_averages_over_tasks_give_it():
    plain, failing, tasks = (
        power.chances((0.2,), power.plan(32, **more))[(2.0,)].found
        for more in ({}, {"failing": 0.1}, {"tasks": 4})
    )
    assert failing < plain - 0.1 and tasks > plain + 0.1


def test_looks_end_early_and_few_seeds_decide_nothing():
    clear = power.chances((0.03, 0.03), power.plan(16, most=64))
    assert clear[2.0, 0.0].found > 0.99 and clear[2.0, 0.0].seeds < 20
    assert power.chances((0.01,), power.plan(9))[(2.0,)].found == 0.0


def test_questions_share_alpha():
    alphas = [power.plan(16, questions=n).looks[-1].alpha for n in (1, 5)]
    assert alphas == pytest.approx([0.025, 0.005])


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    """Five seeds; scores in the unit of 100 have stds of 0.1 and 0.3."""
    folder = tmp_path_factory.mktemp("pilot")
    variants = sweep.presets(["sac", "mpo"], TASK)
    sizes = {"sac": 10.0, "mpo": 30.0}
    z = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) / np.std([-1, -0.5, 0, 0.5, 1], ddof=1)
    stores.build(
        folder,
        "sweep",
        {TASK: variants},
        {TASK: 300},
        seeds=5,
        # the mean of the evaluations, which grow, is two thirds of the last
        score=lambda cell: 75 + 1.5 * sizes[cell.variant] * z[cell.seed],
    )
    return folder


def test_a_pilot_has_the_stds_of_its_runs(pilot):
    found, unit = power.spreads(str(pilot))
    assert unit == "reference"
    assert {x.label: x.std for x in found} == pytest.approx({"sac": 0.1, "mpo": 0.3})
    assert [x.freedom for x in found] == [4, 4]
    # the upper limit of four of five is SciPy's
    assert found[0].upper == pytest.approx(0.1 * np.sqrt(4 / stats.chi2.ppf(0.2, 4)))
    with pytest.raises(ConfigError, match="there is nothing at this path"):
        power.spreads("none")


def test_the_command_prints_both_stds_of_a_pilot(pilot, capsys):
    assert command.main([f"--pilot={pilot}", "--seeds=16", "--format=csv"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].startswith('"0.1, 0.3",+0.2,-0.1,co-adapted: helps sac only,')
    assert len(rows) == 1 + 2 * len(power.TRUTHS)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "give --std=0.2, or --pilot"),
        (["--std=0"], "--std is '0': it must be a positive number, or two"),
        (["--std=inf"], "--std is 'inf': it must be a positive number, or two"),
        (["--std=0.1", "--failing=1"], "--failing is '1': it must be below 1"),
        (["--std=0.1", "--failing=few"], "--failing is 'few': it must be below 1"),
        (["--std=0.1", "--format=pdf"], "format is 'pdf'"),
        (["--std=0.1", "--alpha=0.7"], "--alpha is '0.7': it must be above 0"),
        (["--std=0.1", "--seeds=16", "--max_seeds=8"], "max_seeds is 8"),
    ],
)
def test_a_mistake_is_a_sentence(flags, said, capsys):
    assert command.main(flags) == 2
    assert said in capsys.readouterr().err


def test_a_plan_says_what_it_can_decide(pilot, capsys):
    assert sweep_command.main([*GRID, "--seeds=64", "--std=0.2", "--dry_run"]) == 0
    page = Path(__file__).parents[1] / "docs" / "tuning.md"
    assert "\n".join(capsys.readouterr().out.splitlines()[-3:]) in page.read_text()
    assert sweep_command.main([*GRID, "--seeds=64", "--dry_run"]) == 0
    questions, chance, needed = capsys.readouterr().out.splitlines()[-3:]
    assert questions == "questions: 1 of two algorithms"
    assert chance.startswith("power at std 0.1, 0.2, 0.35 with 64 seeds: A alone gains")
    assert needed.startswith("seeds for a power of 0.8: 22, 84, 254")
    assert sweep_command.main([*GRID, f"--pilot={pilot}", "--dry_run"]) == 0
    assert "power at std 0.1/0.3 with 1 seed:" in capsys.readouterr().out
    assert sweep_command.main(["--algorithms=sac", *GRID[1:3], "--dry_run"]) == 0
    assert "power" not in capsys.readouterr().out


def test_a_margin_is_that_of_the_report_at_the_end(tmp_path, monkeypatch):
    """Unless the protocol fixed one, by which a report goes then."""
    given = []
    monkeypatch.setattr(
        running.report, "make", lambda *_, margin, **__: given.append(margin)
    )
    monkeypatch.setattr(sweep, "run", lambda *_, **__: 0)
    monkeypatch.setattr(until, "parts", lambda *_: [])
    flags = [*GRID, f"--workdir={tmp_path / 'x'}", "--quiet", "--seeds=16"]
    for more in ([], ["--margin=0.3"], ["--margin=0.3", "--until=decided"]):
        assert sweep_command.main([*flags, *more]) == 0
    assert given == [None, 0.3, None]
