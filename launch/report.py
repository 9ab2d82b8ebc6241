"""Show what a sweep found, while it runs or after.

Example:
  python -m launch.report --workdir=runs/quickstart

Prints the last evaluation of every variant (mean and std over seeds), and writes the
table and the learning curves to <workdir>/report/, or to --out.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt import store
from launch import command, results
from launch.command import Values, get


def _define(values: Values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the results", flag_values=values)
    flags.DEFINE_string(
        "out",
        None,
        "folder of the report, where the run store is only to be read "
        "(<workdir>/report)",
        flag_values=values,
    )


def _run(values: Values) -> None:
    out = get(values, "out")
    results.report(
        store.folder(command.required(values, "workdir")),
        store.expanded(out, "--out") if out else None,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
