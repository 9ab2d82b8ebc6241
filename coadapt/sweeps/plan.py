"""What a sweep costs: counted, before anything is compiled."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coadapt import algorithms, devices, schema
from coadapt.config import Config
from coadapt.sweeps.asked import Group, Sweep, steps_in
from coadapt.sweeps.packing import agents_held, cost_of, human_bytes, packs
from coadapt.sweeps.validation import validate
from coadapt.validation import foreseen

# Python, JAX, MuJoCo and what XLA takes to compile: measured in docs/benchmarks.md
_BASE_BYTES = 750 * 2**20
_PROGRAM_BYTES = 27 * 2**20  # that each program leaves, a small one too, until dropped


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


def plan(sweep: Sweep, memory: int | None = None, most: int | None = None) -> Plan:
    """Count, from shapes alone: nothing is compiled and nothing allocated.

    `memory` bytes bound a program, which is spread over `most` devices; None:
    what this machine has.

    Raises: ConfigError.
    """
    validate(sweep)
    return plan_of(packs(sweep, (), memory, most), sweep, most)


def plan_of(programs: Sequence[Group], sweep: Sweep, most: int | None = None) -> Plan:
    """The plan of these programs; two that differ in their agents only compile once."""
    each = [(group, cost_of(group, sweep)) for group in programs]
    held = {group: agents_held(len(group.agents), most) for group in programs}
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


def _ratio(config: Config) -> str:
    steps = config.schedule.critic_steps + config.schedule.policy_steps
    common = math.gcd(steps, config.data.update_every)
    return f"{steps // common} to {config.data.update_every // common}"
