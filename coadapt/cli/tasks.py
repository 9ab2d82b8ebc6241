"""List the tasks: sizes, limits, how they end; with --check, step each.

Examples:
  coadapt tasks                          all that are installed
  coadapt tasks --suite=dmc
  coadapt tasks --format=markdown        as docs/tasks.md has it
  coadapt tasks --check                  50 random steps of two environments
  coadapt tasks --check --steps=2500     past two time limits of 1000 steps

Any other id of Gymnasium is a task too, if its actions are a box or discrete:
gym/package:Id-v0 imports the package, and gym/Id-v0?key=value passes an argument on.
"""

import sys
import time
from collections.abc import Sequence

from absl import flags

from coadapt import devices
from coadapt.cli import command, output
from coadapt.cli.values import Values, count, get
from coadapt.schema import ConfigError, nearest
from coadapt.tasks import registry


def _define(values: Values) -> None:
    flags.DEFINE_string(
        "suite", "", "one family of tasks, such as dmc (all)", flag_values=values
    )
    output.define_style(values)
    flags.DEFINE_bool("check", False, "step each task", flag_values=values)
    flags.DEFINE_string(
        "steps", "50", "with --check: steps of each task (50)", flag_values=values
    )


def _run(values: Values) -> int:
    suite = get(values, "suite")
    if suite and suite not in registry.SUITES:
        raise ConfigError(
            f"--suite is {suite!r}: it must be one of {', '.join(registry.SUITES)}"
            f"{nearest(suite, registry.SUITES)}"
        )
    chosen = [suite] if suite else list(registry.SUITES)
    if get(values, "check"):
        return _check(chosen, count(values, "steps"))
    if values["steps"].present:
        raise ConfigError("--steps applies to --check: also give --check.")
    print(registry.report(chosen, output.style(values)))
    return 0


def _check(suites: Sequence[str], steps: int) -> int:
    """A line for each task.

    Returns:
        the exit status, 1 if something is wrong.
    """
    wrong = 0
    for entry in (each for suite in suites for each in registry.SUITES[suite]):
        begin = time.perf_counter()
        try:
            said = ", ".join(registry.faults(entry, registry.walk(entry.task, steps)))
        except ValueError as error:
            said = str(error)
        wrong += bool(said)
        seconds = time.perf_counter() - begin
        print(f"{entry.task:36} {said or 'ok':20} {seconds:6.1f} s", flush=True)
        devices.make_room()
    print(f"{wrong or 'none'} wrong")
    return int(wrong > 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
