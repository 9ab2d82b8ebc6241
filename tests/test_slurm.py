"""Programs as an array of Slurm: its script, what a task asks of it, and a real one."""

import json
import os
import time
from pathlib import Path

import pytest

from coadapt.cli import train
from coadapt.cli import work as one_program
from coadapt.distributed import engines, slurm, work
from coadapt.runs import attempts, leases, store
from coadapt.runs.attempts import Program as Record
from coadapt.schema import ConfigError
from coadapt.system.deadline import Deadline
from tests import slurm_host, test_store_model
from tests.test_cluster import (
    ALWAYS,
    LEASE,
    alone,
    asked,
    assert_same,
    everything,
    memory,
    wait,
)  # fmt: skip
from tests.test_work import asked as small_sweep
from tests.test_work import planned, run

ASKED = slurm.Asked(programs=12, at_once=4, cores=2, gpus=0, memory=3 * 2**29)
CHEAP = ["--algorithm=sac", "--task=toy/lqr", "--steps=100"]


@pytest.fixture
def commands(tmp_path, monkeypatch) -> Path:
    """Slurm's commands, which write down how they are called."""
    home, log = tmp_path / "bin", tmp_path / "calls"
    home.mkdir()
    for name, does in {
        "sbatch": "echo $((40 + $(grep -c sbatch LOG)))",
        "scontrol": 'echo "MaxArraySize = 5"',
        "squeue": "cat QUEUE 2>/dev/null && exit; echo 'slurm_load_jobs error: "
        "Invalid job id specified' >&2; exit 1",
    }.items():
        text = f'#!/bin/sh\necho "{name} $*" >> LOG\n{does}\n'
        text = text.replace("LOG", str(log)).replace("QUEUE", str(tmp_path / "queue"))
        (home / name).write_text(text)
        (home / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    return log


def calls(log: Path, name: str) -> list[str]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if line.startswith(name)]


# ---------------------------------------------------------------- the script


def test_the_script_is_read_by_slurm_and_by_people(tmp_path):
    """Options before the first command, and coadapt in the shell's place."""
    asked = ASKED._replace(
        gpus=1, options=["partition=gpu", "time=8:00:00"], flags=["--lease=9"],
        lines=["#SBATCH --account=me", "module load cuda"],
    )  # fmt: skip
    lines = slurm.script(tmp_path / "runs", asked).splitlines()
    options = [line for line in lines if line.startswith("#SBATCH")]
    assert lines[0] == "#!/bin/bash"
    assert lines[2 : 2 + len(options)] == options  # none is after a command
    assert {
        "#SBATCH --array=0-11%4", "#SBATCH --requeue", "#SBATCH --open-mode=append",
        "#SBATCH --signal=B:TERM@120", "#SBATCH --cpus-per-task=2",
        "#SBATCH --mem=1536M", "#SBATCH --gres=gpu:1", "#SBATCH --partition=gpu",
        "#SBATCH --time=8:00:00", "#SBATCH --account=me",
    } <= {*options}  # fmt: skip
    assert "module load cuda" in lines and "export JAX_PLATFORMS=cpu" not in lines
    assert lines[-1].startswith("exec ") and "--grace=120 --lease=9" in lines[-1]
    (spaced,) = (
        line for line in slurm.script(tmp_path / "my runs", ASKED).splitlines()
        if "--output" in line
    )  # fmt: skip
    assert spaced == f"#SBATCH --output='{tmp_path}/my runs/slurm/%A_%a.log'"
    cpu = slurm.script(tmp_path, ASKED._replace(at_once=0))
    assert "\nexport JAX_PLATFORMS=cpu\n" in cpu and "--array=0-11\n" in cpu


@pytest.mark.parametrize("first, task", [(0, 0), (0, 2), (3, 1)])
def test_a_task_takes_the_program_of_its_number(first, task, tmp_path):
    home = tmp_path / "a folder's"
    (home / slurm.FOLDER).mkdir(parents=True)
    names = [f"program-{i}" for i in range(5)]
    (home / slurm.FOLDER / slurm.NAMES).write_text("\n".join(names) + "\n")
    text = slurm.script(home, ASKED).replace("exec ", "echo ")
    script = tmp_path / "job.sh"
    script.write_text(text)
    given = {"SLURM_ARRAY_TASK_ID": str(task), "COADAPT_FIRST": str(first)}
    said = slurm_host.said(given, "bash", str(script))
    assert said.endswith(f"--program=program-{first + task}")
    assert f"--workdir={home} " in said


def test_more_programs_than_an_array_may_have_are_more_arrays(commands, tmp_path):
    """Five here: 12 programs are three, and a task knows which it is of."""
    names = [f"program-{i}" for i in range(12)]
    assert slurm.submit(tmp_path, names, ASKED) == ["41", "42", "43"]
    arrays = [line.split()[2:4] for line in calls(commands, "sbatch")]
    assert arrays == [
        ["--array=0-4%4", "--export=ALL,COADAPT_FIRST=0"],
        ["--array=0-4%4", "--export=ALL,COADAPT_FIRST=5"],
        ["--array=0-1%4", "--export=ALL,COADAPT_FIRST=10"],
    ]
    slurm.require(tmp_path)  # Slurm has forgotten them
    (tmp_path / "queue").write_text("41_0\n41_1\n")
    with pytest.raises(ConfigError, match="scancel 41 42 43"):
        slurm.require(tmp_path)


def test_what_was_submitted_before_slurm_refused_the_rest_is_said(commands, tmp_path):
    sbatch = tmp_path / "bin" / "sbatch"
    refuses = '[ $(grep -c sbatch LOG) = 2 ] && { echo "no more" >&2; exit 1; }\n'
    head, rest = sbatch.read_text().split("\necho $((", 1)
    refuses = refuses.replace("LOG", str(commands))
    sbatch.write_text(f"{head}\n{refuses}echo $(({rest}")
    names = [f"program-{i}" for i in range(12)]
    with pytest.raises(ConfigError, match="no more; job 41, of the first 5 programs"):
        slurm.submit(tmp_path, names, ASKED)
    assert (tmp_path / slurm.FOLDER / slurm.JOBS).read_text() == "41\n"


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "needs sbatch"),
        (["--slurm=array=0-3"], "--slurm has array"),
        (["--slurm=--time=1"], "--slurm is '--time=1'"),
        (["--slurm_file=/none/job.sh"], "--slurm_file is '/none/job.sh'"),
        (["--engine=local", "--slurm=time=1"], "--slurm applies to Slurm"),
    ],
)
def test_a_mistake_is_a_sentence_before_anything_is_written(
    flags, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    folder = tmp_path / "run"
    asked = [*CHEAP, f"--workdir={folder}", "--engine=slurm", *flags]
    assert train.main(asked) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not folder.exists()


def test_what_would_be_submitted_is_printed(tmp_path, capsys):
    mine = tmp_path / "mine.sh"
    mine.write_text("#!/bin/sh\n#SBATCH --qos=low\nconda activate coadapt\n")
    flags = ["--engine=slurm", f"--slurm_file={mine}", "--max_hours=2", "--dry_run"]
    assert train.main([*CHEAP, f"--workdir={tmp_path / 'run'}", *flags]) == 0
    said = capsys.readouterr().out
    assert said.startswith("agents: 1\n") and "\n#SBATCH --array=0-0\n" in said
    assert "\n#SBATCH --qos=low\nconda activate coadapt\n" in said
    assert said.count("#!/bin") == 1 and " --max_hours=2 " in said
    assert not (tmp_path / "run").exists()


def test_the_command_plans_and_submits(commands, tmp_path, capsys):
    folder = tmp_path / "run"
    flags = [f"--workdir={folder}", "--engine=slurm", "--workers=1", "--seeds=2"]
    assert train.main([*CHEAP, *flags]) == 0
    said = capsys.readouterr().out
    assert said == "submitted 1 programs to Slurm: job 41\n"
    (record,) = attempts.programs(folder)
    home = folder / slurm.FOLDER
    assert (home / slurm.NAMES).read_text() == f"{record.folder.name}\n"
    assert "--array=0-0%1" in (home / slurm.SCRIPT).read_text()
    assert calls(commands, "sbatch")[0].endswith(str(home / slurm.SCRIPT))
    assert work.job(folder, record.folder.name).steps == 100


# ---------------------------------------------------------------- a task


@pytest.fixture
def unit(tmp_path):
    with test_store_model.stubs(test_store_model.Disk(lambda: None)):
        (found,) = planned(tmp_path / "run", small_sweep(variants=("one",)))
        yield found


def work_on(unit, monkeypatch, *flags) -> int:
    monkeypatch.setenv("SLURM_JOB_ID", "44")  # of an array, it may be another task's
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "41")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    record: Record = unit.record
    where = [f"--workdir={record.folder.parents[1]}", f"--program={record.folder.name}"]
    return one_program.main([*where, "--quiet", "--grace=120", *flags])


@pytest.mark.parametrize(
    "left, status, requeued",
    [
        ("1-00:00:00", 0, False), ("UNLIMITED", 0, False), ("", 0, False),
        ("0:29", 75, True),  # a quarter of the grace is for Slurm itself
    ],
)  # fmt: skip
def test_a_task_whose_time_is_over_goes_back_into_the_queue(
    left, status, requeued, unit, commands, tmp_path, monkeypatch
):
    (tmp_path / "queue").write_text(f"{left}\n")
    assert work_on(unit, monkeypatch) == status
    assert bool(calls(commands, "scontrol requeue 41_3")) == requeued
    assert unit.record.steps() == ([20] if requeued else [60])


def test_one_that_was_asked_to_stop_for_good_does_not(unit, commands, monkeypatch):
    (unit.record.folder.parents[1] / work.STOP).touch()
    assert work_on(unit, monkeypatch) == 75
    assert work_on(unit, monkeypatch, "--max_hours=1e-9") in (75, 79)
    assert not calls(commands, "scontrol")


def test_one_that_comes_to_no_checkpoint_is_given_up(unit, commands, capsys):
    """Its jobs are killed again and again before the first: at the third it ends."""
    task = slurm.Task("41_3", unit.record, 120.0)
    for number in (1, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            run(unit.record.folder.parents[1], unit, crash_at=0, stop=_raise)
        assert work.fruitless(unit.record) == number
        assert task.again() == (number < 3)
    assert len(calls(commands, "scontrol requeue")) == 2
    failed = attempts.given_up(unit.record.folder)
    assert failed is not None and "give its jobs more time" in failed.reason
    planned(unit.record.folder.parents[1], small_sweep(variants=("one",)))
    assert work.fruitless(unit.record) == 0  # the same command tries it as often
    run(unit.record.folder.parents[1], unit)
    assert work.fruitless(unit.record) == 0


def test_a_queue_that_does_not_answer_is_not_an_empty_one(commands, tmp_path):
    home = tmp_path / "run" / slurm.FOLDER
    home.mkdir(parents=True)
    (home / slurm.JOBS).write_text("41\n")
    slurm.require(tmp_path / "run")  # forgotten
    squeue = tmp_path / "bin" / "squeue"
    squeue.write_text("#!/bin/sh\necho 'Socket timed out' >&2\nexit 1\n")
    with pytest.raises(ConfigError, match="job 41 still runs: Socket timed out; try"):
        slurm.require(tmp_path / "run")


def _raise():
    raise KeyboardInterrupt


def test_one_that_slurm_moved_waits_for_the_lease_of_the_one_before(
    unit, commands, monkeypatch
):
    lease, waited = leases.take(unit.record.folder, 9.0), []
    own, other = os.getpid(), [True]

    def sleep(seconds):
        waited.append(seconds)
        lease.end(leases.STOPPED)
        other[0] = False

    monkeypatch.setattr(one_program.time, "sleep", sleep)
    monkeypatch.setattr(leases.os, "getpid", lambda: -1 if other[0] else own)
    assert work_on(unit, monkeypatch, "--lease=9") == 0
    assert waited == [0.9]


# ---------------------------------------------------------------- a real one


@pytest.mark.long
@pytest.mark.skipif(bool(slurm_host.missing()), reason=slurm_host.missing())
def test_an_array_leaves_what_one_process_leaves(tmp_path, monkeypatch):
    """A task gets SIGTERM while it works: it stops at a checkpoint, puts itself back
    into the queue, and goes on from there. (Slurm lets two minutes pass before it
    starts one again; the test tells it to start at once.)"""
    folder, of = tmp_path / "run", asked(2, steps=8000, every=800)
    flags = [f"--lease={LEASE}"]
    options = engines.Options(engines.SLURM, 0, None, 0, memory(of), flags)
    with store.owned(folder):
        units = engines.plan(
            of, folder, options, checkpoints=ALWAYS, deadline=Deadline()
        )
    one, other = (unit.record for unit in units)
    with slurm_host.running(tmp_path / "slurm", cpus=2) as given:
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        needs = slurm.Asked(2, 0, cores=1, gpus=0, memory=2**30, flags=flags)
        names = [record.folder.name for record in (one, other)]
        (job,) = slurm.submit(folder, names, needs)
        with pytest.raises(ConfigError, match="has 2 tasks of job"):
            slurm.require(folder)
        wait(lambda: (said := leases.newest(one.folder)) and said.steps > 0)
        slurm_host.said(given, "scancel", "--signal=TERM", "--batch", f"{job}_0")
        _wait_until_it_waits(given, f"{job}_0")
        stopped = leases.newest(one.folder)
        slurm_host.said(given, "scontrol", "update", f"JobId={job}_0", "StartTime=now")
        wait(lambda: not slurm_host.said(given, "squeue", "-h"))
    logs = "".join(p.read_text() for p in (folder / slurm.FOLDER).glob("*.log"))
    assert stopped and stopped.ended == leases.STOPPED and "goes back" in logs, logs
    second = json.loads((one.folder / "0002" / "attempt.json").read_text())
    assert second["origin"]["steps"] == stopped.steps < of.steps
    left = [[home.name for home in each.attempts()] for each in (one, other)]
    assert left == [["0002"], ["0001"]]  # an attempt that was passed goes
    assert_same(everything(folder), alone(of, tmp_path / "alone"))


def _wait_until_it_waits(given: dict[str, str], task: str) -> None:
    """In the queue again, until a time to come."""
    look = ["squeue", "-h", f"--jobs={task}", "--format=%T %r"]
    wait(lambda: slurm_host.said(given, *look) == "PENDING BeginTime")
    # credentials are dated by whole seconds: one of the second in which the task was
    # stopped is revoked too ("Job credential revoked"), and the task would be lost
    time.sleep(1.1)
