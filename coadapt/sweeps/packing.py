"""What an agent takes of memory, and how many fit into it together."""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import jax
import psutil

from coadapt import agent as agents
from coadapt import devices, envs, runner
from coadapt.bench import cost
from coadapt.config import Config, Offline
from coadapt.data import offline
from coadapt.runs.store import Cell
from coadapt.schema import ConfigError
from coadapt.sweeps.asked import Group, Sweep, groups, steps_in
from coadapt.system import cgroups
from coadapt.types import EnvSpec
from coadapt.validation import foreseen

T = TypeVar("T")


_MEMORY_SHARE = 0.8  # of what is available; the rest is the programs' own
_TRAINING_COPIES = 2  # of what an agent learns: itself, and gradients and updates


class Cost(NamedTuple):
    """Of one agent."""

    replay_bytes: int
    parameter_bytes: int
    gradient_steps: int
    working_bytes: int = 0  # of an update, or of an evaluation
    environment_bytes: int = 0  # of several on the device

    @property
    def memory(self) -> int:
        own = self.replay_bytes + _TRAINING_COPIES * self.parameter_bytes
        return own + self.working_bytes + self.environment_bytes


def cost_of(group: Group, sweep: Sweep) -> Cost:
    """The cost of each agent of a group: they have equal shapes."""
    config, spec = group.agents[0].variant.config, envs.spec(group.task)
    steps = steps_in(sweep, group)
    size = runner.store_size(config, spec, steps)
    each = config.schedule.critic_steps + config.schedule.policy_steps
    acting = max(sweep.eval_episodes, config.data.envs)
    return Cost(
        replay_bytes=size.nbytes(spec),
        parameter_bytes=_parameter_bytes(config, spec),
        gradient_steps=foreseen.updates(config, steps) * each,
        working_bytes=cost.working_bytes(config, spec, acting),
        environment_bytes=_environment_bytes(config.data.envs, group.task),
    )


@functools.cache
def _environment_bytes(number: int, task: str) -> int:
    """States of several on the device; one is little beside what a process has."""
    if number == 1 or envs.on_host(task):
        return 0
    env: Any = envs.make(task, 1)
    return number * _nbytes(jax.eval_shape(env.reset, jax.random.key(0)))


def _parameter_bytes(config: Config, spec: EnvSpec) -> int:
    return _nbytes(_agent.eval_shape(config, spec))


@functools.partial(jax.jit, static_argnums=1)
def _agent(config: Config, spec: EnvSpec) -> agents.AgentState:
    """Of which the shapes are asked for: once traced, JAX knows them for every number
    that the config may have where it is traced."""
    return agents.init(config, spec, jax.random.key(0))


def _nbytes(shapes: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def human_bytes(number: float) -> str:
    """'1.5 GiB'."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def available_memory() -> int:
    """Bytes that a program may take on the device that computes, or that a container
    leaves it."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        free = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    else:
        free = min(psutil.virtual_memory().available, cgroups.memory())
    return int(free * _MEMORY_SHARE)


def agents_held(agents: int, most: int | None) -> int:
    """Agents in memory: those that fill up devices, too."""
    number = devices.filling(agents, most or jax.local_device_count())
    return devices.slots(agents, number)


def packs(
    sweep: Sweep,
    finished: Iterable[Cell] = (),
    memory: int | None = None,
    most: int | None = None,
) -> list[Group]:
    """The programs to run, a group that does not fit into memory cut into equal packs.

    `most`: devices of a program; None: those of this machine.

    Raises:
        ConfigError: with the numbers, if one agent alone does not fit.
    """
    limit, skip = available_memory() if memory is None else memory, set(finished)
    found: list[Group] = []
    for task, variants in sweep.variants.items():
        for group in groups(task, variants, sweep.seeds, skip):
            room = number_fitting(group, sweep, limit)
            fitting = min(room, len(group.agents))
            while fitting > 1 and agents_held(fitting, most) > room:
                fitting -= 1
            found += [Group(task, part) for part in even(group.agents, fitting)]
    return found


def number_fitting(group: Group, sweep: Sweep, memory: int | None) -> int:
    """How many agents of a group fit into memory.

    Raises:
        ConfigError: if none does.
    """
    limit = available_memory() if memory is None else memory
    config = group.agents[0].variant.config
    need, shared = cost_of(group, sweep).memory, _shared_bytes(config, group.task)
    if shared + need > limit:
        raise ConfigError(
            f"{group.agents[0].variant.name} on {group.task} needs "
            f"{human_bytes(shared + need)} for one agent, but {human_bytes(limit)} may "
            "be used: lower data.capacity, data.batch_size, the networks' sizes, "
            "samples or steps."
        )
    return (limit - shared) // need


def _shared_bytes(config: Config, task: str) -> int:
    """What all agents of a program read: a data set."""
    if not isinstance(config.data, Offline):  # a replay that begins with one copies it
        return 0
    return sum(x.nbytes for x in offline.read(config.data.dataset, envs.spec(task)))


def even(items: tuple[T, ...], limit: int) -> list[tuple[T, ...]]:
    """As few parts of at most `limit` as there can be, of about one size."""
    parts = -(-len(items) // limit)
    size = -(-len(items) // parts)
    return [items[i : i + size] for i in range(0, len(items), size)]
