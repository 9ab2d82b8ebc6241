"""Copy the rows of a run store to TensorBoard's event files, or to Weights & Biases.

Examples:
  coadapt logs --workdir=runs/quickstart --to=tensorboard
  tensorboard --logdir=runs/quickstart/tensorboard

  WANDB_MODE=offline coadapt logs --workdir=runs/quickstart --to=wandb

A sweep does the same while it runs with --tensorboard, or --wandb=PROJECT. What was
copied before is replaced, never doubled, and the run store is only read.

  coadapt logs --metrics       every metric that --log can name
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt.cli import command
from coadapt.cli.values import Values, get, required
from coadapt.metrics import available, writers
from coadapt.runs import store
from coadapt.schema import ConfigError


def _define(values: Values) -> None:
    for name, about in (
        ("workdir", "folder that was the --workdir of a sweep"),
        ("to", f"where to copy the rows: {' or '.join(writers.PACKAGES)}"),
        ("project", "project of Weights & Biases, or entity/project (coadapt)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    flags.DEFINE_boolean(
        "metrics",
        False,
        "print the table of metrics: definitions, units, who has them",
        flag_values=values,
    )


def _run(values: Values) -> None:
    if get(values, "metrics"):
        print(available.table())
        return
    folder, to = store.folder(required(values, "workdir")), required(values, "to")
    project = get(values, "project")
    if project and to != writers.WANDB:
        raise ConfigError(
            "--project applies to Weights & Biases: also give --to=wandb."
        )
    sink = writers.named(to, folder, project or writers.PROJECT)
    number = writers.copy(folder, sink)
    print(f"written: {folder / to}, {number} agent{'' if number == 1 else 's'}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
