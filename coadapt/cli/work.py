"""Run or resume one program of a run store, which a sweep has planned.

Examples:
  coadapt work --workdir=runs/grid --program=0f3a9c21

The sweep (`coadapt sweep --workers=N`, or `--engine=ray`) starts such processes itself,
anywhere where the workdir is the same folder. Exit status: 0, the program is finished;
75, it was stopped at a checkpoint, and goes on from there; 79, that too, as its time is
over; 69, another process runs it,
or took it from this one; 2, what was asked cannot be run; 1, all else.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt import devices, leases, progress, store, work
from coadapt import pool as statuses
from coadapt.cli import command, signals, workers
from coadapt.cli.values import Values, get, required
from coadapt.runner import Interrupted, TimeOver


def _define(values: Values) -> None:
    for name, about in (
        ("workdir", "folder of the run store"),
        ("program", "the name of its folder in programs/, or the hash that ends it"),
        (
            "compile_cache",
            "folder that keeps compiled programs; empty: none "
            f"(the environment's COADAPT_CACHE, or {command.CACHE})",
        ),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    workers.define_lease(values)
    workers.define_hours(values)
    flags.DEFINE_boolean("quiet", False, "show no progress", flag_values=values)


def _run(values: Values) -> int:
    folder = store.folder(required(values, "workdir")).absolute()
    name = required(values, "program")
    devices.use_cores(work.job(folder, name).devices)
    command.keep_compiled(get(values, "compile_cache"))
    try:
        with signals.held() as stop:
            work.run(
                folder,
                name,
                progress.quiet if get(values, "quiet") else progress.shown,
                stop=stop,
                lease=get(values, "lease"),
                seconds=workers.deadline(values).seconds,
            )
    except Interrupted as stopped:
        print(f"{stopped}: it goes on from there", file=sys.stderr)
        late = isinstance(stopped, TimeOver)
        return statuses.TIME_OVER if late else statuses.STOPPED
    except (leases.HeldError, leases.LostError) as error:
        print(f"error: {error}", file=sys.stderr)
        return statuses.HELD
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
