"""A sweep whose programs run in processes of their own, here or on a cluster.

The one that plans holds the workdir, starts a process for each program, one after the
other where there is room, starts those again that died, and makes the tables. It
computes nothing.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from coadapt.distributed import work
from coadapt.distributed.work import Unit
from coadapt.runs import attempts, files, leases
from coadapt.system.deadline import Deadline
from coadapt.system.notes import note

TRIES = 3  # without a newer snapshot, after which a program is given up
_PAUSE = 0.5  # seconds between looks
_AGAIN = 5.0  # seconds until a program is tried anew that another process had
# exit statuses of a process that works for others, by the names of sysexits.h
STOPPED, HELD = 75, 69  # EX_TEMPFAIL: at a checkpoint; EX_UNAVAILABLE: another has it
TIME_OVER = 79  # at the last checkpoint before its time was over
OTHER_MACHINE = 78  # EX_CONFIG: it rounds otherwise; another node may not
MISTAKE = 2


class Outcome(NamedTuple):
    """How a process ended."""

    program: str
    status: int | None  # of its exit; None: it was lost, with a worker or a node
    words: str = ""  # why


class Engine(Protocol):
    """Where processes run."""

    def room(self) -> bool:
        """Whether one more may be started."""
        ...

    def start(self, unit: Unit) -> None: ...

    def ended(self, seconds: float) -> list[Outcome]:
        """Those that ended, waited for so long at most."""
        ...

    def forget(self, program: str) -> None:
        """Its process is not heard of: its place is free."""
        ...

    def close(self) -> None:
        """All that runs is ended, at once."""
        ...


class Running(NamedTuple):
    """A program that was given to the engine."""

    unit: Unit
    attempt: str  # the newest one before
    snapshot: int  # env steps of the newest one before


class Pool:
    """Programs that wait, run, and have ended."""

    def __init__(
        self,
        workdir: Path,
        units: Sequence[Unit],
        engine: Engine,
        stop: Callable[[], bool] = lambda: False,
        deadline: Deadline | None = None,
    ):
        """`deadline`: the workers know it, too (`work.Job`)."""
        self.workdir, self.engine, self._asked = workdir, engine, stop
        self._deadline = deadline or Deadline()
        self.waiting, self.running = deque(units), dict[str, Running]()
        self.units = {each.record.folder.name: each for each in units}
        self.finished, self.failed = list[str](), dict[str, str]()
        self._tries, self._later = dict[str, int](), dict[str, float]()
        self._heard = dict[str, tuple[float, float]]()
        self.stopping = False  # all stop, as that was asked for
        self.closing = False  # none is started, as there is no time

    def run(self, look: Callable[["Pool"], None] = lambda _: None) -> None:
        """Until all have ended, or have stopped. `look` is called again and again."""
        while self.running or (self.waiting and not (self.stopping or self.closing)):
            self.closing = self.closing or self._deadline.near
            if self._asked() and not self.stopping:
                self.stopping = True
                with files.writing(self.workdir):
                    (self.workdir / work.STOP).touch()
            self._start()
            for outcome in self.engine.ended(_PAUSE):
                if outcome.program in self.running:
                    self._take(outcome)
            self._miss()
            look(self)
        (self.workdir / work.STOP).unlink(missing_ok=True)

    def _start(self) -> None:
        for _ in range(len(self.waiting)):
            if self.stopping or self.closing or not self.engine.room():
                return
            unit = self.waiting.popleft()
            name, record = unit.record.folder.name, unit.record
            said = leases.newest(record.folder)
            if self._rests(name, said):
                self.waiting.append(unit)
                continue
            before = said.attempt.name if said else ""
            self.running[name] = Running(unit, before, work.snapshot(record))
            self.engine.start(unit)

    def _rests(self, name: str, said: leases.Said | None) -> bool:
        """Whether a program is not yet to be started: another process has it."""
        if said is not None and leases.alive(said):
            self._later[name] = time.monotonic() + _AGAIN
        return self._later.get(name, 0.0) > time.monotonic()

    def _take(self, outcome: Outcome) -> None:
        """What comes of a process that has ended."""
        name = outcome.program
        was, status = self.running.pop(name), outcome.status
        self._heard.pop(name, None)
        if status == 0:
            self.finished.append(name)
        elif status in (STOPPED, TIME_OVER):
            self.closing |= status == TIME_OVER
            self.waiting.appendleft(was.unit)
        elif status == HELD:
            self._later[name] = time.monotonic() + _AGAIN
            self.waiting.append(was.unit)
        else:
            self._again(was, outcome)

    def _again(self, was: Running, outcome: Outcome) -> None:
        """Start it again, or give it up: a mistake at once, else after some tries."""
        name, newer = outcome.program, work.snapshot(was.unit.record) > was.snapshot
        tries = 0 if newer else self._tries.get(name, 0) + 1
        self._tries[name] = tries
        words = outcome.words or f"its process ended with status {outcome.status}"
        if outcome.status == MISTAKE or tries >= TRIES:
            said = leases.newest(was.unit.record.folder)
            steps = said.steps if said else 0
            attempts.give_up(was.unit.record.folder, words, steps)
            self.failed[name] = words
            note(f"{name} failed: {words}")
            return
        note(f"{name} is restarted: {words}")
        self.waiting.appendleft(was.unit)  # what was begun comes first

    def _miss(self) -> None:
        """Those whose lease ran out: a process that stands still, a network that is
        gone. By this clock alone, as others' may differ."""
        now = time.monotonic()
        for name, was in list(self.running.items()):
            said = leases.newest(was.unit.record.folder)
            if said is None or said.ended or said.attempt.name == was.attempt:
                continue
            beaten, seen = self._heard.get(name, (0.0, now))
            if beaten != said.beaten:
                self._heard[name] = said.beaten, now
            elif now - seen > 1.2 * said.seconds:
                self.engine.forget(name)
                words = f"process {said.process} on {said.host} was not heard of for "
                self._take(Outcome(name, None, f"{words}{said.seconds:g} s"))
