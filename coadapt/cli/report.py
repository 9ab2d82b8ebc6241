"""Show what a sweep found, while it runs or after.

Example:
  coadapt report --workdir=runs/quickstart

Prints the score of every variant with its interval, and its last evaluation (mean and
std over seeds); writes tables, verdicts and learning curves to <workdir>/report/, or to
--out.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt import report, store
from coadapt.cli import command
from coadapt.cli.values import Values, get, positive


def _define(values: Values) -> None:
    for name, about in (
        ("workdir", "folder of the results"),
        (
            "out",
            "folder of the report, where the run store is only to be read "
            "(<workdir>/report)",
        ),
        (
            "margin",
            "what is no effect of note: in the reference's unit (0.1), or in returns "
            "where a task has no reference",
        ),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def _run(values: Values) -> None:
    out = get(values, "out")
    report.make(
        command.required(values, "workdir"),
        out=store.expanded(out, "--out") if out else None,
        margin=positive(values, "margin"),
        printed=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
