"""The run store: a folder of tidy rows, what they are of, and which cells are done.

    manifest.json   the sweep: variants with their configs, seeds, evaluation, versions
    results.csv     experiment,algorithm,variant,task,seed,env_steps,metric,value
    done.csv        task,variant,seed,steps,seconds of the finished cells

A cell's line in done.csv is written after all of its rows are on the disk, so rows of
a cell that is not there are of a run that was cut short: they are dropped before the
cell is run again. The metric 'return', the mean of the evaluation episodes, is the
score.
"""

import csv
import dataclasses
import datetime
import importlib.metadata
import io
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from coadapt.schema import ConfigError
from coadapt.version import __version__

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1  # of the folder; another number is refused
MANIFEST, RESULTS, DONE = "manifest.json", "results.csv", "done.csv"
COLUMNS = (
    "experiment", "algorithm", "variant", "task", "seed", "env_steps", "metric", "value"
)  # fmt: skip
DONE_COLUMNS = ("task", "variant", "seed", "steps", "seconds")


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
    variants: Mapping[str, Mapping[str, Entry]]  # task -> name -> entry

    def merged(self, other: "Header") -> "Header":
        """Both, the other's new seeds, tasks and variants after ours."""
        tasks = [*self.variants, *(t for t in other.variants if t not in self.variants)]
        return dataclasses.replace(
            self,
            steps=max(self.steps, other.steps),
            seeds=tuple(dict.fromkeys([*self.seeds, *other.seeds])),
            variants={
                t: {**self.variants.get(t, {}), **other.variants.get(t, {})}
                for t in tasks
            },
        )


# ---------------------------------------------------------------- reading


def load(workdir: Path) -> Header | None:
    """The header of the store at `workdir`; None where there is nothing yet.

    Raises: ConfigError if what is there is no run store, or is damaged.
    """
    if not workdir.exists():
        return None
    if not workdir.is_dir():
        raise ConfigError(f"workdir {str(workdir)!r} is a file: it must be a folder.")
    if not (workdir / MANIFEST).exists():
        # a manifest is the first thing written, so nothing of ours comes without it
        found = sorted(p.name for p in workdir.iterdir() if p.name != MANIFEST + ".tmp")
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
        return Header(
            experiment=data["experiment"],
            steps=data["steps"],
            seeds=tuple(data["seeds"]),
            eval_every=data["evaluation"]["every"],
            eval_episodes=data["evaluation"]["episodes"],
            variants={
                task: {name: Entry(**entry) for name, entry in named.items()}
                for task, named in data["variants"].items()
            },
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(workdir / MANIFEST, repr(error)) from None


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
    for name in ("experiment", "eval_every", "eval_episodes"):
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


def _done(workdir: Path) -> dict[Cell, tuple[int, str]]:
    """Finished cells: env steps, and the line that says so."""
    found = {}
    for line in _lines(workdir / DONE, DONE_COLUMNS):
        try:
            task, variant, seed, steps, _ = next(csv.reader([line]))
            found[Cell(task, variant, int(seed))] = (int(steps), line)
        except (ValueError, StopIteration) as error:
            raise _damaged(workdir / DONE, f"line {line!r}: {error}") from None
    return found


def _cell(path: Path, line: str) -> Cell:
    """The cell of a line of results."""
    try:
        _, _, variant, task, seed, _, _, _ = next(csv.reader([line]))
        return Cell(task, variant, int(seed))
    except (ValueError, StopIteration) as error:
        raise _damaged(path, f"line {line!r}: {error}") from None


def read(workdir: str | os.PathLike[str]) -> "pd.DataFrame":
    """All rows that are there, of a sweep that runs too, as a tidy frame.

    Columns: `COLUMNS`; seed and env_steps are int64, value float64 with inf and NaN.
    Raises: ConfigError if there is no run store.
    """
    import pandas as pd

    path = Path(workdir)
    if load(path) is None:
        raise ConfigError(
            f"workdir {str(workdir)!r} is no run store: nothing is there."
        )
    lines = _lines(path / RESULTS, COLUMNS)
    text = "\n".join([",".join(COLUMNS), *lines])
    # keep_default_na: a variant may be called 'none'
    text_frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    try:  # Python's float is exact, and knows inf and nan
        return text_frame.assign(
            seed=np.array(text_frame.seed, np.int64),
            env_steps=np.array(text_frame.env_steps, np.int64),
            value=np.array([float(value) for value in text_frame.value], np.float64),
        )
    except ValueError as error:
        raise _damaged(path / RESULTS, str(error)) from None


def wide(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """One metric with env_steps down and (task, variant, seed) across."""
    rows = frame[frame.metric == metric]
    return rows.pivot(
        index="env_steps", columns=["task", "variant", "seed"], values="value"
    )


# ---------------------------------------------------------------- writing


class Store:
    """A run store, open for writing: `begin`, then `append`, then `finish` cells."""

    def __init__(self, workdir: Path, header: Header):
        """Open or extend. Raises: ConfigError, with nothing touched."""
        old = load(workdir)
        refuse_other(workdir, old, header)
        self._workdir = workdir
        self._header = header
        self._finished = _done(workdir) if old else {}
        kept = self._finished_rows()  # what is damaged is found before the first write
        _make_folder(workdir)
        _write_manifest(workdir, old, header, session=True)
        self._rewrite(kept)
        self._results = _append_to(workdir / RESULTS, COLUMNS)
        self._done = _append_to(workdir / DONE, DONE_COLUMNS)

    @staticmethod
    def finished(workdir: Path, header: Header) -> set[Cell]:
        """Cells that have all the steps that are asked for. Touches nothing.

        Raises: ConfigError if the folder holds another sweep, or none.
        """
        old = load(workdir)
        refuse_other(workdir, old, header)
        done = _done(workdir) if old else {}
        return {cell for cell, (steps, _) in done.items() if steps >= header.steps}

    @staticmethod
    def extend(workdir: Path, header: Header) -> None:
        """Note what was asked for, where there was nothing to run."""
        old = load(workdir)
        refuse_other(workdir, old, header)
        _write_manifest(workdir, old, header, session=False)

    def begin(self, cells: Iterable[Cell]) -> None:
        """Forget these cells, should there be rows of them: they start anew."""
        again = [cell for cell in cells if cell in self._finished]
        if not again:
            return
        for cell in again:
            del self._finished[cell]
        self.close()
        self._rewrite(self._finished_rows())
        self._results = _append_to(self._workdir / RESULTS, COLUMNS)
        self._done = _append_to(self._workdir / DONE, DONE_COLUMNS)

    def append(
        self, cells: Sequence[Cell], env_steps: int, metrics: Mapping[str, np.ndarray]
    ) -> None:
        """One row for each cell and metric; metrics [N] in the order of the cells."""
        writer = csv.writer(self._results, lineterminator="\n")
        for i, cell in enumerate(cells):
            algorithm = self._header.variants[cell.task][cell.variant].algorithm
            for metric, values in metrics.items():
                writer.writerow([
                    self._header.experiment, algorithm, cell.variant, cell.task,
                    cell.seed, env_steps, metric, repr(float(values[i])),
                ])  # fmt: skip
        _flush(self._results)

    def finish(self, cells: Sequence[Cell], steps: int, seconds: float) -> None:
        """All rows of these cells are there. `seconds` is their program's."""
        _flush(self._results)
        writer = csv.writer(self._done, lineterminator="\n")
        for cell in cells:
            row = [*cell, steps, f"{seconds:.1f}"]
            writer.writerow(row)
            self._finished[cell] = (steps, _line(row))
        _flush(self._done)

    def _finished_rows(self) -> list[str]:
        """Rows without those of cells that are not done, and without a torn end."""
        path = self._workdir / RESULTS
        lines = _lines(path, COLUMNS)
        return [line for line in lines if _cell(path, line) in self._finished]

    def _rewrite(self, rows: list[str]) -> None:
        """done.csv first: killed in between, the rows left over are of no done cell."""
        lines = [line for _, line in self._finished.values()]
        _replace(self._workdir / DONE, _text(DONE_COLUMNS, lines))
        _replace(self._workdir / RESULTS, _text(COLUMNS, rows))

    def close(self) -> None:
        self._results.close()
        self._done.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_folder(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"workdir {str(workdir)!r} cannot be made: {error.strerror}."
        ) from None


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
        "seeds": list(merged.seeds),
        "evaluation": {"every": merged.eval_every, "episodes": merged.eval_episodes},
        "variants": {
            task: {name: entry._asdict() for name, entry in named.items()}
            for task, named in merged.variants.items()
        },
        "sessions": sessions,
    }
    if data != before:
        _replace(workdir / MANIFEST, json.dumps(data, indent=1) + "\n")


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


def _line(values: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def _text(columns: Sequence[str], lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in [",".join(columns), *lines])


def _append_to(path: Path, columns: Sequence[str]) -> io.TextIOWrapper:
    """The file, open at its end; it has its header."""
    if not path.exists():
        _replace(path, _text(columns, []))
    return path.open("a", encoding="utf-8", newline="")


def _flush(file: io.TextIOWrapper) -> None:
    file.flush()
    os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all; one that has this text is left alone."""
    data = text.encode()
    if path.exists() and path.read_bytes() == data:
        return
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
