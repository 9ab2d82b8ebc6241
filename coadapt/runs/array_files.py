"""Arrays in a folder by Orbax, with a checksum of each file.

Orbax, TensorStore and their threads say nothing here, and have no common exception: who
calls gives what they raise its sentence.
"""

import contextlib
import functools
import logging
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from coadapt.runs import files
from coadapt.runs.attempts import ABOUT
from coadapt.schema import ConfigError

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

TMP = "orbax-checkpoint-tmp"  # in the names of what Orbax has not finished
_CHUNK = 16 << 20  # bytes of an array that are packed, or unpacked, at a time
_GLOB = "*?["  # Orbax looks for what it reads by patterns


def require_path(workdir: Path) -> None:
    """Refuse a folder from which Orbax could not read.

    Raises: ConfigError.
    """
    found = [x for x in _GLOB if x in str(workdir.absolute())]
    if found:
        raise ConfigError(
            f"workdir {str(workdir)!r} has {found[0]!r} in its path: checkpoints "
            f"cannot be read below a folder with one of {' '.join(_GLOB)} in its name, "
            "so choose another."
        )


@contextlib.contextmanager
def silent(*, lasting: bool = False) -> Iterator[None]:
    """Orbax and TensorStore, and their threads, say nothing.

    Args:
        lasting: where it fails they stay silent, as some threads fail after it.
    """
    _ignore_closed_loops()
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels, speak = [logger.level for logger in loggers], not lasting
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
        speak = True
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level if speak else logging.CRITICAL + 1)


@functools.cache
def _ignore_closed_loops() -> None:
    """What Orbax left of a loop is collected at any time after it failed."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda raised: (
        None if "loop is closed" in str(raised.exc_value) else hook(raised)
    )


def require_room(folder: Path, arrays: dict[str, Any]) -> None:
    """Before it is tried: what is half written helps nobody."""
    needed = sum(x.nbytes for x in arrays.values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"{needed:,} bytes are needed, and {free:,} are free")


def checkpointer() -> "ocp.Checkpointer":
    import orbax.checkpoint as ocp

    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler())


def named(tree: Any) -> dict[str, Any]:
    """The leaves by their names, in the tree's own order."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in leaves
    }


def checksums(folder: Path) -> dict[str, int]:
    """Of every file, by its path in the folder.

    Raises: OSError.
    """
    found = {}
    for path in _files(folder):
        with path.open("rb") as file:
            number = 0
            while part := file.read(1 << 20):
                number = zlib.crc32(part, number)
        found[path.relative_to(folder).as_posix()] = number
    return found


def _files(folder: Path) -> list[Path]:
    """Raises: OSError, if a folder cannot be looked at."""

    def refuse(error: OSError) -> None:
        raise error

    tree = os.walk(folder, onerror=refuse)
    found = [Path(top) / name for top, _, names in tree for name in names]
    return sorted(path for path in found if path.name != ABOUT)


def write(folder: Path, arrays: dict[str, Any], opened: "ocp.Checkpointer") -> None:
    """All or, where it fails, something half written.

    Raises:
        Exception: of Orbax's or TensorStore's.
    """
    import orbax.checkpoint as ocp

    options = dict.fromkeys(arrays, ocp.SaveArgs(chunk_byte_size=_CHUNK))
    save = ocp.args.PyTreeSave(arrays, save_args=options)  # type: ignore[call-arg]
    files.step("snapshot", folder)
    opened.save(folder.absolute(), args=save)


def require_same(folder: Path, written: dict[str, Any]) -> None:
    """Read the smallest array back.

    Raises:
        ValueError: if it is not what was written.
        Exception: of Orbax's.
    """
    name = min(written, key=lambda each: (written[each].nbytes, each))
    there = read(folder, chosen=lambda each: each == name)
    if not np.array_equal(there[name], np.asarray(written[name])):
        raise ValueError(f"{name} is not what was written")


def require_files(folder: Path, said: dict[str, Any]) -> None:
    """Raises: DamagedError, if a file is not what was written; OSError."""
    now = checksums(folder)
    for name in sorted({*said["files"], *now}):
        if said["files"].get(name) != now.get(name):
            raise files.damaged(folder, f"{name} is not what was written")


def read(
    folder: Path,
    place: jax.sharding.Sharding | None = None,
    chosen: Callable[[str], bool] | None = None,
) -> dict[str, Any]:
    """By name; on the host, or at once in their place, so that none is there twice.

    Those that are `chosen`, or all; the others are not read.
    """
    import orbax.checkpoint as ocp

    with checkpointer() as opened:
        tree: Any = opened.metadata(folder.absolute()).item_metadata
        how = ocp.RestoreArgs(restore_type=np.ndarray)
        if place is not None:
            how = ocp.ArrayRestoreArgs(sharding=place)
        options = {name: how for name in tree.tree if chosen is None or chosen(name)}
        if not options:
            return {}
        some: Any = {} if chosen is None else _only(options)
        restore = ocp.args.PyTreeRestore(restore_args=options, **some)
        return opened.restore(folder.absolute(), args=restore)


def _only(names: dict[str, Any]) -> dict[str, Any]:
    """The arguments by which Orbax reads these alone."""
    return {"item": dict.fromkeys(names, 0), "partial_restore": True}


def one_line(error: Exception) -> str:
    words = str(error) if not isinstance(error, KeyError) else f"{error} is missing"
    text = " ".join(words.split()) or type(error).__name__
    return text if len(text) < 300 else text[:300] + "..."
