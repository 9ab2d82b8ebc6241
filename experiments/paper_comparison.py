"""The paper's cells beside those of a run store: which, in what order, what budget."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from coadapt.experiments import MODULES, load, published
from coadapt.experiments.base import PAPER_SEEDS, Experiment, paper_steps
from coadapt.experiments.published import Cell, Comparison
from coadapt.runs.store import Header
from coadapt.tasks import registry

SWAP = re.compile(r"(\w+)\(Net: (\w+)\)(?: \((.*)\))?")  # SAC(Net: MPO) (no layer norm)


class Beside(NamedTuple):
    """The experiment that a store is of, and the budget that its name says."""

    experiment: Experiment
    scale: str  # 'paper', 'reduced', 'smoke' or 'own'; '' where the name says none
    # tasks by other names, as those have of which several versions made rows
    tasks: Mapping[str, str] = MappingProxyType({})

    @property
    def papers(self) -> bool:
        """Whether it is one of the paper's, and not of our own."""
        return self.experiment.cheap is not None and self.experiment.of_paper

    def cell(self, task: str, variant: str) -> Cell | None:
        """What the paper has there: None where it has no such task or row."""
        name = registry.paper_name(self.tasks.get(task, task))
        row = self.experiment.row(variant)
        cells = (_cells().get((table, name, row)) for table in self.experiment.tables)
        return next((cell for cell in cells if cell is not None), None)


def of(header: Header) -> Beside | None:
    """What a store is of, by its experiment's name, or its variants', or not at all."""
    name, _, scale = header.experiment.partition("@")
    if name in MODULES:
        return Beside(load(name), scale)
    names = {variant for named in header.variants.values() for variant in named}
    tasks = {registry.paper_name(task) for task in header.variants}
    every = [load(name) for name in MODULES]
    for each in sorted(every, key=lambda e: e.name not in e.tables):  # tables first
        there = [key for key in _cells() if key[0] in each.tables]
        rows = {row for _, _, row in there}.union(each.same, each.readings)
        if names <= rows and tasks <= {task for _, task, _ in there}:
            return Beside(each, "")
    return None


@functools.cache
def _cells() -> dict[tuple[str, str, str], Cell]:
    # a task by the paper's name of it, whatever its version
    every = (*published.cells(), *published.cells("simbav2.csv"))
    return {(c.table, c.task.replace("-v4", "-v2"), c.variant): c for c in every}


# ---------------------------------------------------------------- order


def variants(header: Header, beside: Beside | None) -> list[str]:
    """All of them: rows of the paper as it has them, then other readings of them."""
    names = list(dict.fromkeys(v for named in header.variants.values() for v in named))
    if beside is None:
        return names
    rows = _order(beside, 2)
    readings = beside.experiment.readings
    return sorted(
        names,
        key=lambda name: (
            name in readings,
            rows.get(beside.experiment.row(name), len(rows)),
        ),
    )


def tasks(header: Header, beside: Beside | None) -> list[str]:
    """All of them, those of the paper as it has them."""
    if beside is None:
        return list(header.variants)
    order = _order(beside, 1)
    return sorted(
        header.variants, key=lambda t: order.get(registry.paper_name(t), len(order))
    )


def _order(beside: Beside, part: int) -> dict[str, int]:
    """Places of the tasks (1) or rows (2) of the experiment's tables.

    Rows as on a task that has the most of them: where one has fewer, some between.
    """
    tables = beside.experiment.tables
    there = [key for table in tables for key in _cells() if key[0] == table]
    if part == 2:
        rows = Counter(key[:2] for key in there)
        there = sorted(there, key=lambda key: -rows[key[:2]])
    return {name: i for i, name in enumerate(dict.fromkeys(key[part] for key in there))}


def comparisons(names: Iterable[str]) -> list[Comparison]:
    """Those of the paper whose four variants are among `names`, each once."""
    known, found = set(names), {}
    for each in published.COMPARISONS:
        if {*each.first_cells, *each.second_cells} <= known:
            found.setdefault((each.toggle, each.first, each.second), each)
    return list(found.values())


# ---------------------------------------------------------------- budget


def budget(header: Header, beside: Beside | None) -> str:
    """What the numbers were bought with, beside what the paper spent."""
    papers = beside if beside is not None and beside.papers else None
    seeds, episodes = len(header.seeds), header.eval_episodes
    parts = [
        f"{seeds} seed{'s' * (seeds > 1)}",
        _steps(header),
        f"an evaluation of {episodes} episode{'s' * (episodes > 1)} every "
        f"{header.eval_every:,} env steps",
    ]
    if papers is not None:
        parts[0] += f" (the paper: {PAPER_SEEDS})"
        parts[1] += f" ({_share(header)})"
        parts.append(f"{len(header.variants)} of {len(papers.experiment.tasks)} tasks")
        parts = [f"scale {papers.scale}", *parts] if papers.scale else parts
    return f"{'; '.join(parts)}."


def _steps(header: Header) -> str:
    """'50,000 env steps', or how many on which task."""
    by_steps: dict[int, list[str]] = {}
    for task, named in header.variants.items():
        own = {name: header.steps_of_variant(task, name) for name in named}
        names = own if len(set(own.values())) > 1 else {task: header.steps_on(task)}
        for name, steps in names.items():
            there = by_steps.setdefault(steps, [])
            there += [] if name in there else [name]
    if len(by_steps) == 1:
        return f"{next(iter(by_steps)):,} env steps"
    most = max(by_steps.values(), key=len)
    words = [
        f"{steps:,} on {'all others' if there is most else ', '.join(there)}"
        for steps, there in sorted(by_steps.items(), key=lambda x: x[1] is most)
    ]
    return f"env steps: {', '.join(words)}"


def _share(header: Header) -> str:
    """'5% of the paper's', '0.1% to 5% of the paper's'."""
    shares = [header.steps_on(t) / paper_steps(t) for t in header.variants]
    if set(shares) == {1}:
        return "the paper's"
    ends = dict.fromkeys(f"{100 * s:.3g}%" for s in (min(shares), max(shares)))
    return f"{' to '.join(ends)} of the paper's"
