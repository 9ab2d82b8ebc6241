"""Checkpoints: what a program has between two env steps, on the disk whole or not.

    checkpoints/<program>/program.json            its cells in order, and fingerprints
    checkpoints/<program>/<env steps>/            the arrays, written by Orbax
    checkpoints/<program>/<env steps>/about.json  what they are, and checksums of files

about.json comes last, and older snapshots go after it, so a kill at any instant leaves
one that is whole. Files are checked before anything reads them. Nothing that is read
can run code: arrays come from TensorStore, the rest is JSON.
"""

import contextlib
import hashlib
import json
import logging
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from coadapt import devices
from coadapt.data import replay
from coadapt.learn import Clock, Learner
from coadapt.runner import Snapshot
from coadapt.store import Cell, StoreError, replace, writing
from coadapt.version import __version__

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

_LOG = logging.getLogger(__name__)

_CHUNK = 16 << 20  # bytes of an array that are packed, or unpacked, at a time

FORMAT = 1  # of a snapshot; another number is refused
FOLDER, PROGRAM, ABOUT = "checkpoints", "program.json", "about.json"


class DamagedError(StoreError):
    """A snapshot that cannot be read, in one sentence."""


class OtherError(StoreError):
    """A snapshot of another version or config: nothing may take its place."""


class Record(NamedTuple):
    """A program that was begun: its agents, in order, and where its snapshots are."""

    folder: Path
    cells: tuple[Cell, ...]
    fingerprints: tuple[str, ...]  # of the cells' configs

    def steps(self) -> list[int]:
        """Env steps of the snapshots that are whole, in order."""
        found = (path.parent.name for path in self.folder.glob(f"*/{ABOUT}"))
        return sorted(int(name) for name in found if name.isdigit())


def records(workdir: Path) -> list[Record]:
    """All programs that were begun in a run store. Raises: DamagedError."""
    folder = workdir / FOLDER
    if not folder.is_dir():
        return []
    return [_record(p) for p in sorted(folder.glob(f"*/{PROGRAM}"))]


def _record(path: Path) -> Record:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        cells = tuple(Cell(str(t), str(v), int(s)) for t, v, s in data["cells"])
        prints = tuple(map(str, data["fingerprints"]))
        if len(prints) != len(cells) or not cells:
            raise ValueError("its lists differ in length, or are empty")
        return Record(path.parent, cells, prints)
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise _damaged(path, error) from None


def reached(workdir: Path) -> dict[Cell, int]:
    """The env steps of each agent's newest snapshot, where it has one."""
    found = dict[Cell, int]()
    for record in records(workdir):
        newest = max(record.steps(), default=0)
        found |= {cell: max(newest, found.get(cell, 0)) for cell in record.cells}
    return found


def note(workdir: Path, cells: Sequence[Cell], fingerprints: Sequence[str]) -> Record:
    """The record of a program, made where it is not there yet."""
    data = {"cells": [list(cell) for cell in cells], "fingerprints": [*fingerprints]}
    text = json.dumps(data, indent=1) + "\n"
    first = f"{cells[0].task}-{cells[0].variant}"
    safe = "".join(c if c.isalnum() or c in "-." else "_" for c in first)[:60]
    name = f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    folder = workdir / FOLDER / name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    replace(folder / PROGRAM, text)
    return Record(folder, tuple(cells), tuple(fingerprints))


# ---------------------------------------------------------------- writing


class Writer:
    """Writes the snapshots of one program, one after the other."""

    def __init__(self, record: Record, keep: int):
        """`keep`: how many snapshots stay; 0: of a finished program its agents alone.

        What a kill left half-written is removed.
        """
        self._record, self._keep = record, keep
        whole = {str(steps) for steps in record.steps()}
        for path in record.folder.iterdir():
            half = path.name.isdigit() and path.name not in whole
            if path.is_dir() and (half or "orbax-checkpoint-tmp" in path.name):
                with writing(path):
                    shutil.rmtree(path)
        self._checkpointer = _checkpointer()

    def write(self, snapshot: Snapshot, *, ends: bool, goes_on: bool) -> None:
        """Write a snapshot; older ones are removed once it is whole.

        Args: ends: the program is over. goes_on: more steps may follow from here; if
            not, the replay is left out, and the newest snapshot that has one stays.
        Raises: StoreError, and what was there is there.
        """
        import orbax.checkpoint as ocp

        learner = snapshot.learner
        if not goes_on or (ends and not self._keep):
            learner, goes_on = learner._replace(store=None), False  # type: ignore[arg-type]
        arrays = _named({"learner": learner, "metrics": snapshot.metrics})
        steps = int(snapshot.clock.steps)
        folder = self._record.folder / str(steps)
        shutil.rmtree(folder, ignore_errors=True)
        parts = ocp.SaveArgs(chunk_byte_size=_CHUNK)
        options = dict.fromkeys(arrays, parts)
        save = ocp.args.PyTreeSave(arrays, save_args=options)  # type: ignore[call-arg]
        with _one_sentence(folder):
            _require_room(folder.parent, arrays)
            self._checkpointer.save(folder.absolute(), args=save)
            files = _checksums(folder)
        about = {
            "format": FORMAT,
            "version": __version__,
            "steps": steps,
            "updates": int(snapshot.clock.updates),
            "seconds": snapshot.seconds,
            "goes_on": goes_on,
            "alive": int(np.sum(np.asarray(learner.health.alive))),
            "fingerprints": list(self._record.fingerprints),
            "files": files,
        }
        about["checksum"] = _own_checksum(about)
        replace(folder / ABOUT, json.dumps(about, indent=1) + "\n")
        self._remove(steps, goes_on=goes_on, ends=ends)

    def _remove(self, newest: int, *, goes_on: bool, ends: bool) -> None:
        older = [steps for steps in self._record.steps() if steps < newest]
        room = self._keep if ends else max(self._keep, 1)
        keep = max(room - 1, 0) if goes_on else room
        for steps in older[: len(older) - keep]:
            shutil.rmtree(self._record.folder / str(steps), ignore_errors=True)


@contextlib.contextmanager
def _one_sentence(folder: Path) -> Iterator[None]:
    """Whatever keeps a snapshot from being written, as a StoreError.

    Threads of Orbax and TensorStore, some of which fail after it, say nothing.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels, hook = [logger.level for logger in loggers], sys.unraisablehook
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda raised: (
        None if "loop is closed" in str(raised.exc_value) else hook(raised)
    )
    try:
        yield
    except Exception as error:  # Orbax and TensorStore have no common one
        raise StoreError(
            f"the checkpoint {str(folder)!r} cannot be written ({_line(error)}): what "
            "was finished before is whole, and the same command goes on from there."
        ) from error
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)  # not before their last word
    sys.unraisablehook = hook


def _require_room(folder: Path, arrays: dict[str, Any]) -> None:
    """Before it is tried: what is half written helps nobody."""
    needed = sum(x.nbytes for x in arrays.values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"{needed:,} bytes are needed, and {free:,} are free")


def _checkpointer() -> "ocp.Checkpointer":
    import orbax.checkpoint as ocp

    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler())


def _named(tree: Any) -> dict[str, Any]:
    """The leaves by their names, in the tree's own order."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in leaves
    }


def _checksums(folder: Path) -> dict[str, int]:
    """Of every file, by its path in the folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ABOUT:
            with path.open("rb") as file:
                number = 0
                while part := file.read(1 << 20):
                    number = zlib.crc32(part, number)
            found[path.relative_to(folder).as_posix()] = number
    return found


def _own_checksum(about: dict[str, Any]) -> int:
    rest = {name: value for name, value in about.items() if name != "checksum"}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())


# ---------------------------------------------------------------- reading


def newest(record: Record, steps: int) -> int:
    """The snapshot from which the way to `steps` env steps is shortest; 0: from none.

    One that cannot be read is set aside. Raises: OtherError.
    """
    for found in reversed(record.steps()):
        if found > steps:
            continue
        try:
            said = about(record, found)
        except DamagedError as error:
            set_aside(record, found, error)
            continue
        if said["goes_on"] or found == steps or not said["alive"]:
            return found
    return 0


def refuse_other(
    record: Record, places: Sequence[int], fingerprints: Sequence[str]
) -> None:
    """Refuse to go on with other configs. Raises: OtherError."""
    for place, now in zip(places, fingerprints, strict=True):
        if record.fingerprints[place] != now:
            cell = record.cells[place]
            raise OtherError(
                f"{str(record.folder / PROGRAM)!r} has {cell.variant} on {cell.task} "
                f"with config {record.fingerprints[place]}, and {now} is asked for: "
                "choose another workdir."
            )


def set_aside(record: Record, steps: int, error: DamagedError) -> None:
    """Rename a snapshot that cannot be read, and say so."""
    path = record.folder / str(steps)
    aside = path.with_name(f"{steps}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    with writing(path):
        path.rename(aside)
    _LOG.warning("%s It is set aside as %s, and an earlier one serves.", error, aside)


def about(record: Record, steps: int) -> dict[str, Any]:
    """What a snapshot says of itself. Raises: DamagedError, OtherError."""
    folder = record.folder / str(steps)
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if found["checksum"] != _own_checksum(found):
            raise ValueError(f"the checksum of {ABOUT} is wrong")
        version, prints = (found["format"], found["version"]), found["fingerprints"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise _damaged(folder, error) from None
    if version != (FORMAT, __version__):
        raise OtherError(
            f"the checkpoint {str(folder)!r} is of coadapt {version[1]} (format "
            f"{version[0]}), and this is {__version__} (format {FORMAT}): go on with "
            "that one, or choose another workdir."
        )
    if tuple(prints) != record.fingerprints:
        raise OtherError(
            f"the checkpoint {str(folder)!r} is of other configs than "
            f"{PROGRAM} beside it: choose another workdir."
        )
    return found


def read(
    record: Record, steps: int, like: Learner, places: Sequence[int], size: replay.Size
) -> Snapshot:
    """The snapshot of the agents at these places of the program.

    Args: like: the shapes of one agent's learner. size: of the store that it goes on
        with; where it has another, the transitions are moved.
    Raises: DamagedError, in one sentence; OtherError, if it is of another version.
    """
    said, folder = about(record, steps), record.folder / str(steps)
    try:
        _require_files(folder, said)
        every = len(places) == len(record.cells)
        found = arrays(folder, devices.place(len(places)) if every else None)
        if not every:
            found = {name: x[list(places)] for name, x in found.items()}
        learner = _learner(found, like, size)
    except Exception as error:  # Orbax and TensorStore have no common one
        raise _damaged(folder, error) from None
    return _snapshot(learner, found, said)


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
    Args: like: the shapes of one agent's learner.
    Raises: DamagedError, OtherError, as `read` does.
    """
    said = about(record, steps)
    found = _of_one(record, steps, said, cell, store=False)
    try:
        learner = _learner(found, like, replay.Size(0, 0))
    except Exception as error:
        raise _damaged(record.folder / str(steps), error) from None
    learner, found = jax.tree.map(lambda x: x[0], (learner, found))
    return _snapshot(learner, found, said)


def read_replay(
    record: Record, steps: int, like: Learner, cell: Cell
) -> replay.Store | None:
    """What one agent had stored, as it was; None where it was left out.

    Raises: DamagedError, OtherError, as `read` does.
    """
    found = _of_one(record, steps, about(record, steps), cell, store=True)
    if not found:
        return None
    try:
        named = _named({"learner": {"store": like.store}})
        leaves = [found[name][0] for name in named]
        return jax.tree.unflatten(jax.tree.structure(like.store), leaves)
    except Exception as error:
        raise _damaged(record.folder / str(steps), error) from None


def _of_one(
    record: Record, steps: int, said: dict[str, Any], cell: Cell, *, store: bool
) -> dict[str, Any]:
    """The arrays of one agent, [1, ...]: of its store, or all others."""
    folder, place = record.folder / str(steps), record.cells.index(cell)
    try:
        _require_files(folder, said)
        found = arrays(folder, chosen=lambda n: n.startswith(_STORE) == store)
        return {name: x[place : place + 1].copy() for name, x in found.items()}
    except Exception as error:  # Orbax and TensorStore have no common one
        raise _damaged(folder, error) from None


def _require_files(folder: Path, said: dict[str, Any]) -> None:
    """Raises: ValueError, if a file is not what was written."""
    now = _checksums(folder)
    for name in sorted({*said["files"], *now}):
        if said["files"].get(name) != now.get(name):
            raise ValueError(f"{name} is not what was written")


def arrays(
    folder: Path,
    place: jax.sharding.Sharding | None = None,
    chosen: Callable[[str], bool] | None = None,
) -> dict[str, Any]:
    """By name; on the host, or at once in their place, so that none is there twice.

    Those that are `chosen`, or all; the others are not read.
    """
    import orbax.checkpoint as ocp

    with _checkpointer() as checkpointer:
        tree: Any = checkpointer.metadata(folder.absolute()).item_metadata
        how = ocp.RestoreArgs(restore_type=np.ndarray)
        if place is not None:
            how = ocp.ArrayRestoreArgs(sharding=place)
        options = {name: how for name in tree.tree if chosen is None or chosen(name)}
        if not options:
            return {}
        some: Any = {} if chosen is None else _only(options)
        restore = ocp.args.PyTreeRestore(restore_args=options, **some)
        return checkpointer.restore(folder.absolute(), args=restore)


def _only(names: dict[str, Any]) -> dict[str, Any]:
    """The arguments by which Orbax reads these alone."""
    return {"item": dict.fromkeys(names, 0), "partial_restore": True}


def _learner(arrays: dict[str, Any], like: Learner, size: replay.Size) -> Learner:
    """Takes its arrays out of `arrays`, checked against the shapes of one agent."""
    if "learner/store/obs" not in arrays:
        like = like._replace(store=None)  # type: ignore[arg-type]
    tree, found = {"learner": like}, []
    for name, leaf in _named(tree).items():
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
    if store is None or store.reward.shape[1] == size.capacity:
        return learner
    each = [
        replay.resized(jax.tree.map(lambda x, i=i: np.asarray(x[i]), store), size)
        for i in range(store.reward.shape[0])
    ]
    return learner._replace(store=jax.tree.map(lambda *x: np.stack(x), *each))


def _damaged(path: Path, error: Exception) -> DamagedError:
    return DamagedError(f"{str(path)!r} cannot be read ({_line(error)}).")


def _line(error: Exception) -> str:
    words = str(error) if not isinstance(error, KeyError) else f"{error} is missing"
    text = " ".join(words.split()) or type(error).__name__
    return text if len(text) < 300 else text[:300] + "..."
