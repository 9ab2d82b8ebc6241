"""Check and unpack an archive of `coadapt pack`, and make its report again.

Example:
  coadapt unpack --archive=table2.zip --workdir=runs/theirs --study=<SHA-256>

Nothing is written unless every file has its checksum in the archive's list, and lies
within the folder. The SHA-256 of that list is what `coadapt pack` prints as 'study';
with --study it is checked too.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt.cli import command
from coadapt.cli.pack import lines
from coadapt.cli.values import Values, get, required
from coadapt.report import pack
from coadapt.system import console


def _define(values: Values) -> None:
    for name, about in (
        ("archive", "file that coadapt pack wrote"),
        ("workdir", "new or empty folder for the run store"),
        ("study", "SHA-256 that coadapt pack printed as study, to be checked"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def _run(values: Values) -> None:
    names = ("archive", "workdir")
    archive, workdir = (required(values, name) for name in names)
    found = pack.read(archive, workdir, study=get(values, "study") or "")
    print("\n".join(map(console.printable, lines(found))))
    differs = f"differs in {', '.join(found.differs)}"
    own = differs if found.differs else "has the same tables"
    print(f"checked: all files are as they were packed; a report of here {own}")
    print(f"written: {workdir}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
