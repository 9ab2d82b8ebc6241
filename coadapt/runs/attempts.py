"""Programs and their attempts: what a run store is made of.

    programs/<name>/program.json      cells in order, fingerprints, number of devices
    programs/<name>/<attempt>/        0001, 0002, ...: each has one writer, for good
        attempt.json                  its session, what it goes on from, and over how
                                      many devices and by which simulators it ran
        rows.csv  failures.csv        see tables.py
        done.json                     its cells are finished; written last
        <env steps>/                  snapshots: see checkpoint.py

An attempt has all rows of its cells: those up to the snapshot that it goes on from are
copied into it at its start. For each cell a reader takes the attempt that has come
furthest, of equals the newest. So what was there is seen until it was passed.
"""

import contextlib
import datetime
import hashlib
import json
import logging
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coadapt.runs import files, tables
from coadapt.runs.files import DamagedError, StoreError
from coadapt.runs.tables import Cell, Mark, Table

_LOG = logging.getLogger(__name__)

PROGRAMS, PROGRAM, ATTEMPT, DONE = (
    "programs", "program.json", "attempt.json", "done.json"
)  # fmt: skip
FAILED = "failed.json"  # of a program that nobody tries any more
ROWS, FAILURES, ABOUT = "rows.csv", "failures.csv", "about.json"
PROGRAM_LOST = "program"  # in the place of a tensor, where no number broke
DAMAGED = ".damaged"  # ends the names of what is set aside
_TRIES = 100  # of a reader, beside a process that writes
_WAY_OUT = (
    "Reports read its rows all the same; to go on, bring the file back from a copy, or "
    "move its folder away, and its cells start anew."
)


class Program(NamedTuple):
    """A program that was begun: its agents, in order, and where its attempts are."""

    folder: Path
    cells: tuple[Cell, ...]
    fingerprints: tuple[str, ...]  # of the cells' configs, as the manifest has them
    devices: int = 0  # over which the agents are spread; 0: nothing says so
    number: int = 0  # in the order in which they were made

    def attempts(self) -> list[Path]:
        """Those that were begun, in order.

        Raises: StoreError.
        """
        found = [path for path in _folders(self.folder) if path.name.isdigit()]
        return [path for path in found if _begun(path)]

    def snapshots(self) -> dict[int, Path]:
        """Env steps -> the newest whole snapshot there is of them, in order of steps.

        Raises: StoreError.
        """
        homes = self.attempts() or [self.folder]  # older versions have no attempts
        found = {
            int(name): home / name
            for home in homes
            for name in files.names(home)
            if name.isdigit() and files.there(home / name / ABOUT)
        }
        return dict(sorted(found.items()))

    def at(self, steps: int) -> Path:
        """Where the snapshot of so many env steps is, or was."""
        return self.snapshots().get(steps, self.folder / str(steps))

    def steps(self) -> list[int]:
        """Env steps of the snapshots that are whole, in order."""
        return list(self.snapshots())


def _begun(path: Path) -> bool:
    """Whether a folder is an attempt, or was before it lost its attempt.json: what
    comes after that is there.

    Raises: StoreError.
    """
    if files.there(path / ATTEMPT) or files.there(path / DONE):
        return True
    numbers = (name for name in files.names(path) if name.isdigit())
    return any(files.there(path / name / ABOUT) for name in numbers)


def program(path: Path) -> Program | None:
    """What program.json says; None where no program was begun.

    Raises: StoreError.
    """
    try:
        data = files.unsealed(path / PROGRAM)
        if data is not None:
            return parsed(path, data)
        if Program(path, (), ()).attempts():  # which are begun after it was written
            raise files.damaged(path / PROGRAM, "it is missing")
        return None
    except DamagedError as error:
        raise DamagedError(f"{error} {_WAY_OUT}") from None


def parsed(path: Path, data: dict[str, Any]) -> Program:
    """Raises: DamagedError."""
    try:
        cells = tuple(Cell(str(t), str(v), int(s)) for t, v, s in data["cells"])
        prints = tuple(map(str, data["fingerprints"]))
        if len(prints) != len(cells) or not cells:
            raise ValueError("its lists differ in length, or are empty")
        devices, number = data.get("devices", 0), data.get("number", 0)
        return Program(path, cells, prints, int(devices), int(number))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise files.damaged(path / PROGRAM, repr(error)) from None


def programs(workdir: Path, *, reading: bool = False) -> list[Program]:
    """All that were begun in a run store, in their order.

    Args:
        reading: one whose program.json is damaged is told by its rows and snapshots,
            which is said; nothing goes on from it.
    Raises: StoreError.
    """
    folder = workdir / PROGRAMS
    require(folder)
    one = _readable if reading else program
    found = [one(path) for path in _folders(folder)]
    there = [each for each in found if each is not None]
    if not found:
        _require_none(workdir)
    return sorted(there, key=lambda each: (each.number, each.folder.name))


def _readable(path: Path) -> Program | None:
    try:
        return program(path)
    except DamagedError as error:
        say_once(path / PROGRAM, "%s", error)
    bare = Program(path, (), ())
    lines = [line for home in bare.attempts() for line in _lines(home)]
    cells = tuple(dict.fromkeys(tables.cells(tables.COLUMNS, tables.fields(lines))))
    prints = [_fingerprints(path.name, each) for each in bare.snapshots().values()]
    known = next((each for each in prints if len(each) == len(cells)), ())
    return Program(path, cells, known or ("",) * len(cells)) if cells else None


def _lines(home: Path) -> list[str]:
    return tables.read(home / ROWS, tables.COLUMNS).lines


def _fingerprints(program: str, snapshot: Path) -> tuple[str, ...]:
    """As its about.json has them, in the order in which rows have their cells.

    None, where the snapshot is damaged, or of another program: its folder was moved.
    """
    with contextlib.suppress(DamagedError):
        about = files.unsealed(snapshot / ABOUT) or {}
        if about.get("program", program) == program:
            return tuple(about.get("fingerprints", ()))
    return ()


def require(folder: Path) -> None:
    """Refuse a store of which a folder is away.

    Raises: StoreError.
    """
    if not files.there(folder) or not folder.is_dir():
        raise StoreError(
            f"{str(folder)!r} is not there, and rows of the run store are in it: bring "
            "it back (a disk that is not mounted, a link that leads nowhere); nothing "
            "was changed."
        )


def _folders(folder: Path) -> list[Path]:
    """What is in a folder, in order, but for hidden files.

    Raises:
        StoreError: if it cannot be looked at, or a link in it leads nowhere.
    """
    found = [folder / name for name in files.names(folder) if name[0] != "."]
    for path in found:
        if path.is_symlink() and not files.there(path):
            require(path)
    return found


def _require_none(workdir: Path) -> None:
    """Refuse a store without programs whose table of results has rows: where a disk is
    not mounted, an empty folder is in its place.

    Raises: StoreError.
    """
    text = files.read(workdir / tables.RESULTS, errors="replace") or ""
    if text.count("\n") > 1:
        raise StoreError(
            f"{str(workdir / PROGRAMS)!r} is empty, and {tables.RESULTS} has rows that "
            "were in it: bring it back (a disk that is not mounted), or move "
            f"{tables.RESULTS} away, too, to compute all from 0; nothing was changed."
        )


def note(
    workdir: Path,
    cells: Sequence[Cell],
    fingerprints: Sequence[str],
    *,
    devices: int,
    number: int,
) -> Program:
    """The program of these cells, made where it is not there yet.

    Its name is of its cells and configs alone.

    Args:
        devices: over which it runs, if it is begun now.
        number: its place among all, if it is new.
    Raises: StoreError.
    """
    data = {"cells": [list(cell) for cell in cells], "fingerprints": [*fingerprints]}
    first = f"{cells[0].task}-{cells[0].variant}"
    safe = "".join(c if c.isalnum() or c in "-." else "_" for c in first)[:60]
    digest = hashlib.sha256((json.dumps(data, indent=1) + "\n").encode()).hexdigest()
    folder = workdir / PROGRAMS / f"{safe}-{digest[:8]}"
    found = program(folder)
    if found is not None and (found.devices == devices or found.attempts()):
        return found
    number = number if found is None else found.number
    files.make(folder)
    data |= {"devices": devices, "number": number}
    files.replace(folder / PROGRAM, files.sealed(data))
    return parsed(folder, data)


def made(program: Program, attempt: Path) -> dict[str, Any]:
    """What an attempt says of how it ran: its session, devices and provider.

    None, where it does not say so: it is damaged, or of an older version.

    Raises: StoreError.
    """
    unsaid = {"session": None, "devices": program.devices or None, "provider": None}
    return unsaid | (unsealed(attempt / ATTEMPT) or {})


# ---------------------------------------------------------------- attempts


class Done(NamedTuple):
    """That all cells of an attempt are finished."""

    steps: int  # env steps
    seconds: float  # of their program
    rows: Mark
    failures: Mark


class Attempt(NamedTuple):
    """One as it is there."""

    folder: Path
    rows: Table
    failures: Table
    done: Done | None  # where all of its rows are there, too
    session: str


def attempt(folder: Path) -> Attempt:
    """Reads one. What is damaged of it is said, and left out.

    Raises:
        StoreError: if a file cannot be read.
        FileNotFoundError: if it has gone.
    """
    # before the rows
    done, session = unsealed(folder / DONE), unsealed(folder / ATTEMPT)
    least = {} if done else _newest_about(folder)
    rows = tables.read(folder / ROWS, tables.COLUMNS)
    failures = tables.read(folder / FAILURES, tables.FAILURE_COLUMNS)
    if not _begun(folder):
        raise FileNotFoundError(folder)
    if not files.there(folder / ATTEMPT):
        _say(folder / ATTEMPT, "it is missing")
    found = Attempt(folder, rows, failures, None, str((session or {}).get("session")))
    for name, table in ((ROWS, rows), (FAILURES, failures)):
        if table.damaged:
            _say(folder / name, table.damaged)
    if least and not rows.damaged and not has_rows(found, least):
        _say(folder / ROWS, f"lines up to its snapshot {least['steps']} are missing")
    return found._replace(done=_done(found, done)) if done else found


def _newest_about(folder: Path) -> dict[str, Any]:
    """What the newest snapshot of an attempt says of itself; {} of none.

    One that cannot be read keeps nobody from the rows: who goes on from it will hear.
    """
    steps = sorted((int(n) for n in files.names(folder) if n.isdigit()), reverse=True)
    for number in steps:
        with contextlib.suppress(StoreError):
            said = files.unsealed(folder / str(number) / ABOUT) or {}
            if (said.get("program"), said.get("steps")) == (folder.parent.name, number):
                return said
    return {}


def has_rows(one: Attempt, said: Mapping[str, Any]) -> bool:
    """Whether the rows up to a snapshot are as they were when it was written."""
    rows, failures = Mark(*said["rows"]), Mark(*said["failures"])
    return one.rows.has(rows) and one.failures.has(failures)


def _done(found: Attempt, data: dict[str, Any]) -> Done | None:
    try:
        rows, failures = Mark(*data["rows"]), Mark(*data["failures"])
        done = Done(int(data["steps"]), float(data["seconds"]), rows, failures)
    except (KeyError, TypeError, ValueError) as error:
        _say(found.folder / DONE, repr(error))
        return None
    if found.rows.has(rows) and found.failures.has(failures):
        return done
    lost = FAILURES if found.rows.has(rows) else ROWS
    _say(found.folder / lost, "lines that were there when it was finished are missing")
    return None


def unsealed(path: Path) -> dict[str, Any] | None:
    """As `files.unsealed`; None also of one that is damaged, which is said.

    Raises:
        StoreError: if it cannot be read.
    """
    try:
        return files.unsealed(path)
    except DamagedError as error:
        say_once(path, "%s: %s", str(error).rstrip("."), _REST)
        return None


_SAID = set[str]()
_REST = "what is whole of it counts, and the rest is made again where it is asked for."


def _say(path: Path, reason: str) -> None:
    say_once(
        path,
        "%r is damaged (%s): %s",
        str(path),
        reason,
        _REST,
    )


def say_once(path: Path, words: str, *what: object) -> None:
    """Once, of each file."""
    if str(path) not in _SAID:
        _SAID.add(str(path))
        _LOG.warning(words, *what)


# ---------------------------------------------------------------- programs given up


class Failed(NamedTuple):
    """That a program is given up, as failed.json has it."""

    reason: str
    steps: int  # env steps of its newest rows
    since: str  # ISO time


def give_up(folder: Path, reason: str, steps: int) -> None:
    """Nobody tries this program any more.

    Raises: StoreError.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    failed = Failed(reason, steps, now)
    files.replace(folder / FAILED, files.sealed(failed._asdict()))


def given_up(folder: Path) -> Failed | None:
    """Why nobody tries a program any more; None where that is not so.

    Raises: StoreError.
    """
    said = unsealed(folder / FAILED)
    return None if said is None else Failed(**said)


def lost(workdir: Path, failed: Sequence[str]) -> list[str]:
    """A line of tables.FAILURE_COLUMNS for each agent of the programs given up.

    Args:
        failed: such lines of agents that failed for themselves; they have no other.
    Raises: StoreError.
    """
    known = set(tables.cells(tables.FAILURE_COLUMNS, tables.fields(failed)))
    found = []
    for each in programs(workdir, reading=True):
        said = given_up(each.folder)
        for cell in each.cells if said else ():
            if said and cell not in known:
                what = [*cell, said.steps, 0, PROGRAM_LOST, said.reason, ""]
                found.append(tables.line(what))
    return found


# ---------------------------------------------------------------- what readers take


class Shown(NamedTuple):
    """What readers take of an attempt."""

    attempt: Attempt
    cells: frozenset[Cell]
    all: bool  # of its cells

    @property
    def rows(self) -> list[str]:
        """Lines of tables.COLUMNS and the session."""
        return self._of(self.attempt.rows)

    @property
    def failures(self) -> list[str]:
        """Lines of tables.FAILURE_COLUMNS and the session."""
        return self._of(self.attempt.failures)

    def _of(self, table: Table) -> list[str]:
        if self.all:
            return table.lines
        return of_cells(table.columns, table.lines, self.cells)


def of_cells(
    columns: Sequence[str], lines: Sequence[str], cells: Container[Cell]
) -> list[str]:
    """The lines of these cells."""
    found = tables.cells(columns, tables.fields(lines))
    return [line for cell, line in zip(found, lines, strict=True) if cell in cells]


def every(workdir: Path) -> list[tuple[Program, Attempt]]:
    """All that is there, of a store in which a process may write meanwhile.

    Raises: StoreError.
    """
    for _ in range(_TRIES):
        try:
            return [
                (each, attempt(path))
                for each in programs(workdir, reading=True)
                for path in each.attempts()
            ]
        except FileNotFoundError:  # it was passed and removed since it was listed
            continue
    raise StoreError(f"{str(workdir)!r} changes faster than it can be read.")


def shown(found: Sequence[tuple[Program, Attempt]]) -> list[Shown]:
    """What a reader takes of them, in their order: see the top of this file."""
    furthest = dict[Cell, tuple[int, int]]()
    for place, (of, one) in enumerate(found):
        steps = reached(one)
        for cell in of.cells if steps else ():
            if steps >= furthest.get(cell, (0, 0))[0]:
                furthest[cell] = steps, place
    homes = [set[Cell]() for _ in found]
    for cell, (_, place) in furthest.items():
        homes[place].add(cell)
    return [
        Shown(one, frozenset(mine), len(mine) == len(of.cells))
        for (of, one), mine in zip(found, homes, strict=True)
        if mine
    ]


def reached(one: Attempt) -> int:
    """How far an attempt has come, in env steps: each write has rows of all its cells,
    and they come in the order of steps."""
    place = tables.COLUMNS.index("env_steps")
    last = tables.fields(one.rows.lines[-1:])
    return max(int(last[0][place]) if last else 0, _steps(one))


def _steps(one: Attempt) -> int:
    return one.done.steps if one.done else 0


def finished(found: Sequence[tuple[Program, Attempt]]) -> dict[Cell, Attempt]:
    """Finished cells, and the attempt in which each came to the most env steps."""
    best = dict[Cell, Attempt]()
    for of, one in found:
        for cell in of.cells if one.done else ():
            if _steps(one) >= _steps(best.get(cell, one)):
                best[cell] = one
    return best
