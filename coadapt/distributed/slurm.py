"""Programs as the tasks of a Slurm array: its script, and what a task asks of Slurm.

    slurm/job.sh       in the workdir: what was submitted
    slurm/programs     names of programs, a line each; a task has the one of its number
    slurm/jobs         ids of what was submitted last

Slurm decides where a task runs, and starts it again when its node dies. A task that has
to end puts itself back into the queue.
"""

import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from coadapt.distributed import work
from coadapt.distributed.pool import TRIES
from coadapt.runs import attempts, files
from coadapt.runs.attempts import Program as Record
from coadapt.schema import ConfigError
from coadapt.system.notes import note

FOLDER, SCRIPT, NAMES, JOBS = "slurm", "job.sh", "programs", "jobs"
GRACE = 120.0  # seconds from SIGTERM to the end of a job's time
OWN = ("array", "signal", "requeue", "open-mode")  # options that have to be as they are
_MOST = 1001  # tasks of an array, where Slurm does not say
_ARRAY = re.compile(r"(?m)^MaxArraySize\s*=\s*(\d+)")
_LEFT = re.compile(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)")  # 1-02:03:04


class Asked(NamedTuple):
    """What a job needs, and what the user says of it."""

    programs: int
    at_once: int  # tasks; 0: as many as Slurm gives
    cores: int  # of a task
    gpus: int
    memory: int  # bytes of a task
    options: Sequence[str] = ()  # of sbatch, name=value
    lines: Sequence[str] = ()  # of the user's own file
    flags: Sequence[str] = ()  # of coadapt work


def script(workdir: Path, asked: Asked) -> str:
    """The job's script, for a user to read and to change."""
    home, most = workdir / FOLDER, f"%{asked.at_once}" if asked.at_once else ""
    options = [
        f"job-name={shlex.quote(f'coadapt-{workdir.name}')}",
        f"array=0-{min(asked.programs, most_tasks()) - 1}{most}",
        "requeue",
        "open-mode=append",
        f"signal=B:TERM@{GRACE:.0f}",
        f"output={shlex.quote(f'{home}/%A_%a.log')}",
        f"cpus-per-task={asked.cores}",
        f"mem={math.ceil(asked.memory / 2**20)}M",
        *([f"gres=gpu:{asked.gpus}"] if asked.gpus else []),
        *asked.options,
    ]
    number = "$((SLURM_ARRAY_TASK_ID + ${COADAPT_FIRST:-0} + 1))"
    command = [sys.executable, "-m", "coadapt", "work", f"--workdir={workdir}"]
    words = shlex.join([*command, f"--grace={GRACE:.0f}", *asked.flags])
    return "\n".join([
        "#!/bin/bash",
        f"# {asked.programs} programs of one run store: each is a task of this array",
        *(f"#SBATCH --{each}" for each in options),
        *asked.lines,
        *([] if asked.gpus else ["export JAX_PLATFORMS=cpu"]),
        "unset JAX_NUM_CPU_DEVICES  # each program has its own number",
        f'program=$(sed -n "{number}p" {shlex.quote(str(home / NAMES))})',
        "# SIGTERM comes to this shell alone, so that the program takes its place",
        f'exec {words} --program="$program"',
        "",
    ])  # fmt: skip


def submit(workdir: Path, names: Sequence[str], asked: Asked) -> list[str]:
    """The ids of the jobs: one, or more where an array may not have so many tasks.

    Raises:
        ConfigError: where there is no Slurm, or it refuses.
        files.StoreError:
    """
    home, jobs = workdir / FOLDER, list[str]()
    files.make(home)
    files.replace(home / NAMES, "".join(f"{name}\n" for name in names))
    files.replace(home / SCRIPT, script(workdir, asked))
    size = most_tasks()
    for first in range(0, len(names), size):
        last = min(size, len(names) - first) - 1
        most = f"%{asked.at_once}" if asked.at_once else ""
        try:
            said = _call(
                "sbatch", "--parsable", f"--array=0-{last}{most}",
                f"--export=ALL,COADAPT_FIRST={first}", str(home / SCRIPT),
            )  # fmt: skip
        except ConfigError as error:
            raise _refused(error, jobs, first) from None
        jobs.append(said.split(";")[0].strip())
        files.replace(home / JOBS, "".join(f"{job}\n" for job in jobs))
    return jobs


def _refused(error: ConfigError, jobs: Sequence[str], programs: int) -> ConfigError:
    """With what was submitted before, if anything was."""
    if not jobs:
        return error
    return ConfigError(
        f"{str(error).rstrip('.')}; job {' and '.join(jobs)}, of the first {programs} "
        "programs, was submitted: once it has ended, the same command submits the rest."
    )


def require(workdir: Path) -> None:
    """Refuse what cannot be submitted now.

    Raises: ConfigError, files.StoreError.
    """
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "--engine=slurm needs sbatch, which is not on this machine's PATH: use a "
            "machine that submits to Slurm, or --dry_run, which prints the script."
        )
    jobs = (files.read(workdir / FOLDER / JOBS) or "").split()
    left = [line for job in jobs for line in _there(job)]
    if left:
        raise ConfigError(
            f"workdir {str(workdir)!r} has {len(left)} tasks of job "
            f"{' and '.join(jobs)} in Slurm's queue: wait until they have ended, or "
            f"cancel them with scancel {' '.join(jobs)}."
        )


def _there(job: str) -> list[str]:
    """Tasks of a job that wait or run; none of one that Slurm has forgotten.

    Raises:
        ConfigError: where Slurm does not answer: they may run.
    """
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={job}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "Invalid job id" not in done.stderr:
        raise ConfigError(
            f"--engine=slurm: squeue does not say whether job {job} still runs: "
            f"{' '.join(done.stderr.split())}; try again when Slurm answers."
        )
    return done.stdout.split() if done.returncode == 0 else []


def most_tasks() -> int:
    """Of an array."""
    if shutil.which("scontrol") is None:
        return _MOST
    command = ["scontrol", "show", "config"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = _ARRAY.search(done.stdout)
    return int(found[1]) if found else _MOST


# ---------------------------------------------------------------- in a task


class Task:
    """This process, as a task of Slurm's that runs a program."""

    def __init__(self, job: str, program: Record, grace: float):
        """`grace`: seconds from SIGTERM until it is killed."""
        self.job, self.program, margin = job, program, grace / 4
        # seconds until it has to have come to a checkpoint
        self.seconds = _left(job) - margin
        self._soon = threading.Timer(grace - margin, self._give_in)
        self._soon.daemon = True

    def told(self) -> None:
        """At SIGTERM. The next checkpoint may come too late: then what was computed
        since the last is lost, and it goes back into the queue all the same."""
        self._soon.start()

    def _give_in(self) -> None:
        try:
            self.again()
        except (ConfigError, files.StoreError) as error:
            note(str(error))

    def again(self) -> bool:
        """Put it back into the queue: it is ended, and begins again.

        False where it is given up, as it came no further in some attempts.

        Raises:
            ConfigError: if Slurm refuses.
            files.StoreError:
        """
        self._soon.cancel()
        if work.fruitless(self.program) < TRIES:
            _call("scontrol", "requeue", self.job)
            return True
        reason = (
            f"its {TRIES} newest attempts ended before they came to a checkpoint: give "
            "its jobs more time"
        )
        note(f"{self.program.folder.name} failed: {reason}")
        attempts.give_up(self.program.folder, reason, work.snapshot(self.program))
        return False


def task(program: Record, grace: float) -> Task | None:
    """That this process is; None outside of Slurm.

    An array's id is that of one of its tasks, too: they are named by their numbers.
    """
    found = os.environ.get("SLURM_JOB_ID")
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array:
        found = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return Task(found, program, grace) if found else None


def _left(job: str) -> float:
    """Seconds that a job may still run; inf where nothing says so."""
    command = ["squeue", "--noheader", "--format=%L", f"--jobs={job}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return math.inf
    found = _LEFT.fullmatch(done.stdout.strip())
    if found is None:
        return math.inf
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return ((24 * days + hours) * 60 + minutes) * 60.0 + seconds


def _call(*command: str) -> str:
    """What it says.

    Raises: ConfigError.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise ConfigError(f"{command[0]} cannot be run ({error.strerror}).") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[:300]
        raise ConfigError(f"Slurm refuses {shlex.join(command)}: {said}")
    return done.stdout
