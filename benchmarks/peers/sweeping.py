"""The sweep that a user feels: from the shell prompt to the table, by wall clock."""

import csv
import dataclasses
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from benchmarks.peers import PEERS, processes
from benchmarks.peers.homes import Failed, last_line
from benchmarks.peers.kept import Kept
from benchmarks.peers.processes import Program
from benchmarks.peers.protocol import Cell, Job
from benchmarks.peers.rounds import LIMIT
from benchmarks.peers.tables import AGAIN, OURS, WITHIN, Record
from coadapt.runs import store

AXES = {  # what a cell is given; the path of ours, and the values
    "critics": ("g_estimate.critics", (1, 2)),
    "activation": ("networks.critic.activation", ("relu", "tanh")),
    "discount": ("g_estimate.discount", (0.99, 0.95)),
}
SEEDS = 4
INSIDE = "phys2d/Pendulum-v0"  # the pendulum in the program of our agents
# what rejax's SAC has and does not let one choose, so that ours has it beside it; what
# it lets one choose is set to ours in rejax_works.py
AS_REJAX = {
    "data.random_steps": "0",  # the first actions are the new policy's
    "data.terminate_at_limit": "true",  # gymnax tells no time limit from an end
    "pi_theta.scale.low": "-10",
    **{
        f"networks.{net}.{layer}.{name}": value
        for net in ("policy", "critic")
        for layer in ("hidden", "output")
        for name, value in (("weights", "fan_in_truncated"), ("bias", "zeros"))
    },
}


def cells(axes: Sequence[str]) -> list[Cell]:
    """Of every combination of the axes' values; all variants of a seed together."""
    rows = itertools.product(*(AXES[axis][1] for axis in axes))
    variants = [dict(zip(axes, row, strict=True)) for row in rows]
    return [
        Cell("/".join(f"{k}={v}" for k, v in variant.items()), seed, **variant)
        for seed in range(SEEDS)
        for variant in variants
    ]


def our_command(job: Job, axes: Sequence[str], workdir: Path) -> list[str]:
    sizes = ",".join(str(size) for size in job.sizes)
    changes = {
        "networks.policy.sizes": sizes,
        "networks.critic.sizes": sizes,
        "data.learning_starts": str(job.start),
        "data.random_steps": str(job.start),
        **(AS_REJAX if job.own_task == INSIDE else {}),
    }
    grids = [f"{AXES[a][0]}={','.join(map(str, AXES[a][1]))}" for a in axes]
    return [
        *(sys.executable, "-m", "coadapt", "sweep", "--algorithms=sac"),
        *(f"--task={job.own_task}", f"--seeds={SEEDS}", f"--steps={job.steps}"),
        *(f"--eval_every={job.steps}", f"--eval_episodes={job.episodes}"),
        *(f"--set={path}={value}" for path, value in changes.items()),
        *(f"--grid={grid}" for grid in grids),
        f"--workdir={workdir}",
    ]


def ours(job: Job, axes: Sequence[str], cache: Path) -> tuple[float, float]:
    """Seconds and the mean return; programs are kept in `cache`. Raises: Failed."""
    with tempfile.TemporaryDirectory() as workdir:
        begin = time.perf_counter()
        done = subprocess.run(
            our_command(job, axes, Path(workdir)),
            env=processes.environment(False, COADAPT_CACHE=str(cache)),
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise Failed(last_line(done.stderr))
        rows = store.read(workdir)
        return seconds, float(rows[rows.metric == "return"].value.mean())


def jobs_of(peer: str, job: Job, found: Sequence[Cell]) -> list[Job]:
    """The processes of a peer's sweep: one a cell, or one for all that it can map."""
    groups = [[cell] for cell in found]
    if PEERS[peer].together:
        key = lambda cell: (cell.critics, cell.activation)  # noqa: E731
        groups = [list(g) for _, g in itertools.groupby(sorted(found, key=key), key)]
    return [
        dataclasses.replace(job, library=peer, cells=tuple(group)) for group in groups
    ]


def theirs(
    peer: str, program: Program, job: Job, found: Sequence[Cell], cores: int
) -> tuple[float, float]:
    """Seconds and the mean return of a peer, one process a core. Raises: Failed."""
    free = SimpleQueue[int]()
    for core in range(cores):
        free.put(core)

    def run(asked: Job) -> None:
        core = free.get()
        try:
            bound = dataclasses.replace(asked, core=core if cores > 1 else None)
            processes.side_by_side(program, [bound], LIMIT)
        finally:
            free.put(core)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(cores) as pool:
        rows, begin = Path(folder) / "rows.csv", time.perf_counter()
        asked = jobs_of(peer, dataclasses.replace(job, rows=str(rows)), found)
        try:
            for _ in pool.map(run, asked):
                pass
        except Failed:
            pool.shutdown(cancel_futures=True)
            raise
        returns = _table(rows, found)
        return time.perf_counter() - begin, returns


def _table(path: Path, found: Sequence[Cell]) -> float:
    """The mean of all returns, every cell being there. Raises: Failed."""
    with path.open(newline="") as file:
        rows = [
            (name, int(seed), float(value)) for name, seed, value in csv.reader(file)
        ]
    missing = {(c.variant, c.seed) for c in found} - {row[:2] for row in rows}
    if missing:
        raise Failed(f"{len(missing)} cells of its sweep have no row")
    return statistics.mean(row[2] for row in rows)


class Sweeps(NamedTuple):
    """Rounds of sweeps: ours with nothing compiled before, again, and with the pendulum
    in the program (which is another, not compiled before), then each peer."""

    axes: Sequence[str]
    steps: int
    cells: int  # of a peer with a process a cell; the time is scaled to all
    rounds: int
    cores: int
    kept: Kept

    def job(self) -> Job:
        return Job(
            work="sweep",
            library=OURS,
            sizes=(64, 64),
            buffer=self.steps,
            start=self.steps // 2,
            steps=self.steps,
            cells=tuple(cells(self.axes)),
        )

    def measure(self, programs: Mapping[str, Program]) -> list[Record]:
        """What failed has no record, and is told on standard error.

        What is kept of an earlier run is not measured again, but ours together, as one
        compiles for the other.
        """
        records: list[Record] = []
        able = [p for p in programs if set(self.axes) <= set(PEERS[p].axes)]
        whos = [OURS, AGAIN, WITHIN, *able]
        for number in range(self.rounds):
            with tempfile.TemporaryDirectory() as cache:
                known = {who: self.kept.of(self.job(), who, number) for who in whos}
                if not (known.get(OURS) and known.get(AGAIN)):
                    known |= {OURS: [], AGAIN: []}
                for who in list(whos):
                    records += known[who]
                    if known[who]:
                        continue
                    try:
                        found = self._one(who, programs, Path(cache), number)
                        records.append(self.kept.add(self.job(), found))
                    except Failed as reason:
                        whos.remove(who)
                        print(f"{who} failed on the sweep: {reason}", file=sys.stderr)
        return records

    def _one(
        self, who: str, programs: Mapping[str, Program], cache: Path, number: int
    ) -> Record:
        every, note = cells(self.axes), ""
        if who in programs:
            some = every if PEERS[who].together else every[: self.cells]
            seconds, mean = theirs(who, programs[who], self.job(), some, self.cores)
            if len(some) < len(every):
                note = f", of {len(some)} cells"
                seconds *= len(every) / len(some)
        else:
            job = self.job()
            if who == WITHIN:
                job = dataclasses.replace(job, own_task=INSIDE)
            seconds, mean = ours(job, self.axes, cache)
        line = f"round {number + 1}: {who}: sweep: {seconds:.1f} s{note}"
        print(line, file=sys.stderr, flush=True)
        return Record((f"{mean:.0f}",), who, number, seconds, note=note)
