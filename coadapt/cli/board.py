"""All programs of a pool on one screen: a line each that runs, and the sums below."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.console import Group as Stack
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coadapt import progress
from coadapt.distributed.pool import Pool, Running
from coadapt.distributed.work import Unit
from coadapt.runs import leases
from coadapt.system.notes import note

_EVERY = 1.0  # seconds between looks
_LINES = 30  # programs that are shown, of those that run


@contextlib.contextmanager
def shown(units: Sequence[Unit], *, quiet: bool) -> Iterator[Callable[[Pool], None]]:
    """To be called again and again; on a terminal it is live, else a line a change."""
    screen, board = Console(stderr=True), Board(units)
    if quiet:
        yield lambda pool: None
    elif screen.is_terminal:
        with Live(console=screen, transient=True) as live:
            yield lambda pool: board.seldom(pool, live.update)
    else:
        yield lambda pool: board.seldom(pool, lambda _: board.note(pool))


class Board:
    """What is known of all programs, and since when."""

    def __init__(self, units: Sequence[Unit]):
        self._steps = dict[str, int]()  # env steps of each, by its program
        self._begun = dict[str, int]()  # at the first look at it
        self._units = {each.record.folder.name: each for each in units}
        self._since, self._next, self._told = time.monotonic(), 0.0, ""

    def seldom(self, pool: Pool, show: Callable[[Stack], object]) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            show(self.look(pool))

    def look(self, pool: Pool) -> Stack:
        """A table of what runs, and the sums."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for i, (name, running) in enumerate(list(pool.running.items())):
            row = self._row(name, running)
            if i < _LINES:
                table.add_row(*row)
        return Stack(table, Text(self.sums(pool)))

    def _row(self, name: str, running: Running) -> tuple[str, ...]:
        unit, said = running.unit, leases.newest(running.unit.record.folder)
        if said is None or said.attempt.name == running.attempt:
            return progress.title(unit.group), "starts", "", ""
        self._steps[name] = steps = said.steps
        self._begun.setdefault(name, steps)
        of = f"{steps:,} of {unit.job.steps:,} steps"
        return progress.title(unit.group), of, f"on {said.host}", f"since {said.since}"

    def sums(self, pool: Pool) -> str:
        """'finished 3, running 2, waiting 7; 1,200 agent-steps/s, 0:40 left'."""
        counts = {
            "finished": len(pool.finished), "running": len(pool.running),
            "waiting": len(pool.waiting), "failed": len(pool.failed),
        }  # fmt: skip
        for name in pool.finished:
            self._steps[name] = self._units[name].job.steps
        agents = {name: len(u.record.cells) for name, u in self._units.items()}
        done = sum(
            (self._steps[n] - self._begun.get(n, 0)) * agents[n] for n in self._steps
        )
        pace = done / max(time.monotonic() - self._since, 1e-9)
        rest = sum(
            (unit.job.steps - self._steps.get(name, 0)) * agents[name]
            for name, unit in self._units.items()
            if name not in pool.failed
        )
        words = ", ".join(f"{word} {n}" for word, n in counts.items() if n)
        if not pace:
            return words
        return f"{words}; {pace:,.0f} agent-steps/s, {progress.clock(rest / pace)} left"

    def note(self, pool: Pool) -> None:
        """A line, where more have ended than before."""
        ended = f"{len(pool.finished)} {len(pool.failed)} {len(pool.running)}"
        if ended != self._told:
            self._told = ended
            note(self.sums(pool))
