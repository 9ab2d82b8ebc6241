"""Run stores of format 3, which are read and reported, and not written.

results.csv, failures.csv   the rows themselves
done.csv                    finished cells, with a checksum of their rows
checkpoints/<program>/      program.json, and snapshots in <env steps>/
"""

import csv
import json
import zlib
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from coadapt.runs import attempts, files, tables
from coadapt.runs.attempts import Program
from coadapt.runs.tables import Cell

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
RESULTS, FAILURES, DONE, CHECKPOINTS = (
    "results.csv", "failures.csv", "done.csv", "checkpoints"
)  # fmt: skip
_DONE_COLUMNS = ("task", "variant", "seed", "steps", "seconds", "checksum")
_WAY_OUT = (
    "All rows are read all the same; its agents are loaded once the file is back from "
    "a copy."
)


Cells = Container[Cell] | None  # of the manifest; None: nothing says so


def read(workdir: Path, cells: Cells) -> "pd.DataFrame":
    """Columns: tables.COLUMNS and an empty session.

    Raises: files.StoreError.
    """
    return _frame(workdir / RESULTS, tables.COLUMNS, cells)


def failures(workdir: Path, cells: Cells) -> "pd.DataFrame":
    """Columns: tables.FAILURE_COLUMNS and an empty session.

    Raises: files.StoreError.
    """
    return _frame(workdir / FAILURES, tables.FAILURE_COLUMNS, cells)


def _frame(path: Path, columns: Sequence[str], cells: Cells) -> "pd.DataFrame":
    lines = (line for line, _ in _rows(path, columns, cells))
    return tables.frame(columns, lines).assign(session="")


def _rows(
    path: Path, columns: Sequence[str], cells: Cells
) -> list[tuple[str, list[str]]]:
    """Each line that is a row of one of the cells, with its words."""

    def parse(words: list[str]) -> list[str]:
        for name, word in zip(columns, words, strict=True):
            if tables.is_number(name):
                tables.number(name, word)
        (cell,) = tables.cells(columns, [words])
        if cells is not None and cell not in cells:
            raise ValueError(f"the manifest has no {tuple(cell)}")
        return words

    return _whole(path, columns, parse)


def _whole(
    path: Path, columns: Sequence[str], parse: Callable[[list[str]], T]
) -> list[tuple[str, T]]:
    """Each line that is one, with what it says; those that are none are said.

    The header is left out, and a torn last line.

    Raises: files.StoreError.
    """
    first, *rest = (files.read(path, "surrogateescape") or "").split("\n")
    found, broken = [], []
    if rest and first != ",".join(columns):
        broken.append(f"line 1: it is not {','.join(columns)!r}")
    for number, line in enumerate(rest[:-1], 2):
        try:
            line.encode()  # what was no text is none here either
            words = next(csv.reader([line], strict=True), [])
            if len(words) != len(columns):
                raise ValueError(f"{len(words)} columns, and not {len(columns)}")
            found.append((line, parse(words)))
        except (ValueError, OverflowError, csv.Error) as error:
            reason = "it is no text" if isinstance(error, UnicodeError) else error
            broken.append(f"line {number}: {reason}")
    if broken:
        attempts.say_once(
            path,
            "%r is damaged: %d of its lines are none (%s) and are left out, until the "
            "file is back from a copy; all else is read.",
            *(str(path), len(broken), broken[0]),
        )
    return found


def finished(workdir: Path, cells: Cells) -> dict[Cell, int]:
    """The env steps of what is done, its rows having the checksums that they had.

    A cell of which rows are missing or were changed is said, and left out.

    Raises: files.StoreError.
    """
    done = dict(said for _, said in _whole(workdir / DONE, _DONE_COLUMNS, _done))
    columns, found = tables.COLUMNS, dict[Cell, int]()
    rows = _rows(workdir / RESULTS, columns, cells)
    place = columns.index("env_steps")
    whose = tables.cells(columns, (words for _, words in rows))
    for cell, (line, row) in zip(whose, rows, strict=True):
        if cell in done and int(row[place]) <= done[cell][0]:
            found[cell] = zlib.crc32(f"{line}\n".encode(), found.get(cell, 0))
    whole = {c: steps for c, (steps, sum_) in done.items() if found.get(c, 0) == sum_}
    for cell in done.keys() - whole.keys():
        path = workdir / RESULTS
        attempts.say_once(
            path / repr(cell),
            "%r is damaged: rows of %s on %s, seed %d, which was finished, are missing "
            "or changed, so it counts as not finished until the file is back from a "
            "copy; all else is read.",
            *(str(path), cell.variant, cell.task, cell.seed),
        )
    return whole


def _done(words: list[str]) -> tuple[Cell, tuple[int, int]]:
    """A finished cell, its env steps and checksum.

    Raises: ValueError.
    """
    task, variant, seed, steps, _, checksum = words
    return Cell(task, variant, int(seed)), (int(steps), int(checksum, 16))


def programs(workdir: Path) -> list[Program]:
    """All that were begun. One whose program.json is damaged is said, and left out.

    Raises: files.StoreError.
    """
    folder = workdir / CHECKPOINTS
    found = [_program(folder / name) for name in files.names(folder)]
    return [each for each in found if each is not None]


def _program(folder: Path) -> Program | None:
    path = folder / attempts.PROGRAM
    try:
        text = files.read(path)
        return None if text is None else attempts.parsed(folder, _json(path, text))
    except files.DamagedError as error:
        attempts.say_once(path, "%s %s", error, _WAY_OUT)
        return None


def _json(path: Path, text: str) -> Any:
    """Raises: files.DamagedError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise files.damaged(path, str(error)) from None
