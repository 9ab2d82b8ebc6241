"""Train one algorithm on one task, all seeds at once.

Examples:
  coadapt train --algorithm=sac --task=gym/HalfCheetah-v5 --seeds=4 \\
      --steps=100000 --workdir=runs/cheetah
  coadapt train --algorithm=mpo --task=gym/Hopper-v5 --steps=1e6 \\
      --set=g_estimate.critics=2 --set=networks.policy.sizes=64,64 --workdir=runs/mpo

  coadapt train --algorithm=sac --task=gym/HalfCheetah-v5 --steps=50000 \\
      --workdir=runs/half --save_dataset=half-cheetah/sac-half-v0
  coadapt train --algorithm=brac --task=gym/HalfCheetah-v5 --steps=100000 \\
      --set=data.dataset=half-cheetah/sac-half-v0 --workdir=runs/brac

  coadapt train --config=mine.json --task=toy/lqr --steps=1e4 --workdir=runs/m

Algorithms: mpo, awr, awac, sac, power, rwr, reps, urex, vmpo, trpo, ppo, ddpg, td3, and
offline brac, bear; vmpo_table1 and trpo_table1 are the paper's rows, which learn more
slowly; coadapt taxonomy also prints later methods.
Tasks: gym/<id of Gymnasium>, gym/<package>:<id>, gym/<id>?key=value; dmc/walker_run and
the suite's others; ours/Striker-v0; toy/lqr, bandit, chain, arms, corridor.
Discrete actions need --set=pi_theta=Softmax (reps and urex have it); with
--set=pi_theta.bins=11 a Softmax also acts on continuous ones.
"""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from absl import flags

from coadapt import sweep
from coadapt.cli import budget, command, configs, running, sweep_flags, workers
from coadapt.cli.values import Values, get, required
from coadapt.config import Config, Offline
from coadapt.data import offline
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep, Variant
from coadapt.sweeps import dataset


def _define(values: Values) -> None:
    for name, about in (
        ("algorithm", "preset to train: sac, mpo, ppo, ..."),
        (
            "config",
            "JSON file with a whole config, instead of --algorithm: docs/extending.md",
        ),
        ("task", "family/id of the task: gym/HalfCheetah-v5, toy/lqr"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    flags.DEFINE_string(
        "save_dataset",
        None,
        "also write the agents' transitions as a Minari data set of this name, such as "
        "half-cheetah/sac-v0, for --set=data=Offline --set=data.dataset=...",
        flag_values=values,
    )
    sweep_flags.define(values, seeds="1")


def _run(values: Values) -> int:
    task = required(values, "task")
    (variant,) = budget.own_steps(values, [_variant(values, task)])
    config = variant.config
    asked = Sweep(
        experiment="train",
        variants={task: (variant,)},
        **budget.amounts(values),
    )
    name = get(values, "save_dataset")
    if name is None:
        return running.run_sweep(values, asked)
    workers.refuse(values, "save_dataset")
    _refuse(name, config)
    folder = store.folder(required(values, "workdir")).absolute()
    dataset.refuse(name, asked, folder)
    whole = dataset.is_whole(name, asked, folder)
    running.run_sweep(values, asked, partial(dataset.hold, folder))
    if get(values, "dry_run"):
        return 0
    path = dataset.write(name, asked, folder)
    if not get(values, "quiet"):
        print(f"data set: {name}, {path}{', whole already' if whole else ''}")
    return 0


def _variant(values: Values, task: str) -> Variant:
    """The preset or the config of the file, with every --set."""
    path, changes = get(values, "config"), configs.changes(values)
    if path is None:
        (preset,) = sweep.presets([required(values, "algorithm")], task)
        return dataclasses.replace(preset, config=sweep.change(preset.config, changes))
    if get(values, "algorithm"):
        raise ConfigError("--algorithm and --config are both given: give one.")
    name = Path(path).stem
    return Variant(name, name, sweep.change(configs.read_config(path), changes))


def _refuse(name: str, config: Config) -> None:
    """Before anything starts.

    Raises: ConfigError.
    """
    offline.place(name)
    if isinstance(config.data, Offline):
        raise ConfigError(
            f"--save_dataset is {name!r}: with data=Offline nothing is collected."
        )
    if config.data.terminate_at_limit:
        raise ConfigError(
            f"--save_dataset is {name!r}: with data.terminate_at_limit its time limits "
            "would be read as terminations; use false."
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
