"""Flags of the processes that run the programs of a sweep, and running it in them."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
from absl import flags

from coadapt.cli import board, slurm
from coadapt.cli.values import Values, bytes_of, count, definers, get, positive
from coadapt.distributed import engines
from coadapt.distributed.engines import Options
from coadapt.distributed.local import Local
from coadapt.distributed.pool import Engine
from coadapt.distributed.work import Unit
from coadapt.runs import leases
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints, Sweep
from coadapt.system.deadline import Deadline

MOST = 100_000  # processes


def define(values: Values) -> None:
    text, _ = definers(values)
    flags.DEFINE_enum(
        "engine",
        engines.LOCAL,
        engines.ENGINES,
        "where programs run: on this machine, on a Ray cluster, or as a Slurm array: "
        "docs/cluster.md",
        flag_values=values,
    )
    for name, about in (
        ("workers", "processes, or Ray or Slurm tasks, at once (this process alone)"),
        ("ray_address", "address of the cluster: auto, or host:port (this machine)"),
        ("gpus_per_worker", "GPUs of each process; with 0 it uses the CPU (0)"),
        ("device_memory", "memory per process, such as 80GiB (what there is here)"),
    ):
        text(name, about)
    slurm.define(values)
    define_lease(values)
    define_hours(values)


def define_lease(values: Values) -> None:
    flags.DEFINE_float(
        "lease",
        leases.SECONDS,
        "seconds without a sign of life of a process, after which another may take "
        "over its program",
        lower_bound=0.1,
        flag_values=values,
    )


def define_hours(values: Values) -> None:
    text, _ = definers(values)
    text(
        "max_hours",
        "most hours that this command may take: each program stops at its last "
        "checkpoint before that, and the same command resumes it",
    )


def deadline(values: Values) -> Deadline:
    """Of --max_hours since this process began, or a ConfigError."""
    hours = positive(values, "max_hours")
    if hours is None:
        return Deadline()
    took = time.time() - psutil.Process().create_time()
    return Deadline(3600 * hours - took)


def asked(values: Values) -> Options | None:
    """Of other processes; None: this one computes. A mistake is a ConfigError."""
    workers, gpus = (
        count(values, name, 0, least=0, most=MOST)
        for name in ("workers", "gpus_per_worker")
    )
    engine, address = get(values, "engine"), get(values, "ray_address")
    if address is not None and engine != engines.RAY:
        raise ConfigError("--ray_address applies to Ray: also give --engine=ray.")
    slurm.refuse(values, engine)
    if engine == engines.LOCAL and not workers and not gpus:
        return None
    return Options(
        engine=engine,
        workers=workers,
        address=address,
        gpus=gpus,
        memory=bytes_of(get(values, "device_memory")),
        flags=_passed_on(values),
    )


def _passed_on(values: Values) -> list[str]:
    """Flags of coadapt work that are the sweep's own."""
    cache = get(values, "compile_cache")
    given = [] if cache is None else [f"--compile_cache={cache}"]
    given += [f"--import={name}" for name in get(values, "import")]
    return [f"--lease={get(values, 'lease')}", *given]


def refuse(values: Values, name: str) -> None:
    """Refuse a flag for which this process has to compute, by a ConfigError."""
    if asked(values) is not None:
        raise ConfigError(
            f"--{name} needs the agents in this process: leave out --workers, --engine "
            "and --gpus_per_worker."
        )


def run(
    values: Values,
    sweep: Sweep,
    folder: Path,
    options: Options,
    rules: Checkpoints,
    stop: Callable[[], bool],
    deadline: Deadline,
) -> tuple[list[Unit], dict[str, str]]:
    """As `engines.run`."""
    return engines.run(
        sweep,
        folder,
        options,
        partial(engine, options),
        checkpoints=rules,
        show=partial(board.shown, quiet=get(values, "quiet")),
        stop=stop,
        deadline=deadline,
        allow_other_machine=get(values, "allow_other_machine"),
    )


def engine(options: Options, workdir: Path) -> Engine:
    """That is asked for; where it is not there, a ConfigError."""
    if options.engine == engines.RAY:
        from coadapt.cli.ray_cluster import Cluster

        return Cluster(
            workdir, options.workers, options.address, options.gpus, options.flags
        )
    gpus = engines.shares(options) if options.gpus else ()
    return Local(workdir, options.workers, options.flags, gpus)
