"""The parts of a report's page: what was found, in tables, figures and words."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coadapt import catalogue, plot, provenance
from coadapt.page import Cell, Figure, Group, Line, Page, Section, Table
from coadapt.stats import Estimate, number
from coadapt.toggles import factorials, settings
from coadapt.version import __version__
from experiments import beside
from launch import layout, remarks, verdicts
from launch.findings import METRIC, Findings
from launch.layout import DAGGER, MINUS, NONE, typeset
from launch.verdicts import Aggregated, Answer, Contrasted, estimate

if TYPE_CHECKING:
    import pandas as pd

SCALE = "scores of a task go from 0, its worst variant's mean, to 1, its best's"
NAMED = 12  # variants whose means a picture's words give


class Report(NamedTuple):
    """What is computed from a store's findings."""

    of: Findings
    answers: tuple[Answer, ...]
    factorials: tuple[Contrasted, ...]
    aggregates: dict[str, Aggregated]  # of each of `stats.versions`


def compute(found: Findings) -> Report:
    """All numbers of the report; the same rows give the same."""
    there = {variant for _, variant in found.scores}
    entries = verdicts.entries_of(found.header)
    names = [name for name in found.variants if name in there]
    rows = found.beside.experiment.readings if found.beside else ()
    own = {name: entries[name] for name in names if name not in rows}
    asked, every = verdicts.questions(found.header), _everywhere(found, names)
    versions = found.versions.items()
    return Report(
        found,
        tuple(
            verdicts.answer(
                rows, each._replace(toggle=_of(each.toggle, version, found))
            )
            for version, rows in versions
            for each in asked
        ),
        tuple(
            verdicts.contrast(
                rows, each._replace(algorithm=_of(each.algorithm, version, found))
            )
            for version, rows in versions
            for each in factorials(settings(own))
        ),
        {
            version: verdicts.aggregates(rows, _there(rows, every))
            for version, rows in versions
        },
    )


def _of(text: str, version: str, found: Findings) -> str:
    """The text, and of which version of a simulator it is, where there are several."""
    if len(found.versions) == 1:
        return text
    return f"{text} ({version or 'all other tasks'})".lstrip()


def _there(rows: "pd.DataFrame", names: Iterable[str]) -> list[str]:
    """Of these variants, those that have rows."""
    found = set(rows.variant)
    return [name for name in names if name in found]


def _everywhere(found: Findings, names: Sequence[str]) -> list[str]:
    """Variants that are asked for on all tasks; all, where there are none."""
    every = found.header.variants.values()
    return [n for n in names if all(n in named for named in every)] or list(names)


def page(report: Report) -> Page:
    """The whole page."""
    parts = [
        _scores(report.of),
        _curves(report.of),
        _verdicts(report.answers),
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
    lines.append(("budget", beside.budget(found.header, found.beside)))
    cells = f"{found.cells} cell{'s' * (found.cells > 1)}"
    left = len(found.behind)
    state = (
        f"{left} of {cells} are not finished; they are listed at the end"
        if left
        else f"all of {cells} finished"
    )
    lines += _made_by(found)
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


# ---------------------------------------------------------------- scores and curves


def _scores(found: Findings) -> Section:
    tables = layout.tables(found)
    notes = []
    if found.behind:
        notes.append(
            "what is not finished shows its seeds' last evaluations, and how far the "
            "one furthest behind has come"
        )
    if len(found.failed):
        notes.append(
            f"{DAGGER} a seed ended in a numerical error, and counts with its last "
            "score before"
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
    return Section("Scores", tables=tuple(tables), notes=tuple(notes))


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
    entries = {e.task: e for suite in catalogue.SUITES.values() for e in suite}
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


def _curves(found: Findings) -> Section:
    frame, look = found.drawn(), found.looks
    figures = [
        Figure(task, _words(found, task), plot.png(plot.panel(frame, task, look)))
        for task in found.drawn_tasks
    ]
    there = {found.labels[variant] for _, variant in found.scores}
    return Section(
        "Learning curves",
        (
            "Mean return over seeds; shaded, one standard deviation, where there are "
            "two or more; thin, each seed.",
        ),
        figures=tuple(figures),
        looks=tuple((name, one) for name, one in look.items() if name in there),
        notes=(
            "a cross: there a seed failed, and counts with its last score before",
            "a mean ends as far as all of its seeds have come",
        ),
    )


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
    columns = [
        "toggle",
        "A",
        "B",
        "verdict",
        "effect on A",
        "effect on B",
        f"A {MINUS} B",
    ]
    columns += ["seeds needed"]
    columns += ["paper's cells", "paper's text"] if papers else []
    notes = [
        f"an effect is the score with the toggle less that without, paired by seed, "
        f"with a 95% interval; {SCALE}",
        "transfers: both effects lie on one side of 0, or are the same within "
        f"{verdicts.MARGIN:g}; co-adapted: they differ, and the weaker one gains less "
        f"than {verdicts.MARGIN:g}, or loses",
        f"seeds needed: to show an effect of {verdicts.MARGIN:g} (power 0.8)",
    ]
    if papers:
        notes.append(
            "paper's cells: the same rule on its published means and stds; paper's "
            "text: how it reads them"
        )
    notes += _own_notes(answers)
    table = _table(
        "What each toggle does to two algorithms.",
        columns,
        (_answer(each, papers) for each in answers),
        notes,
        words=3,
    )
    return Section("Does it transfer?", tables=(table,))


def _own_notes(answers: Sequence[Answer]) -> list[str]:
    """What is to be known of some answers alone says of which."""
    shared = [n for n in answers[0].notes if all(n in each.notes for each in answers)]
    own = []
    for each in answers:
        labels = " and ".join(pair.label for pair in each.question.pairs)
        said = [note for note in each.notes if note not in shared]
        own += [
            f"{each.question.toggle}, {labels}: {note}"
            for note in (*said, *([each.reason] if each.reason else []))
        ]
    return [*shared, *own]


def _answer(found: Answer, papers: bool) -> list[str]:
    asked, pair = found.question, found.verdict
    labels = [each.label for each in asked.pairs]
    effects = [estimate(each) for each in found.found]
    cells = [
        asked.toggle,
        *_two(labels),
        verdicts.word(found).replace("-", NONE) if not pair else verdicts.word(found),
        *_two(effects),
        estimate(pair.gap) if pair else NONE,
        verdicts.count(found.seeds),
    ]
    return [*cells, asked.cells, asked.paper] if papers else cells


def _two(words: Sequence[str]) -> list[str]:
    return [*words, NONE, NONE][:2]


def _factorials(found: Sequence[Contrasted]) -> Section | None:
    known = [each for each in found if not each.reason]
    if not known:
        return None
    tables = []
    for each in known:
        columns = ("term", "effect", "not told from")
        lines = [[row[name] for name in columns] for row in verdicts.rows(each)]
        lines = [[typeset(term), *rest] for term, *rest in lines]
        aliased = any(line[-1] != "-" for line in lines)
        tables.append(
            _table(
                f"{each.of.algorithm}: main effects and two-way interactions of "
                f"{len(each.of.levels)} toggles in {len(each.of.variants)} variants.",
                columns if aliased else columns[:2],
                lines if aliased else [line[:2] for line in lines],
                verdicts.legend(each),
            )
        )
    return Section("Factorial effects", (_sentence(SCALE),), tables=tuple(tables))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# ---------------------------------------------------------------- over all tasks


def _aggregates(found: Aggregated, version: str, of: Findings) -> Section:
    title, labels = _of("Statistics", version, of), of.labels
    if found.reason:
        return Section(title, (f"None: {found.reason}",))
    lines = [
        [
            labels[each.variant],
            _interval(each.mean, found.scaled),
            *([_interval(each.median, found.scaled)] if found.scaled else []),
            _interval(each.iqm, found.scaled),
        ]
        for each in found.found
    ]
    there = {each.variant for each in found.found}
    out = [label for name, label in labels.items() if name not in there]
    median = ["median over tasks"] if found.scaled else []  # of one it is the mean
    what = f"Over tasks and seeds; {SCALE}" if found.scaled else "Returns on one task"
    table = _table(
        f"{what}. IQM: the mean of the middle half of all runs. With 95% intervals of "
        "a stratified bootstrap.",
        ("variant", "mean", *median, "IQM"),
        lines,
        [*found.notes, *([f"not on all tasks: {', '.join(out)}"] if out else [])],
    )
    return Section(title, tables=(table,))


def _interval(found: Estimate, scaled: bool) -> str:
    """'0.57 [0.48, 0.66]', of returns '741 [684, 785]'."""
    shown = (lambda x: f"{x:.2f}") if scaled else number
    ends = f"{shown(found.low)}, {shown(found.high)}" if found.defined else "-"
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
