"""One run store of several that were made apart.

What is merged is read, and never written. Each attempt is copied under a name that no
reader looks at, and renamed when it is whole: a kill at any instant leaves what was
there, and the same merge again goes on. An attempt that is there already is left out.
"""

import functools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coadapt.runs import (
    array_files,
    attempts,
    compatibility,
    files,
    leases,
    manifest,
    store,
    tables,
)
from coadapt.runs.attempts import Attempt, Program
from coadapt.runs.manifest import Header
from coadapt.runs.tables import Cell, Mark, Table
from coadapt.schema import ConfigError
from coadapt.tasks.units import Unit

_COPY = ".copy"  # ends the name of an attempt that is not whole yet
FAR = 4  # standard errors by which two measurements of a random policy may differ
_TIMES = ("steps_per_second",)  # metrics of the clock: no two runs have the same
_STEPS, _METRIC, _VALUE = map(tables.COLUMNS.index, ("env_steps", "metric", "value"))


class Merged(NamedTuple):
    """What a merge did."""

    programs: int  # of all that were merged
    copied: int  # attempts


class _Source(NamedTuple):
    workdir: Path
    header: Header
    there: list[tuple[Program, Attempt]]


def merge(sources: Sequence[Path], into: Path) -> Merged:
    """Bring all that is in `sources` into the run store `into`, which may be new.

    A task's unit is that of the first that has it.

    Raises:
        ConfigError: before anything is written, where two contradict each other, or
            one is no run store.
        StoreError: where one is damaged or runs.
    """
    target = store.folder(into).absolute()
    paths = list(dict.fromkeys(store.folder(each).absolute() for each in sources))
    if target in paths or not paths:
        raise ConfigError(
            f"into is {str(target)!r}: it must be another folder than those that are "
            "merged, of which at least one has to be named."
        )
    manifest.load(target)  # what is no run store is refused before it is held
    found = [_source(path) for path in paths]
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            _refuse_contradiction(one, other)
    with store.owned(target):  # nobody writes to it between a check and the copies
        old = manifest.load(target)
        if old is not None:
            ours = _source(target)
            for other in found:
                _refuse_contradiction(ours, other)
        return _write(target, old, found)


def _source(path: Path) -> _Source:
    """Of a run store, checked.

    Raises: ConfigError, StoreError.
    """
    header = manifest.load(path)
    if header is None or header.format != manifest.FORMAT:
        why = "not a run store" if header is None else "of an older version"
        raise ConfigError(f"workdir {str(path)!r} is {why}: it cannot be merged.")
    there = attempts.every(path)
    for _, one in there:
        _require_whole(one)
    return _Source(path, header, there)


def _require_whole(one: Attempt) -> None:
    """Raises: StoreError, where it is damaged, or a process writes it."""
    leases.require_ended(one.folder, "merge")
    for table, name in ((one.rows, attempts.ROWS), (one.failures, attempts.FAILURES)):
        if table.damaged:
            raise files.damaged(one.folder / name, table.damaged)
    for home in _snapshots(one.folder):
        array_files.require_files(home, files.unsealed(home / attempts.ABOUT) or {})


def _snapshots(attempt: Path) -> list[Path]:
    homes = [attempt / name for name in files.names(attempt) if name.isdigit()]
    return [home for home in homes if files.there(home / attempts.ABOUT)]


# ---------------------------------------------------------------- contradictions


def _refuse_contradiction(one: _Source, other: _Source) -> None:
    """Raises: ConfigError."""
    names = f"{str(one.workdir)!r} and {str(other.workdir)!r}"
    try:
        compatibility.refuse_other(one.workdir, one.header, other.header)
    except ConfigError as error:
        raise ConfigError(
            f"{names} cannot be merged into one run store: {error}"
        ) from None
    for task in one.header.units.keys() & other.header.units.keys():
        units = one.header.units[task], other.header.units[task]
        if not _alike(*units):
            said = " and ".join(map(_told, units))
            raise ConfigError(
                f"{names} cannot be merged into one run store: the unit of {task} "
                f"differs ({said}); report them separately."
            )
    ours, theirs = _values(one), _values(other)
    for cell in [cell for cell in ours if cell in theirs]:
        for place in [each for each in ours[cell] if each in theirs[cell]]:
            values = ours[cell][place], theirs[cell][place]
            if values[0] != values[1] and place[1] not in _TIMES:
                raise ConfigError(
                    f"{names} cannot be merged into one run store: {cell.variant} "
                    f"on {cell.task}, seed {cell.seed}, has {place[1]} {values[0]} "
                    f"at env step {place[0]} in one, and {values[1]} in the other; "
                    "such runs come from different machines, versions or programs: "
                    "report them separately."
                )


def _alike(one: Unit, other: Unit) -> bool:
    """Whether a task has one unit: other machines measure a random policy anew."""
    if (one.reference, one.source) != (other.reference, other.source):
        return False
    if one.random is None or other.random is None:
        return one.random == other.random
    error = math.hypot(one.error or 0.0, other.error or 0.0)
    return abs(one.random - other.random) <= FAR * error


def _told(unit: Unit) -> str:
    random, reference = (
        "none" if x is None else f"{x:g}" for x in (unit.random, unit.reference)
    )
    return f"a random policy's {random} with the reference {reference}"


def _values(of: _Source) -> dict[Cell, dict[tuple[str, str], str]]:
    """Of each cell (env steps, metric) -> value, as a reader finds them."""
    found: dict[Cell, dict[tuple[str, str], str]] = {}
    for each in attempts.shown(of.there):
        rows = tables.fields(each.rows)
        for cell, row in zip(tables.cells(tables.COLUMNS, rows), rows, strict=True):
            found.setdefault(cell, {})[row[_STEPS], row[_METRIC]] = row[_VALUE]
    return found


# ---------------------------------------------------------------- copying


def _write(target: Path, old: Header | None, sources: Sequence[_Source]) -> Merged:
    """Raises: StoreError."""
    if old is None:
        files.make(target / attempts.PROGRAMS)
    sessions, names = manifest.sessions(target) if old else [], []
    for each in sources:
        sessions, renamed = manifest.joined(sessions, manifest.sessions(each.workdir))
        names.append(renamed)
    header = functools.reduce(Header.joined, [each.header for each in sources])
    manifest.write(target, old, header, session=False, noted=sessions)
    merged, copied = manifest.load(target), 0
    assert merged is not None
    for source, renamed in zip(sources, names, strict=True):
        for program, one in source.there:
            copied += _Copy(target, merged, program, one, renamed).made()
    with store.Store(target, merged, session=False):  # the tables for people
        return Merged(len(attempts.programs(target)), copied)


class _Copy:
    """An attempt, as the other store is to have it."""

    def __init__(
        self,
        target: Path,
        header: Header,
        program: Program,
        one: Attempt,
        sessions: Mapping[str, str],
    ):
        prints = [header.entry(cell).fingerprint for cell in program.cells]
        number = max((p.number for p in attempts.programs(target)), default=0) + 1
        self._program = attempts.note(
            target, program.cells, prints, devices=program.devices, number=number
        )
        self._from, self._one, self._sessions = program, one, sessions
        self._rows, self._failures = self._named(one.rows), self._named(one.failures)

    def _named(self, table: Table) -> list[str]:
        """Lines with the sessions of the other store, which come last in each."""
        parts = [line.rpartition(",") for line in table.lines]
        return [f"{body},{self._session(session)}" for body, _, session in parts]

    def _session(self, there: str) -> str:
        """Its id here; '' of one that the other store lost."""
        return self._sessions.get(there, "")

    def made(self) -> bool:
        """False where all of it is there.

        Raises: StoreError.
        """
        home = self._program.folder
        for name in files.names(home):
            if name.endswith(_COPY):
                files.remove(home / name)
        self._bring_failure()
        if self._is_there():
            return False
        number = max(leases.numbers(home), default=0) + 1
        place = home / f"{number:04}{_COPY}"
        files.make(place)
        self._fill(place)
        files.move(place, home / f"{number:04}")
        return True

    def _bring_failure(self) -> None:
        """That nobody tries the program any more."""
        said = files.read(self._from.folder / attempts.FAILED)
        if said is not None and not attempts.given_up(self._program.folder):
            files.replace(self._program.folder / attempts.FAILED, said)

    def _is_there(self) -> bool:
        """Whether an attempt has its rows, and nothing of it is further."""
        snapshots = [int(home.name) for home in _snapshots(self._one.folder)]
        if not self._rows and not snapshots:
            return True
        if max(snapshots, default=0) > max(self._program.steps(), default=0):
            return False
        return any(
            there.rows.lines[: len(self._rows)] == self._rows
            and there.failures.lines[: len(self._failures)] == self._failures
            and (there.done or not self._one.done)
            for there in map(attempts.attempt, self._program.attempts())
        )

    def _fill(self, place: Path) -> None:
        for name, columns, lines in (
            (attempts.ROWS, tables.COLUMNS, self._rows),
            (attempts.FAILURES, tables.FAILURE_COLUMNS, self._failures),
        ):
            tables.Writer(place / name, columns, lines).close()
        self._marks = {
            "rows": tables.read(place / attempts.ROWS, tables.COLUMNS),
            "failures": tables.read(place / attempts.FAILURES, tables.FAILURE_COLUMNS),
        }
        for home in _snapshots(self._one.folder):
            self._copy_snapshot(home, place / home.name)
        self._end_lease(place)
        if self._one.done:
            self._reseal(attempts.DONE, self._one.folder, place)
        self._reseal(attempts.ATTEMPT, self._one.folder, place)

    def _copy_snapshot(self, home: Path, to: Path) -> None:
        about = shutil.ignore_patterns(attempts.ABOUT)
        with files.writing(to):
            files.step("snapshot", to)
            shutil.copytree(home, to, ignore=about)
            files.sync(to)
        said = files.unsealed(home / attempts.ABOUT) or {}
        array_files.require_files(to, said)
        name, prints = self._program.folder.name, [*self._program.fingerprints]
        self._reseal(attempts.ABOUT, home, to, program=name, fingerprints=prints)

    def _reseal(self, name: str, home: Path, to: Path, **others: Any) -> None:
        """A file with the marks and the session that are right here."""
        said = (files.unsealed(home / name) or {}) | others
        for table, read in self._marks.items():
            if table in said:
                said[table] = _mark(read, said[table][0])
        if "session" in said:
            said["session"] = self._session(said["session"])
        files.replace(to / name, files.sealed(said))

    def _end_lease(self, place: Path) -> None:
        """Its process writes nothing here."""
        text = files.read(self._one.folder / leases.LEASE)
        if text is not None:
            said = json.loads(text)
            said["ended"] = said["ended"] or leases.STOPPED
            files.replace(place / leases.LEASE, json.dumps(said) + "\n")


def _mark(table: Table, rows: int) -> Mark:
    return Mark(rows, table.checks[rows - 1] if rows else 0)
