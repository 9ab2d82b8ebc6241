"""Progress of a sweep, on stderr: live bars on a terminal, plain lines elsewhere."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.console import Group as Stack
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from coadapt import runner
from coadapt.analysis import toggles
from coadapt.analysis.stats import number
from coadapt.sweep import Group, Origin, Sweep, notes
from coadapt.sweep import Progress as Event
from coadapt.system import console
from coadapt.system.notes import note

Tell = Callable[[Event], None]

_NAME = 12  # letters of a variant's name, at least


@contextlib.contextmanager
def quiet(_: Sweep, since: float | None = None) -> Iterator[Tell]:
    yield lambda event: None


@contextlib.contextmanager
def shown(asked: Sweep, since: float | None = None) -> Iterator[Tell]:
    """A callback for `sweep.run` that shows what it is told, and first `sweep.notes`.

    Args:
        since: Unix time from which the first row is timed; None: now.
    """
    screen = Console(stderr=True)
    pace = _Pace(asked, time.time() if since is None else since)
    if screen.is_terminal:
        bar = _bar(screen)
        with Live(bar, console=screen, transient=True) as live:
            yield _Screen(live, bar, pace)
    else:
        yield _Lines(pace)
    if not pace.begun:
        cells = sum(map(len, asked.variants.values())) * len(asked.seeds)
        note(f"all {cells} cells were finished: nothing to run")


class _Pace:
    """Speed of the running program, its compilation left out."""

    def __init__(self, asked: Sweep, since: float):
        self.asked, self.since = asked, since
        self.first: runner.Report | None = None
        self.begun = self.told = False

    def steps(self, event: Event) -> int:
        """Env steps of the running program's agents."""
        agent = event.group.agents[0]
        return self.asked.steps_of(event.group.task, agent.variant)

    def start(self, event: Event) -> list[str]:
        """Of the first program of all, a line each: what is to be known before, from
        where programs go on, and whose rows the store has. It is valid, so something
        can be said of it."""
        if self.begun:
            return []
        differ = f"the store's sessions differ in {event.sessions}"
        lines = (
            *notes(self.asked),
            origins(event.origins, self.asked.checkpoint_every),
            differ if event.sessions else "",
        )
        return [line for line in lines if line]

    def first_row(self, event: Event) -> str:
        """Of the first row of all: how long it took."""
        if self.told or event.report is None:
            return ""
        self.told = True
        return f"first row after {time.time() - self.since:.1f} s"

    def words(self, event: Event) -> tuple[str, str]:
        """Agent-steps a second, and time left of this program: '' while unknown."""
        report, self.begun = event.report, True
        if report is None:
            self.first = None
        elif self.first is None:
            self.first = report
        if report is None or self.first is None or report.steps == self.first.steps:
            return "", ""
        took = max(report.seconds - self.first.seconds, 1e-9)
        pace = (report.steps - self.first.steps) / took
        left = clock((self.steps(event) - report.steps) / pace)
        rate = f"{pace * len(event.group.agents):,.0f} agent-steps/s"
        return rate, f"{left} left"


def clock(seconds: float) -> str:
    """'4:07', in minutes and seconds; '12:04:07' from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Lines:
    """A line an evaluation, for logs."""

    def __init__(self, pace: _Pace):
        self.pace = pace

    def __call__(self, event: Event) -> None:
        for line in self.pace.start(event):
            note(line)
        rate, left = self.pace.words(event)
        head = f"[{event.program}/{event.programs}] {title(event.group)}"
        if event.report is None:
            note(_begun(head, console.width()))
            return
        total = self.pace.steps(event)
        done = f"{event.report.steps:,} of {total:,} steps"
        ends = [part for part in (rate, left, self.pace.first_row(event)) if part]
        room = console.width() - len("  ".join((f"{head}:", done, *ends, "")))
        scores = returns(event.group, event.report, room)
        note(_fitted(head, [done, scores], ends))


def _begun(head: str, width: int) -> str:
    tail = ": compiling ..."
    return console.cut(head, width - len(tail)) + tail


def _fitted(head: str, parts: Sequence[str], ends: Sequence[str]) -> str:
    """One line of the terminal: without the first of `ends`, or the end of `head`."""
    width, ends = console.width(), list(ends)
    while ends and len("  ".join((f"{head}:", *parts, *ends))) > width:
        del ends[0]
    rest = "  ".join((":", *parts, *ends))
    return console.cut(head, width - len(rest)) + rest


class _Screen:
    """A bar with the scores above it; a program that has ended leaves its scores."""

    def __init__(self, live: Live, bar: Progress, pace: _Pace):
        self.live, self.bar, self.pace = live, bar, pace

    def __call__(self, event: Event) -> None:
        for line in self.pace.start(event):
            self.live.console.print(Text(line))
        rate, left = self.pace.words(event)
        head = f"[{event.program}/{event.programs}] {title(event.group)}"
        if event.report is None:
            for task in self.bar.task_ids:
                self.bar.remove_task(task)
            total = self.pace.steps(event)
            self.task = self.bar.add_task("", total=total, rate="", left="")
            told = _begun(head, self.live.console.width)
            self.live.update(Stack(Text(told), self.bar))
            return
        width = self.live.console.width
        scores = returns(event.group, event.report, width - len(head) - 2)
        text = Text(f"{console.cut(head, width - len(scores) - 2)}: {scores}")
        done = event.report.steps
        if first := self.pace.first_row(event):
            self.live.console.print(first)
        self.bar.update(self.task, completed=done, rate=rate, left=left)
        self.live.update(Stack(text, self.bar))
        if done == self.pace.steps(event):
            self.live.console.print(text)


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,} of {task.total:,} steps"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[rate]}"),
        console=console,
    )


def origins(found: Sequence[Origin], every: int) -> str:
    """From where programs that were begun go on; '' where none was.

    'goes on from env step 20,000'; of many, how many, and from where to where.

    Args:
        every: env steps between checkpoints.
    """
    on = [each.begin for each in found if each.begin]
    anew = [each.reached for each in found if each.reached and not each.begin]
    parts = []
    if on:
        verb = "goes" if len(on) == 1 else "go"
        parts.append(f"{_count(on, found)}{verb} on from env step {_range(on)}")
    if anew:
        verb, they = ("starts", "it") if len(anew) == 1 else ("start", "they")
        parts.append(
            f"{_count(anew, found)}{verb} again from env step 0: {they} had come to "
            f"{_range(anew)}, and no checkpoint is left to go on from (one is made "
            f"every {every:,} env steps; an end between two is none, and keep=0 leaves "
            "none)"
        )
    return "; ".join(parts)


def _count(some: Sequence[int], all_of: Sequence[Origin]) -> str:
    """'2 of 3 programs '; '' where there is one program alone."""
    return f"{len(some)} of {len(all_of)} programs " if len(all_of) > 1 else ""


def _range(steps: Sequence[int]) -> str:
    low, high = min(steps), max(steps)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def title(group: Group) -> str:
    """'gym/Hopper-v5, sac, 4 agents'; of many variants, the first and how many more.

    At most half of a line.
    """
    names = list(dict.fromkeys(agent.variant.name for agent in group.agents))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    agents = f"{len(group.agents)} agent{'s' if len(group.agents) > 1 else ''}"
    room = console.width() // 2 - len(f"{group.task}, {more}, {agents}")
    name = console.cut(toggles.short(names)[names[0]], max(room, _NAME))
    return f"{group.task}, {name}{more}, {agents}"


def returns(group: Group, report: runner.Report, room: int) -> str:
    """'return 98.1', or for many variants 'sac 98.1, sac-b 87.0': means over seeds.

    Where that takes more than `room` letters, the least and the greatest of the means.
    """
    found: dict[str, list[float]] = {}
    scores = report.metrics["return"]
    for agent, value in zip(group.agents, scores, strict=True):
        found.setdefault(agent.variant.name, []).append(float(value))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    if len(means) == 1:
        return f"return {number(float(np.mean(scores)))}"
    short = toggles.short(means)
    each = ", ".join(f"{short[name]} {number(mean)}" for name, mean in means.items())
    if len(each) <= room:
        return each
    known = [mean for mean in means.values() if not math.isnan(mean)] or [math.nan]
    return f"returns {number(min(known))} to {number(max(known))}"
