"""Run stores of format 3, which are read and reported, and not written.

results.csv, failures.csv   the rows themselves
done.csv                    finished cells, with a checksum of their rows
checkpoints/<program>/      program.json, and snapshots in <env steps>/
"""

import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coadapt import attempts, files, tables
from coadapt.attempts import Program
from coadapt.schema import ConfigError
from coadapt.tables import Cell

if TYPE_CHECKING:
    import pandas as pd

RESULTS, FAILURES, DONE, CHECKPOINTS = (
    "results.csv", "failures.csv", "done.csv", "checkpoints"
)  # fmt: skip
_DONE_COLUMNS = ("task", "variant", "seed", "steps", "seconds", "checksum")
_WAY_OUT = (
    "All rows are read all the same; its agents are loaded once the file is back from "
    "a copy."
)


def read(workdir: Path) -> "pd.DataFrame":
    """Columns: tables.COLUMNS and an empty session.

    Raises: ConfigError.
    """
    return _frame(workdir / RESULTS, tables.COLUMNS)


def failures(workdir: Path) -> "pd.DataFrame":
    """Columns: tables.FAILURE_COLUMNS and an empty session.

    Raises: ConfigError.
    """
    return _frame(workdir / FAILURES, tables.FAILURE_COLUMNS)


def _frame(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    try:
        return tables.frame(columns, _lines(path, columns)).assign(session="")
    except (ValueError, OverflowError) as error:
        raise _damaged(path, str(error)) from None


def _lines(path: Path, columns: Sequence[str]) -> list[str]:
    """The file's whole lines, without the header; a torn last line is left out."""
    try:
        text = files.read(path)
    except files.DamagedError as error:
        raise ConfigError(str(error)) from None
    first, *rest = (text or "").split("\n")
    if rest and first != ",".join(columns):
        raise _damaged(path, f"its first line is not {','.join(columns)!r}")
    return rest[:-1]  # what follows the last line's end is nothing, or torn


def _rows(path: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """The words of each line.

    Raises: ConfigError.
    """
    for line in _lines(path, columns):
        try:
            words = next(csv.reader([line]))
            for name, word in zip(columns, words, strict=True):
                if tables.is_number(name):
                    tables.number(name, word)
            yield words
        except (ValueError, OverflowError, StopIteration, csv.Error) as error:
            raise _damaged(path, f"line {line!r}: {error}") from None


def finished(workdir: Path) -> dict[Cell, int]:
    """The env steps of what is done, its rows having the checksums that they had.

    A cell of which rows are missing or were changed is said, and left out.

    Raises:
        ConfigError: if a line is none.
    """
    done, found = _done(workdir), dict[Cell, int]()
    lines = _lines(workdir / RESULTS, tables.COLUMNS)
    words = [*_rows(workdir / RESULTS, tables.COLUMNS)]
    place = tables.COLUMNS.index("env_steps")
    for cell, row, line in zip(
        tables.cells(tables.COLUMNS, words), words, lines, strict=True
    ):
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


def _done(workdir: Path) -> dict[Cell, tuple[int, int]]:
    """Env steps and checksum of finished cells.

    Raises: ConfigError.
    """
    found = {}
    for line in _lines(workdir / DONE, _DONE_COLUMNS):
        try:
            task, variant, seed, steps, _, checksum = next(csv.reader([line]))
            found[Cell(task, variant, int(seed))] = int(steps), int(checksum, 16)
        except (ValueError, StopIteration, csv.Error) as error:
            raise _damaged(workdir / DONE, f"line {line!r}: {error}") from None
    return found


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


def _damaged(path: Path, reason: str) -> ConfigError:
    return ConfigError(str(files.damaged(path, reason)))
