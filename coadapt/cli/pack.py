"""Pack a run store into one archive: its request, its rows and its report.

Example:
  coadapt pack --workdir=runs/table2 --out=table2.zip

The archive has a list of its files with their checksums, the hash of the plan and when
it was first run, versions and hardware. `coadapt unpack` checks it on another machine.
Without --out it is <workdir>.zip.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt.cli import command
from coadapt.cli.values import Values, get, required
from coadapt.report import pack
from coadapt.runs import store


def _define(values: Values) -> None:
    flags.DEFINE_string(
        "workdir", None, "folder that was the --workdir of a sweep", flag_values=values
    )
    flags.DEFINE_string(
        "out", None, "file for the archive (<workdir>.zip)", flag_values=values
    )


def _run(values: Values) -> None:
    folder = store.folder(required(values, "workdir"))
    out = get(values, "out") or f"{folder.absolute()}.zip"
    print("\n".join(lines(pack.write(folder, out))))
    print(f"written: {out}")


def lines(found: pack.Pack) -> list[str]:
    """What an archive is of, a line each."""
    hosts = dict.fromkeys(
        f"{each.get('device', '')}, jax {each.get('versions', {}).get('jax', '?')}"
        for each in found.sessions
    )
    return [
        f"experiment: {found.experiment}",
        f"plan: {found.plan}, first run {found.since or 'at an unknown time'}",
        f"run on: {'; '.join(hosts) or 'unknown'}",
        f"files: {found.files}",
        f"study: {found.study}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
