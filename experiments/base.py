"""What an experiment is, how its variants are written down, and its budgets."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from coadapt import schema, sweep
from coadapt.algorithms import for_task
from coadapt.config import Replay
from coadapt.schema import ConfigError, nearest
from coadapt.sweep import Variant

Variants = Callable[[str], Sequence[Variant]]  # of a task


class Plan(NamedTuple):
    """What of a study is settled before its first run, in words, a paragraph each."""

    question: str
    rule: str  # by which it is answered
    power: str  # what the rule would find
    budget: str  # and in what order it is spent
    left_out: str  # and what is done with runs that are


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A question as data: what is compared, on which tasks, and what is claimed."""

    name: str
    claim: str  # one sentence
    variants: Variants
    tasks: Sequence[str]
    steps: int | Callable[[str], int]  # env steps of each agent, or of those on a task
    seeds: int
    eval_every: int = 20_000  # env steps
    eval_episodes: int = 10
    # Of an experiment of the paper. A variant bears the name of its row in scores.csv,
    # but for those of `same`, whose row has another name, and those of `readings`,
    # which are none of the paper's: another reading of a row, or, at '', of none.
    tables: Sequence[str] = ()  # of scores.csv; none where the paper has a figure only
    same: Mapping[str, str] = dataclasses.field(default_factory=dict)
    readings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # rows that another variant of the experiment is too, to the bit: not run again
    twins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cheap: Sequence[str] | None = None  # tasks of the budgets below; None: no budgets
    of_paper: bool = True  # with budgets: whether it is Furuta et al.'s
    plan: Plan | None = None  # with a hash in the manifest, before the first run
    # fields of variants that are lengths: a smaller budget shortens them as the run
    lengths: Sequence[str] = ()
    # changes of every variant at scale 'smoke': of networks that minutes are not for
    at_smoke: Mapping[str, object] = dataclasses.field(default_factory=dict)
    claims: Mapping[str, str] = dataclasses.field(default_factory=dict)  # of choices
    # what might be asked and means nothing -> the sentence that says why
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def steps_on(self, task: str) -> int:
        """Env steps of each agent."""
        return self.steps(task) if callable(self.steps) else self.steps

    def row(self, variant: str) -> str:
        """The row of the paper's tables beside which a variant is laid; '' if none."""
        return {**self.same, **self.readings}.get(variant, variant)


class Row(NamedTuple):
    """A variant, written down: an algorithm, whose networks it has, what is changed."""

    algorithm: str
    changes: Mapping[str, object] = {}
    net: str = ""  # another algorithm; none: its own
    steps: int | None = None  # env steps; None: the experiment's

    def variant(self, name: str, task: str) -> Variant:
        """As its sources ran it on this task, then changed. Raises: ConfigError."""
        (made,) = sweep.presets([self.algorithm], task)
        if self.net:
            made = sweep.swap(made, *sweep.presets([self.net], task))
        config = sweep.change(made.config, self.changes)
        return Variant(name, self.algorithm, config, self.steps)


def variants(rows: Mapping[str, Row]) -> Variants:
    """What makes these rows variants of a task, under their names."""
    return lambda task: tuple(row.variant(name, task) for name, row in rows.items())


# ---------------------------------------------------------------- budgets

PAPER_SEEDS = 10  # settings 1.0
# env steps of each agent, by robot (`algorithms.for_task`): settings 1.0
PAPER_STEPS: dict[str, dict[str, int]] = {
    "": {"steps": 3_000_000},
    "gym/Hopper": {"steps": 1_000_000},
    "gym/Humanoid": {"steps": 10_000_000},
    "dmc/": {"steps": 2_500_000},
    "dmc/humanoid": {"steps": 14_000_000},
}


def paper_steps(task: str) -> int:
    """How long the paper ran on a task, or on the one that this is a version of."""
    found = for_task(PAPER_STEPS, task)["steps"]
    assert isinstance(found, int)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """A budget smaller than the paper's: which tasks, how many seeds, how long."""

    tasks: int | None = None  # so many of the cheap ones; None: all of them
    seeds: int
    steps: int | None = None  # env steps; None: the share below
    share: float = 1.0  # of the paper's steps
    start: int | None = None  # a replay is learned from after so many steps at the most
    eval_every: int
    eval_episodes: int = 10

    def shorter(self, steps: int) -> int:
        """Env steps of what takes so many at the paper's budget."""
        return self.steps or round(self.share * steps)


PAPER = "paper"  # the scale at which an experiment is what it says
SMOKE = "smoke"  # the one that decides nothing
SCALES = {
    # minutes on two cores: does every variant learn at all?
    SMOKE: Scale(
        tasks=1, seeds=2, steps=4000, start=1000, eval_every=2000, eval_episodes=2
    ),
    # hours on two cores, or less than one on an accelerator
    "reduced": Scale(seeds=5, share=1 / 20, eval_every=5000),
}


def scaled(experiment: Experiment, scale: str = PAPER) -> Experiment:
    """The experiment with a budget, which its name then says: 'table3@reduced'.

    Variants stay what they are, but for the experiment's `lengths`; at scale 'smoke'
    alone replays are learned from earlier, without which most of them would never
    learn, and the experiment's `at_smoke` is changed. Raises: ConfigError.
    """
    names = (PAPER, *SCALES)
    if scale not in names:
        raise ConfigError(
            f"scale is {scale!r}: it must be one of {', '.join(names)}"
            f"{nearest(scale, names)}"
        )
    if experiment.cheap is None:
        raise ConfigError(
            f"scale is {scale!r}: {experiment.name} has one budget, which is its own."
        )
    name = f"{experiment.name}@{scale}"
    if scale == PAPER:
        return dataclasses.replace(experiment, name=name)
    budget = SCALES[scale]
    changes = experiment.at_smoke if scale == SMOKE else {}

    def steps(task: str) -> int:
        return budget.shorter(experiment.steps_on(task))

    def early(task: str) -> tuple[Variant, ...]:
        share = steps(task) / experiment.steps_on(task)
        found = (_changed(v, changes) for v in experiment.variants(task))
        made = (_shorter(v, experiment, share) for v in found)
        return tuple(_early(v, budget) for v in made)

    return dataclasses.replace(
        experiment,
        name=name,
        variants=early,
        tasks=tuple(experiment.cheap)[: budget.tasks],
        steps=steps,
        seeds=budget.seeds,
        eval_every=budget.eval_every,
        eval_episodes=budget.eval_episodes,
    )


def _shorter(variant: Variant, experiment: Experiment, share: float) -> Variant:
    """With this share of the lengths that it has."""
    known: dict[str, Any] = dict(schema.paths(variant.config))
    changes = {
        path: max(round(share * known[path]), 1)
        for path in experiment.lengths
        if path in known
    }
    return _changed(variant, changes)


def _changed(variant: Variant, changes: Mapping[str, object]) -> Variant:
    config = schema.override(variant.config, changes)
    return dataclasses.replace(variant, config=config)


def _early(variant: Variant, budget: Scale) -> Variant:
    steps, config, start = variant.steps, variant.config, budget.start
    if steps is not None:
        variant = dataclasses.replace(variant, steps=budget.shorter(steps))
    if start is None or not isinstance(config.data, Replay):
        return variant
    data = dataclasses.replace(
        config.data,
        learning_starts=min(config.data.learning_starts, start),
        random_steps=min(config.data.random_steps, start),
    )
    return dataclasses.replace(variant, config=dataclasses.replace(config, data=data))
