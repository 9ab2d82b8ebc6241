"""Run or resume one program of a run store, which a sweep has planned.

Examples:
  coadapt work --workdir=runs/grid --program=0f3a9c21

The sweep (`coadapt sweep --workers=N`, or `--engine=ray` or `slurm`) starts such
processes itself, on any machine that has the workdir. Exit status: 0, the program is
finished; 75, it stopped at a checkpoint, from which it can resume; 79, the same because
of its time limit; 69, another process runs the program, or took it over; 78, it was
begun on another kind of machine; 2, it cannot be run as requested; 1, any other error.
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from absl import flags

from coadapt import devices, progress
from coadapt.cli import command, compiled, signals, workers
from coadapt.cli.values import Values, get, required
from coadapt.distributed import pool as statuses
from coadapt.distributed import slurm, work
from coadapt.runner import Interrupted, TimeOver
from coadapt.runs import leases, store
from coadapt.sweep import OtherMachineError


def _define(values: Values) -> None:
    for name, about in (
        ("workdir", "folder that was the --workdir of a sweep"),
        ("program", "name of its folder in programs/, or the hash at the end of it"),
        ("compile_cache", compiled.ABOUT),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    workers.define_lease(values)
    workers.define_hours(values)
    flags.DEFINE_float(
        "grace",
        None,
        "in a Slurm task: seconds from SIGTERM until it is killed; before that it "
        "requeues itself, at a checkpoint if there is one",
        lower_bound=1.0,
        flag_values=values,
    )
    flags.DEFINE_boolean("quiet", False, "print no progress", flag_values=values)


def _run(values: Values) -> int:
    folder = store.folder(required(values, "workdir")).absolute()
    name, grace = required(values, "program"), get(values, "grace")
    devices.use_cores(work.job(folder, name).devices)
    compiled.keep(get(values, "compile_cache"))
    task = None if grace is None else slurm.task(work.named(folder, name), grace)
    hours = workers.deadline(values).seconds
    seconds = min(hours, task.seconds if task else hours)
    show = progress.quiet if get(values, "quiet") else progress.shown
    lease = get(values, "lease")
    one = partial(work.run, folder, name, show, lease=lease, seconds=seconds)
    try:
        with signals.held(task.told if task else lambda: None) as stop:
            _patiently(partial(one, stop=stop), 2 * lease if task else 0.0)
    except Interrupted as stopped:
        late = isinstance(stopped, TimeOver)
        if task and (signals.received() or (late and seconds < hours)):
            print(f"{stopped}: it goes back into the queue", file=sys.stderr)
            return statuses.STOPPED if task.again() else command.TROUBLE
        print(f"{stopped} and continues from there", file=sys.stderr)
        return statuses.TIME_OVER if late else statuses.STOPPED
    except (leases.HeldError, leases.LostError) as error:
        print(f"error: {error}", file=sys.stderr)
        return statuses.HELD
    except OtherMachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return statuses.OTHER_MACHINE
    return 0


def _patiently(run: Callable[[], object], seconds: float) -> None:
    """Another process of a task that Slurm moved may be heard of for its lease."""
    end = time.monotonic() + seconds
    while True:
        try:
            run()
            return
        except leases.HeldError:
            if time.monotonic() >= end:
                raise
            time.sleep(min(seconds / 20, 5.0))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
