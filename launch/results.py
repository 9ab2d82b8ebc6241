"""What a sweep found: the table on the terminal, curves and the table in report/."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from coadapt import plot, stats, store

if TYPE_CHECKING:
    import pandas as pd

DAGGER = "†"  # numerical error, as in the paper's tables
HEADER = ("task", "variant", "env steps", "return: mean +- std", "n", "failed")


def report(workdir: Path) -> None:
    """Print the table of a run store; write report/ with a CSV and PNGs beside it.

    Works on a part of the cells too, and says how many are missing.
    Raises: ConfigError if there is no run store.
    """
    frame, header = store.read(workdir), store.load(workdir)
    assert header is not None  # or read would have raised
    failed, done = store.failures(workdir), store.finished(workdir, header)
    summary = stats.summary(frame)
    show(summary)  # not before all that there is was read
    failures(failed)
    cells = len(header.seeds) * sum(map(len, header.variants.values()))
    missing = cells - sum(n >= header.steps_on(cell.task) for cell, n in done.items())
    if missing:
        print(f"{missing} of {cells} cells are not finished")
    folder = workdir / "report"
    folder.mkdir(exist_ok=True)
    summary.to_csv(folder / "summary.csv", index=False)
    written = [folder / "summary.csv"]
    for task in dict.fromkeys(frame.task):
        written.append(folder / f"{re.sub(r'[/:]', '_', str(task))}.png")
        plot.curves(frame, str(task)).savefig(written[-1])
    print(f"written: {', '.join(map(str, written))}")


def show(summary: "pd.DataFrame") -> None:
    """A table for each suite: ruled on a terminal, plain and aligned elsewhere.

    Suites, and versions of one, are never in one table: their physics differ where the
    names of their tasks are the same.
    """
    suite = summary.task.str.partition("/")[0]
    titles = suite + " (" + summary.provider + ")"
    for title, group in summary.groupby(titles, sort=False):
        print(title)
        _table(_cells(group))


def _cells(summary: "pd.DataFrame") -> list[tuple[str, ...]]:
    return [
        (
            row["task"],
            row["variant"],
            f"{row['env_steps']:,}",
            _score(row["mean"], row["std"], row["failed"]),
            str(row["n"]),
            str(row["failed"]),
        )
        for row in summary.to_dict("records")
    ]


def _table(rows: list[tuple[str, ...]]) -> None:
    console = Console()
    if console.is_terminal:
        table = Table(*HEADER)
        for i, column in enumerate(table.columns):
            column.overflow = "fold"  # a name cut short could be another's
            column.justify = "left" if i < 2 else "right"
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    widths = [max(len(line[i]) for line in [HEADER, *rows]) for i in range(len(HEADER))]
    for line in [HEADER, *rows]:
        cells = (
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _score(mean: float, std: float, failed: int) -> str:
    """'98.1 +- 3.2', '-inf'; with a dagger where a seed has failed, as in the paper."""
    shown = number(mean) if math.isinf(mean) else f"{number(mean)} +- {number(std)}"
    return f"{shown} {DAGGER}" if failed else shown


def failures(failed: "pd.DataFrame") -> None:
    """A line for each agent that failed: when, and at which tensor."""
    for row in failed.to_dict("records"):
        cause = f" ({row['cause']})" if row["cause"] else ""
        print(
            f"{DAGGER} {row['task']}, {row['variant']}, seed {row['seed']}: "
            f"{row['tensor']} was not finite after {row['env_steps']:,} env steps, "
            f"{row['updates']:,} updates{cause}"
        )


def number(value: float) -> str:
    """Enough digits to compare: '9,213', '98.1', '-4.21', '-inf', 'nan'."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
