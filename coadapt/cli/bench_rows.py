"""A part of `coadapt bench`: what it measures, a line as soon as it is known."""

import itertools
from collections.abc import Mapping

from coadapt import devices, envs, runner
from coadapt.bench import env_throughput, roofline, update_throughput
from coadapt.config import Config

HEADER = (
    "algorithm  agents  compile s  CPU s  ms/update  CPU ms  agent-updates/s  "
    "GFLOP/agent  GFLOP/s  limit  ratio  MB held"
)


def updates(presets: Mapping[str, Config], agents: list[int], rounds: int) -> None:
    """Of each preset and number of agents, beside the machine's matrix products."""
    print(HEADER)
    for name, preset in presets.items():
        for row in update_throughput.measure(preset, agents, rounds=rounds):
            print(
                f"{name:<9}{row.agents:>8}{row.compile:>11.1f}{row.compile_cpu:>7.1f}"
                f"{1e3 * row.update:>11.2f}{1e3 * row.update_cpu:>8.2f}"
                f"{row.updates:>17.1f}"
                f"{row.flops / row.agents / 1e9:>13.3f}"
                f"{row.flops / row.update / 1e9:>9.1f}{row.limit / 1e9:>7.0f}"
                f"{row.fraction:>7.2f}{row.held / 1e6:>9.0f}",
                flush=True,
            )
        devices.make_room()


def products(widths: list[int], rounds: int) -> None:
    print("product  width  GFLOP/s  limit  of limit")
    for row in update_throughput.measure_products(widths, rounds=rounds):
        print(
            f"{row.name:<7}{row.width:>7}{row.rate / 1e9:>9.0f}{row.limit / 1e9:>7.0f}"
            f"{row.fraction:>10.2f}",
            flush=True,
        )


def project(
    presets: Mapping[str, Config],
    device: roofline.Accelerator,
    agents: list[int],
) -> None:
    print(
        f"algorithm  agents  ms/update on one {device.name}, projected  agent-updates/s"
    )
    for name, preset in presets.items():
        work = roofline.work(preset)
        for n in agents:
            took = device.seconds(work, n)
            print(f"{name:<9}{n:>8}{1e3 * took:>37.2f}{n / took:>17.0f}", flush=True)
        print(
            f"{name}: {work.flops / 1e9:.3f} GFLOP and {work.bytes / 1e6:.0f} MB an "
            f"agent, {work.kernels} kernels",
            flush=True,
        )
        devices.make_room()


def overhead(
    presets: Mapping[str, Config], task: str, agents: list[int], rounds: int
) -> None:
    update_throughput.require_host(task)
    for preset in presets.values():
        runner.admissible(preset, envs.spec(task), update_throughput.LOOP)
    print("algorithm  agents  ms/update with env steps  ms/update alone  overhead")
    for name, preset in presets.items():
        for row in update_throughput.measure_overhead(
            preset, task, agents, rounds=rounds
        ):
            print(
                f"{name:<9}{row.agents:>8}{1e3 * row.step:>26.2f}"
                f"{1e3 * row.update:>17.2f}{row.fraction:>10.1%}",
                flush=True,
            )
        devices.make_room()


def env_steps(tasks: list[str], agents: list[int], rounds: int) -> None:
    for task in tasks:
        update_throughput.require_host(task)  # before any is measured
    for i, (task, n) in enumerate(itertools.product(tasks, agents)):
        lines = env_throughput.table(env_throughput.measure(task, n, rounds))
        print("\n".join(lines[2:] if i else lines), flush=True)
