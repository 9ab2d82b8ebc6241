"""Print which points of the seven factors are valid, and why others are not.

Examples:
  coadapt hybrids                        the matrix, and the reasons
  coadapt hybrids --format=markdown      as docs/hybrids.md has it
  coadapt hybrids --format=csv           the matrix alone
  coadapt hybrids --format=csv --table=refusals
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt import taxonomy
from coadapt.cli import command, output
from coadapt.cli.values import Values, get
from coadapt.schema import ConfigError
from coadapt.validation import design_space


def _define(values: Values) -> None:
    flags.DEFINE_string("table", "", "matrix or refusals (both)", flag_values=values)
    output.define_style(values)


def _run(values: Values) -> None:
    table, style = get(values, "table"), output.style(values)
    if table and table not in design_space.TABLES:
        raise ConfigError(
            f"--table is {table!r}: it must be {' or '.join(design_space.TABLES)}."
        )
    if table:
        print(taxonomy.render(design_space.TABLES[table](), style))
    else:
        print(design_space.report(style))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
