"""The scores of a report as tables, in the paper's layout where it has one."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from coadapt.analysis.stats import number
from coadapt.experiments import paper_comparison, published
from coadapt.report.html import Cell, Group, Line, Table, typeset
from coadapt.report.run_data import Findings, Score

DAGGER = "†"  # numerical error, as in the paper's tables
NONE = "\u2013"  # a dash: what was not asked for
ROUNDING = 1e-12  # of a mean: the std that equal numbers may have
WIDE = 14  # variants that stand side by side, tasks below each other, as in the paper


def score(mean: float, std: float, n: int, failed: int) -> str:
    """'98.1 +- 3.2', '-inf'; with a dagger where a seed has failed, as in the paper.

    No spread where none is known: '98.1 (n = 1)', '1,000 (n = 4, all equal)'.
    """
    if math.isnan(mean):
        shown = "no score"
    elif math.isinf(mean):
        shown = number(mean)
    elif n < 2:
        shown = f"{number(mean)} (n = 1)"
    elif std <= ROUNDING * abs(mean):
        shown = f"{number(mean)} (n = {n}, all equal)"
    else:
        spread = number(std, mean)
        some = float(spread.replace(",", "")) > 0
        shown = f"{number(mean, std)} +- {spread if some else f'{std:.1g}'}"
    return f"{shown} {DAGGER}" if failed else shown


def theirs(cell: published.Cell) -> str:
    """The paper's cell in the same words, with the digits that it has."""
    shown = f"{cell.mean:,g}"
    shown += "" if math.isinf(cell.mean) else f" +- {cell.std:,g}"
    return f"{shown} {DAGGER}" if cell.numerical_error else shown


# ---------------------------------------------------------------- scores


class _Part(NamedTuple):
    """The cells of one table, or of the tables of one kind."""

    found: Findings
    made_by: str  # 'gym (mujoco 3.17.0)'
    keys: frozenset[tuple[str, str]]  # (task, variant)

    @property
    def tasks(self) -> list[str]:
        there = {task for task, _ in self.keys}
        return [task for task in self.found.tasks if task in there]

    @property
    def variants(self) -> list[str]:
        there = {variant for _, variant in self.keys}
        return [name for name in self.found.variants if name in there]

    @property
    def papers(self) -> bool:
        """Whether the paper has any of its cells."""
        return any(_published(self.found, *key) for key in self.keys)


def tables(found: Findings) -> list[Table]:
    """Tables for each suite, and each version of one, since their physics differ.

    As in the paper: of networks that are swapped a table a task, algorithms down and
    networks across; otherwise tasks down and variants across. Grids of one's own, and
    very many variants, have their names down.
    """
    made = []
    for part in _parts(found):
        swaps = [paper_comparison.SWAP.fullmatch(name) for name in part.variants]
        papers = found.beside is not None and found.beside.papers
        if papers and all(swaps):
            made += [_swapped(part, task) for task in part.tasks]
        elif papers and len(part.variants) <= WIDE:
            made.append(_tasks_down(part))
        else:
            made.append(_variants_down(part))
    return made


def _parts(found: Findings) -> list[_Part]:
    """By suite, and by what made the scores; a cell without one goes to the first."""
    made: dict[str, dict[str, set[tuple[str, str]]]] = {}
    for (task, variant), known in found.scores.items():
        suite = made.setdefault(task.partition("/")[0], {})
        suite.setdefault(known.provider, set()).add((task, variant))
    for task, name in found.tasks.items():
        named = found.header.variants[name]
        first = next(iter(made.get(task.partition("/")[0], {}).values()), set())
        first |= {(task, v) for v in named if (task, v) not in found.scores}
    return [
        _Part(found, f"{suite} ({provider})", frozenset(keys))
        for suite, providers in made.items()
        for provider, keys in providers.items()
    ]


def _tasks_down(part: _Part) -> Table:
    groups = [
        Group(task, _lines(part, [(task, v) for v in part.variants]))
        for task in part.tasks
    ]
    heads = ("task", "") if part.papers else ("task",)
    return Table(
        f"{part.made_by}: return at the last evaluation, mean ± std over seeds.",
        (*heads, *(part.found.labels[v] for v in part.variants)),
        tuple(groups),
    )


def _variants_down(part: _Part) -> Table:
    groups = [
        Group(part.found.labels[name], _lines(part, [(t, name) for t in part.tasks]))
        for name in part.variants
    ]
    heads = ("variant", "") if part.papers else ("variant",)
    return Table(
        f"{part.made_by}: return at the last evaluation, mean ± std over seeds.",
        (*heads, *part.tasks),
        tuple(groups),
    )


def _swapped(part: _Part, task: str) -> Table:
    """Algorithms down, networks across, as in Tables 5 to 10."""
    found = [paper_comparison.SWAP.fullmatch(name) for name in part.variants]
    rows = dict.fromkeys((m[1], m[3]) for m in found if m)
    nets = list(dict.fromkeys(m[2] for m in found if m))
    names = {(m[1], m[3], m[2]): m[0] for m in found if m}
    groups = [
        Group(
            f"{algorithm} ({reading})" if reading else algorithm,
            _lines(
                part, [(task, names.get((algorithm, reading, net), "")) for net in nets]
            ),
        )
        for algorithm, reading in rows
    ]
    heads = ("algorithm", "") if part.papers else ("algorithm",)
    return Table(
        f"{task}, algorithms with each other's networks. {part.made_by}: return at the "
        "last evaluation, mean ± std over seeds.",
        (*heads, *(f"Net: {net}" for net in nets)),
        tuple(groups),
    )


def _lines(part: _Part, keys: Sequence[tuple[str, str]]) -> tuple[Line, ...]:
    """Ours, and the paper's where it has any."""
    if not part.papers:
        return (Line(tuple(_ours(part, *key) for key in keys)),)
    lines = [Line(tuple(_ours(part, *key) for key in keys), "ours")]
    if any(_published(part.found, *key) for key in keys):
        cells = tuple(_theirs(part, *key) for key in keys)
        lines.append(Line(cells, "paper", muted=True))
    return tuple(lines)


def _published(found: Findings, task: str, variant: str) -> published.Cell | None:
    return found.beside.cell(task, variant) if found.beside else None


def _ours(part: _Part, task: str, variant: str) -> Cell:
    if (task, variant) not in part.keys:
        return Cell(NONE)
    known = part.found.scores.get((task, variant))
    if known is None:
        return Cell(NONE, "no score yet")
    others = (part.found.scores.get((task, v)) for v in part.variants)
    means = [other.mean for other in others if other is not None]
    text = typeset(score(known.mean, known.std, known.n, known.failed))
    return Cell(
        text, _so_far(part.found, task, variant, known), _best(known.mean, means)
    )


def _so_far(found: Findings, task: str, variant: str, known: Score) -> str:
    """How far a cell has come, if it has not come to its end."""
    seeds = len(found.header.seeds)
    steps = found.header.steps_of_variant(found.tasks[task], variant)
    parts = [f"{known.failed} of {known.seeds} failed"] if known.failed else []
    if known.seeds < seeds:
        parts.append(f"{known.seeds} of {seeds} seeds")
    if known.env_steps < steps:
        parts.append(f"at {known.env_steps:,} steps")
    return ", ".join(parts)


def _theirs(part: _Part, task: str, variant: str) -> Cell:
    cell = _published(part.found, task, variant)
    if cell is None:
        return Cell(NONE)
    others = (_published(part.found, task, name) for name in part.variants)
    means = [other.mean for other in others if other is not None]
    return Cell(typeset(theirs(cell)), "", _best(cell.mean, means))


def _best(mean: float, means: Iterable[float]) -> bool:
    """Whether it is the highest of several, as the paper has them in bold."""
    finite = [each for each in means if math.isfinite(each)]
    return len(finite) > 1 and mean == max(finite)
