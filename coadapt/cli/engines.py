"""Where the programs of a sweep run: processes of this machine, or a Ray cluster."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from coadapt import devices, store, sweep, work
from coadapt.cli import board
from coadapt.cli.pool import Engine, Local, Pool
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints, Sweep
from coadapt.work import Unit

LOCAL, RAY = ENGINES = "local", "ray"
MOST = 100_000  # processes
_SHARE = 0.8  # of a GPU's memory, as `sweep.available_memory` leaves a rest
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_MEMORY = re.compile(r"([\d.]+) ?([kmgt]?)(i?b)?")


class Options(NamedTuple):
    """What is asked for of processes that run programs."""

    engine: str
    workers: int  # 0: as many as there is room for
    address: str | None  # of a Ray cluster; None: one of this machine
    gpus: int  # of each process; 0: it computes on the CPU
    memory: int | None  # bytes that a program may take; None: what is found here
    lease: float  # seconds
    flags: Sequence[str] = ()  # of coadapt work, beside what is above


def bytes_of(text: str | None) -> int | None:
    """'80GiB' in bytes, K, M, G and T being of 1,024. Raises: ConfigError."""
    if text is None:
        return None
    found = _MEMORY.fullmatch(text.strip().lower())
    with contextlib.suppress(ValueError):
        if found and (number := float(found[1])) > 0:
            return int(number * _UNITS[found[2]])
    raise ConfigError(
        f"--device_memory is {text!r}: it must be a number of bytes, such as 80GiB."
    )


def memory(asked: Options) -> int:
    """Bytes that a program may take. Raises: ConfigError, if nothing says so."""
    if asked.memory is not None:
        return asked.memory
    if asked.gpus:
        each = [size for _, size in _gpus()]
        if not each:
            raise ConfigError(
                "--device_memory is missing: this machine has no GPU that tells; say "
                "what those of the workers have, such as 80GiB."
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


def run(
    asked: Sweep,
    workdir: Path,
    options: Options,
    *,
    checkpoints: Checkpoints,
    stop: Callable[[], bool],
    allow_other_machine: bool = False,
    quiet: bool = False,
) -> tuple[list[Unit], dict[str, str]]:
    """Run what the store lacks; returns that, and the programs that failed, and why.

    Raises: ConfigError, before anything starts; store.StoreError; KeyboardInterrupt,
    where `stop` says so, and all that runs has stopped.
    """
    path = sweep.admitted(asked, workdir)
    with store.owned(path), contextlib.ExitStack() as stack:
        units = work.plan(
            asked,
            path,
            devices=number(options),
            memory=memory(options),
            checkpoints=checkpoints,
            allow_other_machine=allow_other_machine,
        )
        if not units:
            return [], {}
        header = store.adopted(path, sweep.header(asked))
        out = stack.enter_context(store.Store(path, header, session=False))
        tell = stack.enter_context(board.shown(units, quiet=quiet))
        engine = stack.enter_context(contextlib.closing(_engine(options, path)))
        pool = Pool(path, units, engine, stop)

        def look(pool: Pool) -> None:
            tell(pool)
            out.refresh(always=False)

        pool.run(look)
        if pool.waiting:
            raise KeyboardInterrupt
    return units, pool.failed


def _engine(asked: Options, workdir: Path) -> Engine:
    flags = (f"--lease={asked.lease}", *asked.flags)
    if asked.engine == RAY:
        from coadapt.cli.cluster import Cluster

        return Cluster(workdir, asked.workers, asked.address, asked.gpus, flags)
    return Local(workdir, asked.workers, flags, _shares(asked) if asked.gpus else ())


def _shares(asked: Options) -> list[list[str]]:
    """The GPUs of each process. Raises: ConfigError, where there are not enough."""
    ids, each = [name for name, _ in _gpus()], asked.gpus
    found = [ids[i : i + each] for i in range(0, len(ids) - each + 1, each)]
    if len(found) < max(asked.workers, 1):
        raise ConfigError(
            f"--gpus_per_worker is {each} and --workers {asked.workers or 1}: this "
            f"machine has {len(ids)} GPUs."
        )
    return found[: asked.workers or None]


def _gpus() -> list[tuple[str, int]]:
    """Of NVIDIA's GPUs that this process may use, the id, and bytes of memory."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total"]
    done = subprocess.run(
        [*query, "--format=csv,noheader,nounits"], capture_output=True, text=True
    )
    rows = [[w.strip() for w in line.split(",")] for line in done.stdout.splitlines()]
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    mine = None if given is None else [each.strip() for each in given.split(",")]
    return [
        (index, int(size) * 2**20)
        for index, uuid, size in rows
        if mine is None or index in mine or uuid in mine
    ]
