"""The run store: a folder of tidy rows, what they are of, and which cells are done.

    manifest.json   the sweep: variants with their configs, seeds, evaluation, versions
    results.csv     experiment,algorithm,variant,task,seed,env_steps,metric,value
    failures.csv    task,variant,seed,env_steps,updates,tensor,cause
    done.csv        task,variant,seed,steps,seconds,checksum of the finished cells
    checkpoints/    see checkpoint.py
    owner.json      the process that writes; .lock is what it holds

A cell's line in done.csv is written after all of its rows are on the disk, with their
checksum. Rows of a cell that is not there are of a run that was cut short: those after
its newest checkpoint are dropped before it goes on. The metric 'return', the mean of
the evaluation episodes, is the score; it is NaN from the cell's failure on.
"""

import contextlib
import csv
import dataclasses
import datetime
import importlib.metadata
import io
import json
import os
import platform
import socket
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import filelock
import jax
import numpy as np

from coadapt.schema import ConfigError, shown
from coadapt.version import __version__

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 3  # of the folder; another number is refused
MANIFEST, RESULTS, DONE = "manifest.json", "results.csv", "done.csv"
FAILURES, LOCK, OWNER = "failures.csv", ".lock", "owner.json"
COLUMNS = (
    "experiment", "algorithm", "variant", "task", "seed", "env_steps", "metric",
    "value", "provider",
)  # fmt: skip
DONE_COLUMNS = ("task", "variant", "seed", "steps", "seconds", "checksum")
FAILURE_COLUMNS = (
    "task", "variant", "seed", "env_steps", "updates", "tensor", "cause"
)  # fmt: skip


class StoreError(Exception):
    """What keeps a run store from being written or read, in one sentence."""


class Cell(NamedTuple):
    """One agent of a sweep, by name."""

    task: str
    variant: str
    seed: int


class Entry(NamedTuple):
    """What the manifest says of a variant on a task."""

    algorithm: str
    fingerprint: str
    config: dict[str, Any]  # schema.to_dict


@dataclasses.dataclass(frozen=True)
class Header:
    """What a sweep is. Two sweeps fit into one folder if they agree where they meet."""

    experiment: str
    steps: int  # env steps, the most that were asked for
    seeds: tuple[int, ...]
    eval_every: int  # env steps
    eval_episodes: int
    checkpoint_every: int  # env steps; episodes are cut there
    variants: Mapping[str, Mapping[str, Entry]]  # task -> name -> entry
    # of the tasks that were asked for fewer
    task_steps: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def steps_on(self, task: str) -> int:
        """Env steps, the most that were asked for on this task."""
        return self.task_steps.get(task, self.steps)

    def cells(self) -> list[Cell]:
        """All of them, task by task, variants x seeds."""
        return [
            Cell(task, name, seed)
            for task, named in self.variants.items()
            for name in named
            for seed in self.seeds
        ]

    def merged(self, other: "Header") -> "Header":
        """Both, the other's new seeds, tasks and variants after ours."""
        tasks = [*self.variants, *(t for t in other.variants if t not in self.variants)]
        most = max(self.steps, other.steps)
        steps = {
            t: max(h.steps_on(t) for h in (self, other) if t in h.variants)
            for t in tasks
        }
        return dataclasses.replace(
            self,
            steps=most,
            task_steps={t: n for t, n in steps.items() if n != most},
            seeds=tuple(dict.fromkeys([*self.seeds, *other.seeds])),
            variants={
                t: {**self.variants.get(t, {}), **other.variants.get(t, {})}
                for t in tasks
            },
        )


# ---------------------------------------------------------------- reading


def folder(workdir: str | os.PathLike[str]) -> Path:
    """The path, `~` being home. Raises: ConfigError, if there can be no such path."""
    try:
        path = expanded(workdir, "workdir")
    except TypeError:
        path = None
    if path is None or "\0" in str(path):
        raise ConfigError(f"workdir is {shown(workdir)}: it must be a path.")
    try:
        str(path.absolute()).encode()  # as what writes checkpoints wants it
    except UnicodeEncodeError:
        raise ConfigError(
            f"workdir is {str(path.absolute())!a}: this locale has no such "
            "letters; set LC_ALL=C.UTF-8, or choose a path of ASCII letters."
        ) from None
    return path


def expanded(path: str | os.PathLike[str], name: str) -> Path:
    """With `~` and `~user` for home: a shell leaves it in --name=~/x.

    Raises: ConfigError if there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{name} is {shown(path)}: {str(error).rstrip('.')}; name a folder without "
            "a '~', or set HOME."
        ) from None


def load(workdir: Path) -> Header | None:
    """The header of the store at `workdir`; None where there is nothing yet.

    Raises: ConfigError if what is there is no run store, or is damaged.
    """
    try:
        there = workdir.exists()
    except OSError as error:
        raise ConfigError(
            f"workdir {str(workdir)!r} can be no folder: {error.strerror}."
        ) from None
    if not there:
        return None
    if not workdir.is_dir():
        raise ConfigError(f"workdir {str(workdir)!r} is a file: it must be a folder.")
    if not (workdir / MANIFEST).exists():
        # a manifest is the first thing written, so nothing of ours comes without it
        own = (MANIFEST + ".tmp", LOCK, OWNER, OWNER + ".tmp")
        found = sorted(p.name for p in workdir.iterdir() if p.name not in own)
        if found:
            raise ConfigError(
                f"workdir {str(workdir)!r} is not empty and no run store (it has "
                f"{found[0]!r}, and no {MANIFEST}): choose another."
            )
        return None
    return _header(workdir)


def _header(workdir: Path) -> Header:
    data = _manifest(workdir)
    try:
        if data["format"] != FORMAT:
            raise ConfigError(
                f"workdir {str(workdir)!r} has format {data['format']!r}, and this "
                f"version of coadapt writes {FORMAT}: choose another."
            )
        _check_types(data)
        return Header(
            experiment=data["experiment"],
            steps=data["steps"],
            task_steps=data.get("task_steps", {}),
            seeds=tuple(data["seeds"]),
            eval_every=data["evaluation"]["every"],
            eval_episodes=data["evaluation"]["episodes"],
            checkpoint_every=data["checkpoint_every"],
            variants={
                task: {name: Entry(**entry) for name, entry in named.items()}
                for task, named in data["variants"].items()
            },
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(workdir / MANIFEST, repr(error)) from None


def _check_types(data: dict[str, Any]) -> None:
    """Raises: ValueError, where a manifest holds what none of ours does."""
    numbers = [data["steps"], data["checkpoint_every"], *data["evaluation"].values()]
    numbers += data.get("task_steps", {}).values()
    whole = all(type(n) is int and n > 0 for n in numbers)
    seeds, sessions = data["seeds"], data["sessions"]
    listed = isinstance(seeds, list) and all(type(n) is int for n in seeds)
    dicts = isinstance(sessions, list) and all(isinstance(s, dict) for s in sessions)
    if not (
        whole and listed and seeds and dicts and isinstance(data["experiment"], str)
    ):
        raise ValueError("a number, the seeds or the sessions are none")


def _manifest(workdir: Path) -> dict[str, Any]:
    try:
        return json.loads((workdir / MANIFEST).read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise _damaged(workdir / MANIFEST, str(error)) from None


def _damaged(path: Path, reason: str) -> ConfigError:
    line = " ".join(reason.split())
    return ConfigError(f"{str(path)!r} cannot be read ({line}): it is damaged.")


def refuse_other(workdir: Path, old: Header | None, new: Header) -> None:
    """Refuse a folder that holds another sweep. Raises: ConfigError."""
    if old is None:
        return
    for name in ("experiment", "eval_every", "eval_episodes", "checkpoint_every"):
        ours, theirs = getattr(new, name), getattr(old, name)
        if ours != theirs:
            raise ConfigError(
                f"workdir {str(workdir)!r} holds another sweep: its {name} is "
                f"{theirs!r}, and {ours!r} is asked for; choose another workdir."
            )
    for task, variants in new.variants.items():
        for name, entry in variants.items():
            there = old.variants.get(task, {}).get(name, entry)
            if there.fingerprint != entry.fingerprint:
                raise ConfigError(
                    f"workdir {str(workdir)!r} holds another sweep: {name} on {task} "
                    f"is config {there.fingerprint} there, and {entry.fingerprint} is "
                    f"asked for ({_difference(there.config, entry.config)}); choose "
                    "another workdir, or another name."
                )


def _difference(old: object, new: object, path: str = "") -> str:
    """The first path at which two configs differ, 'a.b: 1 there, 2 here'."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                inner = f"{path}.{key}" if path else key
                return _difference(old.get(key), new.get(key), inner)
    return f"{path}: {_short(old)} there, {_short(new)} here"


def _short(value: object) -> str:
    return str(value.get("kind", "a group")) if isinstance(value, dict) else str(value)


def _lines(path: Path, columns: Sequence[str]) -> list[str]:
    """The file's whole lines, without the header; a torn last line is left out."""
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from None
    first, *rest = text.split("\n")
    if rest and first != ",".join(columns):
        raise _damaged(path, f"its first line is not {','.join(columns)!r}")
    return rest[:-1]  # what follows the last line's end is nothing, or torn


class _Done(NamedTuple):
    """A finished cell."""

    steps: int  # env steps
    checksum: int  # of its rows
    line: str  # that says so


def _done(workdir: Path) -> dict[Cell, _Done]:
    """Finished cells, checked against their rows. Raises: ConfigError."""
    found = {}
    for line in _lines(workdir / DONE, DONE_COLUMNS):
        try:
            task, variant, seed, steps, _, checksum = next(csv.reader([line]))
            cell = Cell(task, variant, int(seed))
            found[cell] = _Done(int(steps), int(checksum, 16), line)
        except (ValueError, StopIteration, csv.Error) as error:
            raise _damaged(workdir / DONE, f"line {line!r}: {error}") from None
    return found


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[Cell, int, str]]:
    """The cell, the env steps and the line of each row."""
    for line in _lines(path, columns):
        try:
            row = dict(zip(columns, next(csv.reader([line])), strict=True))
            found = {n: _number(n, word) for n, word in row.items() if n in _NUMBERS}
            cell = Cell(row["task"], row["variant"], int(found["seed"]))
            yield cell, int(found["env_steps"]), line
        except (ValueError, OverflowError, StopIteration, csv.Error) as error:
            raise _damaged(path, f"line {line!r}: {error}") from None


def finished(workdir: Path, header: Header) -> dict[Cell, int]:
    """The env steps of cells that are done, all of their rows being there.

    Touches nothing. Raises: ConfigError if the folder holds another sweep, or none, or
    if rows of a finished cell are missing or were changed.
    """
    old = load(workdir)
    refuse_other(workdir, old, header)
    return {} if old is None else {c: d.steps for c, d in _whole(workdir).items()}


def _whole(workdir: Path) -> dict[Cell, _Done]:
    """What is done, its rows having the checksums that they had."""
    done, found = _done(workdir), dict[Cell, int]()
    for cell, steps, line in _rows(workdir / RESULTS, COLUMNS):
        if cell in done and steps <= done[cell].steps:
            found[cell] = _add_line(found.get(cell, 0), line)
    for cell, (_, checksum, _) in done.items():
        if found.get(cell, 0) != checksum:
            raise _damaged(
                workdir / RESULTS,
                f"rows of {cell.variant} on {cell.task}, seed {cell.seed}, which was "
                "finished, are missing or changed",
            )
    return done


def _add_line(checksum: int, line: str) -> int:
    return zlib.crc32(f"{line}\n".encode(), checksum)


def read(workdir: str | os.PathLike[str]) -> "pd.DataFrame":
    """All rows that are there, of a sweep that runs too, as a tidy frame.

    Columns: `COLUMNS`; seed and env_steps are int64, value float64 with inf and NaN.
    Raises: ConfigError if there is no run store.
    """
    path = folder(workdir)
    if load(path) is None:
        raise ConfigError(
            f"workdir {str(workdir)!r} is no run store: nothing is there."
        )
    return _frame(path / RESULTS, COLUMNS)


def failures(workdir: str | os.PathLike[str]) -> "pd.DataFrame":
    """Agents whose numbers stopped being finite. Columns: `FAILURE_COLUMNS`."""
    return _frame(folder(workdir) / FAILURES, FAILURE_COLUMNS)


_NUMBERS: dict[str, type] = dict.fromkeys(("seed", "env_steps", "updates"), np.int64)
_NUMBERS["value"] = np.float64  # all other columns are text


def _number(column: str, word: str) -> float:
    """Raises: ValueError; OverflowError, if 64 bits do not hold it."""
    if _NUMBERS[column] is np.float64:
        return float(word)  # of Python: it is exact, and knows inf and nan
    return int(np.int64(int(word)))


def _frame(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    """A table's whole lines. Raises: ConfigError."""
    import pandas as pd

    text = _text(columns, _lines(path, columns))
    try:
        # keep_default_na: a variant may be called 'none'
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        parsed = {}
        for name in _NUMBERS.keys() & set(columns):
            words = [_number(name, word) for word in frame[name]]
            parsed[name] = np.array(words, _NUMBERS[name])
        return frame.assign(**parsed)
    except (ValueError, OverflowError) as error:
        raise _damaged(path, str(error)) from None


def wide(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """One metric with env_steps down and (task, variant, seed) across."""
    rows = frame[frame.metric == metric]
    return rows.pivot(
        index="env_steps", columns=["task", "variant", "seed"], values="value"
    )


# ---------------------------------------------------------------- writing


@contextlib.contextmanager
def owned(workdir: Path) -> Iterator[None]:
    """Hold the folder, so that one process at a time writes to it.

    A process that died holds nothing. Raises: ConfigError, which names the process that
    has the folder, or if there can be no folder; StoreError.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"workdir {str(workdir)!r} cannot be made: {error.strerror}."
        ) from None
    lock = filelock.FileLock(workdir / LOCK, timeout=0)
    with writing(workdir):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise ConfigError(
                f"workdir {str(workdir)!r} is in use by {_owner(workdir)}: wait until "
                "that has ended, or choose another."
            ) from None
    try:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        here = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
        replace(workdir / OWNER, json.dumps(here) + "\n")
        yield
    finally:
        (workdir / OWNER).unlink(missing_ok=True)
        lock.release()


def _owner(workdir: Path) -> str:
    """'process 123 on host a, since 2026-...'."""
    try:
        data = json.loads((workdir / OWNER).read_text(encoding="utf-8"))
        return f"process {data['process']} on {data['host']} since {data['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


class Store:
    """A run store, open for writing: `begin`, then `append`, then `finish` cells."""

    def __init__(self, workdir: Path, header: Header, kept: Mapping[Cell, int] = {}):
        """Open or extend a folder that is `owned`.

        `kept` has the env steps up to which rows of unfinished cells stay: those of
        their newest checkpoints, which may be beyond what is asked for now.
        Raises: ConfigError, with nothing touched; StoreError.
        """
        old = load(workdir)
        refuse_other(workdir, old, header)
        self.workdir, self._header = workdir, header
        self._kept = {cell: kept.get(cell, 0) for cell in header.cells()}
        self.reached = dict[Cell, int]()  # env steps of the furthest row that was there
        # what is damaged is found before the first write
        self._finished = _whole(workdir) if old else {}
        rows, failures = self._to_keep(RESULTS, COLUMNS), self._failures()
        _write_manifest(workdir, old, header, session=True)
        self._open(rows, failures)

    def _to_keep(
        self, name: str, columns: Sequence[str]
    ) -> list[tuple[Cell, int, str]]:
        """All but rows of this sweep's cells that are to be made again."""

        def stays(cell: Cell, steps: int) -> bool:
            done = self._finished.get(cell)
            kept = self._kept.get(cell, steps)
            return steps <= max(done.steps if done else 0, kept)

        found = list(_rows(self.workdir / name, columns))
        for cell, steps, _ in found:
            self.reached[cell] = max(steps, self.reached.get(cell, 0))
        return [row for row in found if stays(*row[:2])]

    def _failures(self) -> list[tuple[Cell, int, str]]:
        return self._to_keep(FAILURES, FAILURE_COLUMNS)

    def _open(
        self, rows: list[tuple[Cell, int, str]], failures: list[tuple[Cell, int, str]]
    ) -> None:
        """done.csv first: killed in between, the rows left over are of no done cell."""
        self._checksums = dict[Cell, int]()
        self._there = set[tuple[str, ...]]()
        for cell, steps, line in rows:
            if steps <= self._header.steps_on(cell.task):
                self._checksums[cell] = _add_line(self._checksums.get(cell, 0), line)
            if steps <= self._kept.get(cell, 0):
                self._there.add(_name(line))
        self._failed = {cell for cell, _, _ in failures}
        files = {
            DONE: (DONE_COLUMNS, [done.line for done in self._finished.values()]),
            FAILURES: (FAILURE_COLUMNS, [line for _, _, line in failures]),
            RESULTS: (COLUMNS, [line for _, _, line in rows]),
        }
        self._files = {}
        for name, (columns, lines) in files.items():
            path = self.workdir / name
            replace(path, _text(columns, lines))
            with writing(path):
                self._files[name] = path.open("a", encoding="utf-8", newline="")

    @staticmethod
    def extend(workdir: Path, header: Header) -> None:
        """Note what was asked for, where there was nothing to run."""
        old = load(workdir)
        refuse_other(workdir, old, header)
        _write_manifest(workdir, old, header, session=False)

    def begin(self, kept: Mapping[Cell, int]) -> None:
        """These cells go on; rows up to so many env steps stay, and at 0 none."""
        before = dict(self._kept), dict(self._finished)
        for cell, steps in kept.items():
            self._kept[cell] = steps
            if not steps:
                self._finished.pop(cell, None)
        if before != (self._kept, self._finished):
            self.close()
            self._open(self._to_keep(RESULTS, COLUMNS), self._failures())

    def append(
        self,
        cells: Sequence[Cell],
        env_steps: int,
        metrics: Mapping[str, np.ndarray],
        provider: str,
    ) -> None:
        """One row for each cell and metric; metrics [N] in the order of the cells.

        `provider` is that of the task's spec: what made the numbers.
        Rows that stayed, and those that a cell had when it was finished with fewer
        steps, are as they were.
        """
        lines = []
        for i, cell in enumerate(cells):
            done = self._finished.get(cell)
            if done is not None and env_steps <= done.steps:
                continue
            algorithm = self._header.variants[cell.task][cell.variant].algorithm
            for metric, values in metrics.items():
                line = _line([
                    self._header.experiment, algorithm, cell.variant, cell.task,
                    cell.seed, env_steps, metric, repr(float(values[i])), provider,
                ])  # fmt: skip
                if _name(line) in self._there:
                    continue
                self._checksums[cell] = _add_line(self._checksums.get(cell, 0), line)
                lines.append(line)
        self._write(RESULTS, lines)

    def fail(self, cell: Cell, *what: object) -> None:
        """Note a failure, once a cell: what FAILURE_COLUMNS say after the cell."""
        if cell not in self._failed:
            self._failed.add(cell)
            self._write(FAILURES, [_line([*cell, *what])])

    def finish(self, cells: Sequence[Cell], steps: int, seconds: float) -> None:
        """All rows of these cells are there. `seconds` is their program's."""
        lines = []
        for cell in cells:
            checksum = self._checksums.get(cell, 0)
            line = _line([*cell, steps, f"{seconds:.1f}", f"{checksum:08x}"])
            self._finished[cell] = _Done(steps, checksum, line)
            lines.append(line)
        self._write(DONE, lines)

    def _write(self, name: str, lines: list[str]) -> None:
        """Lines at the end of a file, and on the disk."""
        file = self._files[name]
        with writing(self.workdir / name):
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):  # said before, by the write that failed
                file.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the disk refuses becomes one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be written ({error.strerror or error}): what was "
            "finished before is whole, and the same command goes on from there."
        ) from error


def _write_manifest(
    workdir: Path, old: Header | None, new: Header, *, session: bool
) -> None:
    """The merged manifest; a session is noted only if it differs from the last."""
    merged = old.merged(new) if old else new
    before = _manifest(workdir) if old else {}
    sessions = before.get("sessions", [])
    if session:
        here = {"versions": _versions(), "device": _device()}
        last = dict(sessions[-1]) if sessions else {}
        last.pop("started", None)
        if last != here:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            sessions = [*sessions, {"started": now, **here}]
    data = {
        "format": FORMAT,
        "experiment": merged.experiment,
        "tasks": list(merged.variants),
        "steps": merged.steps,
        **({"task_steps": dict(merged.task_steps)} if merged.task_steps else {}),
        "seeds": list(merged.seeds),
        "evaluation": {"every": merged.eval_every, "episodes": merged.eval_episodes},
        "checkpoint_every": merged.checkpoint_every,
        "variants": {
            task: {name: entry._asdict() for name, entry in named.items()}
            for task, named in merged.variants.items()
        },
        "sessions": sessions,
    }
    if data != before:
        replace(workdir / MANIFEST, json.dumps(data, indent=1) + "\n")


def _versions() -> dict[str, str]:
    """Of whatever makes the numbers."""
    found = {"coadapt": __version__, "python": platform.python_version()}
    for name in ("jax", "jaxlib", "mujoco", "gymnasium"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def _device() -> str:
    """'cpu, x86_64, 2 cores', or the accelerator's own name."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"cpu, {platform.machine()}, {os.cpu_count()} cores"
    return f"{device.platform}, {device.device_kind}"


def _name(line: str) -> tuple[str, ...]:
    """What a row is of: all but its value, and by what it was made."""
    return tuple(next(csv.reader([line]))[: COLUMNS.index("value")])


def _line(values: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def _text(columns: Sequence[str], lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in [",".join(columns), *lines])


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all; one that has this text is left alone.

    Raises: StoreError.
    """
    data = text.encode()
    with writing(path):
        if path.exists() and path.read_bytes() == data:
            return
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
