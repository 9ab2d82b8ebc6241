"""Train one algorithm on one task, all seeds at once.

Examples:
  python -m launch.train --algorithm=sac --task=gym/HalfCheetah-v5 --seeds=4 \\
      --steps=100000 --workdir=runs/cheetah
  python -m launch.train --algorithm=mpo --task=gym/Hopper-v5 --steps=1e6 \\
      --set=g_estimate.critics=2 --set=networks.policy.sizes=64,64 --workdir=runs/mpo

Algorithms: mpo, awr, awac, sac. Tasks: gym/<id of Gymnasium>, toy/lqr, toy/bandit.
"""

import dataclasses
import sys
from collections.abc import Sequence

from absl import flags

from coadapt import sweep
from coadapt.sweep import Sweep
from launch import command
from launch.command import Values, count, required


def _define(values: Values) -> None:
    for name, about in (
        ("algorithm", "the preset to train: mpo, awr, awac or sac"),
        ("task", "family/id: gym/HalfCheetah-v5, toy/lqr"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    command.define_sweep(values)


def _run(values: Values) -> None:
    task = required(values, "task")
    (variant,) = sweep.presets([required(values, "algorithm")], task)
    config = sweep.change(variant.config, command.changes(values))
    asked = Sweep(
        experiment="train",
        variants={task: (dataclasses.replace(variant, config=config),)},
        seeds=tuple(range(count(values, "seeds", 1))),
        steps=count(values, "steps"),
        eval_every=count(values, "eval_every", 20_000),
        eval_episodes=count(values, "eval_episodes", 10),
    )
    command.run_sweep(values, asked)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
