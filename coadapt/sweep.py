"""Sweeps: which agents there are, in which programs, at what cost, and running them.

A cell is a variant on a task with a seed: one agent. Variants whose configs have equal
structure share a program, and its agents are ordered variants x seeds.
"""

import dataclasses
import functools
import itertools
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import psutil

from coadapt import agent as agents
from coadapt import (
    ahead,
    algorithms,
    attempts,
    cadence,
    cgroups,
    checkpoint,
    cost,
    devices,
    envs,
    foreseen,
    leases,
    logs,
    manifest,
    provenance,
    references,
    runner,
    schema,
    streams,
)
from coadapt.changes import change as change
from coadapt.config import Config, Offline
from coadapt.data import offline
from coadapt.deadline import Deadline
from coadapt.foreseen import updates as updates
from coadapt.legality import check
from coadapt.notes import note
from coadapt.schema import ConfigError
from coadapt.store import (
    Attempt,
    Cell,
    Entry,
    Header,
    Start,
    Store,
    adopted,
    finished,
    folder,
    load,
    owned,
    require_free,
)
from coadapt.types import EnvSpec
from coadapt.variants import Axes as Axes
from coadapt.variants import Variant as Variant
from coadapt.variants import distinct as distinct
from coadapt.variants import grid as grid
from coadapt.variants import label as label
from coadapt.variants import one_at_a_time as one_at_a_time
from coadapt.variants import presets as presets
from coadapt.variants import swap as swap
from coadapt.variants import vary as vary

T = TypeVar("T")
MOST, MOST_SEEDS = 2**31 - 1, 10_000  # steps are counted in int32
MOST_EPISODES = 10_000  # of an evaluation
DEFAULT: Any = None  # a sweep chooses it itself
_MEMORY_SHARE = 0.8  # of what is available; the rest is the programs' own
# Python, JAX, MuJoCo and what XLA takes to compile: measured in docs/benchmarks.md
_BASE_BYTES = 750 * 2**20
_PROGRAM_BYTES = 27 * 2**20  # that each program leaves, a small one too, until dropped
_TRAINING_COPIES = 2  # of what an agent learns: itself, and gradients and updates


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """All that is asked for. `variants` by task, as presets depend on the task."""

    experiment: str
    variants: Mapping[str, Sequence[Variant]]  # task -> its variants
    seeds: Sequence[int]
    steps: int | Mapping[str, int]  # env steps of each agent, or of those on each task
    eval_every: int = DEFAULT  # env steps; None: 20,000, as `cadence` has it
    eval_episodes: int = 10
    # env steps; there episodes end, environments are made anew, and a run can go on.
    # None: as eval_every
    checkpoint_every: int = DEFAULT
    # metrics and groups of them (`logs.GROUPS`); what is learned does not depend on it
    log: Sequence[str] = ("default",)
    # task -> a return that is 1 in the task's unit; others have their table's
    references: Mapping[str, float] = dataclasses.field(default_factory=dict)
    # how the study decides, as JSON: protocol.py; it goes into the manifest
    protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self._choose_intervals()
        steps, plain = self.steps, schema.plain
        if isinstance(steps, Mapping):
            steps = {task: plain(number) for task, number in steps.items()}
        counts = ("eval_every", "eval_episodes", "checkpoint_every")
        own = {name: plain(getattr(self, name)) for name in counts}
        own |= {"steps": plain(steps), "seeds": seeds_of(self.seeds)}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    def _choose_intervals(self) -> None:
        """Those that were left open."""
        every = [
            (variant.config, task)
            for task, variants in self.variants.items()
            for variant in variants
            if _is_countable(variant)
        ]
        if self.eval_every is None:
            found = cadence.evaluations(config for config, _ in every)
            object.__setattr__(self, "eval_every", found)
        if self.checkpoint_every is None:
            found = cadence.checkpoints((c, _spec_of(c, task)) for c, task in every)
            object.__setattr__(self, "checkpoint_every", found)

    def steps_on(self, task: str) -> int:
        """Env steps of each agent there. Raises: ConfigError if nothing says so."""
        if not isinstance(self.steps, Mapping):
            return self.steps
        if task not in self.steps:
            raise ConfigError(f"steps are missing for {task}: each task needs them.")
        return self.steps[task]

    def steps_of(self, task: str, variant: Variant) -> int:
        """Env steps of a variant's agents: its own, or those on the task."""
        return self.steps_on(task) if variant.steps is None else variant.steps


def _is_countable(variant: Variant) -> bool:
    """Whether it has environments; what has not is refused by `validate`."""
    try:
        return variant.config.data.envs >= 1
    except (AttributeError, TypeError):
        return False


def _spec_of(config: Config, task: str) -> EnvSpec | None:
    """None where nothing depends on it, or where there is no such task."""
    if config.data.envs == 1:
        return None
    try:
        return envs.spec(task)
    except ValueError:
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Which snapshots are written, and which stay. Results do not depend on it."""

    keep: int = 1  # the newest so many; 0: of finished programs the agents alone
    share: float = 0.05  # of a program's time that writing may take, at most

    def __post_init__(self):
        object.__setattr__(self, "keep", schema.plain(self.keep))
        if not _is_int(self.keep) or self.keep < 0:
            raise ConfigError(f"keep is {self.keep!r}: it must be an int >= 0.")


def checkpoints(every: int | None, keep: int) -> Checkpoints:
    """Of an interval that was asked for each; None: as many as take little time."""
    share = {} if every is None else {"share": math.inf}
    return Checkpoints(keep=keep, **share)


class Agent(NamedTuple):
    """One cell of a sweep, with its config."""

    variant: Variant
    seed: int


class Group(NamedTuple):
    """The agents of one program, on one task."""

    task: str
    agents: tuple[Agent, ...]

    @property
    def cells(self) -> list[Cell]:
        return [Cell(self.task, a.variant.name, a.seed) for a in self.agents]

    @property
    def program(self) -> tuple[object, ...]:
        """Equal of groups that run one compiled program."""
        structure = jax.tree.structure(self.agents[0].variant.config)
        return self.task, structure, len(self.agents), self.agents[0].variant.steps

    @property
    def prints(self) -> list[str]:
        """The fingerprint of each agent's config."""
        return [schema.fingerprint(a.variant.config) for a in self.agents]


class Origin(NamedTuple):
    """Where a program begins, in env steps, and how far its rows had come before."""

    begin: int  # of the checkpoint that it goes on from; 0: of none
    reached: int  # of the furthest row of its cells


class Progress(NamedTuple):
    """What `run` calls back with: `report` is None when a program begins."""

    program: int  # counted from 1
    programs: int
    group: Group
    report: runner.Report | None
    origins: tuple[Origin, ...] = ()  # of each program
    sessions: str = ""  # in what those of the store differ, this one among them


# ---------------------------------------------------------------- groups


def groups(
    task: str,
    variants: Sequence[Variant],
    seeds: Sequence[int],
    finished: Iterable[Cell] = (),
) -> list[Group]:
    """Programs of one task, without the finished cells, in order of first appearance.

    Variants whose configs have equal structure, and that run as long, are together.
    """
    skip = set(finished)
    found: dict[object, list[Agent]] = {}
    for variant in variants:
        alike = jax.tree.structure(variant.config), variant.steps
        program = found.setdefault(alike, [])
        program += [
            Agent(variant, seed)
            for seed in seeds
            if Cell(task, variant.name, seed) not in skip
        ]
    return [Group(task, tuple(members)) for members in found.values() if members]


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """So many seeds, 0, 1, ..., or these, NumPy's too. Raises: ConfigError."""
    seeds = schema.plain(seeds)
    if _is_int(seeds) and 1 <= seeds <= MOST_SEEDS:  # type: ignore[operator]
        return tuple(range(seeds))  # type: ignore[arg-type]
    if (
        isinstance(seeds, Sequence)
        and not isinstance(seeds, str)
        and not seeds[MOST_SEEDS:]  # a vast range makes no tuple
    ):
        return tuple(map(schema.plain, seeds))
    raise ConfigError(
        f"seeds is {schema.shown(seeds)}: it must be an int of 1 to {MOST_SEEDS:,}, or "
        "a list of as many."
    )


def validate(sweep: Sweep) -> None:
    """Refuse what cannot be run, before anything starts. Raises: ConfigError."""
    devices.available()
    runner.refuse_float64()
    for name in ("eval_every", "eval_episodes", "checkpoint_every"):
        _validate_count(name, getattr(sweep, name))
    if sweep.eval_episodes > MOST_EPISODES:
        raise ConfigError(
            f"eval_episodes is {sweep.eval_episodes}: it must be at most "
            f"{MOST_EPISODES:,}, because they run side by side."
        )
    _validate_seeds(sweep)
    logs.chosen(sweep.log)
    if not sweep.variants:
        raise ConfigError("tasks are none: at least one is needed.")
    for task, variants in sweep.variants.items():
        _validate_count("steps", sweep.steps_on(task))
        _validate_task(task, variants, sweep)
    references.asked(sweep.variants, sweep.references)


def _validate_count(name: str, value: object) -> None:
    if not _is_int(value) or not 1 <= value <= MOST:  # type: ignore[operator]
        raise ConfigError(f"{name} is {value!r}: it must be an int of 1 to {MOST}.")


def _validate_seeds(sweep: Sweep) -> None:
    seeds = list(sweep.seeds)
    if not 1 <= len(seeds) <= MOST_SEEDS:
        raise ConfigError(f"seeds are {len(seeds)}: it must be 1 to {MOST_SEEDS:,}.")
    for seed in seeds:
        if not _is_int(seed) or not 0 <= seed <= MOST:
            raise ConfigError(f"seed is {seed!r}: it must be an int of 0 to {MOST}.")
    for seed, times in Counter(seeds).items():
        if times > 1:
            raise ConfigError(f"seed {seed} is there {times} times.")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _validate_task(task: str, variants: Sequence[Variant], sweep: Sweep) -> None:
    schema.must_be(task, str, "task", "a text, such as 'gym/Hopper-v5'")
    if not variants:
        raise ConfigError(f"{task} has no variants: at least one is needed.")
    distinct(variants)
    try:
        spec = envs.spec(task)
    except ValueError as error:  # of ours: no such task, or not one that we support
        raise ConfigError(str(error)) from None
    for variant in variants:
        if variant.steps is not None:
            _validate_count(f"steps of {variant.name}", variant.steps)
        check(variant.config)
        steps = sweep.steps_of(task, variant)
        runner.admissible(variant.config, spec, steps)
        every = sweep.eval_every, sweep.checkpoint_every
        cadence.check(variant.config, spec, steps, *every)


# ---------------------------------------------------------------- the plan


class Program(NamedTuple):
    """One program of a plan: the agents of one structure, on one task."""

    task: str
    variants: tuple[str, ...]  # their names
    agents: int
    memory_bytes: int
    env_steps: int  # of all its agents
    gradient_steps: int  # of all its agents
    ratio: str  # '5 to 16': gradient steps to env steps, from the first update on
    # static fields in which it is not as other programs of its algorithm on its task:
    # path -> its own value
    differs: Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a sweep costs. Programs run one after the other, so memory is the largest's.

    A gradient step is one step of a critic's or of a policy's optimiser on a minibatch.
    """

    agents: int
    programs: int
    replay_bytes: int
    parameter_bytes: int  # parameters, targets and optimisers
    memory_bytes: int  # all of the above, and what an update and its agents hold beside
    gradient_steps: int  # of all agents
    env_steps: int  # of all agents
    each: tuple[Program, ...]  # in the order in which they run
    notes: tuple[str, ...] = ()  # what is to be known before it starts, a line each

    @property
    def base_bytes(self) -> int:
        """What Python takes, and what programs leave until there is much of it."""
        left = (self.programs - 1) * _PROGRAM_BYTES
        return _BASE_BYTES + min(max(left, 0), devices.PROGRAMS_BYTES)

    def lines(self) -> list[str]:
        """'agents: 8' and so on, a line each."""
        base = self.base_bytes
        return [
            f"agents: {self.agents}",
            f"programs: {self.programs}",
            f"replay memory: {human_bytes(self.replay_bytes)} (largest program)",
            f"parameter memory: {human_bytes(self.parameter_bytes)} (largest program)",
            f"peak memory: about {human_bytes(base + self.memory_bytes)}, of which "
            f"{human_bytes(base)} are Python's, JAX's and the simulators'",
            f"gradient steps: {self.gradient_steps:,}",
            f"env steps: {self.env_steps:,}",
            *self.notes,
        ]


class Cost(NamedTuple):
    """Of one agent."""

    replay_bytes: int
    parameter_bytes: int
    gradient_steps: int
    working_bytes: int = 0  # of an update, or of an evaluation
    environment_bytes: int = (
        0  # of its environments on the device, where it has several
    )

    @property
    def memory(self) -> int:
        own = self.replay_bytes + _TRAINING_COPIES * self.parameter_bytes
        return own + self.working_bytes + self.environment_bytes


def plan(sweep: Sweep, memory: int | None = None, most: int | None = None) -> Plan:
    """Count, from shapes alone: nothing is compiled and nothing allocated.

    `memory` bytes bound a program, which is spread over `most` devices; None:
    what this machine has. Raises: ConfigError.
    """
    validate(sweep)
    return plan_of(packs(sweep, (), memory, most), sweep, most)


def plan_of(programs: Sequence[Group], sweep: Sweep, most: int | None = None) -> Plan:
    """The plan of these programs; two that differ in their agents only compile once."""
    each = [(group, cost_of(group, sweep)) for group in programs]
    held = {group: _held(len(group.agents), most) for group in programs}
    number = sum(len(group.agents) for group in programs)
    return Plan(
        agents=number,
        programs=len({group.program for group in programs}),
        replay_bytes=max((held[g] * c.replay_bytes for g, c in each), default=0),
        parameter_bytes=max((held[g] * c.parameter_bytes for g, c in each), default=0),
        memory_bytes=max((held[g] * c.memory for g, c in each), default=0),
        gradient_steps=sum(len(g.agents) * c.gradient_steps for g, c in each),
        env_steps=sum(len(g.agents) * steps_in(sweep, g) for g in programs),
        each=tuple(
            Program(
                task=group.task,
                variants=tuple(dict.fromkeys(a.variant.name for a in group.agents)),
                agents=len(group.agents),
                memory_bytes=held[group] * costs.memory,
                env_steps=len(group.agents) * steps_in(sweep, group),
                gradient_steps=len(group.agents) * costs.gradient_steps,
                ratio=_ratio(group.agents[0].variant.config),
                differs=differs,
            )
            for (group, costs), differs in zip(each, _differing(programs), strict=True)
        ),
        notes=notes(sweep),
    )


def notes(sweep: Sweep) -> tuple[str, ...]:
    """What is to be known before it starts: whose numbers are not the task's own, and
    what is certain of the agents. A sentence each."""
    agents = (
        foreseen.Asked(
            task,
            v.name,
            v.algorithm,
            v.config,
            sweep.steps_of(task, v),
            sweep.eval_every,
        )
        for task, variants in sweep.variants.items()
        for v in variants
    )
    return (*_stand_ins(sweep), *foreseen.notes(agents))


def _stand_ins(sweep: Sweep) -> list[str]:
    """Of each algorithm, the tasks that its table lacks, and whose numbers it takes."""
    lacks: dict[tuple[str, str], list[str]] = {}
    for task, variants in sweep.variants.items():
        for name in dict.fromkeys(variant.algorithm for variant in variants):
            other = algorithms.stand_in(name, task)
            if other:
                lacks.setdefault((name, other), []).append(task)
    return [
        f"{name}: no row for {_few(tasks)}; the numbers of {other} are used"
        for (name, other), tasks in lacks.items()
    ]


def _few(names: Sequence[str], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _differing(programs: Sequence[Group]) -> list[dict[str, object]]:
    """Of each program, the static fields that keep its algorithm's others apart."""
    alike: dict[tuple[str, str], list[int]] = {}
    for i, group in enumerate(programs):
        key = group.task, group.agents[0].variant.algorithm
        alike.setdefault(key, []).append(i)
    found: list[dict[str, object]] = [{} for _ in programs]
    for places in alike.values():
        own = {i: schema.statics(programs[i].agents[0].variant.config) for i in places}
        paths = dict.fromkeys(path for values in own.values() for path in values)
        apart = [path for path in paths if len({v.get(path) for v in own.values()}) > 1]
        for i, values in own.items():  # not what lies below a choice that is named
            found[i] = {
                path: values[path]
                for path in apart
                if path in values
                if not any(path.startswith(f"{other}.") for other in apart)
            }
    return found


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
        gradient_steps=updates(config, steps) * each,
        working_bytes=cost.working_bytes(config, spec, acting),
        environment_bytes=_environment_bytes(config.data.envs, group.task),
    )


def _ratio(config: Config) -> str:
    steps = config.schedule.critic_steps + config.schedule.policy_steps
    common = math.gcd(steps, config.data.update_every)
    return f"{steps // common} to {config.data.update_every // common}"


@functools.cache
def _environment_bytes(number: int, task: str) -> int:
    """States of several on the device; one is little beside what a process has."""
    if number == 1 or envs.on_host(task):
        return 0
    env: Any = envs.make(task, 1)
    return number * _nbytes(jax.eval_shape(env.reset, jax.random.key(0)))


def steps_in(sweep: Sweep, group: Group) -> int:
    """Env steps of each of its agents."""
    return sweep.steps_of(group.task, group.agents[0].variant)


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


def _held(agents: int, most: int | None) -> int:
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
    Raises: ConfigError, with the numbers, if one agent alone does not fit.
    """
    limit, skip = available_memory() if memory is None else memory, set(finished)
    found: list[Group] = []
    for task, variants in sweep.variants.items():
        for group in groups(task, variants, sweep.seeds, skip):
            fitting = min(_fitting(group, sweep, limit), len(group.agents))
            while fitting > 1 and _held(fitting, most) > _fitting(group, sweep, limit):
                fitting -= 1
            found += [Group(task, part) for part in _even(group.agents, fitting)]
    return found


def _fitting(group: Group, sweep: Sweep, memory: int | None) -> int:
    """How many agents of a group fit into memory. Raises: ConfigError, if none does."""
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


def _even(items: tuple[T, ...], limit: int) -> list[tuple[T, ...]]:
    """As few parts of at most `limit` as there can be, of about one size."""
    parts = -(-len(items) // limit)
    size = -(-len(items) // parts)
    return [items[i : i + size] for i in range(0, len(items), size)]


# ---------------------------------------------------------------- running


def header(sweep: Sweep) -> Header:
    """What the store's manifest says of this sweep."""
    steps = {
        task: max(sweep.steps_of(task, variant) for variant in variants)
        for task, variants in sweep.variants.items()
    }
    most = max(steps.values())
    return Header(
        experiment=sweep.experiment,
        steps=most,
        task_steps={task: n for task, n in steps.items() if n != most},
        seeds=tuple(sweep.seeds),
        eval_every=sweep.eval_every,
        eval_episodes=sweep.eval_episodes,
        checkpoint_every=sweep.checkpoint_every,
        variants={
            task: {
                v.name: Entry(
                    v.algorithm,
                    schema.fingerprint(v.config),
                    schema.to_dict(v.config),
                    _digest(v.config, task),
                )
                for v in variants
            }
            for task, variants in sweep.variants.items()
        },
        asked=_own_steps(sweep),
        units=references.asked(sweep.variants, sweep.references),
        protocol=sweep.protocol,
    )


def _own_steps(sweep: Sweep) -> dict[Cell, int]:
    """Env steps of each cell, where a variant has its own."""
    every = [(t, v) for t, variants in sweep.variants.items() for v in variants]
    if all(variant.steps is None for _, variant in every):
        return {}
    return {
        Cell(task, variant.name, seed): sweep.steps_of(task, variant)
        for task, variant in every
        for seed in sweep.seeds
    }


def _digest(config: Config, task: str) -> str:
    """Of the data set that it learns from; '' of none."""
    data = config.data
    name = data.dataset if isinstance(data, Offline) else data.begins_with
    return offline.digest(name, envs.spec(task)) if name else ""


class Planned(NamedTuple):
    """A program to run, and what it goes on from: places in a record, or None."""

    group: Group
    origin: checkpoint.Record | None = None
    places: tuple[int, ...] = ()
    begin: int = 0  # env steps of the snapshot

    @property
    def whole(self) -> bool:
        """Whether it is the program that it goes on from, with all of its agents."""
        return self.origin is not None and self.group.cells == [*self.origin.cells]


def planned(
    sweep: Sweep,
    workdir: Path,
    about: Header,
    memory: int | None,
    most: int | None = None,
) -> list[Planned]:
    """Programs that were begun, with the agents that they had; then all others.

    They come in the order of the sweep, and nothing is written. Raises: ConfigError,
    StoreError.
    """
    done = done_of(workdir, about)
    todo = {
        Cell(task, variant.name, seed): Agent(variant, seed)
        for task, variants in sweep.variants.items()
        for variant in variants
        for seed in sweep.seeds
        if Cell(task, variant.name, seed) not in done
    }
    order = {cell: i for i, cell in enumerate(todo)}
    found: list[Planned] = []
    begun = [
        (checkpoint.newest(r, steps), steps, r)
        for r in checkpoint.records(workdir)
        # rows of a program that have lengths of their own now go on by themselves
        for steps in sorted({about.steps_of(c) for c in r.cells if c in todo})
    ]
    for begin, steps, record in sorted(begun, key=lambda each: -each[0]):
        places = [
            i
            for i, cell in enumerate(record.cells)
            if cell in todo and about.steps_of(cell) == steps
        ]
        agents = [todo.pop(record.cells[i]) for i in places]
        if agents:
            group = Group(record.cells[0].task, tuple(agents))
            prints = [about.entry(cell).fingerprint for cell in group.cells]
            checkpoint.refuse_other(record, places, prints)
            found += _parts(sweep, record, begin, places, group, memory)
    rest = packs(sweep, set(order) - set(todo) | done, memory, most)
    found += [Planned(group) for group in rest]
    return sorted(found, key=lambda each: order[each.group.cells[0]])


def spread_over(planned: Planned, most: int) -> int:
    """The number of devices of a program: where it goes on whole, that which it had.

    Raises: StoreError.
    """
    number, origin = len(planned.group.agents), planned.origin
    if not planned.whole or origin is None:
        return devices.filling(number, most)
    said = [attempts.made(origin, home)["devices"] for home in origin.attempts()]
    had = [int(each) for each in said if each]
    # an older version, which did not say it, had a divisor
    return had[-1] if had else devices.dividing(number, most)


def _here(planned: Planned) -> int:
    """The same on this machine, where it may have fewer."""
    most = jax.local_device_count()
    number = spread_over(planned, most)
    if number > most:
        number = devices.filling(len(planned.group.agents), most)
    return number


def refuse_other_machine(planned: Iterable[Planned], workdir: Path) -> None:
    """Refuse to go on where products round otherwise, or with another simulator.

    Each program is held against the session of the attempt that it goes on from; what
    that does not say is not compared. Raises: ConfigError, StoreError.
    """
    sessions = {each["id"]: each for each in manifest.sessions(workdir)}
    for each in planned:
        homes = each.origin.attempts() if each.origin else []
        if not homes or each.origin is None:
            continue
        home = each.origin.at(each.begin).parent if each.begin else homes[-1]
        made = attempts.made(each.origin, home)
        there = provenance.deciding(sessions.get(made["session"], {}))
        here = provenance.deciding(provenance.here())
        there |= {"provider": made["provider"]} if made["provider"] else {}
        here["provider"] = envs.spec(each.group.task).provider
        if each.whole and made["devices"]:  # else it rounds by its size, too
            there[provenance.DEVICES] = str(made["devices"])
            places = devices.slots(len(each.group.agents), _here(each))
            here[provenance.DEVICES] = str(devices.mesh(places).size)
        _refuse_other(each.origin.folder.name, there, here)


def _free(planned: list[Planned]) -> list[Planned]:
    """The same. Raises: leases.HeldError, if another process runs one; StoreError."""
    for each in planned:
        if each.origin is not None:
            leases.require_free(each.origin.folder)
    return planned


def _refuse_other(
    program: str, there: Mapping[str, str], here: Mapping[str, str]
) -> None:
    """Raises: ConfigError, where what decides bits differs."""
    differs = provenance.differing(there, here)
    if not differs:
        return
    words = ", ".join(f"{n} {there[n]} (here: {here[n]})" for n in differs)
    back = " and ".join(provenance.ways_back(differs, there))
    raise ConfigError(
        f"the program {program!r} was computed with {words}, and would end as no run "
        f"on either does: go on where it was{f' or with {back}' if back else ''}, "
        "choose another workdir, or give --allow_other_machine (from Python, "
        "allow_other_machine=True)."
    )


def _parts(
    sweep: Sweep,
    record: checkpoint.Record,
    begin: int,
    places: list[int],
    group: Group,
    memory: int | None,
) -> list[Planned]:
    """A begun program, whole if it fits into memory."""
    whole = tuple(zip(places, group.agents, strict=True))
    fitting = _fitting(group, sweep, memory)
    return [
        Planned(
            Group(group.task, tuple(agent for _, agent in part)),
            record,
            tuple(place for place, _ in part),
            begin,
        )
        for part in _even(whole, fitting)
    ]


def run(
    sweep: Sweep,
    workdir: str | os.PathLike[str],
    progress: Callable[[Progress], None] = lambda _: None,
    memory: int | None = None,
    *,
    checkpoints: Checkpoints | None = Checkpoints(),
    ended: Callable[[Group, runner.Snapshot], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
    deadline: Deadline | None = None,
    allow_other_machine: bool = False,
) -> int:
    """Run the cells that the store at `workdir` lacks; returns how many that were.

    A program that was cut short goes on from its newest snapshot, and ends as if it had
    not been; so does one whose cells are finished with fewer steps than are asked for
    now, or, where there is none to go on from, it starts again from 0, and its rows
    are there until the new ones have passed them.
    `checkpoints` None writes no snapshots; `ended` is called with what each program
    leaves, before the last snapshot is written: after a kill until then, again; where
    `stop` says so, the running one ends at its next checkpoint, and where the next
    would come after the `deadline`, at this one. `allow_other_machine`: go on also
    where what decides bits is not as it was.
    Raises: ConfigError, before anything compiles; store.StoreError; runner.Interrupted.
    """
    path, deadline = admitted(sweep, workdir), deadline or Deadline()
    # what is refused leaves nothing behind
    about = with_units(path, adopted(path, header(sweep)))
    with owned(path):
        todo = _free(planned(sweep, path, about, memory))
        refuse_other_machine([] if allow_other_machine else todo, path)
        starts = _one_ahead(start_of(sweep, each) for each in todo)
        with Store(path, about, session=bool(todo)) as store:
            # all at once: the next session finds the same programs
            records = [(each, _noted(store, each)) for each in todo]
            rest = store, checkpoints, stop, deadline, ended
            jobs = [Job(sweep, p.group, r, _here(p), *rest) for p, r in records]
            events = _events(todo, store)
            with ahead.Ahead(_to_compile(sweep, todo)) as others:
                for job, event in zip(jobs, events, strict=True):
                    job.require_time()
                    job.run(partial(_tell, progress, event), *next(starts))
                    others.turn()
    return sum(len(each.group.agents) for each in todo)


def admitted(sweep: Sweep, workdir: str | os.PathLike[str]) -> Path:
    """The folder of a sweep that can be run. Raises: ConfigError; store.StoreError."""
    streams.pin()  # before programs are compiled, too
    validate(sweep)
    path = folder(workdir).absolute()  # an environment may change the current folder
    checkpoint.require_path(path)
    return path


def require_admitted(
    sweep: Sweep,
    workdir: str | os.PathLike[str],
    memory: int | None = None,
    most: int | None = None,
    *,
    elsewhere: bool = False,
    allow_other_machine: bool = False,
) -> int:
    """Refuse what `run` would refuse, in its words; returns how many cells are done.

    Nothing is computed or written.
    Args:
        elsewhere: other processes compute, each of which looks at its own machine.
    Raises: ConfigError, StoreError.
    """
    path = admitted(sweep, workdir)
    about = adopted(path, header(sweep))
    require_free(path)
    todo = planned(sweep, path, about, memory, most)
    if not (elsewhere or allow_other_machine):
        refuse_other_machine(todo, path)
    return len(done_of(path, about))


def with_units(workdir: Path, about: Header) -> Header:
    """The units of tasks that are new to the store, measured before their first run.

    Raises: ConfigError.
    """
    old = load(workdir)
    units = {
        task: unit
        if old is not None and task in old.variants
        else references.measured(task, unit)
        for task, unit in about.units.items()
    }
    return dataclasses.replace(about, units=units)


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same, the first one made at once."""
    return itertools.chain([*itertools.islice(items, 1)], items)


def start_of(
    sweep: Sweep, planned: Planned
) -> tuple[runner.Snapshot | None, Start | None]:
    """The newest snapshot that can be read, and where it is.

    Nothing is written, but that one which is damaged is set aside. Raises: StoreError.
    """
    record, group = planned.origin, planned.group
    if record is None:
        return None, None
    config, spec = group.agents[0].variant.config, envs.spec(group.task)
    steps = steps_in(sweep, group)
    like = runner.shapes(config, spec, steps)
    size = runner.store_size(config, spec, steps)
    while begin := checkpoint.newest(record, steps, aside=True):
        try:
            found = checkpoint.read(record, begin, like, planned.places, size)
            return found, checkpoint.origin(record, begin)
        except checkpoint.DamagedError as error:
            checkpoint.set_aside(record, begin, error)
    return None, None


def _noted(store: Store, planned: Planned) -> checkpoint.Record:
    """The program that it is in the store."""
    cells = planned.group.cells
    return store.note(cells, _here(planned))


def _to_compile(sweep: Sweep, todo: Sequence[Planned]) -> list[ahead.Task | None]:
    """The programs after the first; None for one that is as one before it."""
    found: list[ahead.Task | None] = []
    known = set[object]()
    for each in todo:
        group, number = each.group, _here(each)
        configs = [agent.variant.config for agent in group.agents]
        configs = devices.filled(configs, number)
        steps = steps_in(sweep, group)
        task = configs, group.task, steps, sweep.eval_episodes, logs.chosen(sweep.log)
        key = group.program, number
        found.append(None if key in known else task)
        known.add(key)
    return found[1:]


def done_of(workdir: Path, about: Header) -> set[Cell]:
    """Cells that have as many env steps as are asked for.

    Raises: ConfigError, StoreError.
    """
    found = finished(workdir, about).items()
    return {cell for cell, steps in found if steps >= about.steps_of(cell)}


def _tell(
    progress: Callable[[Progress], None],
    event: Progress,
    report: runner.Report | None,
) -> None:
    progress(event._replace(report=report))


def _events(todo: Sequence[Planned], store: Store) -> list[Progress]:
    """That each of the programs begins."""
    origins = tuple(_origin(each, store) for each in todo)
    differ = provenance.compared(manifest.sessions(store.workdir))
    return [
        Progress(number, len(todo), each.group, None, origins, differ)
        for number, each in enumerate(todo, 1)
    ]


def _origin(planned: Planned, store: Store) -> Origin:
    reached = max(store.reached.get(cell, 0) for cell in planned.group.cells)
    return Origin(planned.begin, reached)


def _all_failed(group: Group, failed: Sequence[runner.Failure]) -> str:
    """Where none is left, the first tells why."""
    first = min(failed, key=lambda each: each.steps)
    agent, cause = group.agents[first.agent], f" ({first.cause})" if first.cause else ""
    return (
        f"all {len(failed)} agents of a program on {group.task} failed; "
        f"{agent.variant.name}, seed {agent.seed}: {first.tensor} was not finite after "
        f"{first.steps:,} env steps{cause}"
    )


def _interval(sweep: Sweep, start: runner.Snapshot | None) -> float:
    """Seconds from one checkpoint to the next, until `start`; 0: nothing says so."""
    done = 0 if start is None else int(start.clock.steps)
    return start.seconds * sweep.checkpoint_every / done if start and done else 0.0


class Job:
    """One program of a sweep: its rows, and its snapshots."""

    def __init__(
        self,
        sweep: Sweep,
        group: Group,
        record: checkpoint.Record,
        spread_over: int,
        store: Store,
        checkpoints: Checkpoints | None,
        stop: Callable[[], bool],
        deadline: Deadline,
        ended: Callable[[Group, runner.Snapshot], None],
    ):
        self.sweep, self.store, self.ended = sweep, store, ended
        self.stop, self.deadline = stop, deadline
        self.halt: runner.Interrupted | None = None  # by the newest checkpoint
        self.group, self.record, self.spread_over = group, record, spread_over
        places = devices.slots(len(group.agents), spread_over)
        self.devices = devices.mesh(places).size  # that there are
        self.steps = steps_in(sweep, group)
        self.rules, self.spent, self.last = checkpoints, 0.0, 0.0

    def require_time(self) -> None:
        """Before it begins. Raises: runner.Interrupted."""
        if self.stop():
            raise runner.Interrupted(0)
        if self.deadline.near:
            raise runner.TimeOver

    def run(
        self,
        progress: Callable[[runner.Report | None], None],
        start: runner.Snapshot | None,
        origin: Start | None,
    ) -> None:
        sweep, group = self.sweep, self.group
        provider = envs.spec(group.task).provider
        self.deadline.begin(_interval(sweep, start))
        with self.store.begin(
            self.record, origin, devices=self.devices, provider=provider
        ) as attempt:
            keep = self.rules.keep if self.rules else 1
            writer = checkpoint.Writer(self.record, attempt.path, keep)
            progress(None)

            failed: list[runner.Failure] = []

            def report(found: runner.Report) -> None:
                failed[:] = found.failures
                attempt.append(found.steps, found.metrics, provider)
                for failure in failed:
                    place, *what = failure
                    attempt.fail(group.cells[place], *what)
                self.store.refresh(always=False)
                progress(found)

            result = runner.train(
                [agent.variant.config for agent in group.agents],
                [agent.seed for agent in group.agents],
                group.task,
                steps=self.steps,
                eval_every=sweep.eval_every,
                eval_episodes=sweep.eval_episodes,
                checkpoint_every=sweep.checkpoint_every,
                report=report,
                save=partial(self._save, writer, attempt),
                start_at=start,
                stop=self._halted,
                log=sweep.log,
                spread_over=self.spread_over,
            )
            attempt.finish(self.steps, result.seconds)
        if len(failed) == len(group.agents):
            note(_all_failed(group, failed))

    def _halted(self) -> bool:
        """Never true. Raises: runner.Interrupted, where the newest one was the last."""
        if self.halt is not None:
            raise self.halt
        return False

    def _save(
        self, writer: checkpoint.Writer, attempt: Attempt, snapshot: runner.Snapshot
    ) -> None:
        """Write it, if it ends, if all stops, or if that takes little of the time."""
        attempt.lease.require()
        rules, steps = self.rules, int(snapshot.clock.steps)
        ends = runner.is_over(snapshot, self.steps)
        late = self.deadline.reached(self.last)
        if self.stop():  # asked once, as the snapshot that it stops at is written
            self.halt = runner.Interrupted(steps)
        elif late:
            self.halt = runner.TimeOver(steps)
        if ends:
            self.ended(self.group, snapshot)
        if rules is None:
            return
        allowed = rules.share * snapshot.seconds
        if not (ends or self.halt or self.spent + self.last <= allowed):
            return
        begin = time.monotonic()
        goes_on = steps % self.sweep.checkpoint_every == 0
        writer.write(snapshot, ends=ends, goes_on=goes_on, marks=attempt.marks)
        self.last = time.monotonic() - begin
        self.spent += self.last
