"""Progress of a sweep: live bars on a terminal, plain lines elsewhere."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import psutil
from rich.console import Console
from rich.console import Group as Stack
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from coadapt import console, runner, toggles
from coadapt.stats import number
from coadapt.sweep import Group
from coadapt.sweep import Progress as Event

Tell = Callable[[Event], None]
Steps = Callable[[str], int]  # of each agent on a task

_NAME = 12  # letters of a variant's name, at least


@contextlib.contextmanager
def quiet(_: Steps) -> Iterator[Tell]:
    yield lambda event: None


@contextlib.contextmanager
def shown(steps: Steps) -> Iterator[Tell]:
    """A callback for `sweep.run` that shows what it is told."""
    console = Console()
    if not console.is_terminal:
        yield _Lines(steps)
        return
    bar = _bar(console)
    with Live(bar, console=console, transient=True) as live:
        yield _Screen(live, bar, steps)


class _Pace:
    """Speed of the running program, its compilation left out."""

    def __init__(self, steps: Steps):
        self.steps = steps
        self.first: runner.Report | None = None
        self.told = False

    def first_row(self, event: Event) -> str:
        """Of the first row that the process makes: seconds since it was started."""
        if self.told or event.report is None:
            return ""
        self.told = True
        return f"first row after {time.time() - psutil.Process().create_time():.1f} s"

    def words(self, event: Event) -> tuple[str, str]:
        """Agent-steps a second, and time left of this program: '' while unknown."""
        report = event.report
        if report is None:
            self.first = None
        elif self.first is None:
            self.first = report
        if report is None or self.first is None or report.steps == self.first.steps:
            return "", ""
        took = max(report.seconds - self.first.seconds, 1e-9)
        pace = (report.steps - self.first.steps) / took
        left = round((self.steps(event.group.task) - report.steps) / pace)
        rate = f"{pace * len(event.group.agents):,.0f} agent-steps/s"
        return rate, f"{left // 60}:{left % 60:02} left"


class _Lines:
    """A line an evaluation, for logs."""

    def __init__(self, steps: Steps):
        self.steps, self.pace = steps, _Pace(steps)

    def __call__(self, event: Event) -> None:
        rate, left = self.pace.words(event)
        head = f"[{event.program}/{event.programs}] {title(event.group)}"
        if event.report is None:
            print(_begun(head, console.width()), flush=True)
            return
        total = self.steps(event.group.task)
        done = f"{event.report.steps:,} of {total:,} steps"
        ends = [part for part in (rate, left, self.pace.first_row(event)) if part]
        room = console.width() - len("  ".join((f"{head}:", done, *ends, "")))
        scores = returns(event.group, event.report, room)
        print(_fitted(head, [done, scores], ends), flush=True)


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

    def __init__(self, live: Live, bar: Progress, steps: Steps):
        self.live, self.bar, self.pace = live, bar, _Pace(steps)

    def __call__(self, event: Event) -> None:
        rate, left = self.pace.words(event)
        head = f"[{event.program}/{event.programs}] {title(event.group)}"
        if event.report is None:
            for task in self.bar.task_ids:
                self.bar.remove_task(task)
            total = self.pace.steps(event.group.task)
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
        if done == self.pace.steps(event.group.task):
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
