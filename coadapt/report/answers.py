"""What a report says first: of each toggle a sentence, and a forest plot."""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from coadapt.analysis import comparison, forest, verdict
from coadapt.analysis.comparison import Arms, Comparison, interval
from coadapt.analysis.forest import Forest, Row
from coadapt.analysis.verdict import Effect, named
from coadapt.experiments import published
from coadapt.plot.styles import colors
from coadapt.report import html
from coadapt.report.compare import Answer, Question, entries_of
from coadapt.report.run_data import Findings
from coadapt.studies import until
from coadapt.tasks import registry

NOTES = (
    "a point: the mean with the toggle less that without; the line: its 95% interval; "
    "upright: no effect",
)
FEW = 6  # tasks, below which other tasks are not spoken of

_CLAIMS = {
    verdict.HELPS: "{it} helps {a}",
    verdict.HARMS: "{it} harms {a}",
    verdict.NOTHING: "{it} has no effect of note on {a}",
    verdict.HELPS_BOTH: "{it} helps both {a} and {b}",
    verdict.HARMS_BOTH: "{it} harms both {a} and {b}",
    verdict.HELPS_A: "{it} helps {a} and not {b}: it is co-adapted to {a}",
    verdict.HELPS_B: "{it} helps {b} and not {a}: it is co-adapted to {b}",
    verdict.HARMS_A: "{it} harms {a} and not {b}: {a} is co-adapted to going without",
    verdict.HARMS_B: "{it} harms {b} and not {a}: {b} is co-adapted to going without",
    verdict.NEITHER: "{it} has no effect of note on {a} or on {b}",
    until.ABOVE: "{it} has an effect above 0 on {a}; whether it is of note is open",
    until.BELOW: "{it} has an effect below 0 on {a}; whether it is of note is open",
    verdict.UNDECIDED: "what {it} does to {both} is not decided",
    verdict.HANGS: "what {it} does to {both} depends on how a failed run counts",
    verdict.NONE: "what {it} does to {both} cannot be said yet",
}


class _Of(NamedTuple):
    """What answers are of."""

    arms: Arms  # of all versions of simulators
    tasks: Mapping[str, str]  # names, to tasks as the store has them
    colors: Mapping[str, str]  # of variants, their algorithm's


def shown(answers: Iterable[Answer], found: Findings) -> list[html.Answer]:
    """Answers to one question of several tasks are told together."""
    arms = {key: arm for each in found.arms.values() for key, arm in each.items()}
    whose = {n: e.algorithm for n, e in entries_of(found.header).items()}
    own = colors(whose.values())
    of = _Of(arms, found.tasks, {name: own[each] for name, each in whose.items()})
    groups = itertools.groupby(answers, key=lambda each: each.question)
    return [_told(question, list(each), of) for question, each in groups]


def _told(asked: Question, answers: list[Answer], of: _Of) -> html.Answer:
    labels = [pair.label for pair in asked.pairs]
    found = [each.found for each in answers if each.found]
    return html.Answer(
        f"{asked.toggle}: {' and '.join(labels)}",
        _sentence(asked, answers),
        tuple(_facts(asked, found)),
        tuple(_forests(asked, found, of)),
    )


# ---------------------------------------------------------------- words


def _sentence(asked: Question, answers: Sequence[Answer]) -> str:
    """One, or one a task where tasks have answers of their own."""
    said = [(each.task, _said(asked, each)) for each in answers]
    if len({words for _, words in said}) == 1:
        return _period(said[0][1])
    return " ".join(_period(f"on {task}, {words}") for task, words in said)


def _period(text: str) -> str:
    """A sentence of it; a toggle that is a field's name keeps its letters."""
    first = text.split(" ")[0]
    plain = first.isalpha() and first.islower()
    return f"{text[0].upper() if plain else text[0]}{text[1:].rstrip('.')}."


def _claim(asked: Question, word: str) -> str:
    labels = [pair.label for pair in asked.pairs]
    names = {"a": labels[0], "b": labels[-1], "both": " and ".join(labels)}
    return _CLAIMS[word].format(it=_spoken(asked.toggle), **names)


def _spoken(toggle: str) -> str:
    """'critics at 2 instead of 1', of 'critics: 2, not 1'."""
    return re.sub(r"^(.*?): (.*?), not (\S*)", r"\1 at \2 instead of \3", toggle)


def _said(asked: Question, answer: Answer) -> str:
    """The claim, and what it rests on."""
    found = answer.found
    if found is None:
        return f"{_claim(asked, verdict.NONE)}: {answer.reason.rstrip('.')}"
    claim = _claim(asked, found.verdict.word)
    if not until.decides(found):
        why = f": {_why(found)}" if _why(found) else ""
        return f"{claim}{why}"
    effects = " and ".join(
        f"{label} {_moves(each, found.unit)}"
        for label, each in zip(found.labels, found.effects, strict=True)
    )
    unit = "" if found.unit == comparison.RETURNS else " of the unit"
    detail = f" ({found.detail})" if found.detail else ""
    return f"{claim}{detail}; with it {effects}{unit}"


def _why(found: Comparison) -> str:
    seeds = _seeds([found])
    if seeds < verdict.LEAST:
        there = "there is 1 seed" if seeds == 1 else f"there are {seeds} seeds"
        return f"{there} of each variant, and a verdict needs {verdict.LEAST}"
    if found.detail:
        return found.detail
    if found.verdict.seeds is None:
        return "intervals are too wide"
    seeds = f"{found.verdict.seeds:,} seeds of each variant"
    return f"some {seeds} would decide the observed effects"


def _seeds(found: Iterable[Comparison]) -> int:
    """Of the smallest arm."""
    return min(e.seeds for x in found for each in x.returns.values() for e in each)


def _moves(found: Effect, unit: str) -> str:
    """'gains 0.80 [+0.76, +0.84]'."""
    verb = "loses" if found.value < 0 else "gains"
    value, _, ends = interval(found, unit).partition(" ")
    return f"{verb} {value.lstrip('+-')}{f' {ends}' if ends else ''}"


def _facts(asked: Question, found: Sequence[Comparison]) -> Iterable[str]:
    if not found:
        return
    seeds = _seeds(found)
    verb = "decided by" if any(map(until.decides, found)) else "so far"
    yield f"{verb} {seeds} seed{'s' * (seeds != 1)} of each variant"
    yield f"failed runs: {_failed(found)}"
    tasks = [task for each in found for task in each.tasks]
    if len(tasks) < FEW:
        where = f"{len(tasks)} task{'s' * (len(tasks) > 1)}"
        yield f"measured on {where}: says nothing of other tasks"
    if asked.paper and asked.cells:
        word = named(asked.cells.word, [pair.label for pair in asked.pairs])
        yield f"the paper's text: {asked.paper}; its cells, by the same rule: {word}"


def _failed(found: Sequence[Comparison]) -> str:
    """'none of 40', or which of how many with their rates."""
    runs = sum(rate.runs for each in found for rate in each.rates.values())
    parts = [
        f"{label} {'with' if with_it else 'without'} it {rate.failed} of {rate.runs} "
        f"[{rate.low:.0%}, {rate.high:.0%}]{_on(each, found)}"
        for each in found
        for (label, with_it), rate in each.rates.items()
        if rate.failed
    ]
    return "; ".join(parts) or f"none of {runs}"


def _on(one: Comparison, found: Sequence[Comparison]) -> str:
    return f" on {one.tasks[0]}" if len(found) > 1 else ""


# ---------------------------------------------------------------- forests


def _forests(asked: Question, found: Sequence[Comparison], of: _Of) -> Iterable[Forest]:
    """Ours in the unit, or in returns where there is none; the paper's in the same."""
    if not found:
        return
    unit = found[0].unit or comparison.RETURNS
    shared = unit == comparison.REFERENCE
    words = "of the task's unit" if shared else "return"
    colors = [of.colors[pair.on[0]] for pair in asked.pairs]
    groups = [group for each in found for group in _groups(each, of, unit, colors)]
    yield forest.forest("here", words, groups, shared=shared)
    if asked.source is None:
        return
    whose = list(zip((asked.source.first, asked.source.second), colors, strict=True))
    theirs = []
    for task in (task for each in found for task in each.tasks):
        name = registry.paper_name(of.tasks.get(task, task))
        effects = published.on_task(asked.source, name)
        theirs.append((name, _rows(whose, effects, _size(of, task, unit), unit)))
    theirs = [(name, rows) for name, rows in theirs if rows]
    if theirs:
        remark = asked.source.remark and f" ({asked.source.remark})"
        yield forest.forest(f"the paper{remark}", words, theirs, shared=shared)


def _groups(
    found: Comparison, of: _Of, unit: str, colors: Sequence[str]
) -> Iterable[tuple[str, tuple[Row, ...]]]:
    whose = list(zip(found.labels, colors, strict=True))
    if found.unit and len(found.tasks) > 1:
        every = [*found.effects, found.gap]
        yield f"all {len(found.tasks)} tasks", _rows(whose, every, 1.0, unit)
    for task, effects in found.returns.items():
        every = [*effects, found.gaps.get(task)]
        yield task, _rows(whose, every, _size(of, task, unit), unit)


def _size(of: _Of, task: str, unit: str) -> float:
    """What 1 is in returns."""
    mine = next(arm for (name, _), arm in of.arms.items() if name == task)
    size = mine.unit.size if unit == comparison.REFERENCE else None
    return size or 1.0


def _rows(
    whose: Sequence[tuple[str, str]],
    effects: Sequence[Effect | None],
    size: float,
    unit: str,
) -> tuple[Row, ...]:
    """Of each algorithm, by its label and colour; then the difference of two."""
    rows = [*whose, (f"{whose[0][0]} less {whose[-1][0]}", "")]
    made = []
    for (label, color), found in zip(rows, effects, strict=False):
        if found is None or math.isnan(found.value):
            continue
        own = dataclasses.replace(
            found, value=found.value / size, error=found.error / size
        )
        text = interval(own, unit) if math.isfinite(own.value) else "diverged"
        made.append(forest.row(label, own, text, color))
    return tuple(made)
