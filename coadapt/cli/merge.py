"""Bring run stores that were made apart into one.

Examples:
  coadapt merge runs/a runs/b --into=runs/all

Those that are merged are only read. Their manifests, configs and checksums are held
against each other, and what contradicts is refused: other settings, or two values of
one agent at one step. Done again, it copies nothing but what is new; after a kill, the
rest. A sweep goes on with what it made.
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
        "store", [], "a run store, also as a word without a flag", flag_values=values
    )
    flags.DEFINE_string(
        "into", None, "folder of the merged run store", flag_values=values
    )


def _run(values: Values) -> None:
    into = Path(required(values, "into"))
    done = merge.merge([Path(each) for each in get(values, "store")], into)
    print(f"{into}: {done.programs} programs; attempts copied: {done.copied}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv, words="store")


if __name__ == "__main__":
    sys.exit(main())
