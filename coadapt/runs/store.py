"""The run store: a folder of tidy rows, what they are of, and which cells are done.

    manifest.json   the sweep: variants with their configs, seeds, evaluation, sessions
    programs/       the rows, done marks and snapshots: see attempts.py, checkpoint.py
    results.csv     experiment,algorithm,variant,task,seed,env_steps,metric,value,...
    failures.csv    task,variant,seed,env_steps,updates,tensor,cause,session
    done.csv        task,variant,seed,steps,seconds,session of the finished cells
    owner.json      the process that writes; .lock is what it holds

What is read comes from the programs; the three tables are made from them, for people.
The metric 'return', the mean of the evaluation episodes, is the score; it is NaN from
the cell's failure on.
"""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coadapt.runner import Interrupted
from coadapt.runs import attempts, files, leases, manifest, old_stores, tables, views
from coadapt.runs.attempts import Program
from coadapt.runs.compatibility import adopted, refuse_other
from coadapt.runs.files import DamagedError, StoreError, replace, writing
from coadapt.runs.lock import owned, require_free
from coadapt.runs.manifest import (
    FORMAT,
    MANIFEST,
    READ_ONLY,
    Entry,
    Header,
    load,
    sessions,
)
from coadapt.runs.paths import expanded, folder
from coadapt.runs.tables import COLUMNS, FAILURE_COLUMNS, SESSION, Cell, Mark, Table
from coadapt.runs.views import DONE, DONE_COLUMNS, FAILURES, RESULTS
from coadapt.schema import ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "DONE",
    "DONE_COLUMNS",
    "FAILURES",
    "FAILURE_COLUMNS",
    "FORMAT",
    "MANIFEST",
    "RESULTS",
    "SESSION",
    "Attempt",
    "Cell",
    "DamagedError",
    "Entry",
    "Header",
    "Shared",
    "Start",
    "Store",
    "StoreError",
    "adopted",
    "devices",
    "expanded",
    "failures",
    "finished",
    "folder",
    "header",
    "load",
    "owned",
    "read",
    "refuse_other",
    "replace",
    "require_free",
    "sessions",
    "wide",
    "writing",
]  # fmt: skip

_SHARE = 0.05  # of the time, that tables for people may take while a program runs


# ---------------------------------------------------------------- reading


def finished(workdir: Path, header: Header) -> dict[Cell, int]:
    """The env steps of cells that are done, all of their rows being there.

    Touches nothing.

    Raises:
        ConfigError: if the folder holds another sweep, or none.
        StoreError: if something cannot be read.
    """
    old = load(workdir)
    refuse_other(workdir, old, header)
    if old is None:
        return {}
    if old.format != FORMAT:
        return old_stores.finished(workdir, frozenset(old.cells()))
    found = attempts.finished(attempts.every(workdir))
    return {cell: one.done.steps for cell, one in found.items() if one.done}


def header(workdir: Path) -> Header:
    """What a run store is of.

    Raises:
        ConfigError: if there is none.
        StoreError: if its manifest cannot be read.
    """
    found = load(workdir)
    if found is None:
        raise _none(workdir)
    return found


def _none(workdir: str | os.PathLike[str]) -> ConfigError:
    return ConfigError(
        f"workdir {str(workdir)!r} is not a run store: there is nothing at this path; "
        "give the workdir of a sweep."
    )


def read(workdir: str | os.PathLike[str]) -> "pd.DataFrame":
    """All rows of a run store as a tidy frame, also while its sweep runs.

    Returns:
        A row for each agent, evaluation and metric, with the columns `COLUMNS` and
        `session`, an id of the manifest. seed and env_steps are int64, value is float64
        and may be infinite or NaN.

    Raises:
        ConfigError: if there is no run store.
        StoreError: if something cannot be read.
    """
    path = folder(workdir)
    number = _format(path)
    if number is None:
        raise _none(workdir)
    if number != FORMAT:
        return old_stores.read(path, _cells(path))
    taken = attempts.shown(attempts.every(path))
    lines = (line for each in taken for line in each.rows)
    return tables.frame((*COLUMNS, SESSION), lines)


def failures(workdir: str | os.PathLike[str]) -> "pd.DataFrame":
    """The agents that failed, with time and cause.

    Returns:
        A row for each, with the columns `FAILURE_COLUMNS` and `session`; none if there
        is no run store.

    Raises: as `read`.
    """
    path = folder(workdir)
    number = _format(path) if path.is_dir() else None
    if number not in (None, FORMAT):
        return old_stores.failures(path, _cells(path))
    taken = attempts.shown(attempts.every(path)) if number else []
    lines = [line for each in taken for line in each.failures]
    lines += attempts.lost(path, lines) if number else []
    return tables.frame((*FAILURE_COLUMNS, SESSION), lines)


def _format(workdir: Path) -> int | None:
    """That of the folder, None where nothing is there; also without its manifest.

    Raises: ConfigError.
    """
    try:
        header = load(workdir)
        return None if header is None else header.format
    except manifest.DamagedError as error:
        where = {FORMAT: attempts.PROGRAMS, READ_ONLY: RESULTS}
        formats = [n for n, name in where.items() if files.there(workdir / name)]
        if not formats:
            raise
        attempts.say_once(workdir / MANIFEST, "%s", error)
        return formats[0]


def _cells(workdir: Path) -> frozenset[Cell] | None:
    """Those of the manifest; None where it is damaged."""
    with contextlib.suppress(manifest.DamagedError):
        header = load(workdir)
        return None if header is None else frozenset(header.cells())
    return None


def devices(workdir: str | os.PathLike[str]) -> int | None:
    """Over how many CPU devices the store's last session ran; None: nothing says so.

    A store that cannot be read says nothing: whoever runs it will hear why.
    """
    with contextlib.suppress(ConfigError, StoreError):
        path = folder(workdir)
        if load(path) is not None:
            last = next(reversed(sessions(path)), {})
            return last.get("devices") if "cpu" in last.get("device", "") else None
    return None


def wide(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """One metric of such rows, with a column for each agent.

    Args:
        frame: rows, as `read` gives them.

    Returns:
        A frame with env_steps as index and (task, variant, seed) as columns.
    """
    rows = frame[frame.metric == metric]
    return rows.pivot(
        index="env_steps", columns=["task", "variant", "seed"], values="value"
    )


# ---------------------------------------------------------------- writing


class Start(NamedTuple):
    """What an attempt goes on from: a snapshot of another, and its rows until then."""

    attempt: Path
    steps: int  # env steps of the snapshot
    rows: Mark
    failures: Mark


class Store:
    """A run store, open for writing: `note` programs, then `begin` them one by one."""

    lease = leases.SECONDS  # without a word of a process, until another takes over

    def __init__(self, workdir: Path, header: Header, *, session: bool = True):
        """Open or extend a folder that is `owned`.

        Args:
            session: something will be computed, in a session that the manifest has.
        Raises:
            ConfigError: with nothing touched.
            StoreError:
        """
        self.header, self.workdir = adopted(workdir, header), workdir
        old = load(workdir)
        if old is None:
            files.make(workdir / attempts.PROGRAMS)
        # what cannot be read is found before the first write
        there = attempts.every(workdir) if old else []
        known = attempts.programs(workdir)
        # env steps of the furthest row that each cell has
        self.reached = {
            cell: attempts.reached(each.attempt)
            for each in attempts.shown(there)
            for cell in each.cells
        }
        self._programs = max((each.number for each in known), default=0)
        self._took, self._refreshed = 0.0, 0.0
        if old:  # a table that cannot be replaced is found before the request changes
            views.refresh(workdir, there)
        self.session = manifest.write(workdir, old, self.header, session=session)
        if not old:
            self.refresh()

    def note(self, cells: Sequence[Cell], devices: int) -> Program:
        """The program of these cells, made where it is not there yet."""
        prints = [self.header.entry(c).fingerprint for c in cells]
        self._programs += 1
        return attempts.note(
            self.workdir, cells, prints, devices=devices, number=self._programs
        )

    def begin(
        self,
        program: Program,
        origin: Start | None = None,
        *,
        devices: int | None = None,
        provider: str = "",
    ) -> "Attempt":
        """A new attempt of a program; what was there stays.

        Its rows begin with those of its origin.

        Args:
            devices: over which it runs; None: those of the program.
            provider: of the task's spec.
        Raises: StoreError.
        """
        rows, failures = _copied(program, origin)
        lease = leases.take(program.folder, self.lease)
        about: dict[str, object] = {"session": self.session, "origin": None}
        about["devices"] = program.devices if devices is None else devices
        about["provider"] = provider
        if origin is not None:
            about["origin"] = {
                "program": origin.attempt.parent.name,
                "attempt": origin.attempt.name,
                "steps": origin.steps,
            }
        with contextlib.ExitStack() as stack:
            stack.callback(lease.end, leases.FAILED)
            made = stack.enter_context(Attempt(self, program, lease, rows, failures))
            path = lease.attempt / attempts.ATTEMPT
            replace(path, files.sealed(about))  # from here it is one
            stack.pop_all()
        return made

    def refresh(self, *, always: bool = True) -> None:
        """Make the tables for people anew; else only if that takes little time.

        Raises: StoreError.
        """
        begin = time.monotonic()
        if not always and self._took > _SHARE * (begin - self._refreshed):
            return
        views.refresh(self.workdir, attempts.every(self.workdir))
        self._refreshed = time.monotonic()
        self._took = self._refreshed - begin

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """The tables are as all that was written is, also when it ends by an error."""
        with contextlib.suppress(*([StoreError] if kind else [])):
            self.refresh()


class Shared(Store):
    """A run store for one of many processes that write it: each its own attempts.

    Whoever plans has noted the programs, and makes the tables for people.
    """

    def __init__(self, workdir: Path, header: Header, *, lease: float = leases.SECONDS):
        """Open what is there. `lease`: seconds.

        Raises: StoreError, ConfigError.
        """
        self.header, self.workdir, self.lease = header, workdir, lease
        self.session = manifest.own_session(workdir)

    def note(self, cells: Sequence[Cell], devices: int) -> Program:
        raise NotImplementedError("programs are noted by whoever plans")

    def refresh(self, *, always: bool = True) -> None:
        pass


def _copied(program: Program, origin: Start | None) -> tuple[list[str], list[str]]:
    """The lines of its rows and failures that an attempt begins with.

    Those up to the snapshot; of an origin that was finished, all.
    """
    if origin is None:
        return [], []
    there, mine = attempts.attempt(origin.attempt), set(program.cells)

    def of(table: Table, mark: Mark) -> list[str]:
        lines = table.lines if there.done else table.lines[: mark.rows]
        return attempts.of_cells(table.columns, lines, mine)

    return of(there.rows, origin.rows), of(there.failures, origin.failures)


class Attempt:
    """An attempt of a program, open for writing."""

    def __init__(
        self,
        store: Store,
        program: Program,
        lease: leases.Lease,
        rows: list[str],
        failures: list[str],
    ):
        self.path, self.program, self._store = lease.attempt, program, store
        self.lease, path = lease, lease.attempt
        with contextlib.ExitStack() as stack:
            self._rows = tables.Writer(path / attempts.ROWS, COLUMNS, rows)
            stack.callback(self._rows.close)
            self._failures = tables.Writer(
                path / attempts.FAILURES, FAILURE_COLUMNS, failures
            )
            stack.pop_all()
        last = tables.fields(rows[-1:])
        self._reached = int(last[0][COLUMNS.index("env_steps")]) if last else 0
        words = tables.fields(failures)
        self._failed = set(tables.cells(FAILURE_COLUMNS, words))

    def append(
        self,
        env_steps: int,
        metrics: Mapping[str, np.ndarray],
        provider: str,
    ) -> None:
        """One row for each cell and metric; metrics [N] in the order of the cells.

        `provider` is that of the task's spec: what made the numbers. Rows that the
        attempt began with are as they were.

        Raises: StoreError.
        """
        self.lease.come(env_steps)
        if env_steps <= self._reached:
            return
        self.lease.require()
        header, session, lines = self._store.header, self._store.session, []
        for i, cell in enumerate(self.program.cells):
            algorithm = header.entry(cell).algorithm
            for metric, values in metrics.items():
                lines.append(tables.line([
                    header.experiment, algorithm, cell.variant, cell.task, cell.seed,
                    env_steps, metric, repr(float(values[i])), provider, session,
                ]))  # fmt: skip
        self._rows.add(lines)
        self._reached = env_steps

    def fail(self, cell: Cell, *what: object) -> None:
        """Note a failure, once a cell: what FAILURE_COLUMNS say after the cell."""
        if cell not in self._failed:
            self.lease.require()
            self._failed.add(cell)
            line = tables.line([*cell, *what, self._store.session])
            self._failures.add([line])

    @property
    def marks(self) -> dict[str, Mark]:
        """How far its tables are written."""
        return {"rows": self._rows.mark, "failures": self._failures.mark}

    def finish(self, steps: int, seconds: float) -> None:
        """All rows of its cells are there. `seconds` is its program's.

        Earlier attempts that it has passed, and that have no snapshot left, go.
        """
        self.lease.require()
        said = {"steps": steps, "seconds": seconds, **self.marks}
        replace(self.path / attempts.DONE, files.sealed(said))
        self.close()
        self.lease.end(leases.FINISHED)
        for path in self.program.attempts():
            if path < self.path:
                self._retire(path, steps)
        self._store.refresh()

    def _retire(self, path: Path, steps: int) -> None:
        names = files.names(path)
        if any(n.isdigit() or n.endswith(attempts.DAMAGED) for n in names):
            return  # a snapshot, to go on from or to look into
        there = attempts.attempt(path)
        if there.rows.damaged or there.failures.damaged:
            files.move(path, path.with_name(path.name + attempts.DAMAGED))
        elif attempts.reached(there) <= steps:
            files.remove(path)

    def close(self) -> None:
        self._rows.close()
        self._failures.close()

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(self, _: object, error: object, *rest: object) -> None:
        self.close()
        failed = isinstance(error, Exception) and not isinstance(error, Interrupted)
        self.lease.end(leases.FAILED if failed else leases.STOPPED, str(error or ""))
