"""Show what a sweep found, while it runs or after.

Examples:
  coadapt report --workdir=runs/quickstart
  coadapt report --workdir=runs/quickstart --watch     while it runs
  coadapt report --workdir=runs/quickstart --latex --pdf

Prints the score of every variant with its interval, and its last evaluation (mean and
std over seeds); writes tables, verdicts and learning curves to <workdir>/report/, or to
--out.
"""

import contextlib
import sys
from collections.abc import Sequence

from absl import flags

from coadapt import report
from coadapt.cli import command
from coadapt.cli.values import Values, get, positive, required
from coadapt.report import live
from coadapt.runs import store
from coadapt.schema import ConfigError


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
            "largest effect that counts as negligible: in the reference's unit "
            "(what the protocol "
            "fixed, else 0.1), or in returns where a task has no reference",
        ),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    for name, about in (
        ("latex", "write tables for a paper too, as .tex with booktabs"),
        ("pdf", "write figures for a paper too, as PDFs as wide as a column"),
        (
            "watch",
            "write it again as the store grows, until all is finished or Ctrl-C; an "
            "open page follows",
        ),
    ):
        flags.DEFINE_boolean(name, False, about, flag_values=values)
    flags.DEFINE_multi_string(
        "beside",
        [],
        "a file of others' curves, to be drawn and compared: method, task, step, seed, "
        "return, or as docs/runs.md has them; repeat for more",
        flag_values=values,
    )
    flags.DEFINE_string(
        "every",
        None,
        f"with --watch, seconds from one look to the next ({live.SECONDS:g})",
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
