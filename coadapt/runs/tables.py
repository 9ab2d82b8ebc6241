"""The tables of a run store: CSV, in an attempt's folder under a running checksum.

A line of an attempt ends with `check`: the CRC-32 of all lines up to it. So a line that
is missing, changed, doubled or out of its place is found. The last line of each write
has a dot after it: a write that was cut short is left out as a whole.

Texts stand in it as system/csv_text.py has them.
"""

import contextlib
import csv
import io
import itertools
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coadapt.runs import files
from coadapt.system.csv_text import text_of, word

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "experiment", "algorithm", "variant", "task", "seed", "env_steps", "metric",
    "value", "provider",
)  # fmt: skip
FAILURE_COLUMNS = (
    "task", "variant", "seed", "env_steps", "updates", "tensor", "cause"
)  # fmt: skip
RESULTS = "results.csv"  # of the workdir, for people: views.py
SESSION, CHECK = "session", "check"
END = "."  # of a write
_PART = 10_000  # lines whose words are in memory at a time


class Cell(NamedTuple):
    """One agent of a sweep, by name."""

    task: str
    variant: str
    seed: int


class Mark(NamedTuple):
    """A place in a table."""

    rows: int  # lines before it
    check: int  # of them


class Table(NamedTuple):
    """The lines of an attempt's file that are as they were written."""

    columns: tuple[str, ...]  # with session, without check
    lines: list[str]  # without their check
    checks: list[int]
    damaged: str = ""  # where the lines after them are not: why

    def has(self, mark: Mark) -> bool:
        """Whether all lines before the mark are there, as they were."""
        if not mark.rows:
            return True
        there = mark.rows <= len(self.checks)
        return there and self.checks[mark.rows - 1] == mark.check


def read(path: Path, columns: Sequence[str]) -> Table:
    """Checks each line.

    Raises:
        StoreError: if the file cannot be read.
    """
    columns = (*columns, SESSION)
    try:
        text = files.read(path)
    except files.DamagedError as error:
        return Table(columns, [], [], str(error))
    if text is None:
        return Table(columns, [], [], "it is missing")
    first, *rest = text.split("\n")
    if first != ",".join((*columns, CHECK)):
        return Table(columns, [], [], "its first line is another")
    return _checked(columns, rest[:-1])  # what follows the last line's end is torn


def _checked(columns: tuple[str, ...], lines: Sequence[str]) -> Table:
    bodies, checks = list[str](), list[int]()
    check, whole, reason = 0, 0, ""
    for line in lines:
        body, _, word = line.rpartition(",")
        check = zlib.crc32(f"{body}\n".encode(), check)
        if word != f"{check:08x}":
            if word != f"{check:08x}{END}":
                # of a write that was cut short nothing but its own lines follow
                after = any(x.endswith(END) for x in lines[len(bodies) :])
                reason = f"line {len(bodies) + 2} is not what was written"
                reason = reason if after else ""
                break
            whole = len(bodies) + 1
        bodies.append(body)
        checks.append(check)
    return Table(columns, bodies[:whole], checks[:whole], reason)


def fields(lines: Iterable[str]) -> list[list[str]]:
    """The words of each line."""
    return list(csv.reader(lines))


def cells(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[Cell]:
    """That of each row."""
    task, variant, seed = (columns.index(name) for name in Cell._fields)
    known = dict[tuple[str, str, str], Cell]()
    found = []
    for row in rows:
        key = row[task], row[variant], row[seed]
        cell = known.get(key)
        if cell is None:
            names = text_of(key[0]), text_of(key[1])
            cell = known[key] = Cell(*names, int(key[2]))
        found.append(cell)
    return found


_NUMBERS: dict[str, type] = dict.fromkeys(("seed", "env_steps", "updates"), np.int64)
_NUMBERS["value"] = np.float64  # all other columns are text


def number(column: str, word: str) -> float:
    """Raises: ValueError; OverflowError, if 64 bits do not hold it."""
    if _NUMBERS[column] is np.float64:
        return float(word)  # of Python: it is exact, and knows inf and nan
    return int(np.int64(int(word)))


def is_number(column: str) -> bool:
    return column in _NUMBERS


def frame(columns: Sequence[str], lines: Iterable[str]) -> "pd.DataFrame":
    """Lines as a tidy frame.

    Raises: ValueError, OverflowError.
    """
    import pandas as pd

    found: dict[str, list[Any]] = {name: [] for name in columns}
    known = dict[str, str]()  # of each text, one object
    reader = csv.reader(lines, strict=True)
    try:
        while rows := [*itertools.islice(reader, _PART)]:
            for name, words in zip(columns, zip(*rows, strict=True), strict=True):
                if is_number(name):
                    found[name] += [number(name, word) for word in words]
                    continue
                known.update({w: text_of(w) for w in {*words} - known.keys()})
                found[name] += [known[word] for word in words]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return pd.DataFrame({
        name: np.array(each, _NUMBERS[name]) if is_number(name) else each
        for name, each in found.items()
    })  # fmt: skip


# ---------------------------------------------------------------- writing


def line(values: Sequence[object]) -> str:
    """A line of CSV, which has no line break in it."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(map(word, values))
    return out.getvalue()


def text(columns: Sequence[str], lines: Iterable[str]) -> str:
    return "".join(f"{each}\n" for each in [",".join(columns), *lines])


class Writer:
    """Writes a table of an attempt: its first lines, then more at its end."""

    def __init__(self, path: Path, columns: Sequence[str], lines: Sequence[str]):
        """`lines` are those of an earlier attempt.

        Raises: StoreError.
        """
        self._path, self._rows, self._check = path, 0, 0
        files.replace(path, text((*columns, SESSION, CHECK), self._signed(lines)))
        with files.writing(path):
            self._file = path.open("ab")

    @property
    def mark(self) -> Mark:
        """The end of what was written."""
        return Mark(self._rows, self._check)

    def _signed(self, lines: Sequence[str]) -> list[str]:
        found = []
        for each in lines:
            self._check = zlib.crc32(f"{each}\n".encode(), self._check)
            found.append(f"{each},{self._check:08x}")
        self._rows += len(found)
        return [*found[:-1], *(f"{last}{END}" for last in found[-1:])]

    def add(self, lines: Sequence[str]) -> None:
        """All of them or, for a reader, none.

        Raises: StoreError.
        """
        if lines:
            signed = "".join(f"{each}\n" for each in self._signed(lines))
            files.append(self._file, self._path, signed)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # said before, by the write that failed
            self._file.close()
