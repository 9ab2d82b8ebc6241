"""Run an ablation: an experiment by name, or algorithms by a grid of changes.

Examples:
  python -m launch.sweep --experiment=quickstart --workdir=runs/quickstart
  python -m launch.sweep --algorithms=sac,mpo --task=gym/Hopper-v5 --seeds=4 \\
      --grid=g_estimate.critics=1,2 --grid=pi_theta=Gaussian,TanhGaussian \\
      --steps=100000 --workdir=runs/grid
  python -m launch.sweep ... --dry_run        the plan, before anything compiles

A grid runs all combinations of its axes. Where a field is a tuple, ';' stands between
the values: --grid='networks.policy.sizes=64,64;256,256'.
"""

import dataclasses
import sys
from collections.abc import Sequence

from absl import flags

from coadapt import sweep
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep, Variant
from experiments import load
from launch import command
from launch.command import Values, get, listed


def _define(values: Values) -> None:
    for name, about in (
        ("experiment", "an experiment of experiments/: quickstart"),
        ("algorithms", "presets, by comma: sac,mpo,awr,awac"),
        ("task", "family/id: gym/HalfCheetah-v5, toy/lqr"),
        ("tasks", "the same for more than one, by comma"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    flags.DEFINE_multi_string(
        "grid",
        [],
        "an axis, path=value,value: --grid=g_estimate.critics=1,2; repeat for more",
        flag_values=values,
    )
    command.define_sweep(values)


def _tasks(values: Values) -> list[str]:
    if get(values, "task") and get(values, "tasks"):
        raise ConfigError("--task and --tasks are both given: give one.")
    found = listed(get(values, "tasks") or get(values, "task"))
    twice = [task for task in found if found.count(task) > 1]
    if twice:
        raise ConfigError(f"task {twice[0]!r} is given twice: give it once.")
    return found


def _changed(values: Values, variants: Sequence[Variant]) -> list[Variant]:
    """With every --set, under the names that they have."""
    changes = command.changes(values)
    return [
        dataclasses.replace(v, config=sweep.change(v.config, changes)) for v in variants
    ]


def _experiment(values: Values, name: str) -> Sweep:
    for other in ("algorithms", "grid"):
        if get(values, other):
            raise ConfigError(
                f"--{other} and --experiment are both given: an experiment has its own "
                "variants; change them with --set."
            )
    if (get(values, "tasks") or get(values, "task")) and not _tasks(values):
        raise ConfigError("--tasks has no task: give one, such as gym/Hopper-v5.")
    found = load(name)
    return Sweep(
        experiment=name,
        variants={
            task: _changed(values, found.variants(task))
            for task in _tasks(values) or found.tasks
        },
        **command.amounts(
            values, found.seeds, found.steps, found.eval_every, found.eval_episodes
        ),
    )


def _grid(values: Values) -> Sweep:
    names = listed(get(values, "algorithms"))
    if not names:
        raise ConfigError(
            "--algorithms is missing: give presets, such as sac,mpo, or --experiment."
        )
    tasks = _tasks(values)
    if not tasks:
        raise ConfigError("--task is missing: give one, such as gym/HalfCheetah-v5.")
    variants = {}
    for task in tasks:
        start = _changed(values, sweep.presets(names, task))
        variants[task] = sweep.grid(start, command.axes(values, start[0].config))
    return Sweep(
        experiment="sweep",
        variants=variants,
        **command.amounts(values),
    )


def _run(values: Values) -> None:
    name = get(values, "experiment")
    asked = _grid(values) if name is None else _experiment(values, name)
    command.run_sweep(values, asked)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
