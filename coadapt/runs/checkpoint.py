"""Checkpoints: what a program has between two env steps, on the disk whole or not.

    programs/<program>/<attempt>/<env steps>/            the arrays, written by Orbax
    programs/<program>/<attempt>/<env steps>/about.json  what they are, and checksums

about.json comes last, once the snapshot was opened, and older ones go after it: a kill
at any instant leaves one that is whole. Files are checked before anything reads them.
Nothing that is read can run code: arrays come from TensorStore, the rest is JSON.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from coadapt import devices
from coadapt.data import replay
from coadapt.learn import Clock, Learner
from coadapt.runner import Snapshot
from coadapt.runs import array_files, attempts, files, manifest, old_stores
from coadapt.runs.attempts import ABOUT, DAMAGED, PROGRAM
from coadapt.runs.attempts import Program as Record
from coadapt.runs.files import OLD, DamagedError, StoreError
from coadapt.runs.store import Start
from coadapt.runs.tables import Cell, Mark
from coadapt.version import __version__

_LOG = logging.getLogger(__name__)

FORMAT = 2  # of a snapshot; 1, of older versions, is read and does not go on


class OtherError(StoreError):
    """A snapshot of another version or config: nothing may take its place."""


def records(workdir: Path, *, reading: bool = False) -> list[Record]:
    """All programs that were begun in a run store.

    Args:
        reading: as `attempts.programs` has it.
    Raises: StoreError, ConfigError.
    """
    header = manifest.load(workdir)
    if header is None:
        return []
    if header.format != manifest.FORMAT:
        return old_stores.programs(workdir)
    return attempts.programs(workdir, reading=reading)


# ---------------------------------------------------------------- writing


class Writer:
    """Writes the snapshots of one attempt of a program, one after the other."""

    def __init__(self, record: Record, home: Path, keep: int):
        """`keep`: how many snapshots stay; 0: of a finished program its agents alone.

        What a kill left half-written or half-removed goes.
        """
        self._record, self._home, self._keep = record, home, keep
        for folder in (record.folder, *self._homes()):
            for name in files.names(folder):
                snapshot = name.isdigit() and folder != record.folder
                half = snapshot and not files.there(folder / name / ABOUT)
                if half or array_files.TMP in name or name.endswith(OLD):
                    files.remove(folder / name)
        self._checkpointer = array_files.checkpointer()

    def write(
        self,
        snapshot: Snapshot,
        *,
        ends: bool,
        goes_on: bool,
        marks: Mapping[str, Mark],
    ) -> None:
        """Write a snapshot; older ones are removed once it is whole.

        Args:
            ends: the program is over.
            goes_on: more steps may follow from here; if not, the replay is left out,
                and the newest snapshot that has one stays.
            marks: how far the attempt's tables are written.
        Raises:
            StoreError: what was there is there.
        """
        learner = snapshot.learner
        if not goes_on or (ends and not self._keep):
            learner, goes_on = learner._replace(store=None), False  # type: ignore[arg-type]
        arrays = array_files.named({"learner": learner, "metrics": snapshot.metrics})
        steps = int(snapshot.clock.steps)
        folder = self._home / str(steps)
        with _one_sentence(folder):
            array_files.require_room(folder.parent, arrays)
            array_files.write(folder, arrays, self._checkpointer)
            files.sync(folder)  # before anything says that it is whole
            written = array_files.checksums(folder)
            array_files.require_same(folder, arrays)
        about = {
            "format": FORMAT,
            "version": __version__,
            "program": self._record.folder.name,
            "steps": steps,
            "updates": int(snapshot.clock.updates),
            "seconds": snapshot.seconds,
            "goes_on": goes_on,
            "alive": int(np.sum(np.asarray(learner.health.alive))),
            "fingerprints": list(self._record.fingerprints),
            **marks,
            "files": written,
        }
        files.replace(folder / ABOUT, files.sealed(about))
        self._remove(steps, goes_on=goes_on, ends=ends)

    def _homes(self) -> list[Path]:
        """Our attempt and those before it: nobody touches a newer one's."""
        last = int(self._home.name)
        return [path for path in self._record.attempts() if int(path.name) <= last]

    def _remove(self, newest: int, *, goes_on: bool, ends: bool) -> None:
        """Of ours and older attempts; one of as many steps in those has been passed."""
        homes = self._homes()
        for home in homes:
            if home != self._home and files.there(home / str(newest) / ABOUT):
                files.remove(home / str(newest))
        there = self._record.snapshots().items()
        older = [p for steps, p in there if steps < newest and p.parent in homes]
        room = self._keep if ends else max(self._keep, 1)
        keep = max(room - 1, 0) if goes_on else room
        for path in older[: max(len(older) - keep, 0)]:
            files.remove(path)


@contextlib.contextmanager
def _one_sentence(folder: Path) -> Iterator[None]:
    """Whatever keeps a snapshot from being written, as a StoreError."""
    with array_files.silent(lasting=True):
        try:
            yield
        except Exception as error:  # Orbax and TensorStore have no common one
            raise StoreError(
                f"the checkpoint {str(folder)!r} cannot be written "
                f"({array_files.one_line(error)}): finished work is kept, and the same "
                "command continues from there."
            ) from error


# ---------------------------------------------------------------- reading


def newest(record: Record, steps: int, *, aside: bool = False) -> int:
    """The snapshot from which the way to `steps` env steps is shortest; 0: from none.

    Args:
        aside: one that is damaged is set aside; else it is passed over.
    Raises:
        OtherError:
        StoreError: if one cannot be read.
    """
    for found in reversed(record.steps()):
        if found > steps:
            continue
        try:
            said = about(record, found)
        except DamagedError as error:
            if aside:
                set_aside(record, found, error)
            continue
        usable = said["goes_on"] or found == steps or not said["alive"]
        home = record.at(found).parent
        if usable and attempts.has_rows(attempts.attempt(home), said):
            _require_readable(record.at(found), said)
            return found
    return 0


def origin(record: Record, steps: int) -> Start:
    """What an attempt that begins at this snapshot goes on from.

    Raises: StoreError.
    """
    said = about(record, steps)
    rows, failures = Mark(*said["rows"]), Mark(*said["failures"])
    return Start(record.at(steps).parent, steps, rows, failures)


def _require_readable(folder: Path, said: dict[str, Any]) -> None:
    """Open every file, so that what cannot be read is known before anything is written.

    One that is missing is damage, which is found when it is read.

    Raises: StoreError.
    """
    for name in said["files"]:
        try:
            with (folder / name).open("rb") as file:
                file.read(1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unusable(folder, error) from error


def refuse_other(
    record: Record, places: Sequence[int], fingerprints: Sequence[str]
) -> None:
    """Refuse to go on with other configs.

    Raises: OtherError.
    """
    for place, now in zip(places, fingerprints, strict=True):
        if record.fingerprints[place] != now:
            cell = record.cells[place]
            raise OtherError(
                f"{str(record.folder / PROGRAM)!r} has {cell.variant} on {cell.task} "
                f"with config {record.fingerprints[place]}, and {now} is asked for: "
                "choose another workdir."
            )


def set_aside(record: Record, steps: int, error: DamagedError) -> None:
    """Rename a snapshot that is damaged, and say so.

    Raises: StoreError.
    """
    path = record.at(steps)
    aside = path.with_name(f"{steps}{DAMAGED}")
    shutil.rmtree(aside, ignore_errors=True)
    files.move(path, aside)
    _LOG.warning("%s It is set aside as %s, and an earlier one serves.", error, aside)


def about(record: Record, steps: int, *, old: bool = False) -> dict[str, Any]:
    """What a snapshot says of itself.

    Args:
        old: one of an older version is read, too.
    Raises:
        DamagedError:
        OtherError:
        StoreError: if it cannot be read.
    """
    folder = record.at(steps)
    found = files.unsealed(folder / ABOUT)
    try:
        if found is None:
            raise ValueError(f"{ABOUT} is missing")
        version, prints = (found["format"], found["version"]), found["fingerprints"]
        whose = found.get("program", record.folder.name), found["steps"]
        if whose != (record.folder.name, steps):  # the folder was moved here
            raise ValueError(f"it is of env step {whose[1]} of the program {whose[0]}")
    except (ValueError, KeyError) as error:
        raise files.damaged(folder, str(error)) from None
    if version != (FORMAT, __version__) and not (old and version[0] in (1, FORMAT)):
        raise OtherError(
            f"the checkpoint {str(folder)!r} is of coadapt {version[1]} (format "
            f"{version[0]}), and this is {__version__} (format {FORMAT}): continue "
            "with that one, or choose another workdir."
        )
    if tuple(prints) != record.fingerprints:
        raise OtherError(
            f"the checkpoint {str(folder)!r} has other configs than "
            f"{PROGRAM} beside it: choose another workdir."
        )
    return found


def read(
    record: Record, steps: int, like: Learner, places: Sequence[int], size: replay.Size
) -> Snapshot:
    """The snapshot of the agents at these places of the program.

    Args:
        like: the shapes of one agent's learner.
        size: of the store that it goes on with; where it has another, the transitions
            are moved.
    Raises:
        DamagedError: if it is not what was written.
        OtherError: if it is of another version.
        StoreError: if it cannot be read or used here and now.
    """
    said, folder = about(record, steps), record.at(steps)
    with _unchanged(folder):
        array_files.require_files(folder, said)
        every = len(places) == len(record.cells)
        found = array_files.read(folder, devices.place(len(places)) if every else None)
        if not every:
            found = {name: x[list(places)] for name, x in found.items()}
        learner = _learner(found, like, size)
    return _snapshot(learner, found, said)


@contextlib.contextmanager
def _unchanged(folder: Path) -> Iterator[None]:
    """Whatever keeps a snapshot from being used, but damage, as one sentence."""
    with array_files.silent():
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # Orbax, TensorStore and XLA have no common one
            raise _unusable(folder, error) from error


def _unusable(folder: Path, error: Exception) -> StoreError:
    return StoreError(
        f"the checkpoint {str(folder)!r} cannot be used here and now "
        f"({array_files.one_line(error)}): nothing was changed, and what is there is "
        "kept."
    )


_STORE, _METRICS = "learner/store/", "metrics/"


def _snapshot(
    learner: Learner, found: dict[str, Any], said: dict[str, Any]
) -> Snapshot:
    metrics = {
        name.removeprefix(_METRICS): x
        for name, x in found.items()
        if name.startswith(_METRICS)
    }
    clock = Clock(np.int32(said["steps"]), np.int32(said["updates"]))
    return Snapshot(learner, clock, metrics, said["seconds"])


def read_agent(record: Record, steps: int, like: Learner, cell: Cell) -> Snapshot:
    """One agent of a snapshot, without an agent axis, and without its store.

    Nothing is changed, and the store, which may be large, is not brought to memory.

    Args:
        like: the shapes of one agent's learner.
    Raises:
        DamagedError: as `read` does.
        OtherError: as `read` does.
        StoreError: as `read` does.
    """
    folder, said, found = _of_one(record, steps, cell, store=False)
    with _unchanged(folder):
        learner = _learner(found, like, replay.Size(0, 0))
        learner, found = jax.tree.map(lambda x: x[0], (learner, found))
        return _snapshot(learner, found, said)


def read_replay(
    record: Record, steps: int, like: Learner, cell: Cell
) -> replay.Store | None:
    """What one agent had stored, as it was; None where it was left out.

    Raises:
        DamagedError: as `read` does.
        OtherError: as `read` does.
        StoreError: as `read` does.
    """
    folder, _, found = _of_one(record, steps, cell, store=True)
    if not found:
        return None
    with _unchanged(folder):
        named = array_files.named({"learner": {"store": like.store}})
        leaves = [found[name][0] for name in named]
        return jax.tree.unflatten(jax.tree.structure(like.store), leaves)


def _of_one(
    record: Record, steps: int, cell: Cell, *, store: bool
) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Where it is, what it says, and the arrays of one agent, [1, ...].

    Those of its store, or all others.
    """
    folder, place = record.at(steps), record.cells.index(cell)
    said = about(record, steps, old=True)
    with _unchanged(folder):
        array_files.require_files(folder, said)
        found = array_files.read(folder, chosen=lambda n: n.startswith(_STORE) == store)
        mine = {name: x[place : place + 1].copy() for name, x in found.items()}
    return folder, said, mine


def _learner(arrays: dict[str, Any], like: Learner, size: replay.Size) -> Learner:
    """Takes its arrays out of `arrays`, checked against the shapes of one agent."""
    if "learner/store/obs" not in arrays:
        like = like._replace(store=None)  # type: ignore[arg-type]
    tree, found = {"learner": like}, []
    for name, leaf in array_files.named(tree).items():
        array = arrays.pop(name)
        held = name.startswith("learner/store/")
        same = (
            array.shape[2:] == leaf.shape[1:] if held else array.shape[1:] == leaf.shape
        )
        if array.dtype != leaf.dtype or not same:
            raise ValueError(f"{name} is {array.shape[1:]} there, {leaf.shape} here")
        found.append(array)
    learner: Learner = jax.tree.unflatten(jax.tree.structure(tree), found)["learner"]
    store = learner.store
    if store is None or store.reward.shape[-1] == size.capacity:
        return learner
    each = [
        replay.resized(jax.tree.map(lambda x, i=i: np.asarray(x[i]), store), size)
        for i in range(store.reward.shape[0])
    ]
    return learner._replace(store=jax.tree.map(lambda *x: np.stack(x), *each))
