"""One process at a time writes to a run store: the lock, and whose it is."""

import contextlib
import datetime
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from coadapt.runs.files import replace, writing
from coadapt.runs.manifest import LOCK, OWNER
from coadapt.schema import ConfigError


@contextlib.contextmanager
def owned(workdir: Path) -> Iterator[None]:
    """Hold the folder, so that one process at a time writes to it.

    A process that died holds nothing.

    Raises:
        ConfigError: which names the process that has the folder, or if there can be
            no folder.
        StoreError:
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
            raise _in_use(workdir) from None
    try:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        here = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
        replace(workdir / OWNER, json.dumps(here) + "\n")
        yield
    finally:
        (workdir / OWNER).unlink(missing_ok=True)
        lock.release()


def require_free(workdir: Path) -> None:
    """Refuse a folder that is `owned`, without holding it.

    Raises: ConfigError.
    """
    if not (workdir / LOCK).exists():
        return
    try:
        filelock.FileLock(workdir / LOCK, timeout=0).acquire().lock.release()
    except filelock.Timeout:
        raise _in_use(workdir) from None
    except OSError:  # of a store that is only to be read
        return


def _in_use(workdir: Path) -> ConfigError:
    return ConfigError(
        f"workdir {str(workdir)!r} is in use by {_owner(workdir)}: wait until that has "
        "ended, or choose another."
    )


def _owner(workdir: Path) -> str:
    """'process 123 on host a, since 2026-...'."""
    try:
        data = json.loads((workdir / OWNER).read_text(encoding="utf-8"))
        return f"process {data['process']} on {data['host']} since {data['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
