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

A grid runs all combinations of its axes. The values of a field that is a tuple are
separated by ';': --grid='networks.policy.sizes=64,64;256,256'. Fields that change
together are one axis: --grid=target.policy.period+target.critic.period=25,400. The
toggles of a factorial have two values each, off and on; with --resolution, the smallest
fraction of that resolution is run. With --steps=1e5,awr:6e5, awr runs 600,000 env
steps and all others 100,000.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt.cli import command, grids, named, running, studies, sweep_flags
from coadapt.cli.values import Values, get
from coadapt.experiments import CURVES, MODULES
from coadapt.experiments.base import PAPER, SCALES


def _define(values: Values) -> None:
    for name, about in (
        (
            "experiment",
            f"a Python file of yours, or one of {', '.join((*MODULES, *CURVES))}",
        ),
        (
            "scale",
            "budget of an experiment, which becomes a part of its name: "
            f"{', '.join((PAPER, *SCALES))} ({PAPER})",
        ),
        ("variants", "variants of the experiment to run, separated by commas (all)"),
        ("algorithms", "presets, separated by commas: sac,mpo,awr,awac"),
        ("task", "family/id of the task: gym/HalfCheetah-v5, toy/lqr"),
        ("tasks", "several tasks, separated by commas, instead of --task"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    flags.DEFINE_multi_string(
        "grid",
        [],
        "an axis of the grid, field=value,value: --grid=g_estimate.critics=1,2; repeat "
        "for more axes. Fields that change together are joined by '+'",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "factorial",
        [],
        "a toggle of a factorial, field=off,on; repeat for more. All settings are run, "
        "or with --resolution a fraction",
        flag_values=values,
    )
    flags.DEFINE_string(
        "resolution",
        None,
        "run the smallest fraction of this resolution: 3 separates main effects, 4 "
        "also main effects from interactions, 5 also interactions from each other",
        flag_values=values,
    )
    seeds = "1, or the experiment's; 10 with --tune, 16 with --until"
    sweep_flags.define(values, seeds=seeds)
    studies.define(values)


def _run(values: Values) -> int:
    name = get(values, "experiment")
    asked = grids.asked(values) if name is None else named.asked(values, name)
    asked, parts = studies.planned(values, asked)

    def about() -> list[str]:
        said = [] if name is None else named.remarks(name)
        return said + studies.about(values, asked)

    return running.run_sweep(values, asked, about=about, parts=parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
