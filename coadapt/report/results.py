"""What a sweep found: on the terminal, and as a page, pictures and CSVs in report/."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coadapt import page, plot, store
from coadapt.console import printable
from coadapt.experiments.beside import Beside
from coadapt.report import findings, layout, protocols, records, sections, verdicts
from coadapt.report.findings import Findings
from coadapt.report.layout import DAGGER
from coadapt.report.sections import Report
from coadapt.report.verdicts import Returns
from coadapt.store import StoreError
from coadapt.words import word

if TYPE_CHECKING:
    import pandas as pd

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
) -> list[Path]:
    """Write a folder with a page, PNGs and CSVs of what a run store holds.

    Works on a part of the cells too, and says which are missing.

    Args:
        out: the folder; None: report/ in the run store, which is else only read.
        margin: what is no effect of note, in the unit of the effects; None: 0.1 of the
            reference's unit.
        printed: print the tables and the verdicts, and what was written.
    Returns:
        The files, index.html among them.
    Raises:
        ConfigError: there is no run store, or no score in it.
        StoreError: the folder cannot be written.
    """
    folder = store.folder(workdir)
    found = findings.read(folder)
    made = sections.compute(found, margin)  # not before all that there is was read
    if printed:
        show(found.summary, made.returns, found.beside)
        print()
        tell(made)
    written = write(store.expanded(out, "out") if out else folder / "report", made)
    if printed:
        print(f"written: {', '.join(map(str, written))}")
    return written


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
            words = [layout.theirs(cell) if cell else "-" for cell in cells]
            rows = [
                (*row[:5], theirs, *row[5:])
                for row, theirs in zip(rows, words, strict=True)
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
            layout.score(row["mean"], row["std"], row["n"], row["failed"]),
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
        print(verdicts.sentence(each))
    for line in protocols.moved(made.answers):
        print(line)
    for each in made.factorials:
        for row in verdicts.rows(each):
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
        print(f"missing: {len(gaps) - GAPS} lines more, in report/missing.csv")


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


def write(folder: Path, made: Report) -> list[Path]:
    """All files of a report; what an earlier one had and this one has not, goes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _put(folder, _tables(made))  # before anything is drawn
        html = page.render(sections.page(made)).encode()
        return written + _put(folder, {"index.html": html, **pictures(made.of)})
    except OSError as error:
        raise StoreError(
            f"the report cannot be written to {str(folder)!r} "
            f"({error.strerror or error}): coadapt report has --out for another folder."
        ) from None


def _tables(made: Report) -> dict[str, bytes]:
    files = {}
    for name, frame in records.frames(made).items():
        text = "" if frame.empty else frame.map(word).to_csv(index=False)
        files[f"{name}.csv"] = text.encode()
    for i, table in enumerate(layout.tables(made.of), 1):
        files[f"table{i if i > 1 else ''}.csv"] = page.records(table).encode()
    return files


def _put(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Files that have something to hold; one that has not, is removed."""
    for name, data in files.items():
        if data:
            (folder / name).write_bytes(data)
        else:
            (folder / name).unlink(missing_ok=True)
    return [folder / name for name, data in files.items() if data]


def pictures(found: Findings) -> dict[str, bytes]:
    """The curves of each task, and of all in one figure."""
    frame, tasks, look = found.scored(), found.drawn_tasks, found.looks
    names = sections.picture_names(found)
    made = {names[t]: plot.curves(frame, t, look=look) for t in tasks}
    if len(tasks) > 1:
        made["curves.png"] = plot.panels(frame, tasks, look)
    return {name: plot.png(figure) for name, figure in made.items()}
