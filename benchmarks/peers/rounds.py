"""Rounds of measurements: ours and each peer in turn, so that drift hits all alike."""

import dataclasses
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from benchmarks.peers import PEERS, processes
from benchmarks.peers.homes import Failed
from benchmarks.peers.kept import Kept
from benchmarks.peers.processes import OURS, Program
from benchmarks.peers.protocol import Job
from benchmarks.peers.tables import OURS as OUR_NAME
from benchmarks.peers.tables import Record

LIMIT = 3600.0  # seconds that a process may take


class Way(NamedTuple):
    """How agents run: so many processes side by side, each of so many agents."""

    processes: int
    each: int


class Setting(NamedTuple):
    """What is measured, and the columns of a table that say so."""

    columns: tuple[str, ...]
    job: Job


def able(peer: str, job: Job) -> bool:
    known = PEERS[peer]
    has_task = job.work == "learner" or not known.tasks or job.task in known.tasks
    return job.algorithm in known.algorithms and has_task


def ways(together: bool, agents: int, cores: int) -> list[Way]:
    """Of running so many agents: of these the fastest counts.

    A program of several agents has them in one process, or shared out to one a core;
    one of a single agent runs them one after another, or one a core side by side.
    """
    if together:
        shared = cores > 1 and agents % cores == 0
        return [Way(1, agents), *([Way(cores, agents // cores)] if shared else [])]
    side_by_side = min(agents, cores)
    return [Way(1, 1), *([Way(side_by_side, 1)] if side_by_side > 1 else [])]


def rates(
    program: Program, job: Job, wanted: Mapping[int, Sequence[Way]]
) -> dict[int, float]:
    """Units a second of each number of agents, the best of its ways, all of which are
    told on standard error. Raises: Failed."""
    total: dict[Way, float] = {}
    every = {way for found in wanted.values() for way in found}
    for number in sorted({way.processes for way in every}):
        each = tuple(sorted(w.each for w in every if w.processes == number))
        jobs = [
            dataclasses.replace(job, agents=each, core=i if number > 1 else None)
            for i in range(number)
        ]
        for answers in processes.side_by_side(program, jobs, LIMIT):
            for found in answers:
                way = Way(number, found["agents"])
                total[way] = total.get(way, 0) + statistics.median(found["rates"])
    for way, rate in sorted(total.items()):
        line = f"{job.library}: {way.processes} processes of {way.each} agents: "
        print(f"{line}{rate:.1f}/s", file=sys.stderr, flush=True)
    return {k: max(total[way] for way in found) for k, found in wanted.items()}


def of_ours(job: Job, agents: Sequence[int]) -> list[dict[str, Any]]:
    """What we answer, all agents in one process."""
    asked = dataclasses.replace(job, agents=tuple(agents))
    return processes.side_by_side(OURS, [asked], LIMIT)[0]


class Rounds:
    """All settings, all programs, one round after the other.

    What is kept of an earlier run is not measured again.
    """

    def __init__(
        self,
        programs: Mapping[str, Program],
        cores: int,
        kept: Kept,
        processes: int = 0,
    ):
        """Of a peer, only the way with so many `processes`; 0: the best of all."""
        self._programs, self._cores, self._kept = programs, cores, kept
        self._processes = processes
        self._broken: set[tuple[str, tuple[str, ...]]] = set()
        self.records: list[Record] = []

    def run(self, settings: Sequence[Setting], agents: Sequence[int], rounds: int):
        for number in range(rounds):
            for setting in settings:
                self._try(OUR_NAME, setting, number, agents, self._ours)
                for peer in self._programs:
                    if able(peer, setting.job):
                        measure = partial(self._peer, peer)
                        self._try(peer, setting, number, agents, measure)
        return self.records

    def _ours(self, setting: Setting, agents: Sequence[int]):
        for found in of_ours(setting.job, agents):
            rate = statistics.median(found["rates"])
            yield found["agents"], rate, found["fraction"]

    def _peer(self, peer: str, setting: Setting, agents: Sequence[int]):
        together = PEERS[peer].together
        only = self._processes
        wanted = {
            k: [w for w in ways(together, k, self._cores) if only in (0, w.processes)]
            for k in agents
        }
        wanted = {k: found for k, found in wanted.items() if found}
        job = dataclasses.replace(setting.job, library=peer)
        for k, rate in rates(self._programs[peer], job, wanted).items():
            yield k, rate, None

    def _try(
        self,
        who: str,
        setting: Setting,
        number: int,
        agents: Sequence[int],
        measure: Callable,
    ) -> None:
        """A failure is told once, and not tried again."""
        wanted = {(*setting.columns, str(n)): n for n in agents}
        found = self._kept.of(setting.job, who, number)
        self.records += [r for r in found if r.setting in wanted]
        left = [n for key, n in wanted.items() if key not in {r.setting for r in found}]
        if not left or (who, setting.columns) in self._broken:
            return
        what = f"{setting.job.work}, {', '.join(setting.columns)}"
        try:
            for many, rate, fraction in measure(setting, left):
                columns = (*setting.columns, str(many))
                record = Record(columns, who, number, rate, fraction)
                self.records.append(self._kept.add(setting.job, record))
                line = f"round {number + 1}: {who}: {what}, {many} agents: "
                print(f"{line}{rate:.1f}/s", file=sys.stderr, flush=True)
        except Failed as reason:
            self._broken.add((who, setting.columns))
            print(f"{who} failed on {what}: {reason}", file=sys.stderr, flush=True)
