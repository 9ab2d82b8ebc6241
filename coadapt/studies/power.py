"""What a plan can decide, before it is run: how probable each true verdict is.

Runs are drawn as in `simulation`, with the std of a pilot's runs or a given one; the
verdict on them is that of a report. Effects are set in margins m: what gains A twice
the margin is what a study should find.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from coadapt.analysis import alpha_spending, simulation, verdict
from coadapt.analysis.alpha_spending import Look
from coadapt.analysis.comparison import MARGIN, REFERENCE, RETURNS, arms_of
from coadapt.analysis.score import Arm
from coadapt.analysis.simulation import Source
from coadapt.analysis.verdict import Effect
from coadapt.runs import store
from coadapt.schema import ConfigError

BASE = 0.9  # of the unit, the score of a run that did not fail; a failed one has 0
USUAL = (0.1, 0.2, 0.35)  # stds of runs, in the unit: docs/statistics.md
UPPER = 0.8  # a pilot's std is below its upper limit with this probability
Truth = tuple[float, ...]  # effects in margins, on A and B or on one algorithm
TRUTHS = ((2.0, -1.0), (2.0, 0.0), (2.0, 0.5), (2.0, 2.0), (0.0, 0.0), (2.0,), (0.0,))


class Plan(NamedTuple):
    """Of a study, what its power depends on."""

    looks: tuple[Look, ...]  # at which arms are judged; one, of a fixed study
    margin: float = MARGIN
    tasks: int = 1  # that an effect is averaged over
    failing: float = 0.0  # share of the runs of each arm that fail

    @property
    def seeds(self) -> int:
        """Of each arm, at the most."""
        return self.looks[-1].seeds


class Chance(NamedTuple):
    """How often a plan finds what is true."""

    effects: tuple[float, ...]  # on A, and on B
    word: str  # the true verdict
    found: float
    seeds: float  # of each arm, the mean over studies
    needed: int | None  # of a study without looks and failures, for a power of 0.8


class Spread(NamedTuple):
    """How much the runs of an algorithm differ, in the unit or in returns."""

    label: str
    std: float  # n - 1, the root of the mean variance of its arms
    freedom: int
    failing: float  # share of its runs that failed

    @property
    def upper(self) -> float:
        """What the true std is below, in four of five pilots.

        Source: Browne 1995, who sizes studies by it.
        """
        low = float(distributions.chi2.ppf(1 - UPPER, self.freedom))
        return self.std * math.sqrt(self.freedom / low)


def plan(
    seeds: int,
    *,
    margin: float = MARGIN,
    most: int | None = None,
    alpha: float = 2 * verdict.ALPHA,
    questions: int = 1,
    tasks: int = 1,
    failing: float = 0.0,
) -> Plan:
    """The plan of a study.

    Args:
        seeds: of each arm; with `most`, those of the first look.
        alpha: two-sided, shared by the questions.
    Raises: ConfigError.
    """
    part = alpha / 2 / questions
    looks = (Look(seeds, part),)
    if most is not None:
        looks = alpha_spending.looks(alpha_spending.sizes(seeds, most), part)
    return Plan(looks, margin, tasks, failing)


def chances(stds: Sequence[float], plan: Plan) -> dict[Truth, Chance]:
    """By each of `TRUTHS`; stds are of runs of A, and of B, in the unit of the margin.

    Of one std there are those of one algorithm alone.
    """
    truths = [truth for truth in TRUTHS if len(truth) <= len(stds)]
    return {truth: _chance(truth, stds, plan) for truth in truths}


def _chance(truth: Truth, stds: Sequence[float], plan: Plan) -> Chance:
    effects = tuple(share * plan.margin for share in truth)
    ends = np.array(effects)
    words = verdict.claims(ends - 1e-9, ends + 1e-9, plan.margin)
    (word,) = (word for word, holds in words.items() if holds)
    pairs = [_sources(*each, plan) for each in zip(effects, stds, strict=False)]
    said = simulation.studied(pairs, looks=plan.looks, margin=plan.margin)
    found = said.words[word] if plan.seeds >= verdict.LEAST else 0.0
    whole = [_whole(*each, plan) for each in zip(effects, stds, strict=False)]
    needed = verdict.seeds_to_decide(whole, plan.margin)
    return Chance(effects, word, found, said.seeds, needed)


def _sources(effect: float, std: float, plan: Plan) -> simulation.Sources:
    on, off = (
        [Source(BASE, std, plan.failing)] * plan.tasks for _ in ("with it", "without")
    )
    return simulation.moved((on, off), effect)


def _whole(effect: float, std: float, plan: Plan) -> Effect:
    variances = (std**2 / plan.tasks**2,) * 2 * plan.tasks
    return Effect(
        effect, math.nan, math.nan, variances=variances, alpha=plan.looks[-1].alpha
    )


# ---------------------------------------------------------------- from a pilot


def spreads(workdir: str, tasks: Sequence[str] = ()) -> tuple[list[Spread], str]:
    """Of each algorithm of a run store, and of which unit: 'reference' or 'returns'.

    Raises:
        ConfigError: without a store, or where no arm has two runs.
    """
    header = store.load(store.folder(workdir))
    arms = {
        key: arm
        for key, arm in arms_of(workdir).items()
        if (not tasks or key[0] in tasks) and len(arm.seeds) > 1
    }
    if not arms or header is None:
        raise ConfigError(
            f"pilot {workdir!r} has no variant with two finished runs or more: a std "
            "is of at least two."
        )
    unit = _unit(arms)
    by: dict[str, list[Arm]] = {}
    for (task, name), arm in arms.items():
        named = header.variants.get(task, {})
        by.setdefault(named[name].algorithm if name in named else name, []).append(arm)
    return [_spread(name, each, unit) for name, each in by.items()], unit


def _unit(arms: Mapping[tuple[str, str], Arm]) -> str:
    """Raises: ConfigError, where returns of several tasks have no unit in common."""
    lacking = [task for (task, _), arm in arms.items() if arm.unit.size is None]
    if not lacking:
        return REFERENCE
    if len({task for task, _ in arms}) > 1:
        raise ConfigError(
            f"pilot has no reference for {lacking[0]}, and returns of several tasks "
            "have no unit in common: name one task."
        )
    return RETURNS


def _spread(label: str, arms: Sequence[Arm], unit: str) -> Spread:
    squares, freedom, failed, runs = 0.0, 0, 0, 0
    for arm in arms:
        size = arm.unit.size if unit == REFERENCE else 1.0
        whole = arm.before["final"][~arm.failed]
        failed, runs = failed + int(arm.failed.sum()), runs + len(arm.seeds)
        if whole.size > 1 and size:
            squares += float(((whole - whole.mean()) ** 2).sum()) / size**2
            freedom += whole.size - 1
    if not freedom:
        raise ConfigError(f"of {label} fewer than two runs ended: they have no std.")
    return Spread(label, math.sqrt(squares / freedom), freedom, failed / runs)
