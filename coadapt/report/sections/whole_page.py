"""The page in order: facts, sections, what failed and what is missing."""

import re
from collections.abc import Sequence

from coadapt.experiments import paper_comparison
from coadapt.report import answers, protocols, remarks
from coadapt.report.html import (
    Page,
    Section,
)
from coadapt.report.run_data import Findings
from coadapt.report.score_tables import NONE
from coadapt.report.sections.computed import Report
from coadapt.report.sections.effects import (
    factorials_section,
    multiverse_section,
    tuned_section,
    verdicts_section,
)
from coadapt.report.sections.returns import (
    aggregates_section,
    besides_section,
    curves_section,
    returns_section,
    scores_section,
)
from coadapt.report.sections.texts import text_table
from coadapt.runs import provenance
from coadapt.version import __version__


def page(report: Report) -> Page:
    """The whole page."""
    parts = [
        _answers(report),
        curves_section(report),
        returns_section(report),
        scores_section(report.of),
        besides_section(report),
        verdicts_section(report.answers),
        multiverse_section(report),
        tuned_section(report.of),
        factorials_section(report.factorials),
        *(
            aggregates_section(each, version, report.of)
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


def _answers(report: Report) -> Section | None:
    """A sentence a toggle, and a picture, before any number."""
    if not report.answers:
        return None
    told = answers.shown(report.answers, report.of)
    return Section("What was found", answers=tuple(told), notes=answers.NOTES)


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
    table = text_table(
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
    table = text_table("Cells that are not finished.", columns, lines, words=1)
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
