"""Print the paper's tables from the code's own configs.

Examples:
  coadapt taxonomy                       Table 1: the seven factors, and later methods
  coadapt taxonomy --table=4             Table 4: networks and optimisers
  coadapt taxonomy --format=markdown
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt import taxonomy
from coadapt.cli import command, output
from coadapt.cli.values import Values, get
from coadapt.schema import ConfigError

TABLES = {
    "1": lambda: taxonomy.table1() + taxonomy.later(),
    "4": taxonomy.table4,
}


def _define(values: Values) -> None:
    flags.DEFINE_string("table", "1", "1 or 4 (1)", flag_values=values)
    output.define_style(values)


def _run(values: Values) -> None:
    table = get(values, "table")
    if table not in TABLES:
        raise ConfigError(f"--table is {table!r}: it must be {' or '.join(TABLES)}.")
    print(taxonomy.render(TABLES[table](), output.style(values)))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
