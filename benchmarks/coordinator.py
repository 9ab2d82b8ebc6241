"""What the process that plans costs: programs whose work is to sleep, on a Ray cluster.

Examples:
  python -m benchmarks.coordinator --programs=1000 --agents=10 --seconds=0.5

The cluster is this machine's. A program writes the rows of ten evaluations after it has
slept. Printed are the time of the plan, what a program costs beside its sleep, memory
and files of the process that plans, and the time of a report of all agents.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import psutil

from coadapt import algorithms, report, sweep
from coadapt.cli.ray_cluster import Cluster
from coadapt.distributed import engines, local
from coadapt.distributed.pool import Pool
from coadapt.distributed.work import Unit
from coadapt.runs import attempts, store
from coadapt.sweep import Checkpoints, Group, Sweep, Variant

_PATH = {"PYTHONPATH": str(Path(__file__).parents[1])}  # of workers
TASK, STEPS, EVALUATIONS = "toy/lqr", 100_000, 10


@cache
def _shared(workdir: Path) -> store.Shared:
    header = store.load(workdir)
    assert header is not None
    return store.Shared(workdir, header)


def work(workdir: Path, name: str, seconds: float) -> tuple[int, str]:
    """A program that sleeps, in a worker: exit status and words."""
    time.sleep(seconds)
    program = attempts.program(workdir / attempts.PROGRAMS / name)
    assert program is not None
    random = np.random.default_rng(abs(hash(name)))
    with _shared(workdir).begin(program, provider="none") as attempt:
        for i in range(1, EVALUATIONS + 1):
            values = {"return": random.normal(i, 1, len(program.cells))}
            attempt.append(i * STEPS // EVALUATIONS, values, "none")
        attempt.finish(STEPS, seconds)
    return 0, ""


class Sleepers(Cluster):
    """Tasks that sleep, in worker processes that stay."""

    seconds = 0.5

    def start(self, unit: Unit) -> None:
        name = unit.record.folder.name
        task = self._ray.remote(max_retries=0, num_cpus=0.25)(work)
        self._all[name] = task.options(
            runtime_env={"env_vars": {**local.variables(unit, gpus=False), **_PATH}}
        ).remote(self._workdir, name, self.seconds)


def measure(programs: int, agents: int, seconds: float, workers: int) -> None:
    variant = Variant("sac", "sac", algorithms.preset("sac", TASK))
    asked = Sweep(
        experiment="sweep", variants={TASK: [variant]},
        seeds=range(programs * agents), steps=STEPS,
        eval_every=STEPS // EVALUATIONS, eval_episodes=1,
    )  # fmt: skip
    one = sweep.cost_of(Group(TASK, (sweep.Agent(variant, 0),)), asked).memory
    options = engines.Options(engines.RAY, workers, None, 0, agents * one)
    Sleepers.seconds, began = seconds, time.monotonic()
    process, most = psutil.Process(), [0.0, 0.0, 0.0]

    def engine(path: Path) -> Sleepers:
        return Sleepers(path, workers, None, 0)

    @contextmanager
    def show(units: Sequence[Unit]) -> Iterator:
        most[2] = time.monotonic() - began
        print(f"plan of {len(units)} programs: {most[2]:.1f} s", flush=True)

        def look(_: Pool) -> None:
            most[0] = max(most[0], process.memory_info().rss)
            most[1] = max(most[1], process.num_fds())

        yield look

    with tempfile.TemporaryDirectory() as folder:
        engines.run(
            asked, Path(folder), options, engine, checkpoints=Checkpoints(), show=show
        )
        took = time.monotonic() - began - most[2]
        beside = (took - programs * seconds / workers) / programs
        print(f"{programs} programs of {seconds} s, {workers} at once: {took:.0f} s")
        print(f"beside its sleep, a program costs {1000 * beside:.0f} ms")
        print(f"memory {most[0] / 2**20:.0f} MiB, files open at once {most[1]:.0f}")
        began = time.monotonic()
        report.make(Path(folder))
        print(f"report of {programs * agents} agents: {time.monotonic() - began:.0f} s")
    print(f"load of the last minute: {os.getloadavg()[0]:.1f}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--agents", type=int, default=10, help="of a program")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a program")
    parser.add_argument("--workers", type=int, default=4)
    measure(**vars(parser.parse_args(argv)))
    return 0


if __name__ == "__main__":  # workers find what they run by the module's name
    from benchmarks import coordinator

    sys.exit(coordinator.main())
