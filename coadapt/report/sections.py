"""The parts of a report's page: what was found, in tables, figures and words."""

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from coadapt.analysis import comparison, verdict
from coadapt.analysis.comparison import Arms
from coadapt.analysis.score import Rate
from coadapt.analysis.stats import Estimate, number
from coadapt.analysis.toggles import factorials, settings
from coadapt.analysis.verdict import Effect, named
from coadapt.experiments import paper_comparison
from coadapt.report import answers, compare, protocols, remarks, score_tables
from coadapt.report import series as _series
from coadapt.report.compare import Aggregated, Answer, Besides, Contrasted, Returns
from coadapt.report.html import (
    MINUS,
    Cell,
    Figure,
    Group,
    Line,
    Page,
    Section,
    Table,
    typeset,
)
from coadapt.report.run_data import METRIC, Findings
from coadapt.report.score_tables import DAGGER, NONE
from coadapt.runs import provenance
from coadapt.studies import tuning
from coadapt.tasks import registry
from coadapt.tasks.units import Unit
from coadapt.version import __version__

SCORED = ("task", "env steps", "score", "last evaluation", "area", "runs", "failed")
NAMED = 12  # variants whose means a picture's words give


class Report(NamedTuple):
    """What is computed from a store's findings."""

    of: Findings
    answers: tuple[Answer, ...]
    factorials: tuple[Contrasted, ...]
    aggregates: dict[str, Aggregated]  # of each of `stats.versions`
    returns: tuple[Returns, ...]
    # of each answer: (metric, rule, margin) -> word
    multiverse: tuple[dict[tuple[str, str, float], str], ...]
    besides: Besides = Besides()


def compute(found: Findings, margin: float | None = None) -> Report:
    """All numbers of the report; the same rows give the same.

    Args:
        margin: what is no effect of note; None: 0.1 of the unit, where there is one.
    """
    there = {variant for _, variant in found.scores}
    entries = compare.entries_of(found.header)
    names = [name for name in found.variants if name in there]
    rows = found.beside.experiment.readings if found.beside else ()
    tuned = {c.variant + tuning.TUNED for c in tuning.choices(found.header)}
    own = {name: entries[name] for name in names if name not in {*rows, *tuned}}
    every, versions = _everywhere(found, names), found.arms.items()
    answers = [
        (_named(answer, version, found), compare.multiverse(arms, answer))
        for version, arms in versions
        for answer in compare.of(found.header, arms, margin)
    ]
    return Report(
        found,
        tuple(answer for answer, _ in answers),
        tuple(
            compare.contrast(
                arms, each._replace(algorithm=_of(each.algorithm, version, found))
            )
            for version, arms in versions
            for each in factorials(settings(own))
        ),
        {
            version: compare.aggregates(arms, _there(arms, every))
            for version, arms in versions
        },
        _ordered(found, [x for _, arms in versions for x in compare.returns(arms)]),
        tuple(words for _, words in answers),
        compare.besides(
            {key: arm for _, arms in versions for key, arm in arms.items()},
            found.others,
        ),
    )


def _named(answer: Answer, version: str, found: Findings) -> Answer:
    """With the version of a simulator that it is of, where there are several."""
    toggle = _of(answer.question.toggle, version, found)
    own = answer.found
    return answer._replace(
        question=answer.question._replace(toggle=toggle),
        found=None if own is None else dataclasses.replace(own, toggle=toggle),
    )


def _ordered(found: Findings, returns: Sequence[Returns]) -> tuple[Returns, ...]:
    """Task by task, as they are to be shown."""
    place = {name: i for i, name in enumerate((*found.tasks, *found.variants))}
    return tuple(sorted(returns, key=lambda x: (place[x.task], place[x.variant])))


def _of(text: str, version: str, found: Findings) -> str:
    """The text, and of which version of a simulator it is, where there are several."""
    if len(found.versions) == 1:
        return text
    return f"{text} ({version or 'all other tasks'})".lstrip()


def _there(arms: Arms, names: Iterable[str]) -> list[str]:
    """Of these variants, those that have runs."""
    found = {name for _, name in arms}
    return [name for name in names if name in found]


def _everywhere(found: Findings, names: Sequence[str]) -> list[str]:
    """Variants that are asked for on all tasks; all, where there are none."""
    every = found.header.variants.values()
    return [n for n in names if all(n in named for named in every)] or list(names)


def page(report: Report) -> Page:
    """The whole page."""
    parts = [
        _answers(report),
        _curves(report),
        _returns(report),
        _scores(report.of),
        _besides(report),
        _verdicts(report.answers),
        _multiverse(report),
        _tuned(report.of),
        _factorials(report.factorials),
        *(
            _aggregates(each, version, report.of)
            for version, each in report.aggregates.items()
        ),
        _failures(report.of),
        _missing(report.of),
    ]
    return Page(
        _title(report.of),
        tuple(facts(report.of)),
        [part for part in parts if part is not None],
        f"coadapt {__version__}",
    )


def _title(found: Findings) -> str:
    name, known = found.header.experiment, found.beside
    if known is not None and known.papers:
        number = re.fullmatch(r"(table|figure)(\d+)", known.experiment.name)
        name = known.experiment.name
        if number:
            name = f"{number[1].title()} {number[2]} of Furuta et al. 2021"
        return f"{name}, scale {known.scale}" if known.scale else name
    return f"{name}: {len(found.variants)} variants on {', '.join(found.tasks)}"


def facts(found: Findings) -> list[tuple[str, str]]:
    """The claim, the budget, and how much of it is spent."""
    lines = []
    if found.beside is not None:
        whose = "the paper's claim" if found.beside.papers else "claim"
        lines.append((whose, found.beside.experiment.claim))
    lines.append(("budget", paper_comparison.budget(found.header, found.beside)))
    cells = f"{found.cells} cell{'s' * (found.cells > 1)}"
    left = len(found.behind)
    state = (
        f"{left} of {cells} are not finished; they are listed at the end"
        if left
        else f"all of {cells} finished"
    )
    lines += [*_made_by(found), *protocols.facts(found.header)]
    return [*lines, ("state", f"{state}."), *remarks.of(found)]


def _made_by(found: Findings) -> list[tuple[str, str]]:
    """In what the sessions of the rows differ, and whose rows are apart for it."""
    lines = []
    apart = [version for version in found.versions if version]
    if apart:
        words = "; ".join(apart)
        lines.append(("simulators", f"rows are apart by what made them: {words}."))
    differ = provenance.compared(found.sessions)
    if differ:
        lines.append(("sessions", f"the rows' sessions differ in {differ}."))
    return lines


# ---------------------------------------------------------------- what is found


def _answers(report: Report) -> Section | None:
    """A sentence a toggle, and a picture, before any number."""
    if not report.answers:
        return None
    told = answers.told(report.answers, report.of)
    return Section("What was found", answers=tuple(told), notes=answers.NOTES)


# ---------------------------------------------------------------- returns


def _returns(report: Report) -> Section:
    """The scores of all that verdicts are made of, before anything is normalised."""
    labels = report.of.labels
    lines = [_scored(labels[each.variant], each) for each in report.returns]
    notes = [
        "score: the mean of the last tenth of a run's evaluations, at least three, at "
        "the end of its own steps; area: the mean of all of them",
        "a mean over runs with Student's 95% interval; a failed run counts as a random "
        "policy",
        *(x for x in map(_unit, report.of.tasks, _units(report.of)) if x),
    ]
    if any(each.rate.failed for each in report.returns):
        lines_ = [
            f"{labels[x.variant]} on {x.task} {mean(x.means['final', 'before'])}"
            for x in report.returns
            if x.rate.failed
        ]
        notes.append(
            "failed: how many runs, with Clopper and Pearson's 95% interval of the "
            "rate; if a failed run counts as its last score before, scores are "
            f"{'; '.join(lines_)}"
        )
    unfinished = sum(each.unfinished for each in report.returns)
    if unfinished:
        notes.append(f"not finished, and in no mean: {unfinished} runs")
    table = _table("Returns.", ("variant", *SCORED), lines, notes, words=1)
    return Section("Returns", tables=(table,))


def _scored(name: str, found: Returns) -> list[str]:
    means = [mean(found.means[metric, "random"]) for metric in comparison.METRICS]
    steps = f"{found.env_steps:,}"
    return [name, found.task, steps, *means, str(found.runs), failures(found.rate)]


def _besides(report: Report) -> Section | None:
    """Others' curves, by the same statistics."""
    found, labels = report.besides, report.of.labels
    if not found.returns:
        return None
    theirs = _table(
        "Returns of others, as their files have them.",
        ("method", *SCORED),
        [_scored(each.variant, each) for each in found.returns],
        ("their scores are at the ends of their own curves, which may be longer",),
        words=1,
    )
    lines = [
        [
            labels[variant],
            method,
            task,
            comparison.interval(effect, comparison.RETURNS),
            "-" if math.isnan(effect.g) else f"{effect.g:+.2f}",
        ]
        for task, variant, method, effect in found.differences
    ]
    differences = _table(
        "Variants less others, in returns, with Welch's 95% intervals.",
        ("variant", "method", "task", "difference", "Hedges' g"),
        lines,
        ("of other programs, budgets and evaluations: no toggle's effect",),
        words=2,
    )
    return Section("Beside others", tables=(theirs, differences))


def _units(found: Findings) -> list[Unit]:
    every = found.arms.values()
    units = {task: arm.unit for arms in every for (task, _), arm in arms.items()}
    return [units.get(task, Unit()) for task in found.tasks]


def _unit(task: str, unit: Unit) -> str:
    """'gym/Hopper-v5: a random policy 15.2, the reference 3,013 (...)'."""
    if unit.random is None:
        return f"{task}: no unit, since the store has no random policy's return"
    said = f"{task}: a random policy {number(unit.random)}"
    said += " (measured now, after the runs)" if unit.now else ""
    if unit.reference is None:
        return f"{said}, no reference"
    return f"{said}, the reference {number(unit.reference)} ({unit.source})"


def mean(found: Effect) -> str:
    """'741 [684, 785]', of returns; the number alone where no spread is known."""
    if math.isnan(found.value):
        return "no score"
    numbers = [found.value, *([found.low, found.high] if found.defined else [])]
    most = max(map(abs, numbers)) if found.defined else 0.0
    value, *ends = (number(each, most) for each in numbers)
    return f"{value} [{', '.join(ends)}]" if ends else value


def failures(found: Rate) -> str:
    """'0', '2 of 5 [5%, 85%]'."""
    if not found.failed:
        return "0"
    return f"{found.failed} of {found.runs} [{found.low:.0%}, {found.high:.0%}]"


# ---------------------------------------------------------------- scores and curves


def _scores(found: Findings) -> Section:
    tables = score_tables.tables(found)
    notes = []
    if found.behind:
        notes.append(
            "what is not finished shows its seeds' last evaluations, and how far the "
            "one furthest behind has come"
        )
    if len(found.failed):
        notes.append(
            f"{DAGGER} a seed ended in a numerical error, and counts here with its "
            "last score before, as in the paper's tables"
        )
    if any(math.isinf(known.mean) for known in found.scores.values()):
        notes.append(f"{typeset('-inf')}: a return diverged")
    if any(
        c.strong for t in tables for g in t.groups for x in g.lines for c in x.cells
    ):
        notes.append("bold: the highest mean of a task in its table")
    notes += _of_paper(found) + [
        f"{label}: {name}"
        for name, label in list(found.labels.items())[:1]
        if name != label
    ]
    return Section("Last evaluations", tables=tuple(tables), notes=tuple(notes))


def _of_paper(found: Findings) -> list[str]:
    """What there is to know where the paper's numbers stand beside ours."""
    if found.beside is None or not found.beside.papers:
        return []
    known = found.beside
    if not any(known.cell(*key) for key in found.scores):
        return ["the paper shows curves, and has no numbers of this"]
    notes = ["paper: mean ± std over ten seeds, at its own budget"]
    rows = {v: known.experiment.row(v) for v in found.variants}
    pairs = [
        f"{name} ({row})"
        for name, row in rows.items()
        if name != row and any(known.cell(task, name) for task in found.tasks)
    ]
    if pairs:
        notes.append(
            "a variant of another name than the row that it reads has that row's "
            f"number beside it: {'; '.join(pairs)}"
        )
    entries = {e.task: e for suite in registry.SUITES.values() for e in suite}
    others = [
        each
        for each in (
            entries[task]
            for task in dict.fromkeys(found.tasks.values())
            if task in entries
        )
        if each.paper and not each.task.endswith(f"/{each.paper}")
    ]
    if others:
        words = ", ".join(f"{each.task} beside {each.paper}" for each in others)
        notes.append(f"no task is the paper's own: {words}")
    return notes + [
        f"{each.task} differs from {each.paper}: {each.differs}"
        for each in others
        if each.differs
    ]


def _curves(report: Report) -> Section:
    found = report.of
    files, look = picture_names(found), found.looks
    figures = [
        Figure(task, _words(found, task), files[task]) for task in found.drawn_tasks
    ]
    series = _series.of(found, report.answers)
    left = series["left"]
    return Section(
        "Learning curves",
        (
            "Mean over seeds; shaded, Student's 95% interval of it, where there are "
            "two or more. A cross: there a seed failed, and counts with its last "
            "score before. A mean ends as far as all of its seeds have come.",
        ),
        figures=tuple(figures),
        looks=tuple(look.items()),
        notes=(f"not in this page, for its size: {', '.join(left)}",) if left else (),
        series=series,
    )


def picture_names(found: Findings) -> dict[str, str]:
    """The file of each task's curves."""
    return {task: f"{file_name(task)}.png" for task in found.drawn_tasks}


def file_name(text: str) -> str:
    """Of letters that every system allows."""
    return re.sub("[^a-zA-Z0-9_.=-]+", "_", text)[:100]


def _words(found: Findings, task: str) -> str:
    """What a picture of curves shows."""
    rows = found.frame[(found.frame.task == task) & (found.frame.metric == METRIC)]
    last = [
        f"{found.labels[variant]} {number(found.scores[task, variant].mean)}"
        for variant in found.variants
        if (task, variant) in found.scores
    ]
    more = len(last) - NAMED
    rest = [f"and {more} more"] if more > 0 else []
    return (
        f"Learning curves on {task}: return against env steps, up to "
        f"{rows.env_steps.max():,}. Last means: {', '.join([*last[:NAMED], *rest])}."
    )


# ---------------------------------------------------------------- effects


def _table(
    caption: str,
    columns: Sequence[str],
    lines: Iterable[Sequence[str]],
    notes: Iterable[str] = (),
    words: int = 0,
) -> Table:
    """Lines of words, the first of each being its head."""
    groups = tuple(
        Group(head, (Line((*map(Cell, cells[:words]), *_numbers(cells[words:]))),))
        for head, *cells in lines
    )
    return Table(caption, tuple(columns), groups, tuple(dict.fromkeys(notes)), words)


def _numbers(texts: Iterable[str]) -> list[Cell]:
    return [Cell(typeset(text)) for text in texts]


def _verdicts(answers: Sequence[Answer]) -> Section | None:
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
    notes += [
        "wrong: how often this word is said where it is not true, if no arm fails; "
        "then, simulated, if arms fail as often as they did or, where 59 runs without "
        "a failure do not exclude it, in 5% of their runs",
        "p: one-sided, the largest of the verdict's parts; Holm: corrected for the "
        f"{len(answers)} questions here, holds below {verdict.ALPHA:g}",
        "seeds: an arm, that would decide what is seen here (power 0.8)",
    ]
    if papers:
        notes.append(
            "paper's cells: the same rule on its published means and stds, on the "
            "range of its tables; paper's text: how it reads them"
        )
    notes += [*protocols.moved(answers), *_own_notes(answers)]
    table = _table(
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


def _tuned(found: Findings) -> Section | None:
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
    table = _table(
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
    return _table("The same in returns, of each task.", columns, lines, notes, words=2)


def _failed(found: Rate) -> str:
    return f"{found.failed} of {found.runs}"


def _multiverse(report: Report) -> Section | None:
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
        "a verdict that is another in some cell hangs on that choice",
    ]
    columns = (
        "toggle", "algorithms", "metric", "failed as", "m / 2", "m", "2 m",
    )  # fmt: skip
    table = _table("Each verdict under other choices.", columns, lines, notes, words=4)
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


def _factorials(found: Sequence[Contrasted]) -> Section | None:
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
            _table(
                f"{each.of.algorithm}: main effects and two-way interactions of "
                f"{len(each.of.levels)} toggles in {len(each.of.variants)} variants.",
                columns if aliased else columns[:2],
                lines if aliased else [line[:2] for line in lines],
                compare.legend(each),
            )
        )
    return Section("Factorial effects", tables=tuple(tables))


# ---------------------------------------------------------------- over all tasks


def _aggregates(found: Aggregated, version: str, of: Findings) -> Section:
    title, labels = _of("Statistics", version, of), of.labels
    if found.reason:
        return Section(title, (f"None: {found.reason}",))
    scaled, many = found.unit == comparison.REFERENCE, found.tasks > 1
    lines = [
        [
            labels[each.variant],
            _interval(each.mean, scaled),
            *([_interval(each.median, scaled)] if many else []),
            _interval(each.iqm, scaled),
        ]
        for each in found.found
    ]
    there = {each.variant for each in found.found}
    out = [label for name, label in labels.items() if name not in there]
    median = ["median over tasks"] if many else []  # of one it is the mean
    unit = "in the tasks' units" if scaled else "in returns"
    table = _table(
        f"Scores over tasks and seeds, {unit}. IQM: the mean of the middle half of all "
        "runs. With 95% intervals of a stratified bootstrap.",
        ("variant", "mean", *median, "IQM"),
        lines,
        [*found.notes, *([f"not on all tasks: {', '.join(out)}"] if out else [])],
    )
    return Section(title, tables=(table,))


def _interval(found: Estimate, scaled: bool) -> str:
    """'0.57 [0.48, 0.66]', of returns '741 [684, 785]'."""
    shown = (lambda x: f"{x:.2f}") if scaled else number
    if not found.defined or found.low == found.high:  # no spread is known
        return shown(found.value)
    ends = f"{shown(found.low)}, {shown(found.high)}"
    return f"{shown(found.value)} [{ends}]"


# ---------------------------------------------------------------- what went wrong


def _failures(found: Findings) -> Section | None:
    if not len(found.failed):
        return None
    lines = [
        [
            found.labels[row["variant"]],
            row["task"],
            row["tensor"],
            row["cause"] or NONE,
            str(row["seed"]),
            f"{row['env_steps']:,}",
            f"{row['updates']:,}",
        ]
        for row in found.failed.to_dict("records")
    ]
    columns = ("variant", "task", "tensor", "cause", "seed", "env steps", "updates")
    table = _table(
        "Agents whose numbers stopped being finite.", columns, lines, words=3
    )
    return Section("Numerical errors", tables=(table,))


def _missing(found: Findings) -> Section | None:
    if not found.behind:
        return None
    lines = [
        [found.labels[variant], task, seeds, far]
        for task, variant, seeds, far in gaps(found)
    ]
    columns = ("variant", "task", "seeds", "env steps")
    table = _table("Cells that are not finished.", columns, lines, words=1)
    return Section("Missing", tables=(table,))


def gaps(found: Findings) -> list[tuple[str, str, str, str]]:
    """Task, variant, seeds, and how far they have come: those alike in one line."""
    alike: dict[tuple[str, str, int, int], list[int]] = {}
    for each in found.behind:
        key = each.task, each.variant, each.env_steps, each.steps
        alike.setdefault(key, []).append(each.seed)
    return [
        (task, variant, _ranges(seeds), f"{reached:,} of {steps:,}")
        for (task, variant, reached, steps), seeds in alike.items()
    ]


def _ranges(seeds: Sequence[int]) -> str:
    """'0 to 4, 7'."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run))
        for run in runs
    )
