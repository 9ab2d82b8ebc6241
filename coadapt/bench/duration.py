"""How long a sweep's updates will take on this device, from updates made just now."""

from collections.abc import Sequence

import jax

from coadapt import devices, envs, sweep
from coadapt.bench import cost, update_throughput
from coadapt.sweep import Group, Sweep


def of_updates(programs: Sequence[Group], asked: Sweep) -> float:
    """Seconds, an estimate.

    For each program that is like no other before, some updates of as many agents are
    compiled and timed on HalfCheetah's shapes; they are scaled by the arithmetic of the
    task's shapes, and by the number of updates.
    """
    rates: dict[object, float] = {}  # seconds for each operation of one agent
    total = 0.0
    for task, agents in programs:
        config, spec, number = agents[0].variant.config, envs.spec(task), len(agents)
        key = jax.tree.structure(config), number
        if key not in rates:
            fewer = update_throughput.scaled(config)
            flops = cost.update_flops(fewer, update_throughput.SPEC)
            rates[key] = update_throughput.update_seconds(fewer, number) / flops
            devices.make_room()
        count = sweep.updates(config, asked.steps_of(task, agents[0].variant))
        total += rates[key] * cost.update_flops(config, spec) * count
    return total


def line(seconds: float) -> str:
    """'time of updates: 3 h 20 min, ...'."""
    minutes = max(round(seconds / 60), 1)
    hours, rest = divmod(minutes, 60)
    words = f"{hours:,} h {rest} min" if hours else f"{rest} min"
    return (
        f"time of updates: about {words} as measured here and now; environments, "
        "evaluations and compiling are not in it"
    )
