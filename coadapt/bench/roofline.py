"""What an update of N agents would take on an accelerator: a projection, not a measure.

An update of one agent is so many operations, bytes and kernels. Mapped over N agents it
is N times the operations and bytes in as many kernels, so that

    seconds = max(N operations / peak, N bytes / bandwidth) + kernels * launch,

as if products ran at their peak and all other kernels at the memory's. Operations are
counted from the shapes (cost.py), bytes and kernels from the program that XLA
makes for a CPU. An accelerator's fuses more (98 kernels of SAC where a CPU's has 858),
so the launch is what a kernel of the CPU's program was seen to cost there.
"""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import learn, runner, schema
from coadapt.bench import cost, update_throughput
from coadapt.config import Config, Replay
from coadapt.data import replay
from coadapt.learn import Clock


class Accelerator(NamedTuple):
    """From its data sheet."""

    name: str
    flops: float  # of float32 products, a second
    bandwidth: float  # bytes a second
    launch: float  # seconds for each kernel of the CPU's program

    def seconds(self, work: "Work", agents: int) -> float:
        """Of one update of all agents."""
        arithmetic = agents * work.flops / self.flops
        return max(arithmetic, agents * work.bytes / self.bandwidth) + (
            work.kernels * self.launch
        )


# NVIDIA's data sheets (SXM): float32 outside of tensor cores. A launch: one SAC agent
# took 0.82 ms on an H100 and one of MPO 1.61 (docs/benchmarks.md), with 858 and 1059
# kernels in the CPU's program; most of that is the host's, so an A100's is no other.
_LAUNCH = 0.9e-6
ACCELERATORS = {
    "h100": Accelerator("H100", 67e12, 3.35e12, _LAUNCH),
    "a100": Accelerator("A100", 19.5e12, 2.04e12, _LAUNCH),
}


class Work(NamedTuple):
    """Of one agent's update."""

    flops: int
    bytes: float  # that all kernels read and write
    kernels: int


def accelerator(name: str) -> Accelerator:
    """One that is known.

    Raises: ConfigError.
    """
    if name not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        raise schema.ConfigError(
            f"accelerator {name!r} is not known: it must be one of {known}"
            f"{schema.nearest(name, ACCELERATORS)}"
        )
    return ACCELERATORS[name]


def work(config: Config) -> Work:
    """Counted from a program of one agent, compiled here.

    Raises: ConfigError.
    """
    if not isinstance(config.data, Replay):
        raise schema.ConfigError(
            f"data is {type(config.data).__name__}: only updates from a Replay can "
            "be projected, since XLA counts the body of a loop once."
        )
    program = together(config, 1)
    counted: Any = program.cost_analysis()
    return Work(
        cost.update_flops(config, update_throughput.SPEC),
        float(counted["bytes accessed"]),
        kernels(program.as_text() or ""),
    )


def together(config: Config, agents: int):
    """An update of so many agents, mapped, compiled for one device."""
    configs, seeds = schema.stack([config] * agents), np.zeros(agents, np.uint32)
    obs = jnp.zeros((agents, update_throughput.SPEC.obs_size))
    likely = config.g_estimate.reads_log_prob
    size = replay.size(update_throughput.STEPS, log_prob=likely)
    shapes = runner.start.eval_shape(
        configs, seeds, obs, spec=update_throughput.SPEC, size=size
    )
    update = jax.vmap(learn.update, (0, 0, 0, 0, 0, None))
    clock = Clock(np.int32(1), np.int32(1))
    return jax.jit(update).lower(configs, *shapes, seeds, clock).compile()


# ---------------------------------------------------------------- kernels

_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"}
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (?:\(.*?\)|\S+) ([\w\-]+)\(")
_CALLED = re.compile(r"(?:body|to_apply|calls)=%?([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


def kernels(text: str) -> int:
    """How many kernels a compiled program runs: loops count as often as they turn.

    A fusion is one, and so is a product, a copy or a reduction that stands alone.
    """
    bodies: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if found := _COMPUTATION.match(line):
            name = found[2]
            bodies[name] = []
            entry = name if found[1] else entry
        elif name:
            bodies[name].append(line)
    return _kernels(bodies, entry)


def _kernels(bodies: dict[str, list[str]], name: str) -> int:
    total = 0
    for line in bodies.get(name, ()):
        found = _INSTRUCTION.match(line)
        if not found or found[1] in _FREE:
            continue
        if found[1] not in ("while", "call", "conditional"):
            total += 1
            continue
        trips = _TRIPS.search(line)
        called = _CALLED.search(line)
        times = int(trips[1]) if trips else 1
        total += times * (_kernels(bodies, called[1]) if called else 1)
    return total
