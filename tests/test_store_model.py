"""A run store under faults, against a simple model of what must be there.

Sequences of sessions that are killed, that the disk refuses, or that cannot read, and
of what users do to the folder meanwhile. In the place of the training is a number that
each step takes on, so that a row tells whether its agent went on from where it was.
`pytest -m long` has many sequences.
"""

import contextlib
import errno
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import coadapt
from coadapt import devices, runner, schema, sweep
from coadapt.learn import Clock, Health, Learner
from coadapt.runner import Interrupted, Report, Snapshot
from coadapt.runs import array_files, attempts, checkpoint, files, provenance, store
from coadapt.runs.store import Cell, StoreError
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints, Sweep, Variant
from coadapt.sweeps import packing
from tests.recipes import small

TASK, EVERY, CHECKPOINT = "toy/lqr", 10, 20
SAC = small("sac")
VARIANTS = {
    "one": Variant("one", "sac", SAC),
    "two": Variant("two", "sac", schema.override(SAC, {"optim.policy.rate": 2e-3})),
    "other": Variant("other", "ppo", small("ppo")),  # a program of its own
}


OTHER_SAC = schema.override(SAC, {"optim.policy.rate": 5e-3})
OTHERS = {
    "eval_every": {"eval_every": 2 * EVERY},
    "checkpoint_every": {"checkpoint_every": 2 * CHECKPOINT},
    "experiment": {"experiment": "another"},
}


VERSIONS = provenance.versions()  # to read them takes as long as a session
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
MANIFESTS = (store.MANIFEST, store.manifest.COPY)


class Kill(BaseException):
    """The process is no more."""


# ---------------------------------------------------------------- the training


def state(seed: int, steps: int) -> float:
    """What an agent has come to: each step needs the one before."""
    found = seed + 1
    for step in range(steps):
        found = (31 * found + step) % 65_521
    return float(found)


def train(
    configs, seeds, task, *, steps, eval_every, report, save, start_at, stop,
    checkpoint_every, **_,
):  # fmt: skip
    done = int(start_at.clock.steps) if start_at else 0
    found = np.array([seed + 1 for seed in seeds], np.int64)
    if start_at:
        found = np.asarray(start_at.learner.agent["state"], np.int64)

    def snapshot():
        none = np.zeros(len(seeds), np.int32)
        health = Health(none - 1, none, none)
        agent = {"state": found.astype(np.float32)}
        return Snapshot(Learner(agent, None, health), Clock(done, done), {}, 1.0)

    while done < steps:
        found, done = (31 * found + done) % 65_521, done + 1
        ends = done == steps
        if ends or done % eval_every == 0:
            values = {"return": found.astype(float), "kl": np.full(len(seeds), done)}
            report(Report(done, values, 1.0, []))
        if ends or done % checkpoint_every == 0:
            save(snapshot())
            if not ends and stop():
                raise Interrupted(done)
    return snapshot()


def shapes(*_):
    """Of one agent."""
    none = np.zeros((), np.int32)
    return Learner({"state": np.zeros((), np.float32)}, None, Health(none, none, none))


class Disk:
    """Where the n-th change does not come to be, or somebody looks at it, or no
    snapshot can be read."""

    def __init__(self, look: Callable[[], object]):
        self.look = look
        self.left, self.how, self.dead, self.reads = -1, "", False, None

    def step(self, *_):
        if self.dead:
            raise Kill
        self.left -= 1
        if self.left == 0:
            self._fail()

    def put(self, file, data):
        if self.left == 1 and self.how.startswith("half"):
            file.write(data[: len(data) // 2])
            file.flush()
            data = data[len(data) // 2 :]
            self.left = 0
            self._fail()
        file.write(data)
        file.flush()

    def _fail(self):
        if self.how.endswith("look"):
            self.look()
            return
        if self.how.endswith("kill"):
            self.dead = True
            raise Kill
        raise OSError(getattr(errno, self.how.removeprefix("half ")), "no")

    def write(self, folder, arrays, opened):
        files.step("snapshot", folder)
        folder.mkdir()
        files.step("snapshot", folder)  # half of it is there
        np.savez(folder / "arrays.npz", **arrays)

    def read(self, folder, place=None, chosen=None):
        if self.reads is not None:
            raise self.reads
        with np.load(folder / "arrays.npz") as found:
            return {n: found[n] for n in found if chosen is None or chosen(n)}


@functools.cache
def parsed(kind: type, text: str, once=schema.from_dict) -> Any:
    """Configs are a few, and read at each look."""
    return once(kind, json.loads(text))


@contextlib.contextmanager
def stubs(disk: Disk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(provenance, "versions", lambda: VERSIONS)
        patch.setattr(schema, "from_dict", lambda kind, x: parsed(kind, json.dumps(x)))
        patch.setattr(files, "step", disk.step)
        patch.setattr(files, "put", disk.put)
        patch.setattr(array_files, "read", disk.read)
        patch.setattr(array_files, "checkpointer", lambda: None)
        patch.setattr(array_files, "write", disk.write)
        with no_training():
            yield


@contextlib.contextmanager
def no_training():
    """The number that each step takes on, in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "train", train)
        patch.setattr(runner, "shapes", shapes)
        patch.setattr(packing, "cost_of", lambda *_: sweep.Cost(1, 0, 0))
        patch.setattr(sweep, "_to_compile", lambda *_: [])
        yield


# ---------------------------------------------------------------- the model


class Model:
    """What readers have seen, and what must be there because of it."""

    def __init__(self, folder: Path):
        self.folder, self.disk = folder, Disk(self.look_and_load)
        self.reach: dict[Cell, int] = {}
        self.done: dict[Cell, int] = {}
        self.damaged = set[Path]()  # snapshots

    def look(self) -> dict[Cell, dict[tuple[int, str], float]]:
        """Reads as a report does, and checks what it says."""
        try:
            header = store.load(self.folder)
        except ConfigError:  # a kill before the first manifest
            header = None
        if header is None:
            assert not self.reach
            return {}
        rows: dict[Cell, dict[tuple[int, str], float]] = {}
        frame = store.read(self.folder)
        columns = ("variant", "seed", "env_steps", "metric", "value")
        for variant, seed, *key, value in zip(
            *(frame[name].tolist() for name in columns), strict=True
        ):
            mine = rows.setdefault(Cell(TASK, variant, seed), {})
            assert tuple(key) not in mine  # no row is there twice
            mine[tuple(key)] = value
        finished = store.finished(self.folder, header)
        for cell in {*self.reach, *rows}:
            self._check(cell, rows.get(cell, {}), finished.get(cell, 0))
        assert {c for c in finished} <= set(rows)
        return rows

    def _check(self, cell: Cell, rows: dict[tuple[int, str], float], done: int) -> None:
        reach = max((steps for steps, _ in rows), default=0)
        # what was seen is there until something at least as far is
        assert reach >= self.reach.get(cell, 0), cell
        assert done >= self.done.get(cell, 0), cell
        assert reach >= done, cell
        self.reach[cell], self.done[cell] = reach, done
        there = {steps for steps, _ in rows}
        assert there >= set(range(EVERY, reach + 1, EVERY)), cell  # without holes
        for steps in there:
            assert rows[steps, "kl"] == steps
            assert rows[steps, "return"] == state(cell.seed, steps), (cell, steps)

    def run(
        self,
        asked: dict[str, Any],
        fault: tuple[str, int] = ("", -1),
        reads: Exception | None = None,
    ) -> None:
        """A session, in which a change or the reading of a snapshot may fail."""
        self.disk.reads = reads
        try:
            self.session(asked, fault)
        except (Kill, Interrupted):
            return
        except StoreError as error:
            assert (fault[0] or reads) and "\n" not in str(error)
            return
        self.look()
        for name in asked["variants"]:
            for seed in asked["seeds"]:
                assert self.done[Cell(TASK, name, seed)] >= asked["steps"]

    def session(
        self, asked: dict[str, Any], fault: tuple[str, int] = ("", -1), **other
    ) -> None:
        """What `sweep.run` raises; `other` settings than those of all sessions."""
        self.disk.how, self.disk.left = fault
        stop = iter(range(10**6))
        usual: dict[str, Any] = {
            "experiment": "model",
            "variants": {TASK: [VARIANTS[name] for name in asked["variants"]]},
            "seeds": asked["seeds"],
            "steps": asked["steps"],
            "eval_every": EVERY,
            "checkpoint_every": CHECKPOINT,
        }
        try:
            sweep.run(
                Sweep(**usual | other), self.folder,
                lambda each: self._told(asked, each),
                memory=asked["memory"],
                checkpoints=Checkpoints(keep=asked["keep"], share=float("inf")),
                stop=lambda: next(stop) >= asked["stop"],
            )  # fmt: skip
        finally:
            self.disk.__init__(self.disk.look)

    def _told(self, asked: dict[str, Any], event: sweep.Progress) -> None:
        if asked["looks"] and event.report:
            self.look()
            self._load(event.group.cells[-1])

    def look_and_load(self) -> None:
        """As another process would, at any instant of one that writes."""
        for cell in list(self.look())[:1]:
            self._load(cell)

    def _load(self, cell: Cell) -> None:
        """An agent as its newest snapshot has it, if there is one."""
        try:
            found = coadapt.load(self.folder, **cell._asdict())
        except ConfigError as error:
            assert "has no snapshot" in str(error)
            return
        except checkpoint.DamagedError:
            return
        assert found.steps > 0 and found.alive
        assert found.state["state"] == state(cell.seed, found.steps)

    # what happens to the folder meanwhile

    def unreadable(self, asked: dict[str, Any], error: Exception) -> None:
        """Snapshots are whole and cannot be read, or written: no row is changed."""
        homes = [home for each in self._programs() for home in each.attempts()]
        tables = [path for home in homes for path in home.iterdir() if path.is_file()]
        before = {path: path.read_bytes() for path in tables}
        whole = {x for p in self._programs() for x in p.snapshots().values()}
        self.run(asked, reads=error)
        assert before == {path: path.read_bytes() for path in tables}
        assert all(path.exists() for path in whole - self.damaged)  # none is set aside

    def remove_snapshots(self) -> None:
        for program in self._programs():
            for path in program.snapshots().values():
                shutil.rmtree(path)

    def damage_a_snapshot(self, place: int) -> None:
        found = [x for p in self._programs() for x in p.snapshots().values()]
        for path in found[place % len(found) :][:1] if found else ():
            (path / "arrays.npz").write_bytes(b"x")
            self.damaged.add(path)

    def swap_snapshots(self, place: int, other: int) -> None:
        """Whole folders, of one program or of two."""
        found = [x for p in self._programs() for x in p.snapshots().values()]
        if len(found) > 1:
            one = found[place % len(found)]
            two = [x for x in found if x != one][other % (len(found) - 1)]
            aside = self.folder / "aside"
            for path, to in ((one, aside), (two, one), (aside, two)):
                path.rename(to)
            self.damaged |= {one, two}

    def other(self, asked: dict[str, Any], what: str) -> bool:
        """A session with other settings is refused, or ends before it wrote anything.

        Its first changes are those of owner.json.
        """
        before, begun = self._files(), self._begun()
        known = begun and set(store.load(self.folder).variants[TASK])
        refused = False
        with pytest.MonkeyPatch.context() as patch:
            change = OTHERS.get(what, {})
            if what == "devices":
                mesh = type("Mesh", (), {"size": 7})
                patch.setattr(devices, "mesh", lambda _: mesh)
            elif what == "version":
                patch.setattr(checkpoint, "__version__", "0.0.1")
            elif what == "config":
                changed = Variant(asked["variants"][0], "sac", OTHER_SAC)
                change = {"variants": {TASK: [changed]}}
            try:
                self.session(asked, ("kill", 3), **change)
            except (ConfigError, StoreError):
                refused = True
            except Kill:
                pass
        assert (
            refused
            or not begun
            or what in ("devices", "version")
            or (what == "config" and asked["variants"][0] not in known)
        )
        assert self._files() == before
        return refused

    def refused(self, *words: Any) -> None:
        assert self.other(*words)

    def damage_a_program(self, asked: dict[str, Any], place: int) -> None:
        """Its rows are read as before; nothing goes on until it is back."""
        programs = self._programs()
        if not programs:
            return
        path = programs[place % len(programs)].folder / attempts.PROGRAM
        whole, before = path.read_bytes(), self.look()
        path.write_bytes(whole[:-9])
        damaged = self._files()
        attempts._SAID.add(str(path))
        assert self.look() == before
        self.look_and_load()
        with pytest.raises(StoreError, match="bring the file back"):
            self.session(asked, ("", -1))
        assert self._files() == damaged
        path.write_bytes(whole)

    def damage_the_manifest(self, name: str) -> None:
        """Its copy serves; the next session writes both."""
        both = [self.folder / each for each in MANIFESTS]
        if all(path.exists() and _whole(path) for path in both):
            before, path = self.look(), self.folder / name
            attempts._SAID.add(str(both[0]))
            path.write_bytes(path.read_bytes()[:-9])
            assert self.look() == before
            self.look_and_load()

    def _files(self) -> dict[Path, bytes]:
        every = [path for path in self.folder.rglob("*") if path.is_file()]
        own = (store.manifest.LOCK, store.manifest.OWNER, store.manifest.OWNER + ".tmp")
        return {path: path.read_bytes() for path in every if path.name not in own}

    def edit(self, name: str) -> None:
        if (self.folder / name).exists():
            (self.folder / name).write_text("mine\n")

    def damage_rows(self, place: int) -> None:
        """What is lost is lost; the rest holds from here."""
        paths = [h / "rows.csv" for p in self._programs() for h in p.attempts()]
        if paths:
            path = paths[place % len(paths)]
            data = bytearray(path.read_bytes())
            data[(place * 7919) % len(data)] ^= 4
            path.write_bytes(data)
            attempts._SAID.add(str(path))
            self.reach.clear()
            self.done.clear()

    def _programs(self) -> list[attempts.Program]:
        there = self._begun()
        return attempts.programs(self.folder) if there else []

    def _begun(self) -> bool:
        return any((self.folder / name).exists() for name in MANIFESTS)


def _whole(path: Path) -> bool:
    try:
        return files.unsealed(path) is not None
    except StoreError:
        return False


# ---------------------------------------------------------------- sequences

FAULTS = [
    "kill", "half kill", "ENOSPC", "half ENOSPC", "EACCES", "EIO", "look", "half look"
]  # fmt: skip
asks = st.fixed_dictionaries({
    "variants": st.sampled_from([("one",), ("two", "one"), ("one", "two", "other")]),
    "seeds": st.sampled_from([(0,), (0, 1), (2, 0), (0, 1, 2)]),
    "steps": st.sampled_from([20, 40, 50, 60]),
    "keep": st.sampled_from([0, 1, 2]),
    "memory": st.sampled_from([None, 2]),
    "looks": st.booleans(),
    "stop": st.sampled_from([10**6, 10**6, 2, 4]),
})  # fmt: skip
runs = st.tuples(
    st.just("run"),
    asks,
    st.just(("", -1)) | st.tuples(st.sampled_from(FAULTS), st.integers(1, 60)),
)
errors = st.sampled_from([
    MemoryError("none is left"), OSError(errno.EIO, "no"), ValueError("float64 there"),
    RuntimeError("RESOURCE_EXHAUSTED: out of memory"), PermissionError(13, "no"),
])  # fmt: skip
others = st.one_of(
    st.tuples(st.just("remove_snapshots")),
    st.tuples(st.just("damage_a_snapshot"), st.integers(0, 5)),
    st.tuples(st.just("swap_snapshots"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(
        st.just("other"),
        asks,
        st.sampled_from([*OTHERS, "config", "devices", "version"]),
    ),
    st.tuples(st.just("damage_a_program"), asks, st.integers(0, 5)),
    st.tuples(
        st.just("damage_the_manifest"),
        st.sampled_from(MANIFESTS),
    ),
    st.tuples(st.just("damage_rows"), st.integers(0, 1000)),
    st.tuples(st.just("unreadable"), asks, errors),
    st.tuples(
        st.just("edit"),
        st.sampled_from(["results.csv", "done.csv", "failures.csv", ".views.json"]),
    ),
)
sequences = st.lists(st.one_of(runs, runs, runs, others), min_size=2, max_size=8)


def holds(operations: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as name:
        model = Model(Path(name) / "work")
        with stubs(model.disk):
            for what, *words in operations:
                getattr(model, what)(*words)
                model.look()
            model.run(ALL)
        text = (model.folder / store.RESULTS).read_text().splitlines()
        assert len(text) == 1 + len(store.read(model.folder))


ALL = {
    "variants": tuple(VARIANTS), "seeds": (0, 1, 2), "steps": 60, "keep": 1,
    "memory": None, "stop": 10**6, "looks": True,
}  # fmt: skip
quiet = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def stopped(after: int, steps: int) -> tuple[Any, ...]:
    """A session of all, until so many of its checkpoints were asked."""
    return "run", {**ALL, "steps": steps, "stop": after}, ("", -1)


# sessions that are rare among those that are drawn
GOES_FURTHER = [stopped(4, 60), ("remove_snapshots",), stopped(10**6, 20)]
STARTS_ANEW = [stopped(10**6, 60), ("damage_rows", 1), ("remove_snapshots",)]
ROWS_ARE_LOST = [stopped(4, 60), ("damage_rows", 40)]
CANNOT_READ = [stopped(4, 60), ("unreadable", ALL, MemoryError("none is left"))]


NO_MANIFEST = [
    stopped(2, 40),
    ("damage_the_manifest", store.MANIFEST),
    stopped(10**6, 60),
    ("damage_the_manifest", store.MANIFEST),
    ("damage_the_manifest", store.manifest.COPY),
]
SWAPPED = [stopped(6, 60), ("swap_snapshots", 0, 0)]
# the one program is damaged, and so is there
ONE = {
    **ALL,
    "variants": ("one",),
    "seeds": (0,),
    "steps": 20,
    "keep": 0,
    "looks": False,
}
NO_PROGRAM = [("run", ONE, ("", -1)), ("damage_rows", 0), ("damage_a_program", ONE, 0)]
# a snapshot of another program says nothing of the fingerprints of this one
SWAPPED_NO_PROGRAM = [
    ("run", ONE | {"variants": ("two", "one")}, ("", -1)),
    (
        "run",
        {"variants": ("two", "one"), "seeds": (0, 1, 2), "steps": 50, "stop": 10**6}
        | {"memory": 2, "keep": 2, "looks": False},
        ("", -1),
    ),
    ("damage_a_program", ONE, 1),
    ("swap_snapshots", 0, 2),
    ("damage_a_program", ONE, 0),
]
OTHER_DEVICES = [stopped(2, 60), ("refused", ALL, "devices")]
OTHER_VERSION = [stopped(2, 60), ("refused", ALL, "version")]


@given(sequences)
@example(GOES_FURTHER)
@example(STARTS_ANEW)
@example(ROWS_ARE_LOST)
@example(CANNOT_READ)
@example(NO_MANIFEST)
@example(SWAPPED)
@example(NO_PROGRAM)
@example(SWAPPED_NO_PROGRAM)
@example(OTHER_DEVICES)
@example(OTHER_VERSION)
@settings(quiet, max_examples=25)
def test_nothing_that_was_seen_is_lost(operations):
    holds(operations)


@pytest.mark.long
@given(sequences)
@settings(quiet, max_examples=10_000, derandomize=False)
def test_nothing_that_was_seen_is_lost_in_many_ways(operations):
    holds(operations)
