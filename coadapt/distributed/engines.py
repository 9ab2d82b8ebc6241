"""How a sweep is spread over processes: on how many devices, in how much memory."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from coadapt import devices, sweep
from coadapt.distributed import work
from coadapt.distributed.pool import Engine, Pool
from coadapt.distributed.work import Unit
from coadapt.runner import TimeOver
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints, Sweep
from coadapt.system.deadline import Deadline

LOCAL, RAY, SLURM = ENGINES = "local", "ray", "slurm"
_SHARE = 0.8  # of a GPU's memory, as `sweep.available_memory` leaves a rest


class Options(NamedTuple):
    """What is asked for of processes that run programs."""

    engine: str
    workers: int  # 0: as many as there is room for
    address: str | None  # of a Ray cluster; None: one of this machine
    gpus: int  # of each process; 0: it computes on the CPU
    memory: int | None  # bytes that a program may take; None: what is found here
    flags: Sequence[str] = ()  # of coadapt work, beside what is above


def memory(asked: Options) -> int:
    """Bytes that a program may take.

    Raises:
        ConfigError: if nothing says so.
    """
    if asked.memory is not None:
        return asked.memory
    if asked.gpus:
        each = [size for _, size in _gpus() if size]
        if not each:
            raise ConfigError(
                "--device_memory is missing: this machine has no GPU to read it "
                "from; give the memory of a worker's GPU, such as 80GiB."
            )
        return int(min(each) * _SHARE)
    shares = asked.workers if asked.engine == LOCAL else devices.cores()
    return sweep.available_memory() // max(shares, 1)


def number(asked: Options) -> int:
    """Devices of each process: GPUs, or cores of the CPU."""
    if asked.gpus:
        return asked.gpus
    given = os.environ.get("JAX_NUM_CPU_DEVICES", "")
    if given.isdecimal():
        return max(int(given), 1)
    return max(devices.cores() // asked.workers, 1) if asked.engine == LOCAL else 1


def room(asked: Options) -> tuple[int, int]:
    """Bytes that a program may take, and devices of its process."""
    return memory(asked), number(asked)


def plan(
    asked: Sweep,
    path: Path,
    options: Options,
    *,
    checkpoints: Checkpoints,
    deadline: Deadline,
    allow_other_machine: bool = False,
) -> list[Unit]:
    """As `work.plan`, for the processes that are asked for."""
    return work.plan(
        asked,
        path,
        devices=number(options),
        memory=memory(options),
        checkpoints=checkpoints,
        until=deadline.until,
        allow_other_machine=allow_other_machine,
    )


def run(
    asked: Sweep,
    workdir: Path,
    options: Options,
    engine: Callable[[Path], Engine],
    *,
    checkpoints: Checkpoints,
    show: Callable[[Sequence[Unit]], AbstractContextManager[Callable[[Pool], None]]],
    stop: Callable[[], bool] = lambda: False,
    deadline: Deadline | None = None,
    allow_other_machine: bool = False,
) -> tuple[list[Unit], dict[str, str]]:
    """Run what the store lacks; returns that, and the programs that failed, and why.

    Raises:
        ConfigError: before anything starts.
        store.StoreError: of the disk.
        KeyboardInterrupt: if `stop` said so, where all that runs has stopped.
        runner.TimeOver: there, if the deadline is near.
    """
    path, deadline = sweep.admitted(asked, workdir), deadline or Deadline()
    with store.owned(path), contextlib.ExitStack() as stack:
        units = plan(
            asked,
            path,
            options,
            checkpoints=checkpoints,
            deadline=deadline,
            allow_other_machine=allow_other_machine,
        )
        if not units:
            return [], {}
        header = store.adopted(path, sweep.header(asked))
        out = stack.enter_context(store.Store(path, header, session=False))
        tell = stack.enter_context(show(units))
        made = stack.enter_context(contextlib.closing(engine(path)))
        lost = list[store.StoreError]()  # of tables that cannot be written
        pool = Pool(path, units, made, lambda: bool(lost) or stop(), deadline)

        def look(pool: Pool) -> None:
            tell(pool)
            try:
                if not lost:
                    out.refresh(always=False)
            except store.StoreError as error:  # all stop at a checkpoint
                lost.append(error)

        pool.run(look)
        if lost:
            raise lost[0]
        if pool.waiting:
            raise KeyboardInterrupt if pool.stopping else TimeOver(0)
    return units, pool.failed


def shares(asked: Options) -> list[list[str]]:
    """The GPUs of each process.

    Raises:
        ConfigError: where there are not enough.
    """
    ids, each = [name for name, _ in _gpus()], asked.gpus
    found = [ids[i : i + each] for i in range(0, len(ids) - each + 1, each)]
    if len(found) < max(asked.workers, 1):
        raise ConfigError(
            f"--gpus_per_worker is {each} and --workers {asked.workers or 1}: this "
            f"machine has {len(ids)} GPUs."
        )
    return found[: asked.workers or None]


def _gpus() -> list[tuple[str, int]]:
    """Of NVIDIA's GPUs that this process may use, the id, and bytes of memory.

    0, where a GPU has none of its own; no GPU, where the driver does not answer.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total"]
    done = subprocess.run(
        [*query, "--format=csv,noheader,nounits"], capture_output=True, text=True
    )
    if done.returncode:
        return []
    rows = [[w.strip() for w in line.split(",")] for line in done.stdout.splitlines()]
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    mine = None if given is None else [each.strip() for each in given.split(",")]
    return [
        (index, int(size) * 2**20 if size.isdecimal() else 0)
        for index, uuid, size in rows
        if mine is None or index in mine or uuid in mine
    ]
