"""Merge run stores, such as those of several machines, into one.

Examples:
  coadapt merge runs/a runs/b --into=runs/all

The merged stores are only read. Their manifests, configs and checksums are compared,
and contradictions are refused: other settings, or two values of one agent at one env
step. Repeated, or after a kill, the command copies only what is missing. A sweep can
continue in the result.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from coadapt.cli import command
from coadapt.cli.values import Values, get, required
from coadapt.runs import merge


def _define(values: Values) -> None:
    flags.DEFINE_multi_string(
        "store",
        [],
        "workdir of a sweep to merge; may be written without the flag",
        flag_values=values,
    )
    flags.DEFINE_string("into", None, "workdir for the merged rows", flag_values=values)


def _run(values: Values) -> None:
    into = Path(required(values, "into"))
    done = merge.merge([Path(each) for each in get(values, "store")], into)
    print(f"{into}: {done.programs} programs; attempts copied: {done.copied}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv, words="store")


if __name__ == "__main__":
    sys.exit(main())
