"""What runs scored: returns, last evaluations, curves, means over all tasks."""

import itertools
import math
import re
from collections.abc import Iterable

from coadapt.analysis import comparison, verdict
from coadapt.analysis.stats import Estimate, number
from coadapt.report import score_tables
from coadapt.report import series as _series
from coadapt.report.compare import Aggregated, Returns
from coadapt.report.html import (
    Figure,
    Section,
    typeset,
)
from coadapt.report.run_data import METRIC, Findings
from coadapt.report.score_tables import DAGGER
from coadapt.report.sections.computed import Report, of_version
from coadapt.report.sections.texts import failures, mean, text_table
from coadapt.tasks import registry
from coadapt.tasks.units import Unit

SCORED = ("task", "env steps", "score", "last evaluation", "area", "runs", "failed")
NAMED = 12  # variants whose means a picture's words give


def returns_section(report: Report) -> Section:
    """The scores of all that verdicts are made of, before anything is normalised."""
    labels = report.of.labels
    lines = [_scored(labels[each.variant], each) for each in report.returns]
    notes = [
        "score: the mean of the last tenth of a run's evaluations, at least three, at "
        "the end of its own steps; area: the mean of all of them",
        "a mean over runs with Student's 95% interval; a failed run counts as a random "
        "policy",
        *(x for x in map(unit_line, report.of.tasks, units_of(report.of)) if x),
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
    table = text_table("Returns.", ("variant", *SCORED), lines, notes, words=1)
    return Section("Returns", tables=(table,))


def _scored(name: str, found: Returns) -> list[str]:
    means = [mean(found.means[metric, "random"]) for metric in comparison.METRICS]
    steps = f"{found.env_steps:,}"
    return [name, found.task, steps, *means, str(found.runs), failures(found.rate)]


def besides_section(report: Report) -> Section | None:
    """Others' curves, by the same statistics."""
    found, labels = report.besides, report.of.labels
    if not found.returns:
        return None
    theirs = text_table(
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
    differences = text_table(
        "Variants less others, in returns, with Welch's 95% intervals.",
        ("variant", "method", "task", "difference", "Hedges' g"),
        lines,
        ("of other programs, budgets and evaluations: no toggle's effect",),
        words=2,
    )
    return Section("Beside others", tables=(theirs, differences))


def units_of(found: Findings) -> list[Unit]:
    every = found.arms.values()
    units = {task: arm.unit for arms in every for (task, _), arm in arms.items()}
    return [units.get(task, Unit()) for task in found.tasks]


def unit_line(task: str, unit: Unit) -> str:
    """'gym/Hopper-v5: a random policy 15.2, the reference 3,013 (...)'."""
    if unit.random is None:
        return f"{task}: no unit, since the store has no random policy's return"
    said = f"{task}: a random policy {number(unit.random)}"
    said += " (measured now, after the runs)" if unit.now else ""
    if unit.reference is None:
        return f"{said}, no reference"
    return f"{said}, the reference {number(unit.reference)} ({unit.source})"


def scores_section(found: Findings) -> Section:
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


def curves_section(report: Report) -> Section:
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
    return {task: f"{x}.png" for task, x in file_names(found.drawn_tasks).items()}


def file_names(texts: Iterable[str]) -> dict[str, str]:
    """Of each text a name of its own, of letters that every system allows."""
    found, taken = dict[str, str](), set[str]()
    for text in dict.fromkeys(texts):
        name = re.sub("[^a-zA-Z0-9_.=-]+", "_", text)[:100]
        others = (f"{name}_{i}" for i in itertools.count(2))
        found[text] = next(
            x for x in itertools.chain([name], others) if x.lower() not in taken
        )
        taken.add(found[text].lower())
    return found


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


def aggregates_section(found: Aggregated, version: str, of: Findings) -> Section:
    title, labels = of_version("Statistics", version, of), of.labels
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
    notes = [*found.notes, *([f"not on all tasks: {', '.join(out)}"] if out else [])]
    runs = [each.mean.counts.runs // each.mean.counts.tasks for each in found.found]
    if 1 < min(runs, default=0) < verdict.LEAST:
        notes.append(
            f"with {min(runs)} runs of a variant on a task, the bootstrap's intervals "
            "are too narrow (Agarwal et al. 2021)"
        )
    table = text_table(
        f"Scores over tasks and seeds, {unit}. IQM: the mean of the middle half of all "
        "runs. With 95% intervals of a stratified bootstrap.",
        ("variant", "mean", *median, "IQM"),
        lines,
        notes,
    )
    return Section(title, tables=(table,))


def _interval(found: Estimate, scaled: bool) -> str:
    """'0.57 [0.48, 0.66]', of returns '741 [684, 785]'."""
    shown = (lambda x: f"{x:.2f}") if scaled else number
    if not found.defined or found.low == found.high:  # no spread is known
        return shown(found.value)
    ends = f"{shown(found.low)}, {shown(found.high)}"
    return f"{shown(found.value)} [{ends}]"
