"""What is asked of a measuring script, and how it answers.

A `Job` comes as JSON, the only argument; answers are marked lines of JSON on standard
output, whatever else is printed there. Standard library alone: this is imported under
the Python of every peer, by the name of its file.
"""

import csv
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MARK, READY, GO = "@@ ", {"ready": True}, "go\n"
OBS, ACTIONS = 17, 6  # HalfCheetah's
ROLLOUT, EPOCHS = 2048, 10  # of an iteration of PPO: env steps, and passes over them


@dataclass(frozen=True)
class Cell:
    """One agent of the sweep."""

    variant: str
    seed: int
    critics: int = 2
    activation: str = "relu"
    discount: float = 0.99


@dataclass(frozen=True)
class Job:
    """What to measure. Times in seconds, lengths in transitions or env steps."""

    work: str  # learner, loop or sweep
    library: str  # of those that one script measures
    algorithm: str = "sac"
    agents: tuple[int, ...] = (1,)  # in one process, one number after the other
    sizes: tuple[int, ...] = (256, 256)
    batch: int = 256
    buffer: int = 10_000  # capacity; the learner's is full from the start
    task: str = "Pendulum-v1"  # of gym
    own_task: str = "gym/Pendulum-v1"  # ours: the same, or one on the device
    start: int = 300  # env steps before the first update
    windows: int = 3
    seconds: float = 1.0  # of each window
    core: int | None = None  # the only one that the process may use
    at_once: int = 0  # updates of a call; 0: 1 or 64, whichever is faster
    critic_steps: int = 29  # of an iteration of AWR
    policy_steps: int = 146
    # of the sweep
    steps: int = 20_000
    episodes: int = 10
    cells: tuple[Cell, ...] = field(default=())
    rows: str = ""  # the CSV file that the cells' rows are added to


def at_once(job: Job) -> tuple[int, ...]:
    """Updates of a call, of which the fastest counts."""
    return (job.at_once,) if job.at_once else (1, 64)


def write(job: Job) -> str:
    return json.dumps(asdict(job))


def read(argv: list[str]) -> Job:
    """The job that a script was started with; its process is bound to its core."""
    found: dict[str, Any] = json.loads(argv[1])
    found["cells"] = [Cell(**cell) for cell in found["cells"]]
    listed = {k: tuple(v) for k, v in found.items() if isinstance(v, list)}
    job = Job(**{**found, **listed})
    if job.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {job.core})
    return job


def answer(**found: Any) -> None:
    print(f"{MARK}{json.dumps(found)}", flush=True)


def parse(line: str) -> dict[str, Any] | None:
    """What a line of a script's output answers, if it does."""
    return json.loads(line.removeprefix(MARK)) if line.startswith(MARK) else None


def ready() -> None:
    """Wait until all that are measured side by side are so far."""
    answer(**READY)
    sys.stdin.readline()


class Windows:
    """Units a second, in windows of time, once all is compiled and warm.

    `tick` after each piece of work, until it returns True. What is measured side by
    side begins together.
    """

    def __init__(self, job: Job, warm: float = 1.0, least: int = 8):
        self._job, self._warm, self._least = job, warm, least
        self._ticks, self._units, self._begin = 0, 0.0, time.perf_counter()
        self._measures = False
        self.rates: list[float] = []

    def tick(self, units: float = 1) -> bool:
        now = time.perf_counter()
        self._ticks += 1
        if not self._measures:
            self._warmed(now)
            return False
        self._units += units
        if now - self._begin >= self._job.seconds:
            self.rates.append(self._units / (now - self._begin))
            self._units, self._begin = 0.0, time.perf_counter()
        return len(self.rates) >= self._job.windows

    def _warmed(self, now: float) -> None:
        if self._ticks == 1:  # what the first compiled is no warmth
            self._begin = now
        if self._ticks >= self._least and now - self._begin >= self._warm:
            ready()
            self._measures, self._begin = True, time.perf_counter()

    def tell(self, agents: int, **more: Any) -> None:
        answer(agents=agents, rates=self.rates, **more)


def repeat(job: Job, work: Callable[[], object], units: float = 1, **more: int) -> None:
    """Measure a piece of work, of so many units, over and over, and answer."""
    windows = Windows(job, **more)
    done = False
    while not done:
        work()
        done = windows.tick(units)
    windows.tell(job.agents[0])


def fastest(works: dict[int, Callable[[], object]], seconds: float = 1.0) -> int:
    """Which of the works, each of so many units, has the best rate."""
    rates = {}
    for units, work in works.items():
        for _ in range(2):  # compiled, and the once more that some need
            work()
        begin, done = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            work()
            done += units
        rates[units] = done / (time.perf_counter() - begin)
    return max(rates, key=lambda units: rates[units])


def add_rows(job: Job, returns: Iterable[float]) -> None:
    """A row of each cell, in their order."""
    with Path(job.rows).open("a", newline="") as file:
        for cell, value in zip(job.cells, returns, strict=True):
            csv.writer(file).writerow([cell.variant, cell.seed, f"{float(value):.3f}"])
    answer(cells=len(job.cells))


def serve(works: dict[str, Callable[[Job], None]]) -> None:
    """Do what was asked."""
    job = read(sys.argv)
    works[job.work](job)
