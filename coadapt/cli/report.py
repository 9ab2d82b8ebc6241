"""Show what a sweep found, while it runs or after.

Examples:
  coadapt report --workdir=runs/quickstart
  coadapt report --workdir=runs/quickstart --watch     while it runs
  coadapt report --workdir=runs/quickstart --latex --pdf

Prints the score of every variant with its 95% interval, and its last evaluation (mean
and std over seeds); writes tables, verdicts and learning curves to <workdir>/report/,
or to --out.
"""

import contextlib
import sys
from collections.abc import Sequence

from absl import flags

from coadapt import report
from coadapt.cli import command
from coadapt.cli.values import OF_PROTOCOL, Values, get, positive, required
from coadapt.report import live
from coadapt.runs import store
from coadapt.schema import ConfigError


def _define(values: Values) -> None:
    for name, about in (
        ("workdir", "folder that was the --workdir of a sweep"),
        (
            "out",
            "folder for the report, such as when the workdir is read-only "
            "(<workdir>/report)",
        ),
        ("margin", OF_PROTOCOL),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    for name, about in (
        ("latex", "also write the tables for a paper, as .tex with booktabs"),
        ("pdf", "also write the figures for a paper, as PDFs one column wide"),
        (
            "watch",
            "write the report again whenever there are new rows, until all cells are "
            "finished or Ctrl-C",
        ),
    ):
        flags.DEFINE_boolean(name, False, about, flag_values=values)
    flags.DEFINE_multi_string(
        "beside",
        [],
        "file of others' published curves, to be drawn and compared: columns method, "
        "task, step, seed, return, or a layout of docs/runs.md; repeat for more",
        flag_values=values,
    )
    flags.DEFINE_string(
        "every",
        None,
        f"with --watch: seconds between checks for new rows ({live.SECONDS:g})",
        flag_values=values,
    )


def _run(values: Values) -> None:
    out, workdir = get(values, "out"), required(values, "workdir")
    every = positive(values, "every")
    options = {
        "out": store.expanded(out, "--out") if out else None,
        "margin": positive(values, "margin"),
        "latex": get(values, "latex"),
        "pdf": get(values, "pdf"),
        "beside": get(values, "beside"),
    }
    if not get(values, "watch"):
        if every is not None:
            raise ConfigError("--every applies to --watch: also give --watch.")
        report.make(workdir, printed=True, **options)
        return
    with contextlib.suppress(KeyboardInterrupt):  # the last report stays as it is
        seconds = every or live.SECONDS
        report.watch(workdir, seconds=seconds, said=_say, **options)


def _say(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
