"""Leases: which process runs a program, so that no two do.

    programs/<name>/<attempt>/lease.json    of the process that writes this attempt

Who wants a program makes its next attempt's folder, by an exclusive mkdir, and writes a
lease into it anew every few seconds. The newest attempt has the program. A process that
stood still for longer than its lease is taken to be dead: another makes a newer
attempt. If it wakes, it looks for newer ones before each write, stops with a sentence,
and what it wrote is in its own folder. No lock of a file is needed, which not all
shared folders have.
"""

import contextlib
import datetime
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from coadapt.runs import files
from coadapt.runs.files import StoreError

LEASE, CLOCK = "lease.json", ".clock"
SECONDS = 60.0  # without a heartbeat, after which a process is taken to be dead
_BEATS = 6  # in that time
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"  # how an attempt ends


class HeldError(StoreError):
    """Another process runs the program."""


class LostError(StoreError):
    """Another process took the program, because this one stood still for too long."""


class Said(NamedTuple):
    """What a lease says of the process that writes an attempt."""

    attempt: Path
    process: int
    started: float  # of the process: `_started`
    machine: str  # one boot, and one space of process ids
    host: str
    since: str  # ISO time
    seconds: float  # without a heartbeat, after which it is over
    steps: int  # env steps of the newest rows
    ended: str  # FINISHED, STOPPED, FAILED, or '' while it has not ended
    reason: str
    beaten: float  # Unix time of the last heartbeat, by the file system's clock

    def holds(self, now: float) -> bool:
        """Whether its process may still run. `now`: by the file system's clock."""
        if self.ended or now - self.beaten > self.seconds:
            return False
        return self.machine != _machine() or _lives(self.process, self.started)


def newest(program: Path) -> Said | None:
    """Of the newest attempt of a program, None without one.

    Raises: StoreError.
    """
    there = numbers(program)
    return read(program / f"{max(there):04}") if there else None


def read(attempt: Path) -> Said | None:
    """Of one attempt; None where there is none that can be read."""
    path = attempt / LEASE
    try:
        beaten = path.stat().st_mtime
        return Said(attempt, beaten=beaten, **json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def require_free(program: Path) -> None:
    """Refuse a program that another process runs.

    Raises: HeldError, StoreError.
    """
    said = newest(program)
    ours = said and (said.process, said.machine) == (os.getpid(), _machine())
    if said is None or said.ended or ours:
        return
    now = _clock(program)
    if said.holds(now):
        raise HeldError(
            f"the program {program.name!r} is run by process {said.process} on "
            f"{said.host} since {said.since}, last heard from "
            f"{max(now - said.beaten, 0):.0f} s ago: wait until it has ended, or until "
            f"it has been silent for {said.seconds:g} s."
        )


def take(program: Path, seconds: float = SECONDS) -> "Lease":
    """Makes the next attempt's folder, and holds the program.

    Raises: HeldError; StoreError.
    """
    require_free(program)
    number = max(numbers(program), default=0) + 1
    while not files.make(path := program / f"{number:04}"):
        require_free(program)
        number += 1
    return Lease(path, seconds)


class Lease:
    """The hold on a program, by the folder of an attempt, until it is `end`ed."""

    def __init__(self, attempt: Path, seconds: float):
        self.attempt, self._seconds = attempt, seconds
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._said = {
            "process": os.getpid(), "started": _started(psutil.Process()),
            "machine": _machine(), "host": socket.gethostname(), "since": now,
            "seconds": seconds, "steps": 0, "ended": "", "reason": "",
        }  # fmt: skip
        self._lock, self._over = threading.Lock(), threading.Event()
        with files.writing(attempt / LEASE):
            self._write()
        threading.Thread(target=self._beat, name="lease", daemon=True).start()

    @property
    def lost(self) -> bool:
        """Whether another process has begun a newer attempt.

        Raises: StoreError.
        """
        there = numbers(self.attempt.parent)
        return not there or max(there) > int(self.attempt.name)

    def require(self) -> None:
        """To be called before each write.

        Raises: LostError, StoreError.
        """
        if self.lost:
            raise LostError(
                f"the program {self.attempt.parent.name!r} was taken over by "
                f"another process, because this one (process {os.getpid()}) was "
                f"silent for {self._seconds:g} s: it stops and writes nothing more."
            )

    def come(self, steps: int) -> None:
        """Say at the next heartbeat how far the rows have come, in env steps."""
        self._said["steps"] = steps

    def end(self, how: str, reason: str = "") -> None:
        """Give the program back; once it is over, nothing."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            self._said |= {"ended": how, "reason": reason}
            with contextlib.suppress(OSError):  # else it runs out
                self._write()

    def _beat(self) -> None:
        while not self._over.wait(self._seconds / _BEATS):
            with self._lock, contextlib.suppress(OSError, StoreError):
                if self._over.is_set() or self.lost:
                    return
                self._write()

    def _write(self) -> None:
        path = self.attempt / LEASE
        temporary = path.with_name(LEASE + ".tmp")
        temporary.write_text(json.dumps(self._said) + "\n", encoding="utf-8")
        os.replace(temporary, path)


def numbers(program: Path) -> list[int]:
    """Of all attempts that there are or were, those that are set aside too."""
    names = [name.split(".")[0] for name in files.names(program)]
    return [int(name) for name in names if name.isdigit()]


def _clock(program: Path) -> float:
    """Now, by the clock of the file system, which may be another machine's."""
    path = program / f"{CLOCK}-{socket.gethostname()}-{os.getpid()}"
    with files.writing(path):
        path.write_bytes(b"")
        now = path.stat().st_mtime
        path.unlink(missing_ok=True)
    return now


def _machine() -> str:
    """Where a process's id is one process's: a boot, and a space of such ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return f"{socket.gethostname()}/{psutil.boot_time():.0f}"


def _lives(process: int, started: float) -> bool:
    try:
        found = psutil.Process(process)
        same = abs(_started(found) - started) < 1
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _started(process: psutil.Process) -> float:
    """Seconds: on Linux since boot, whatever is done to the clock; elsewhere Unix's."""
    try:
        said = Path(f"/proc/{process.pid}/stat").read_text(errors="replace")
        ticks = said.rpartition(")")[2].split()[19]  # after a name with any letters
        return int(ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return process.create_time()


def alive(said: Said) -> bool:
    """Whether its process may still run, for a reader: by this machine's clock."""
    return said.holds(time.time())


def require_ended(attempt: Path, to: str) -> None:
    """Refuse an attempt that a process writes, for a reader.

    Args:
        to: what the reader would do, 'merge'.
    Raises: StoreError.
    """
    said = read(attempt)
    if said is not None and alive(said):
        raise StoreError(
            f"the program {attempt.parent.name!r} is run by process {said.process} on "
            f"{said.host}: {to} when that has ended."
        )
