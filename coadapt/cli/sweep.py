"""Run an ablation: an experiment by name, or algorithms by a grid of changes.

Examples:
  coadapt sweep --experiment=quickstart --workdir=runs/quickstart
  coadapt sweep --experiment=table3 --scale=reduced --workdir=runs/table3
  coadapt sweep --experiment=table2 --variants='SAC(D),SAC(S)' --dry_run
  coadapt sweep --experiment=mine.py --workdir=runs/mine
  coadapt sweep --algorithms=sac,mpo --task=gym/Hopper-v5 --seeds=4 \\
      --grid=g_estimate.critics=1,2 --grid=pi_theta=Gaussian,TanhGaussian \\
      --steps=100000 --workdir=runs/grid
  coadapt sweep --algorithms=sac --task=gym/Hopper-v5 --seeds=4 \\
      --factorial=g_estimate.critics=1,2 --factorial=pi_theta=Gaussian,TanhGaussian \\
      --factorial=data.batch_size=128,256 \\
      --factorial=networks.policy.activation=relu,elu \\
      --resolution=4 --steps=100000 --workdir=runs/fraction
  coadapt sweep --algorithms=sac,mpo --task=gym/Hopper-v5 --steps=100000 \\
      --grid=g_estimate.critics=1,2 --until=decided --max_seeds=64 --workdir=runs/until
  coadapt sweep --algorithms=sac,mpo --task=gym/Hopper-v5 --steps=100000 \\
      --grid=g_estimate.critics=1,2 --tune=optim.policy.rate=1e-5..1e-2:log \\
      --tune_budget=8 --workdir=runs/tuned_rate
  coadapt sweep ... --dry_run        the plan, before anything compiles

A grid runs all combinations of its axes. Where a field is a tuple, ';' stands between
the values: --grid='networks.policy.sizes=64,64;256,256'. Fields that take their values
together are one axis: --grid=target.policy.period+target.critic.period=25,400. The
toggles of a factorial have two values each, off and on; with --resolution, the smallest
fraction that has it is run. --steps=1e5,awr:6e5 is one study of two lengths.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence

from absl import flags

from coadapt import effects, schema, sweep
from coadapt.cli import command, studies
from coadapt.cli.command import Values, get, listed
from coadapt.config import Config
from coadapt.experiments import CURVES, MODULES, load
from coadapt.experiments.base import PAPER, SCALES, Experiment, scaled
from coadapt.schema import ConfigError, nearest
from coadapt.sweep import Sweep, Variant


def _define(values: Values) -> None:
    for name, about in (
        ("experiment", f"a file of yours, or {', '.join((*MODULES, *CURVES))}"),
        (
            "scale",
            "budget of an experiment of the paper, which its name then says: "
            f"{', '.join((PAPER, *SCALES))} ({PAPER})",
        ),
        ("variants", "of an experiment's variants these alone, by comma"),
        ("algorithms", "presets, by comma: sac,mpo,awr,awac"),
        ("task", "family/id: gym/HalfCheetah-v5, toy/lqr"),
        ("tasks", "the same for more than one, by comma"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    flags.DEFINE_multi_string(
        "grid",
        [],
        "an axis, path=value,value: --grid=g_estimate.critics=1,2; repeat for more. "
        "Fields that take their values together are one axis, joined by '+'",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "factorial",
        [],
        "a toggle, path=off,on, of a full or, with --resolution, fractional factorial; "
        "repeat for more",
        flag_values=values,
    )
    flags.DEFINE_string(
        "resolution",
        None,
        "of the smallest fraction of the factorial that has it: 3 keeps main effects "
        "apart, 4 also from interactions, 5 interactions from each other",
        flag_values=values,
    )
    command.define_sweep(values)
    studies.define(values)


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
    found = [
        dataclasses.replace(v, config=sweep.change(v.config, changes)) for v in variants
    ]
    return command.own_steps(values, found)


def _chosen(
    values: Values, variants: Mapping[str, Sequence[Variant]]
) -> Mapping[str, Sequence[Variant]]:
    """Those of --variants, on the tasks that have any. Raises: ConfigError."""
    names = listed(get(values, "variants"))
    known = dict.fromkeys(v.name for found in variants.values() for v in found)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--variants has {name!r}: it must be of {', '.join(known)}"
                f"{nearest(name, known)}"
            )
    if not names:
        return variants
    kept = {t: [v for v in vs if v.name in names] for t, vs in variants.items()}
    return {task: found for task, found in kept.items() if found}


def _budgeted(values: Values, name: str) -> Experiment:
    """The experiment at its scale; what flags change is no scale's: 'table3@own'."""
    found, scale = load(name), get(values, "scale")
    if scale is None and found.cheap is None:
        return found
    made = scaled(found, scale or PAPER)
    own = ("set", "steps", "eval_every", "eval_episodes")
    if any(get(values, flag) for flag in own):
        made = dataclasses.replace(made, name=f"{found.name}@own")
    return made


def _experiment(values: Values, name: str) -> Sweep:
    for other in ("algorithms", "grid", "factorial"):
        if get(values, other):
            raise ConfigError(
                f"--{other} and --experiment are both given: an experiment has its own "
                "variants; change them with --set."
            )
    if (get(values, "tasks") or get(values, "task")) and not _tasks(values):
        raise ConfigError("--tasks has no task: give one, such as gym/Hopper-v5.")
    found = _budgeted(values, name)
    tasks = _tasks(values) or found.tasks
    variants = {task: _changed(values, found.variants(task)) for task in tasks}
    chosen = _chosen(values, variants)
    amounts = command.amounts(
        values, found.seeds, 1, found.eval_every, found.eval_episodes
    )
    if not command.steps_for_all(values):
        amounts["steps"] = {task: found.steps_on(task) for task in chosen}
    return Sweep(experiment=found.name, variants=chosen, **amounts)


def _grid(values: Values) -> Sweep:
    for other in ("scale", "variants"):
        if get(values, other):
            raise ConfigError(
                f"--{other} is of an experiment's: give --experiment with it."
            )
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
        presets = _changed(values, sweep.presets(names, task))
        _refuse_both(values, presets[0].config)
        start = _factorial(values, presets)
        variants[task] = sweep.grid(start, command.axes(values, start[0].config))
    return Sweep(
        experiment="sweep",
        variants=variants,
        **command.amounts(values, studies.seeds(values)),
    )


def _refuse_both(values: Values, config: Config) -> None:
    """Raises: ConfigError, where a field is in a grid and in a factorial."""
    grid, factorial = (
        {
            path
            for axis in command.axes(values, config, name)
            for path in schema.tied(axis)
        }
        for name in ("grid", "factorial")
    )
    for path in sorted(grid & factorial):
        raise ConfigError(
            f"{path} is in --grid and in --factorial: give each field once."
        )


def _factorial(values: Values, start: Sequence[Variant]) -> Sequence[Variant]:
    """Each variant at the settings of the toggles that the design has."""
    toggles = command.axes(values, start[0].config, "factorial")
    for path, levels in toggles.items():
        if len(levels) != 2:
            raise ConfigError(
                f"--factorial has {path} with {len(levels)} levels: a toggle has two, "
                "off and on; --grid has any number."
            )
    if get(values, "resolution") is None:
        return sweep.grid(start, toggles) if toggles else start
    if not toggles:
        raise ConfigError("--resolution is of a factorial: give --factorial with it.")
    least = command.count(values, "resolution", least=3, most=12)
    design = effects.fractional(tuple(toggles), least)
    settings = [
        {
            path: toggles[path][int(level > 0)]
            for path, level in zip(toggles, row, strict=True)
        }
        for row in design.rows
    ]
    made = [sweep.vary(variant, setting) for variant in start for setting in settings]
    sweep.distinct(made)
    return made


def _run(values: Values) -> int:
    name = get(values, "experiment")
    asked = _grid(values) if name is None else _experiment(values, name)
    asked, parts = studies.planned(values, asked)
    return command.run_sweep(
        values, asked, about=lambda: studies.about(values, asked), parts=parts
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
