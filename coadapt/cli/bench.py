"""Measure agent-updates a second, beside the machine's matrix products.

Examples:
  coadapt bench --algorithms=sac,mpo --agents=1,2,4,8,16
  coadapt bench --algorithms=sac --agents=8 --set=networks.policy.sizes=64,64
  coadapt bench --algorithms=sac --agents=8 --task=gym/HalfCheetah-v5
  coadapt bench --envs=gym/HalfCheetah-v5,dmc/cartpole_swingup --agents=1,8,64
  coadapt bench --products=64,256
  coadapt bench --algorithms=sac,mpo --agents=1,8,64,512 --project=h100

Each update is on a minibatch of a frozen random replay with HalfCheetah's shapes. The
limit is the best float32 matrix product of the same run, on all cores; the arithmetic
is counted from the shapes of the networks' products. Updates of awr are of a tenth of
its steps.

With --envs, thousands of environment steps a second instead: ours, a plain loop over
the suite's own environments, Gymnasium's vector environments, the physics alone.

With --products, the products of layers alone, without the rest of an update.

With --project, what an update would take on an accelerator, from its operations, bytes
and kernels: not a measurement. On one, the first command measures it.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence

from absl import flags

from coadapt import algorithms, devices, legality, projection, rates, schema, speed
from coadapt.cli import command
from coadapt.cli.command import Values, count, get, listed
from coadapt.config import Config
from coadapt.schema import ConfigError

HEADER = (
    "algorithm  agents  compile s  ms/update  agent-updates/s  "
    "GFLOP/agent  GFLOP/s  limit  ratio  MB held"
)


def _define(values: Values) -> None:
    flags.DEFINE_string(
        "algorithms", ",".join(algorithms.PRESETS), "presets (all)", flag_values=values
    )
    flags.DEFINE_string("agents", "1,2,4,8", "numbers of agents", flag_values=values)
    flags.DEFINE_string(
        "rounds",
        None,
        "repeats, of which the median is told (5)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "task",
        None,
        "a task of the host: measure the loop on it against its updates alone",
        flag_values=values,
    )
    flags.DEFINE_string(
        "envs", None, "tasks of the host: measure their steps alone", flag_values=values
    )
    flags.DEFINE_string(
        "project",
        None,
        f"an accelerator, {' or '.join(projection.ACCELERATORS)}: project, not measure",
        flag_values=values,
    )
    flags.DEFINE_string(
        "products",
        None,
        "widths of layers: measure XLA's products of them alone, as an update has them",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "set", [], "change a field of the configs, path=value", flag_values=values
    )


def numbers(values: Values, flag: str) -> list[int]:
    """Whole numbers by comma. Raises: ConfigError."""
    words = listed(get(values, flag))
    if not words or not all(w.isdecimal() and 0 < len(w) < 6 and int(w) for w in words):
        raise ConfigError(
            f"--{flag} is {get(values, flag)!r}: it must be whole numbers, 1 or "
            "more (99999 at most), such as 1,2,4."
        )
    return [int(word) for word in words]


def _run(values: Values) -> None:
    changes, agents = command.changes(values), numbers(values, "agents")
    rounds = count(values, "rounds", 5)
    if get(values, "envs"):
        _envs(listed(get(values, "envs")), agents, rounds)
        return
    if get(values, "products") is not None:
        _products(numbers(values, "products"), rounds)
        return
    if not listed(get(values, "algorithms")):
        raise ConfigError("--algorithms is empty: give presets, such as sac,mpo.")
    presets = {
        name: schema.override(speed.scaled(algorithms.preset(name)), changes)
        for name in listed(get(values, "algorithms"))
    }
    for preset in presets.values():
        legality.check(preset)
    if get(values, "project"):
        _project(presets, projection.accelerator(get(values, "project")), agents)
        return
    if get(values, "task"):
        _overhead(presets, get(values, "task"), agents, rounds)
        return
    print(HEADER)
    for name, preset in presets.items():
        for row in speed.measure(preset, agents, rounds=rounds):
            print(
                f"{name:<9}{row.agents:>8}{row.compile:>11.1f}"
                f"{1e3 * row.update:>11.2f}{row.updates:>17.1f}"
                f"{row.flops / row.agents / 1e9:>13.3f}"
                f"{row.flops / row.update / 1e9:>9.1f}{row.limit / 1e9:>7.0f}"
                f"{row.fraction:>7.2f}{row.held / 1e6:>9.0f}",
                flush=True,
            )
        devices.make_room()


def _products(widths: list[int], rounds: int) -> None:
    print("product  width  GFLOP/s  limit  of limit")
    for row in speed.measure_products(widths, rounds=rounds):
        print(
            f"{row.name:<7}{row.width:>7}{row.rate / 1e9:>9.0f}{row.limit / 1e9:>7.0f}"
            f"{row.fraction:>10.2f}",
            flush=True,
        )


def _project(
    presets: Mapping[str, Config],
    device: projection.Accelerator,
    agents: list[int],
) -> None:
    print(
        f"algorithm  agents  ms/update on one {device.name}, projected  agent-updates/s"
    )
    for name, preset in presets.items():
        work = projection.work(preset)
        for n in agents:
            took = device.seconds(work, n)
            print(f"{name:<9}{n:>8}{1e3 * took:>37.2f}{n / took:>17.0f}", flush=True)
        print(
            f"{name}: {work.flops / 1e9:.3f} GFLOP and {work.bytes / 1e6:.0f} MB an "
            f"agent, {work.kernels} kernels",
            flush=True,
        )
        devices.make_room()


def _overhead(presets, task: str, agents: list[int], rounds: int) -> None:
    speed.require_host(task)
    print("algorithm  agents  ms/update with env steps  ms/update alone  overhead")
    for name, preset in presets.items():
        for row in speed.measure_overhead(preset, task, agents, rounds=rounds):
            print(
                f"{name:<9}{row.agents:>8}{1e3 * row.step:>26.2f}"
                f"{1e3 * row.update:>17.2f}{row.fraction:>10.1%}",
                flush=True,
            )
        devices.make_room()


def _envs(tasks: list[str], agents: list[int], rounds: int) -> None:
    for task in tasks:
        speed.require_host(task)  # before any is measured
    for i, (task, n) in enumerate(itertools.product(tasks, agents)):
        lines = rates.table(rates.measure(task, n, rounds))
        print("\n".join(lines[2:] if i else lines), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
