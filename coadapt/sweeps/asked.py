"""What a sweep asks for, its agents, and the programs that they make together."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from coadapt import envs, schema
from coadapt.config import Config
from coadapt.runs.store import Cell
from coadapt.schema import ConfigError
from coadapt.training import cadence
from coadapt.types import EnvSpec
from coadapt.variants import Variant

MOST, MOST_SEEDS = 2**31 - 1, 10_000  # steps are counted in int32
MOST_EPISODES = 10_000  # of an evaluation
DEFAULT: Any = None  # a sweep chooses it itself


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
        """Env steps of each agent there.

        Raises:
            ConfigError: if nothing says so.
        """
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


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Which snapshots are written, and which stay. Results do not depend on it."""

    keep: int = 1  # the newest so many; 0: of finished programs the agents alone
    share: float = 0.05  # of a program's time that writing may take, at most

    def __post_init__(self):
        object.__setattr__(self, "keep", schema.plain(self.keep))
        if not is_int(self.keep) or self.keep < 0:
            raise ConfigError(f"keep is {self.keep!r}: it must be an int >= 0.")


NEWEST = Checkpoints()


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
    """So many seeds, 0, 1, ..., or these, NumPy's too.

    Raises: ConfigError.
    """
    seeds = schema.plain(seeds)
    if is_int(seeds) and 1 <= seeds <= MOST_SEEDS:  # type: ignore[operator]
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


def steps_in(sweep: Sweep, group: Group) -> int:
    """Env steps of each of its agents."""
    return sweep.steps_of(group.task, group.agents[0].variant)
