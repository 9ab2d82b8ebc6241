"""Measure agent-updates per second, and the limit that matrix products set.

Examples:
  coadapt bench --algorithms=sac,mpo --agents=1,2,4,8,16
  coadapt bench --algorithms=sac --agents=8 --set=networks.policy.sizes=64,64
  coadapt bench --algorithms=sac --agents=8 --task=gym/HalfCheetah-v5
  coadapt bench --envs=gym/HalfCheetah-v5,dmc/cartpole_swingup --agents=1,8,64
  coadapt bench --products=64,256
  coadapt bench --algorithms=sac,mpo --agents=1,8,64,512 --project=h100

Each update is on a minibatch of a frozen random replay with HalfCheetah's shapes. The
limit is the speed of the fastest float32 matrix product in the same run, on all cores,
for the operations that the networks' shapes require. An update of awr has a tenth of
its gradient steps.

With --envs, thousands of env steps per second instead: coadapt's, a plain loop over the
suite's own environments, Gymnasium's vector environments, and the physics alone.

With --products, only the matrix products of the layers.

With --project, an estimate of an update's time on an accelerator, from its operations,
bytes and kernels. On an accelerator itself, the first command measures it.
"""

import sys
from collections.abc import Sequence

from absl import flags

from coadapt import algorithms, schema
from coadapt.bench import roofline, update_throughput
from coadapt.cli import bench_rows, command, configs
from coadapt.cli.values import Values, count, get, listed, refuse_both
from coadapt.schema import ConfigError
from coadapt.validation import config_rules


def _define(values: Values) -> None:
    flags.DEFINE_string(
        "algorithms",
        ",".join(algorithms.PRESETS),
        "presets, separated by commas (all)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "agents",
        "1,2,4,8",
        "numbers of agents in a program (1,2,4,8)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "rounds",
        None,
        "repetitions, of which the median is printed (5)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "task",
        None,
        "a task of gym/ or dmc/: time the training loop on it, and its updates alone",
        flag_values=values,
    )
    flags.DEFINE_string(
        "envs", None, "tasks of gym/ or dmc/: time only their steps", flag_values=values
    )
    flags.DEFINE_string(
        "project",
        None,
        f"estimate the time on {' or '.join(roofline.ACCELERATORS)}, without measuring",
        flag_values=values,
    )
    flags.DEFINE_string(
        "products",
        None,
        "widths of layers: time only the matrix products of an update",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "set", [], "change a field of the configs, path=value", flag_values=values
    )


def numbers(values: Values, flag: str) -> list[int]:
    """Whole numbers by comma.

    Raises: ConfigError.
    """
    words = listed(get(values, flag))
    if not words or not all(w.isdecimal() and 0 < len(w) < 6 and int(w) for w in words):
        raise ConfigError(
            f"--{flag} is {get(values, flag)!r}: it must be whole numbers, 1 or "
            "more (99999 at most), such as 1,2,4."
        )
    return [int(word) for word in words]


def _refuse(values: Values) -> None:
    """Raises: ConfigError, for flags that would say nothing beside others."""
    refuse_both(values, "envs", "products", "project", "task")
    for other in (name for name in ("envs", "products") if get(values, name)):
        for name in ("algorithms", "set"):
            if values[name].present:
                raise ConfigError(
                    f"--{name} applies to updates: leave it out beside --{other}."
                )


def _run(values: Values) -> None:
    _refuse(values)
    changes, agents = configs.changes(values), numbers(values, "agents")
    rounds = count(values, "rounds", 5)
    if get(values, "envs"):
        bench_rows.env_steps(listed(get(values, "envs")), agents, rounds)
        return
    if get(values, "products") is not None:
        bench_rows.products(numbers(values, "products"), rounds)
        return
    if not listed(get(values, "algorithms")):
        raise ConfigError("--algorithms is empty: give presets, such as sac,mpo.")
    presets = {
        name: schema.override(
            update_throughput.scaled(algorithms.preset(name)), changes
        )
        for name in listed(get(values, "algorithms"))
    }
    for preset in presets.values():
        config_rules.check(preset)
    if get(values, "project"):
        bench_rows.project(
            presets, roofline.accelerator(get(values, "project")), agents
        )
        return
    if get(values, "task"):
        bench_rows.overhead(presets, get(values, "task"), agents, rounds)
        return
    bench_rows.updates(presets, agents, rounds)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
