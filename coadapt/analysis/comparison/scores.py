"""Scores and means of arms, in their unit."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coadapt.analysis import verdict
from coadapt.analysis.comparison.arms import Arms
from coadapt.analysis.comparison.notes import notes_on
from coadapt.analysis.comparison.pairs import Pair, common_tasks
from coadapt.analysis.comparison.question import REFERENCE, Asked, unit_of
from coadapt.analysis.score import Arm, require_metric
from coadapt.analysis.verdict import Effect
from coadapt.schema import ConfigError


class InUnit(NamedTuple):
    """Scores of variants in one unit, of each task by variant, [seeds]."""

    unit: str
    scores: tuple[dict[str, np.ndarray], ...]
    notes: tuple[str, ...]
    tasks: tuple[str, ...] = ()  # of `scores`


def in_unit(arms: Arms, names: Sequence[str], metric: str = "final") -> InUnit:
    """On the tasks that all variants have: in the reference's unit, or in returns.

    Raises:
        ConfigError: where no task has all, where returns of several tasks have no
            unit in common, or of another metric.
    """
    require_metric(metric)
    pair = Pair("", tuple(names), ())
    tasks = common_tasks(arms, [pair], ())
    asked = Asked(arms, (pair,), tasks, metric, False)
    unit, reason = unit_of(asked, 1.0)
    if not unit:
        raise ConfigError(f"{reason}.")
    scores = []
    for task in tasks:
        zero = asked.unit(task).random if unit == REFERENCE else 0.0
        size = asked.size(task, unit)
        own = {n: (asked.scores(task, n) - (zero or 0.0)) / size for n in names}
        for name, each in own.items():
            if not each.size:
                raise ConfigError(f"no run of {name} on {task} has a score.")
        scores.append(own)
    return InUnit(unit, tuple(scores), notes_on(asked), tasks)


def mean_of(arm: Arm, metric: str, rule: str) -> Effect:
    """The mean of an arm's returns, with Student's interval."""
    scores = arm.scores(metric, rule)
    known = scores[~np.isnan(scores)]
    if not known.size:
        return Effect(math.nan, math.nan, math.nan)
    return verdict.effect([(1.0, known)])
