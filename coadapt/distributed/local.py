"""Programs in processes of this machine, on its cores or on GPUs of their own."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from coadapt.distributed.pool import Outcome
from coadapt.distributed.work import Unit


class _Running(NamedTuple):
    """A process, and where in its program's log its own words begin."""

    process: subprocess.Popen
    log: Path
    begin: int  # bytes that processes before it have written
    gpus: Sequence[str]

    @property
    def said(self) -> str:
        """'' where the log cannot be read."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(self.begin)
            return file.read().decode("utf-8", "replace")
        return ""


class Local:
    """Processes on this machine."""

    def __init__(
        self,
        workdir: Path,
        workers: int,
        flags: Sequence[str] = (),
        gpus: Sequence[Sequence[str]] = (),
    ):
        """`gpus`: the ids of each process's; none: they compute on the CPU."""
        self._workdir, self._flags = workdir, flags
        free: Sequence[Sequence[str]] = gpus or [()] * workers
        self._free = [*free]
        self._all = dict[str, _Running]()
        self._lost = list[subprocess.Popen]()

    def room(self) -> bool:
        return bool(self._free)

    def start(self, unit: Unit) -> None:
        name, gpus = unit.record.folder.name, self._free.pop()
        env = os.environ | variables(unit, bool(gpus))
        command = [sys.executable, "-m", "coadapt", "work", *words(self._workdir, name)]
        env |= {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
        log = unit.record.folder / "worker.log"
        with log.open("ab") as file:
            begin = file.tell()
            process = subprocess.Popen(
                [*command, *self._flags],
                env=env, stdout=file, stderr=file, stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the one that plans
            )  # fmt: skip
        self._all[name] = _Running(process, log, begin, gpus)

    def ended(self, seconds: float) -> list[Outcome]:
        found = [n for n, x in self._all.items() if x.process.poll() is not None]
        if not found:
            time.sleep(seconds)
        return [self._outcome(name) for name in found]

    def _outcome(self, name: str) -> Outcome:
        was = self._all.pop(name)
        self._free.append(was.gpus)
        status = was.process.returncode
        if status < 0:
            return Outcome(name, status, f"its process was killed by signal {-status}")
        return Outcome(name, status, last_error(was.said) if status else "")

    def forget(self, program: str) -> None:
        was = self._all.pop(program)
        self._lost.append(was.process)
        if was.gpus:  # another could not have their memory
            was.process.kill()
        self._free.append(was.gpus)

    def close(self) -> None:
        for process in [*self._lost, *(each.process for each in self._all.values())]:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()


def words(workdir: Path, program: str) -> list[str]:
    """The flags of coadapt work."""
    return [f"--workdir={workdir}", f"--program={program}"]


def variables(unit: Unit, gpus: bool) -> dict[str, str]:
    """Of a process's environment, so that it has the devices of the plan."""
    number = {"JAX_NUM_CPU_DEVICES": str(unit.job.devices)}
    return {} if gpus else {"JAX_PLATFORMS": "cpu", **number}


def last_error(text: str) -> str:
    """The sentence with which a process ended, of what it said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")]
    return (said or lines or [""])[-1].removeprefix("error: ")
