"""The commands: what they print, what they refuse, and that they go on."""

import subprocess
import sys

import jax
import pandas as pd
import pytest
from recipes import TINY_FLAGS

from coadapt import taxonomy
from coadapt.analysis import stats
from coadapt.cli import report, sweep, train
from coadapt.cli import taxonomy as print_taxonomy
from coadapt.report import results
from coadapt.runs import store

pytestmark = pytest.mark.usefixtures("one_device")

FAST = ["--steps=60", "--eval_every=30", "--eval_episodes=2"]
LQR = ["--task=toy/lqr", *FAST, *TINY_FLAGS]
TRAIN = ["--algorithm=sac", *LQR]
LARGE = [each for each in TRAIN if not each.startswith("--set=data.capacity=")]


def contents(path):
    return {
        str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()
    }


@pytest.fixture
def nothing_compiles():
    compiled = []

    def listen(event, seconds, **_):
        compiled.extend([event] if "backend_compile" in event else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield
    assert not compiled


# ---------------------------------------------------------------- dry run and help


def test_a_dry_run_prints_the_plan_and_leaves_no_trace(
    tmp_path, capsys, nothing_compiles
):
    grid = ["--grid=g_estimate.critics=1,2", "--grid=optim.policy.rate=1e-3,1e-4"]
    where = f"--workdir={tmp_path / 'x'}"
    args = ["--algorithms=sac,awac", *LQR, *grid, "--seeds=2", where, "--dry_run"]
    assert sweep.main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "agents: 16" in lines and "programs: 4" in lines
    assert not (tmp_path / "x").exists()


def test_a_dry_run_says_that_the_run_would_be_refused(tmp_path, capsys):
    """With the run's own sentence and exit status, and nothing is changed."""
    where = f"--workdir={tmp_path}"
    (tmp_path / "mine.txt").write_text("x")
    said = []
    for more in ([], ["--dry_run"]):
        assert train.main([*TRAIN, where, *more]) == 2
        said.append(capsys.readouterr().err)
    assert said[0] == said[1] and "is not empty and not a run store" in said[0]
    assert contents(tmp_path) == {"mine.txt": b"x"}


def test_the_quickstart_has_what_it_promises(capsys, nothing_compiles):
    assert sweep.main(["--experiment=quickstart", "--dry_run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "agents: 12" in lines and "programs: 6" in lines


def test_tuples_in_a_grid_are_split_by_semicolons(capsys):
    args = ["--algorithms=sac", "--task=toy/lqr", "--steps=1e3", "--dry_run"]
    assert sweep.main([*args, "--grid=networks.policy.sizes=8,8;16"]) == 0
    assert "agents: 2" in capsys.readouterr().out
    assert sweep.main([*args, "--grid=networks.policy.sizes=8,8"]) == 0
    assert "agents: 1" in capsys.readouterr().out


def test_presets_are_those_of_the_task(capsys):
    changed = "--set=pi_p_update.trust_region.epsilon_mean=1e-3"
    args = ["--algorithms=mpo", "--tasks=toy/lqr,gym/Hopper-v5", "--steps=1e4"]
    assert sweep.main([*args, changed, "--dry_run"]) == 0
    assert "agents: 2" in capsys.readouterr().out


@pytest.mark.parametrize("module", [train, sweep, report, print_taxonomy])
def test_help_has_examples_on_top_and_our_flags_only(module, capsys):
    assert module.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.index("\n  coadapt ") < text.index("Flags:")
    assert "--" in text.split("Flags:")[1]
    assert "verbosity" not in text and "pdb" not in text
    assert max(map(len, text.splitlines())) <= 88


# ---------------------------------------------------------------- mistakes

GRID = ["--algorithms=sac", *LQR]
QUICK = ["--experiment=quickstart"]

BAD = [
    (train, ["--algorithm=sca", *LQR], "did you mean 'sac'"),
    (train, ["--algorithm=sac", "--task=toy/lqrr", *FAST], "did you mean 'toy/lqr'"),
    (train, ["--algorithm=sac", "--task=lqr", *FAST], "family"),
    (train, ["--algorithm=sac", "--task=gym/Hoper-v5", *FAST], "Hopper"),
    (train, ["--algorithm=sac", "--task=gym/CartPole-v1", *FAST], "discrete"),
    (train, [*TRAIN, "--set=optim.polcy.rate=1"], "did you mean 'policy'"),
    (train, [*TRAIN, "--set=optim.policy.rate=fast"], "'fast', but must be a finite"),
    (train, [*TRAIN, "--set=optim.policy.rate=-1"], "> 0"),
    (train, [*TRAIN, "--set=g_estimate.critics=101"], "<= 100"),
    (train, [*TRAIN, "--set=pi_theta=Gausian"], "did you mean 'Gaussian'"),
    (train, [*TRAIN, "--set=g=Advantage"], "g_estimate is TD0"),
    (train, [*TRAIN, "--set=pi_theta.scale"], "path=value"),
    (train, [*TRAIN, "--set=g=Q", "--set=g=Q"], "g twice"),
    (train, [*TRAIN, "--seeds=0"], "--seeds is '0'"),
    (train, [*TRAIN, "--steps=0"], "--steps is '0'"),
    (train, [*TRAIN, "--steps=1.5"], "--steps is '1.5'"),
    (train, [*TRAIN, "--steps=nan"], "--steps is 'nan'"),
    (train, [*TRAIN, "--eval_every=x"], "--eval_every is 'x'"),
    (train, [*LARGE, "--set=data.capacity=2e9", "--steps=2e9"], "GiB"),
    (train, [*TRAIN, "--stepz=3"], "--stepz is not a flag of this command; did"),
    (train, [*TRAIN, "--quiet=maybe"], "quiet"),
    (train, [*TRAIN, "extra"], "'extra' is not a flag"),
    (train, ["--task=toy/lqr"], "--algorithm is missing"),
    (train, ["--algorithm=sac"], "--task is missing"),
    (train, ["--algorithm=sac", "--task=toy/lqr"], "--steps is missing"),
    (sweep, [], "--algorithms is missing"),
    (sweep, ["--algorithms=sac"], "--task is missing"),
    (sweep, ["--experiment=quickstrat"], "did you mean 'quickstart'"),
    (sweep, [*QUICK, "--algorithms=sac"], "both given"),
    (sweep, [*QUICK, "--grid=g=Q"], "both given"),
    (sweep, [*GRID, "--tasks=toy/lqr"], "both given"),
    (sweep, [*GRID, "--grid=g_estimate.critics="], "one value or more"),
    (sweep, [*GRID, "--grid=g_estimate.critics=1,1"], "2 times"),
    (sweep, [*GRID, "--grid=g_estimate.critic=1"], "did you mean 'critics'"),
    (sweep, ["--algorithms=sac,sac", *LQR], "variant 'sac' is there 2 times"),
    (report, [], "--workdir is missing"),
    (print_taxonomy, ["--table=2"], "must be 1 or 4"),
    (print_taxonomy, ["--format=txt"], "did you mean 'text'"),
]


@pytest.mark.parametrize("module, args, words", BAD)
def test_a_mistake_is_one_sentence_and_status_2(
    module, args, words, tmp_path, capsys, nothing_compiles
):
    where = f"--workdir={tmp_path / 'x'}"
    takes_one = module in (train, sweep)
    assert module.main([*args, where] if takes_one else args) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1
    assert words in err and "Traceback" not in err
    assert not out and not list(tmp_path.iterdir())


def test_without_a_workdir_nothing_starts(capsys, nothing_compiles):
    assert train.main(TRAIN) == 2
    assert "--workdir is missing" in capsys.readouterr().err


@pytest.mark.parametrize("module", [train, report])
def test_a_foreign_folder_is_left_as_it_is(module, tmp_path, capsys, nothing_compiles):
    (tmp_path / "thesis.txt").write_text("mine")
    before = contents(tmp_path)
    args = TRAIN if module is train else []
    assert module.main([*args, f"--workdir={tmp_path}"]) == 2
    assert "not a run store" in capsys.readouterr().err
    assert contents(tmp_path) == before


# ---------------------------------------------------------------- from end to end


def test_train_goes_on_extends_and_reports(tmp_path, capsys):
    where = f"--workdir={tmp_path}"
    assert train.main([*TRAIN, where, "--seeds=2"]) == 0
    shown, told = capsys.readouterr()
    assert "compiling ..." in told and "60 of 60 steps" in told
    assert "+-" in shown
    assert (tmp_path / "report" / "toy_lqr.png").read_bytes().startswith(b"\x89PNG")
    frame = pd.read_csv(tmp_path / "results.csv")
    assert ",".join(frame.columns) == (
        "experiment,algorithm,variant,task,seed,env_steps,metric,value,provider,session"
    )
    score = frame[frame.metric == "return"]
    assert set(zip(score.seed, score.env_steps, strict=True)) == {
        (s, t) for s in (0, 1) for t in (30, 60)
    }
    before = contents(tmp_path)
    assert train.main([*TRAIN, where, "--seeds=2"]) == 0  # the same again: nothing
    assert "nothing to run" in capsys.readouterr().err
    assert contents(tmp_path) == before
    other = [*TRAIN, where, "--set=optim.policy.rate=1e-2"]
    assert train.main(other) == 2
    err = capsys.readouterr().err
    assert "contains another sweep" in err and "optim.policy.rate" in err
    assert contents(tmp_path) == before
    assert train.main([*TRAIN, where, "--seeds=3", "--quiet"]) == 0  # one more
    assert "compiling" not in capsys.readouterr().err
    assert (tmp_path / "results.csv").read_bytes().startswith(before["results.csv"])
    assert report.main([where]) == 0
    assert "3" in capsys.readouterr().out.splitlines()[2]


def test_taxonomy_prints_what_the_library_says(capsys):
    assert print_taxonomy.main(["--format=csv"]) == 0
    shown = capsys.readouterr().out
    rows = taxonomy.table1() + taxonomy.later()
    assert shown == taxonomy.render(rows, "csv") + "\n"
    assert print_taxonomy.main(["--table=4"]) == 0
    assert "(512, 512, 256)" in capsys.readouterr().out


@pytest.mark.long  # test_wheel has it of the installed one
def test_as_a_program_it_exits_with_2_and_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "coadapt", "train", "--algorithm=sca"]
    command += ["--task=toy/lqr", "--steps=10", f"--workdir={tmp_path / 'x'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: algorithm is 'sca'")
    assert done.stderr.count("\n") == 1


def test_a_report_has_a_table_for_each_suite_and_version(capsys):
    """A robot of one simulator is not that of another, whatever its name."""
    makers = {
        "gym/Hopper-v5": "gymnasium 1.4.0, mujoco 3.17.0",
        "brax/hopper:spring": "brax 0.14.2",
        "gym/Ant-v5": "gymnasium 1.4.0, mujoco 3.17.0",
    }
    frame = pd.DataFrame(
        [
            ("e", "sac", "sac", task, 0, 10, "return", 7.0, by)
            for task, by in makers.items()
        ],
        columns=list(store.COLUMNS),
    )
    results.show(stats.summary(frame))
    lines = capsys.readouterr().out.splitlines()
    heads = [i for i, line in enumerate(lines) if line.endswith(")")]
    assert [lines[i] for i in heads] == [
        "gym (gymnasium 1.4.0, mujoco 3.17.0)", "brax (brax 0.14.2)"
    ]  # fmt: skip
    below = [[line.split()[0] for line in lines[i + 2 :]] for i in heads]
    assert below[0][:2] == ["gym/Hopper-v5", "gym/Ant-v5"]
    assert below[1] == ["brax/hopper:spring"]
    moved = frame.assign(provider=[*[*makers.values()][:2], "gymnasium 1.5.0"])
    results.show(stats.summary(moved))
    assert "gym (gymnasium 1.5.0)" in capsys.readouterr().out
