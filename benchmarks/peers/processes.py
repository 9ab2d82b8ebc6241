"""Measuring processes: started side by side, begun together, read and ended."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks.peers import protocol
from benchmarks.peers.homes import Failed, last_line
from benchmarks.peers.protocol import Job

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)
# all that is compared runs on the CPU
HERE = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}


class Program(NamedTuple):
    """What measures a job: an interpreter and the script that it runs."""

    interpreter: str
    script: tuple[str, ...]

    def command(self, job: Job) -> list[str]:
        return [self.interpreter, *self.script, protocol.write(job)]


OURS = Program(sys.executable, ("-m", "benchmarks.peers.ours"))


def environment(one_thread: bool, **more: str) -> dict[str, str]:
    """Of a measuring process; this package can be imported from anywhere."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = {**os.environ, **HERE, "PYTHONPATH": path}
    return found | (ONE_THREAD if one_thread else {}) | more


class _Process:
    """A script at work."""

    def __init__(self, program: Program, job: Job):
        self.errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 (see `end`)
        try:
            self.child = subprocess.Popen(
                program.command(job),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
                env=environment(job.core is not None),
            )
        except OSError as error:
            self.errors.close()
            raise Failed(f"{program.interpreter}: {error.strerror}") from None
        self.answers: list[dict[str, Any]] = []

    def until_ready(self) -> bool:
        """Read what it answers; whether it now waits to begin, and has not ended."""
        assert self.child.stdout is not None
        for line in self.child.stdout:
            found = protocol.parse(line)
            if found == protocol.READY:
                return True
            if found is not None:
                self.answers.append(found)
        return False

    def go(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(protocol.GO)
        self.child.stdin.flush()

    def end(self) -> None:
        """Kill it if it runs still; nothing of it is left."""
        self.child.kill()
        self.child.communicate()
        self.errors.close()

    def check(self) -> None:
        if self.child.wait():
            self.errors.seek(0)
            raise Failed(last_line(self.errors.read()))
        if not self.answers:
            raise Failed("it ended without a number")


def side_by_side(
    program: Program, jobs: Sequence[Job], seconds: float
) -> list[list[dict[str, Any]]]:
    """What each of the jobs answered, all of them at once, in as many processes.

    Raises: Failed if one fails, or takes longer than so many seconds.
    """
    processes: list[_Process] = []
    late = threading.Event()

    def stop() -> None:
        late.set()
        for process in processes:
            process.child.kill()

    watch = threading.Timer(seconds, stop)
    try:
        processes.extend(_Process(program, job) for job in jobs)
        watch.start()
        running = processes
        while running := [p for p in running if p.until_ready()]:
            for process in running:
                process.go()
        for process in processes:
            process.child.wait()
            if late.is_set():
                raise Failed(f"it took longer than {seconds:.0f} s")
            process.check()
        return [process.answers for process in processes]
    except BrokenPipeError:
        raise Failed("it ended while it was measured") from None
    finally:
        watch.cancel()
        for process in processes:
            process.end()
