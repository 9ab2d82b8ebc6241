"""What toggles do in a run store: verdicts on pairs of algorithms, and factorials."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coadapt import effects, stats, toggles
from coadapt.effects import FactorialEffect, Pair, Verdict
from coadapt.schema import ConfigError
from coadapt.stats import Estimate
from coadapt.store import Entry, Header
from coadapt.toggles import Contrast, Factorial
from experiments import beside, published

if TYPE_CHECKING:
    import pandas as pd

SEED = 0  # of the bootstrap: the same rows give the same intervals
MARGIN = 0.1  # of the range from a task's worst variant to its best


class Named(NamedTuple):
    """Variants with a toggle and without, in order, and what to call their runs."""

    label: str
    on: tuple[str, ...]
    off: tuple[str, ...]


class Question(NamedTuple):
    """A toggle on an algorithm, or on two; of the paper's, what it has said."""

    toggle: str
    pairs: tuple[Named, ...]
    cells: str = ""  # the verdict on the paper's own cells
    paper: str = ""  # how its text reads them
    least: int = 0  # seeds of each variant, below which there is no verdict


class Answer(NamedTuple):
    """The effects of a question's toggle; `reason`, where there are none."""

    question: Question
    found: tuple[Estimate, ...] = ()  # on each algorithm
    verdict: Verdict | None = None  # of two
    seeds: int | None = None  # that would show an effect of the margin
    notes: tuple[str, ...] = ()
    reason: str = ""


class Contrasted(NamedTuple):
    """A factorial, and what came out."""

    of: Factorial
    found: tuple[FactorialEffect, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""


# ---------------------------------------------------------------- scores


class Scored(NamedTuple):
    """Scores on one scale: variants' [runs, tasks], and what is to be known of them."""

    scores: dict[str, np.ndarray]
    table: stats.Table
    notes: tuple[str, ...]

    def pair(self, named: Named) -> Pair:
        """Averaged over the variants on either side."""
        on, off = (np.mean([self.scores[n] for n in x], 0) for x in named[1:])
        return Pair(on, off)


def scored(
    frame: "pd.DataFrame",
    names: Iterable[str],
    scale: str = "range",
    baseline: Sequence[str] = (),
) -> Scored:
    """The scores of these variants, on tasks and seeds that all have; see effects.py.

    `baseline` are the variants whose mean is the unit of scale 'baseline'. A score that
    ran away counts as one that diverged: else it would be the scale. Raises:
    ConfigError where there is no common task or seed, or no scale.
    """
    names = tuple(dict.fromkeys(names))
    table = stats.table(frame, names)
    by_task = table.values.transpose(2, 0, 1)
    floors = np.array([stats.floor(scores) for scores in by_task])
    held = np.where(table.values < floors, -np.inf, table.values)
    table, left_out = _useful(table._replace(values=held), scale)
    raw = dict(zip(names, table.values, strict=True))
    every = list(raw.values())
    if scale == "range":
        fit = effects.by_range(every, table.tasks)
    else:
        unit = np.concatenate([raw[name] for name in baseline])
        fit = effects.by_baseline(unit, every, table.tasks)
    return Scored(
        {n: fit(x) for n, x in raw.items()}, table, (*_notes(table), *left_out)
    )


def _useful(table: stats.Table, scale: str) -> tuple[stats.Table, list[str]]:
    """Without tasks that have no range, unless none has one; and a note of them."""
    keep = effects.differing(list(table.values))
    if scale != "range" or keep.all() or not keep.any():
        return table, []
    left_out = [t for t, kept in zip(table.tasks, keep, strict=True) if not kept]
    kept = table._replace(
        tasks=tuple(t for t in table.tasks if t not in left_out),
        values=table.values[:, :, keep],
        env_steps=tuple(np.array(table.env_steps)[keep].tolist()),
    )
    note = "no two variants differ in their means"
    return kept, [f"left out, since {note} there: {', '.join(left_out)}"]


def _notes(table: stats.Table) -> list[str]:
    where = [
        f"{task} at {steps:,} env steps"
        for task, steps in zip(table.tasks, table.env_steps, strict=True)
    ]
    if len(where) > 6:
        where = [f"{len(where)} tasks, each where all cells have come to"]
    seeds = f"{len(table.seeds)} seed{'s' * (len(table.seeds) > 1)}"
    lines = [f"{seeds} of each variant on {', '.join(where)}"]
    found = stats.counts(*table.values)
    lost = found.failed + found.diverged
    if len(table.seeds) < 2:
        lines.append("no interval: there is one seed of each variant")
    if table.failed:
        lines.append(f"{_runs(table.failed)} failed: each counts as it was before")
    if lost:
        why = "without a finite score, or with one that ran away"
        lines.append(f"{_runs(lost)} {why}: each counts as the worst")
    if table.absent:
        lines.append(f"{_runs(table.absent)} left out: another variant has no match")
    return lines


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number > 1)}"


# ---------------------------------------------------------------- questions


def questions(header: Header) -> list[Question]:
    """What a store's variants are made to answer: the paper's comparisons, or grids'.

    Every toggle that two algorithms have is asked of each two; one that only one has,
    of it alone.
    """
    entries = entries_of(header)
    known = beside.of(header)
    least = 0 if known is None else known.experiment.verdict_seeds
    twins = {} if known is None else known.experiment.twins
    twins = {row: variant for row, variant in twins.items() if variant in entries}
    theirs = beside.comparisons([*entries, *twins])
    if theirs:
        return [_asked(each, twins) for each in theirs]
    contrasts = toggles.contrasts(toggles.settings(entries))
    pairs = list(toggles.alike(contrasts))
    met = {id(each) for pair in pairs for each in pair}
    alone = [(each,) for each in contrasts if id(each) not in met]
    return [
        Question(
            _title(group[0]),
            tuple(Named(c.algorithm, c.on, c.off) for c in group),
            least=least,
        )
        for group in (*pairs, *alone)
    ]


def entries_of(header: Header) -> dict[str, Entry]:
    """Each variant of a store, as it is on the first task that has it."""
    found = {}
    for named in header.variants.values():
        for name, entry in named.items():
            found.setdefault(name, entry)
    return found


def _asked(each: published.Comparison, twins: Mapping[str, str]) -> Question:
    pairs = (
        Named(name, (twins.get(on, on),), (twins.get(off, off),))
        for name, (on, off) in (
            (each.first, each.first_cells),
            (each.second, each.second_cells),
        )
    )
    word = published.verdict(each).word
    return Question(each.toggle, tuple(pairs), word, each.paper)


def _title(contrast: Contrast) -> str:
    on, off = contrast.levels
    return f"{contrast.toggle}: {on}, not {off}"


def answer(frame: "pd.DataFrame", question: Question, margin: float = MARGIN) -> Answer:
    """The verdict on the rows that are there."""
    names = [n for pair in question.pairs for n in (*pair.on, *pair.off)]
    if frame.seed[frame.variant.isin(names)].nunique() < question.least:
        needs = f"a verdict needs at least {question.least} seeds of each variant"
        return Answer(question, reason=needs)
    try:
        known = scored(frame, names)
    except ConfigError as error:
        return Answer(question, reason=str(error))
    pairs = [known.pair(pair) for pair in question.pairs]
    if len(pairs) == 2:
        found = effects.compare(pairs[0], pairs[1], seed=SEED, margin=margin)
        ends = (found.first, found.second)
        return Answer(question, ends, found, found.seeds, known.notes)
    alone = effects.effect(pairs[0], seed=SEED)
    needed = seeds_alone(pairs[0], margin)
    return Answer(question, (alone,), None, needed, known.notes)


def seeds_alone(pair: Pair, margin: float) -> int | None:
    """The seeds that would show an effect of `margin`."""
    std = effects.seed_std(stats.difference(*pair))
    return effects.seeds_needed(std, margin)


def contrast(frame: "pd.DataFrame", of: Factorial) -> Contrasted:
    """The main effects and interactions on the rows that are there."""
    try:
        known = scored(frame, of.variants)
        scores = np.stack([known.scores[name] for name in of.variants])
        found = effects.factorial(of.design, scores, seed=SEED)
    except ConfigError as error:
        return Contrasted(of, reason=str(error))
    return Contrasted(of, tuple(found), known.notes)


# ---------------------------------------------------------------- words


def estimate(found: Estimate) -> str:
    """'+0.57 [+0.48, +0.66]'; '+0.57 [-]' where there is no interval."""
    ends = f"{found.low:+.2f}, {found.high:+.2f}" if found.defined else "-"
    return f"{found.value:+.2f} [{ends}]"


def count(seeds: int | None) -> str:
    return "-" if seeds is None else f"{seeds:,}"


def word(found: Answer) -> str:
    """'transfers', 'co-adapted' or 'not decided at this budget'; '-' of one effect."""
    if found.reason:
        return "not yet"
    if found.verdict is None:
        return "-"
    said = found.verdict.word
    return f"{said} at this budget" if said == "not decided" else said


def term(names: Sequence[str]) -> str:
    return " x ".join(names)


def aliases(found: FactorialEffect) -> str:
    """What a contrast cannot be told from: '- a x b'."""
    parts = [
        f"{'-' if part < 0 else '+'} {'' if abs(part) == 1 else f'{abs(part):g} '}"
        f"{term(names)}"
        for names, part in found.aliases.items()
    ]
    return ", ".join(parts)


def sentence(found: Answer) -> str:
    """The answer in a line."""
    toggle, pairs = found.question.toggle, found.question.pairs
    where = " and ".join(pair.label for pair in pairs)
    if found.reason:
        return f"{toggle}, {where}: {word(found)} ({found.reason.rstrip('.')})"
    parts = [
        f"{pair.label} {estimate(each)}"
        for pair, each in zip(pairs, found.found, strict=True)
    ]
    if found.verdict is None:
        return f"{toggle}: {parts[0]}"
    parts.append(f"difference {estimate(found.verdict.gap)}")
    said = word(found)
    if found.seeds is not None and found.verdict.word == "not decided":
        parts.append(f"{found.seeds:,} seeds would show {found.verdict.margin:g}")
    return f"{toggle}, {where}: {said} ({'; '.join(parts)})"


def rows(found: Contrasted) -> list[dict[str, str]]:
    """A factorial as lines of a table."""
    return [
        {
            "algorithm": found.of.algorithm or "all",
            "term": term(each.term),
            "effect": estimate(each.estimate),
            "not told from": aliases(each) or "-",
        }
        for each in found.found
    ]


def legend(found: Contrasted) -> list[str]:
    """What there is to know of a factorial."""
    return [
        *found.notes,
        *(f"{name}: {on}, not {off}" for name, (on, off) in found.of.levels.items()),
        "an interaction is half of what one toggle's effect gains from the other",
    ]


# ---------------------------------------------------------------- over all tasks


class Aggregate(NamedTuple):
    """A variant over its tasks, with stratified bootstrap intervals."""

    variant: str
    mean: Estimate
    median: Estimate
    iqm: Estimate


class Aggregated(NamedTuple):
    """All variants; of one task in returns, of more on the scale of their range."""

    found: tuple[Aggregate, ...] = ()
    scaled: bool = False
    notes: tuple[str, ...] = ()
    reason: str = ""  # why there is none


def aggregates(frame: "pd.DataFrame", names: Iterable[str]) -> Aggregated:
    """Mean, median and IQM of each, on the tasks and seeds that all of them have."""
    names = tuple(names)
    try:
        table = stats.table(frame, names)
        scores, notes = dict(zip(names, table.values, strict=True)), _notes(table)
        if len(table.tasks) > 1:
            known = scored(frame, names)
            scores, notes = known.scores, list(known.notes)
    except ConfigError as error:
        return Aggregated(reason=str(error))
    found = [
        Aggregate(
            name,
            *(
                stats.interval(statistic, scores[name], seed=SEED)
                for statistic in (stats.mean, stats.median, stats.iqm)
            ),
        )
        for name in names
    ]
    return Aggregated(tuple(found), len(table.tasks) > 1, tuple(notes))
