"""What a run store is of: manifest.json, as it is read and written.

There are two of it: the copy is written first, and serves where the other is damaged.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coadapt.runs import attempts, files, provenance
from coadapt.runs.migrations import SCHEMA, migrated
from coadapt.runs.tables import Cell
from coadapt.schema import ConfigError
from coadapt.tasks.units import Unit

FORMAT = 4  # of the folder
READ_ONLY = 3  # an older one, which is read but not written: see old_stores.py
NAMELESS = ("train", "sweep")  # what the commands and Python call what has no name
MANIFEST, LOCK, OWNER = "manifest.json", ".lock", "owner.json"
COPY = f"{MANIFEST}.copy"
TUNING = "tuning"  # a run store within, of what a tuned study chose by
SESSIONS = "sessions"  # a file for each that began in a process beside others


class DamagedError(ConfigError):
    """A manifest that is damaged or missing, and its copy too; rows may be there."""


class Entry(NamedTuple):
    """What the manifest says of a variant on a task."""

    algorithm: str
    fingerprint: str  # of the version that wrote the entry first: a name
    config: dict[str, Any]  # schema.to_dict
    dataset: str = ""  # a hash of the data set that it learns from; '' of none

    def completed(self, other: "Entry") -> "Entry":
        """With the other's hash, where an older version has noted none."""
        return self._replace(dataset=self.dataset or other.dataset)


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
    # env steps of each cell that was asked for, where not all were alike
    asked: Mapping[Cell, int] = dataclasses.field(default_factory=dict)
    # of each task, fixed before its first run; a store of before has none
    units: Mapping[str, Unit] = dataclasses.field(default_factory=dict)
    # how the study decides, fixed before its first run: protocol.py; {} of none
    protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    deviations: tuple[Mapping[str, Any], ...] = ()  # what was asked for otherwise since
    format: int = FORMAT

    def steps_on(self, task: str) -> int:
        """Env steps, the most that were asked for on this task."""
        return self.task_steps.get(task, self.steps)

    def cells(self) -> list[Cell]:
        """All that were asked for, task by task, variants x seeds."""
        every = (
            Cell(task, name, seed)
            for task, named in self.variants.items()
            for name in named
            for seed in self.seeds
        )
        return [cell for cell in every if not self.asked or cell in self.asked]

    def steps_of(self, cell: Cell) -> int:
        """Env steps that were asked for of this cell."""
        return self.asked.get(cell, self.steps_on(cell.task))

    def steps_of_variant(self, task: str, variant: str) -> int:
        """Env steps of its runs on a task, the most that were asked for of one."""
        return max(self.steps_of(Cell(task, variant, seed)) for seed in self.seeds)

    def entry(self, cell: Cell) -> Entry:
        """What is said of its variant."""
        return self.variants[cell.task][cell.variant]

    def merged(self, other: "Header") -> "Header":
        """Both, the other's new seeds, tasks and variants after ours."""
        tasks = [*self.variants, *(t for t in other.variants if t not in self.variants)]
        most = max(self.steps, other.steps)
        steps = {
            t: max(h.steps_on(t) for h in (self, other) if t in h.variants)
            for t in tasks
        }
        asked = {cell: self.steps_of(cell) for cell in self.cells()}
        for cell in other.cells():
            asked[cell] = max(asked.get(cell, 0), other.steps_of(cell))
        return dataclasses.replace(
            self,
            steps=most,
            task_steps={t: n for t, n in steps.items() if n != most},
            seeds=tuple(dict.fromkeys([*self.seeds, *other.seeds])),
            variants={
                t: _merged(self.variants.get(t, {}), other.variants.get(t, {}))
                for t in tasks
            },
            asked=asked,
            # a task that ran before it had a unit has none: it came too late
            units=dict(self.units)
            | {t: u for t, u in other.units.items() if t not in self.variants},
            protocol=self.protocol or other.protocol,
            deviations=(
                *self.deviations,
                *(each for each in other.deviations if each not in self.deviations),
            ),
        )

    def joined(self, other: "Header") -> "Header":
        """Both, of runs that were made apart: protocols that differ are a deviation."""
        both = self.merged(other)
        off = tuple(_deviations(both, self) + _deviations(both, other))
        return dataclasses.replace(both, deviations=(*both.deviations, *off))


def _merged(ours: Mapping[str, Entry], theirs: Mapping[str, Entry]) -> dict[str, Entry]:
    """Theirs after ours."""
    known = {n: entry.completed(theirs.get(n, entry)) for n, entry in ours.items()}
    return {**theirs, **known}


# ---------------------------------------------------------------- reading


def load(workdir: Path) -> Header | None:
    """The header of the store at `workdir`; None where there is nothing yet.

    Raises:
        ConfigError: if what is there is no run store, or is damaged.
    """
    try:
        there = workdir.exists()
    except OSError as error:
        raise ConfigError(
            f"workdir {str(workdir)!r} cannot be a folder: {error.strerror}."
        ) from None
    if not there:
        return None
    if not workdir.is_dir():
        raise ConfigError(f"workdir {str(workdir)!r} is a file: it must be a folder.")
    if not _there(workdir):
        _require_empty(workdir)
        return None
    return _header(workdir)


def _there(workdir: Path) -> bool:
    return files.there(workdir / MANIFEST) or files.there(workdir / COPY)


def _require_empty(workdir: Path) -> None:
    """Raises: ConfigError. What is ours comes with a manifest, or before it."""
    own = (COPY + ".tmp", MANIFEST + ".tmp", LOCK, OWNER, OWNER + ".tmp", TUNING)
    programs = workdir / attempts.PROGRAMS
    if files.names(programs):
        raise _damaged(workdir, "it is missing")
    if programs.is_dir():
        own = (*own, attempts.PROGRAMS)
    found = [name for name in files.names(workdir) if name not in own]
    if found:
        raise ConfigError(
            f"workdir {str(workdir)!r} is not empty and not a run store (it has "
            f"{found[0]!r} but no {MANIFEST}): choose another."
        )


def read(workdir: Path) -> dict[str, Any]:
    """The manifest; where that is damaged, its copy, which is said.

    Raises:
        ConfigError: of which DamagedError, if both are damaged.
    """
    try:
        return _read(workdir, MANIFEST)
    except ConfigError as error:
        try:
            found = _read(workdir, COPY)
        except ConfigError:
            raise error from None
        words = f"{str(workdir / MANIFEST)!r} is damaged or missing: its copy serves."
        attempts.say_once(workdir / MANIFEST, "%s", words)
        return found


def _read(workdir: Path, name: str) -> dict[str, Any]:
    path = workdir / name
    try:
        text = files.read(path)
        if text is None:
            raise _damaged(workdir, "it is missing")
        data = json.loads(text)
        if data["format"] not in (FORMAT, READ_ONLY):
            raise ConfigError(
                f"workdir {str(workdir)!r} has format {data['format']!r}, and this "
                f"version of coadapt writes {FORMAT}: choose another."
            )
        return data if data["format"] == READ_ONLY else files.checked(data)
    except ConfigError:
        raise
    except files.DamagedError as error:
        raise _damaged(workdir, str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(workdir, repr(error)) from None


def sessions(workdir: Path) -> list[dict[str, Any]]:
    """Those of the store, in their order: the manifest's, then those of processes that
    shared it since; one that is damaged is said, and left out.

    Raises:
        ConfigError: if the manifest is damaged.
        files.StoreError:
    """
    listed = read(workdir)["sessions"] if _there(workdir) else []
    found = {each.get("id", i): each for i, each in enumerate(listed)}  # old: none
    for name in _noted(workdir):
        said = attempts.unsealed(workdir / SESSIONS / name)
        if said is not None:
            found.setdefault(said["id"], said)
    return list(found.values())


def _noted(workdir: Path) -> list[str]:
    """The files of sessions, in their order."""
    names = [n for n in files.names(workdir / SESSIONS) if n[0] != "."]
    return sorted(names, key=lambda n: (len(n), n))


def own_session(workdir: Path) -> str:
    """The id of this process's session in a store that others write too.

    That of one which is equal in all, else a new one, in a file of its own: its number
    is whose file is there first.

    Raises: ConfigError, files.StoreError.
    """
    folder, here = workdir / SESSIONS, provenance.here()
    files.make(folder)
    while True:
        there = sessions(workdir)
        for each in there:
            if {**each, **_UNLIKE} == {**here, **_UNLIKE}:
                return each["id"]
        number = _free(workdir, there)
        said = files.sealed({"id": number, "started": _now(), **here})
        with contextlib.suppress(FileExistsError):
            files.create(folder / f"{number}.json", said)


def _free(workdir: Path, there: Sequence[dict[str, Any]]) -> str:
    """An id that no session has, one whose file is damaged included."""
    taken = [each["id"] for each in there]
    taken += [name.removesuffix(".json") for name in _noted(workdir)]
    return str(max(map(int, taken), default=0) + 1)


_UNLIKE = {"id": None, "started": None}  # of sessions that are one


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _header(workdir: Path) -> Header:
    data = read(workdir)
    try:
        _check_types(data)
        number = data.get("schema", 1)
        if number > SCHEMA:
            raise ConfigError(
                f"workdir {str(workdir)!r} was written by a newer version of "
                "coadapt: its "
                f"configs have schema {number}, and this version knows {SCHEMA}."
            )
        return Header(
            experiment=data["experiment"],
            steps=data["steps"],
            task_steps=data.get("task_steps", {}),
            seeds=tuple(data["seeds"]),
            eval_every=data["evaluation"]["every"],
            eval_episodes=data["evaluation"]["episodes"],
            checkpoint_every=data["checkpoint_every"],
            variants={
                task: {name: _entry(entry, number) for name, entry in named.items()}
                for task, named in data["variants"].items()
            },
            asked=_asked(data.get("cells", {})),
            units={t: Unit(**u) for t, u in data.get("units", {}).items()},
            protocol=_protocol(data),
            deviations=tuple(data.get("deviations", ())),
            format=data["format"],
        )
    except ConfigError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(workdir, repr(error)) from None


def _protocol(data: dict[str, Any]) -> dict[str, Any]:
    """Raises: ValueError, where it is not what its hash is of."""
    found = data.get("protocol", {})
    if found and digest(found["plan"]) != found["hash"]:
        raise ValueError("the protocol is not what its hash is of")
    return found.get("plan", {})


def digest(protocol: Mapping[str, Any]) -> str:
    """SHA-256 of its JSON, keys in order: to be made public before the first run."""
    text = json.dumps(protocol, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _entry(data: dict[str, Any], number: int) -> Entry:
    entry = Entry(**data)
    return entry._replace(config=migrated(entry.config, number))


def _asked(cells: dict[str, dict[str, dict[str, list[int]]]]) -> dict[Cell, int]:
    return {
        Cell(task, name, seed): int(steps)
        for task, named in cells.items()
        for name, by_steps in named.items()
        for steps, seeds in by_steps.items()
        for seed in seeds
    }


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


def _damaged(workdir: Path, reason: str) -> DamagedError:
    found = files.damaged(workdir / MANIFEST, reason)
    return DamagedError(
        f"{str(found).rstrip('.')}, and there is no whole copy of it: rows are read "
        "all the same (coadapt.store.read), for all else bring it back from a backup."
    )


# ---------------------------------------------------------------- writing


def joined(
    known: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """All sessions of two stores; and the ids of the others' among them, by theirs."""
    noted, names = [*known], {"": ""}
    for each in others:
        alike = [k for k in noted if {**k, "id": None} == {**each, "id": None}]
        if not alike:
            last = max((int(k["id"]) for k in noted), default=0)
            alike = [{**each, "id": str(last + 1)}]
            noted += alike
        names[each["id"]] = alike[0]["id"]
    return noted, names


def write(
    workdir: Path,
    old: Header | None,
    new: Header,
    *,
    session: bool,
    noted: Sequence[dict[str, Any]] | None = None,
) -> str:
    """The merged manifest; returns the newest session's id.

    A session is noted if it differs from the last. `noted`: all sessions that there
    were; None: those that are there.

    Raises: files.StoreError.
    """
    join = Header.merged if session or noted is None else Header.joined
    merged = join(old or new, new)
    noted = (sessions(workdir) if old else []) if noted is None else noted
    noted = _with_this(workdir, noted) if session else noted
    off = [*merged.deviations, *(_deviations(old, new) if session else [])]
    data = {
        "format": FORMAT,
        "schema": SCHEMA,
        "experiment": merged.experiment,
        "tasks": list(merged.variants),
        "steps": merged.steps,
        **({"task_steps": dict(merged.task_steps)} if merged.task_steps else {}),
        "seeds": list(merged.seeds),
        "cells": _by_steps(merged),
        "evaluation": {"every": merged.eval_every, "episodes": merged.eval_episodes},
        "checkpoint_every": merged.checkpoint_every,
        "units": {t: _fixed(unit) for t, unit in merged.units.items()},
        **_planned(merged, off),
        "variants": {
            task: {name: _plain(entry) for name, entry in named.items()}
            for task, named in merged.variants.items()
        },
        "sessions": [*noted],
    }
    text = files.sealed(data)
    files.replace(workdir / COPY, text)
    _set_aside(workdir)
    files.replace(workdir / MANIFEST, text)
    return noted[-1]["id"] if noted else ""


def _with_this(
    workdir: Path, noted: Sequence[dict[str, Any]]
) -> Sequence[dict[str, Any]]:
    """Sessions, and this one where it differs from the last."""
    here = provenance.here()
    if noted and {**noted[-1], **_UNLIKE} == {**here, **_UNLIKE}:
        return noted
    return [*noted, {"id": _free(workdir, noted), "started": _now(), **here}]


def _planned(header: Header, deviations: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The protocol with its hash, and what was asked for otherwise; {} of neither."""
    found: dict[str, Any] = {}
    if header.protocol:
        plan = dict(header.protocol)
        found["protocol"] = {"hash": digest(plan), "plan": plan}
    return {**found, **({"deviations": deviations} if deviations else {})}


def _deviations(old: Header | None, new: Header) -> list[dict[str, Any]]:
    """In what a session is otherwise than the store's protocol; of none, none."""
    if old is None or not (old.protocol or new.protocol):
        return []
    if not old.protocol:
        off: dict[str, Any] = {"protocol": ["none", "fixed after the first run"]}
    elif not new.protocol:
        off = {"protocol": ["followed", "runs without it"]}
    else:
        keys = dict.fromkeys([*old.protocol, *new.protocol])
        both = ((key, old.protocol.get(key), new.protocol.get(key)) for key in keys)
        off = {key: [was, now] for key, was, now in both if was != now}
        off |= _more_seeds(old, new)
    known = [each["changed"] for each in old.deviations]
    return [{"at": _now(), "changed": off}] if off and off not in known else []


def _more_seeds(old: Header, new: Header) -> dict[str, Any]:
    """Where a protocol says how many and not which: more than it says."""
    most, there = old.protocol.get("seeds"), len({*old.seeds, *new.seeds})
    return {"seeds": [most, there]} if isinstance(most, int) and there > most else {}


def _set_aside(workdir: Path) -> None:
    """A manifest that is damaged stays beside the one that takes its place."""
    path = workdir / MANIFEST
    try:
        _read(workdir, MANIFEST)
    except ConfigError:
        if files.there(path):
            files.move(path, path.with_name(MANIFEST + attempts.DAMAGED))


def _plain(entry: Entry) -> dict[str, Any]:
    found = entry._asdict()
    return found if entry.dataset else {n: found[n] for n in found if n != "dataset"}


def _fixed(unit: Unit) -> dict[str, Any]:
    """Of a unit, what the manifest has: all was measured before the runs."""
    found = dataclasses.asdict(unit)
    del found["now"]
    return found


def _by_steps(header: Header) -> dict[str, dict[str, dict[str, list[int]]]]:
    """task -> variant -> env steps -> seeds."""
    found: dict[str, dict[str, dict[str, list[int]]]] = {}
    for cell in header.cells():
        named = found.setdefault(cell.task, {}).setdefault(cell.variant, {})
        named.setdefault(str(header.steps_of(cell)), []).append(cell.seed)
    return found
