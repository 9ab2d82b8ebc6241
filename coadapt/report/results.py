"""What a sweep found: on the terminal, and as a page, pictures and CSVs in report/."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coadapt import plot
from coadapt.experiments.paper_comparison import Beside
from coadapt.report import (
    answers,
    compare,
    frames,
    html,
    protocols,
    run_data,
    score_tables,
    sections,
)
from coadapt.report.compare import Returns
from coadapt.report.latex import tables as latex_tables
from coadapt.report.run_data import Findings
from coadapt.report.score_tables import DAGGER
from coadapt.report.sections import Report
from coadapt.runs import files, store
from coadapt.runs.store import StoreError
from coadapt.system.console import printable
from coadapt.system.csv_text import word

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HEADER = (
    "task", "variant", "env steps", "return [95%]", "last: mean +- std", "n", "failed"
)  # fmt: skip
GAPS = 10  # lines of what is missing, on the terminal


def make(
    workdir: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    margin: float | None = None,
    printed: bool = False,
    latex: bool = False,
    pdf: bool = False,
    beside: Sequence[str | os.PathLike[str]] = (),
    every: float = 0.0,
) -> list[Path]:
    """Write the report of a run store: a page, tables as CSV and figures as PNG.

    An unfinished sweep is reported too, with what is missing.

    Args:
        workdir: folder of the run store.
        out: folder of the report; None: report/ in the run store, which is only read
            otherwise.
        margin: the largest effect that counts as negligible, in the task's unit, or in
            returns if a task has no reference; None: that of the protocol, else 0.1 of
            the unit.
        printed: also print the tables, the verdicts and the written files.
        latex: also write the tables as .tex with booktabs.
        pdf: also write the figures as PDFs one column wide.
        beside: files of others' published curves, to be drawn and compared:
            docs/runs.md.
        every: seconds after which an open page looks for a newer report; 0: never.

    Returns:
        The files, index.html among them.

    Raises:
        ConfigError: if there is no run store, or it has no score.
        StoreError: if the folder cannot be written.
    """
    folder = store.folder(workdir)
    made = read(folder, margin=margin, beside=beside)
    if printed:
        show(made.of.summary, made.returns, made.of.beside)
        print()
        tell(made)
    place = store.expanded(out, "out") if out else folder / "report"
    written = write(place, made, latex=latex, pdf=pdf, every=every)
    if printed:
        print(f"written: {', '.join(map(str, written))}")
    return written


def read(
    workdir: str | os.PathLike[str],
    *,
    margin: float | None = None,
    beside: Sequence[str | os.PathLike[str]] = (),
) -> Report:
    """All numbers of a run store's report.

    Raises: ConfigError, StoreError.
    """
    paths = [store.expanded(path, "beside") for path in beside]
    found = run_data.read(store.folder(workdir), paths)
    return sections.compute(found, margin)  # not before all that there is was read


# ---------------------------------------------------------------- the terminal


def show(
    summary: "pd.DataFrame",
    returns: Sequence[Returns] = (),
    known: Beside | None = None,
) -> None:
    """A table for each suite: ruled on a terminal, plain and aligned elsewhere.

    Suites, and versions of one, are never in one table: their physics differ where the
    names of their tasks are the same. `known` has the paper's cells beside ours.
    """
    known_returns = {(x.task, x.variant): x for x in returns}
    suite = summary.task.str.partition("/")[0]
    titles = suite + " (" + summary.provider + ")"
    for title, group in summary.groupby(titles, sort=False):
        print(title)
        rows, header = _cells(group, known_returns), HEADER
        keys = zip(group.task, group.variant, strict=True)
        cells = [known.cell(*key) if known else None for key in keys]
        if any(cells):
            header = (*HEADER[:5], "paper", *HEADER[5:])
            words = [score_tables.theirs(cell) if cell else "-" for cell in cells]
            rows = [
                (*row[:5], text, *row[5:])
                for row, text in zip(rows, words, strict=True)
            ]
        _table(header, rows)


def _cells(
    summary: "pd.DataFrame", returns: Mapping[tuple[str, str], Returns]
) -> list[tuple[str, ...]]:
    """The score is of finished runs; the last evaluation is of all that have one."""
    known = [
        returns.get(key) for key in zip(summary.task, summary.variant, strict=True)
    ]
    return [
        (
            row["task"],
            row["variant"],
            f"{row['env_steps']:,}",
            sections.mean(own.means["final", "random"]) if own else "-",
            score_tables.score(row["mean"], row["std"], row["n"], row["failed"]),
            str(row["n"]),
            str(own.rate.failed if own else row["failed"]),
        )
        for row, own in zip(summary.to_dict("records"), known, strict=True)
    ]


def _table(header: Sequence[str], rows: list[tuple[str, ...]]) -> None:
    console = Console()
    if console.is_terminal:
        table = Table(*header)
        for i, column in enumerate(table.columns):
            column.overflow = "fold"  # a name cut short could be another's
            column.justify = "left" if i < 2 else "right"
        for row in rows:
            table.add_row(*map(Text, row))  # a name may have brackets in it
        console.print(table)
        return
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    for line in [header, *rows]:
        cells = (
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def tell(made: Report) -> None:
    """The verdicts, what failed, the budget and what is missing, a line each."""
    for each in made.answers:
        print(compare.sentence(each))
    for line in protocols.moved(made.answers):
        print(line)
    for each in made.factorials:
        for row in compare.rows(each):
            alias = row["not told from"]
            told = "" if alias == "-" else f" (not told from {alias})"
            print(f"{row['algorithm']}, {row['term']}: {row['effect']}{told}")
    failures(made.of.failed)
    for name, what in sections.facts(made.of):
        print(f"{name}: {what}")
    gaps = sections.gaps(made.of)
    for task, variant, seeds, far in gaps[:GAPS]:
        print(f"missing: {task}, {variant}, seeds {seeds}: {far} env steps")
    if gaps[GAPS:]:
        print(f"missing: {len(gaps) - GAPS} lines more, in missing.csv")


def failures(failed: "pd.DataFrame") -> None:
    """A line for each agent that failed: when, and at which tensor."""
    for row in failed.to_dict("records"):
        cause = f" ({printable(row['cause'])})" if row["cause"] else ""
        print(
            f"{DAGGER} {row['task']}, {row['variant']}, seed {row['seed']}: "
            f"{row['tensor']} was not finite after {row['env_steps']:,} env steps, "
            f"{row['updates']:,} updates{cause}"
        )


# ---------------------------------------------------------------- files


def write(
    folder: Path,
    made: Report,
    *,
    latex: bool = False,
    pdf: bool = False,
    every: float = 0.0,
) -> list[Path]:
    """All files of a report; what an earlier one had and this one has not, goes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _put(folder, _tables(made))  # before anything is drawn
        whole = sections.page(made)._replace(every=every)
        texts = latex_tables(whole) if latex else {}
        written += _put(folder, {f"{n}.tex": x.encode() for n, x in texts.items()})
        drawn = column_figures(made) if pdf else {}
        written += _put(folder, {f"{n}.pdf": plot.pdf(x) for n, x in drawn.items()})
        page_last = {**pictures(made.of), "index.html": html.render(whole).encode()}
        return written + _put(folder, page_last)
    except OSError as error:
        raise StoreError(
            f"the report cannot be written to {str(folder)!r} "
            f"({error.strerror or error}): coadapt report has --out for another folder."
        ) from None


def tables(
    workdir: str | os.PathLike[str], *, margin: float | None = None
) -> dict[str, str]:
    """The tables of a run store's report as LaTeX with booktabs, by name.

    Raises: as `make`.
    """
    return latex_tables(sections.page(read(workdir, margin=margin)))


def figures(
    workdir: str | os.PathLike[str], *, margin: float | None = None
) -> "dict[str, Figure]":
    """The figures of a run store's report, one column wide, by name.

    They are the curves of each task, and a forest plot of each toggle.

    Raises: as `make`.
    """
    return column_figures(read(workdir, margin=margin))


def column_figures(made: Report) -> "dict[str, Figure]":
    found = made.of
    frame, look = found.scored(), found.looks
    drawn = {
        name.removesuffix(".png"): plot.column(frame, task, look=look)
        for task, name in sections.picture_names(found).items()
    }
    shown = answers.shown(made.answers, found)
    files_of = sections.file_names(told.title for told in shown)
    for told in shown:
        for each in told.forests:
            whose = "" if each is told.forests[0] else "_paper"
            drawn[f"effect_{files_of[told.title]}{whose}"] = plot.forest(each)
    return drawn


def _tables(made: Report) -> dict[str, bytes]:
    found = {}
    for name, frame in frames.frames(made).items():
        text = "" if frame.empty else frame.map(word).to_csv(index=False)
        found[f"{name}.csv"] = text.encode()
    for i, table in enumerate(score_tables.tables(made.of), 1):
        found[f"table{i if i > 1 else ''}.csv"] = html.records(table).encode()
    return found


def _put(folder: Path, made: Mapping[str, bytes]) -> list[Path]:
    """Files that have something to hold; one that has not, is removed."""
    for name, data in made.items():
        if data:
            # a sweep's end and --watch may write one report
            files.replace(folder / name, data, sync=False, alone=False)
        else:
            (folder / name).unlink(missing_ok=True)
    return [folder / name for name, data in made.items() if data]


def pictures(found: Findings) -> dict[str, bytes]:
    """The curves of each task, and of all in one figure."""
    frame, tasks, look = found.scored(), found.drawn_tasks, found.looks
    names = sections.picture_names(found)
    made = {names[t]: plot.curves(frame, t, look=look) for t in tasks}
    if len(tasks) > 1:
        made["curves.png"] = plot.panels(frame, tasks, look)
    return {name: plot.png(figure) for name, figure in made.items()}
