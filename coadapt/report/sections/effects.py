"""What toggles do: verdicts, other choices of them, tuning, factorial effects."""

import math
from collections.abc import Sequence

from coadapt.analysis import comparison, verdict
from coadapt.analysis.score import Rate
from coadapt.analysis.verdict import named
from coadapt.report import compare, protocols
from coadapt.report.compare import Answer, Contrasted
from coadapt.report.html import (
    MINUS,
    Section,
    Table,
    typeset,
)
from coadapt.report.run_data import Findings
from coadapt.report.score_tables import NONE
from coadapt.report.sections.computed import Report
from coadapt.report.sections.texts import text_table
from coadapt.studies import tuning


def verdicts_section(answers: Sequence[Answer]) -> Section | None:
    if not answers:
        return None
    papers = any(each.question.paper for each in answers)
    columns = ["toggle", "A", "B", "verdict", "effect on A", "effect on B"]
    columns += [f"A {MINUS} B", "wrong", "p", "Holm", "seeds"]
    columns += ["paper's cells", "paper's text"] if papers else []
    units = dict.fromkeys(
        (x.found.unit, compare.level(x.found))
        for x in answers
        if x.found and x.found.unit
    )
    notes = [f"effects are {compare.unit_note(*unit)}" for unit in units]
    margins = {(x.found.margin, x.found.unit) for x in answers if x.found}
    notes += [
        f"no effect of note: {_margin(*each)}"
        for each in margins
        if each[0] is not None
    ]
    notes += _error_notes(answers)
    if papers:
        notes.append(
            "paper's cells: the same rule on its published means and stds, on the "
            "range of its tables; paper's text: how it reads them"
        )
    notes += [*protocols.moved(answers), *_own_notes(answers)]
    table = text_table(
        "What each toggle does to two algorithms.",
        columns,
        (
            _answer(each, papers, corrected)
            for each, corrected in zip(answers, compare.holm(answers), strict=True)
        ),
        notes,
        words=3,
    )
    returns = _effects_in_returns(answers)
    return Section("What a toggle does", tables=(table, returns))


def _error_notes(answers: Sequence[Answer]) -> list[str]:
    """What the columns on errors and seeds are."""
    notes = [
        "wrong: how often this word is said where it is not true, if no arm fails; "
        "then, simulated, if arms fail as often as they did or, where 59 runs without "
        "a failure do not exclude it, in 5% of their runs",
        "p: one-sided, the largest of the verdict's parts; Holm: corrected for the "
        f"{len(answers)} questions here, holds below {verdict.ALPHA:g}",
        "seeds: per arm, to decide the observed effects (power 0.8)",
    ]
    if any(each.look for each in answers):
        notes.append(
            "p of a study with looks: the least alpha with which they would have "
            "decided (Liu and Anderson 2008)"
        )
    return notes


def tuned_section(found: Findings) -> Section | None:
    """The setting at which each variant is reported; of no tuning, none."""
    chosen = tuning.choices(found.header)
    if not chosen:
        return None
    labels = found.labels
    lines = [
        [
            labels.get(each.variant, each.variant),
            each.task,
            "; ".join(f"{path} {value:g}" for path, value in each.values.items()),
            "; ".join(each.edges) or NONE,
        ]
        for each in chosen
    ]
    notes = [what for name, what in protocols.facts(found.header) if name == "tuning"]
    notes.append("edge: a field at the least or the largest of all values tried")
    table = text_table(
        "The setting that was chosen for each variant.",
        ("variant", "task", "setting", "edge"),
        lines,
        notes,
        words=3,
    )
    return Section("Tuning", tables=(table,))


def _margin(margin: float | None, unit: str) -> str:
    return f"{margin:g} {'in returns' if unit == comparison.RETURNS else 'of the unit'}"


def _effects_in_returns(answers: Sequence[Answer]) -> Table:
    """Of each task, before anything is normalised or averaged."""
    lines = [
        [
            each.question.toggle,
            label,
            task,
            comparison.interval(effect, comparison.RETURNS),
            "-" if math.isnan(effect.g) else f"{effect.g:+.2f}",
            f"{beside.improvement:.2f}",
            _failed(beside.on),
            _failed(beside.off),
        ]
        for each in answers
        if each.found
        for task, effects in each.found.returns.items()
        for label, effect, beside in zip(
            each.found.labels, effects, each.found.beside[task], strict=True
        )
    ]
    columns = (
        "toggle", "algorithm", "task", "effect", "Hedges' g", "P(improvement)",
        "failed with it", "failed without",
    )  # fmt: skip
    notes = [
        "P(improvement): that a run with the toggle is better than one without",
    ]
    return text_table(
        "The same in returns, of each task.", columns, lines, notes, words=2
    )


def _failed(found: Rate) -> str:
    return f"{found.failed} of {found.runs}"


def multiverse_section(report: Report) -> Section | None:
    """Each verdict at half the margin and twice it, by another metric, and by each rule
    for failed runs."""
    lines, notes = [], []
    for each, words in zip(report.answers, report.multiverse, strict=True):
        margins = list(dict.fromkeys(margin for *_, margin in words))
        for metric, rule in dict.fromkeys(key[:2] for key in words):
            said = [words[metric, rule, margin] for margin in margins]
            labels = " and ".join(pair.label for pair in each.question.pairs)
            lines.append([each.toggle, labels, metric, rule, *said])
        if margins:
            notes.append(_margins_note(each, margins))
    if not lines:
        return None
    notes += [
        "failed as: what a failed run counts as, a random policy or its last score "
        "before",
        "a verdict that differs in some cell depends on that choice",
    ]
    columns = (
        "toggle", "algorithms", "metric", "failed as", "m / 2", "m", "2 m",
    )  # fmt: skip
    table = text_table(
        "Each verdict under other choices.", columns, lines, notes, words=4
    )
    return Section("Other choices", tables=(table,))


def _margins_note(answer: Answer, margins: Sequence[float]) -> str:
    assert answer.found is not None  # of what has margins
    return f"m is {_margin(margins[len(margins) // 2], answer.found.unit)}"


def _own_notes(answers: Sequence[Answer]) -> list[str]:
    """What is to be known of some answers alone says of which."""
    each_notes = [x.found.notes if x.found else () for x in answers]
    shared = [n for n in each_notes[0] if all(n in notes for notes in each_notes)]
    own = []
    for each, notes in zip(answers, each_notes, strict=True):
        labels = " and ".join(pair.label for pair in each.question.pairs)
        said = [note for note in notes if note not in shared]
        own += [
            f"{each.toggle}, {labels}: {note}"
            for note in (*said, *([each.reason] if each.reason else []))
        ]
    return [*shared, *own]


def _answer(answer: Answer, papers: bool, corrected: float) -> list[str]:
    asked, found = answer.question, answer.found
    labels = [each.label for each in asked.pairs]
    effects = (
        [comparison.interval(x, found.unit) for x in found.effects] if found else []
    )
    cells = [
        answer.toggle,
        *_two(labels),
        compare.word(answer),
        *_two(effects),
        comparison.interval(found.gap, found.unit) if found and found.gap else NONE,
        compare.wrong(found.verdict) if found else NONE,
        compare.p(found.verdict.p if found else math.nan),
        compare.p(corrected),
        compare.count(found.verdict.seeds) if found else NONE,
    ]
    if not papers:
        return cells
    return [*cells, named(asked.cells.word, labels) if asked.cells else "", asked.paper]


def _two(words: Sequence[str]) -> list[str]:
    return [*words, NONE, NONE][:2]


def factorials_section(found: Sequence[Contrasted]) -> Section | None:
    known = [each for each in found if not each.reason]
    if not known:
        return None
    tables = []
    for each in known:
        columns = ("term", "effect", "not told from")
        lines = [[row[name] for name in columns] for row in compare.rows(each)]
        lines = [[typeset(term), *rest] for term, *rest in lines]
        aliased = any(line[-1] != "-" for line in lines)
        tables.append(
            text_table(
                f"{each.of.algorithm}: main effects and two-way interactions of "
                f"{len(each.of.levels)} toggles in {len(each.of.variants)} variants.",
                columns if aliased else columns[:2],
                lines if aliased else [line[:2] for line in lines],
                compare.legend(each),
            )
        )
    return Section("Factorial effects", tables=tuple(tables))
