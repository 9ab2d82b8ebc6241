"""How sensitive a variant is to its setting: best of n, and one setting for all tasks.

Scores are of settings that were drawn, as a random design or a grid draws them. A
setting is selected on some seeds and scored on others: on the same ones the best of n
is the luckiest of n, too.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from coadapt.analysis import comparison
from coadapt.analysis.comparison import REFERENCE, Arms
from coadapt.schema import ConfigError


def best_of(selected: Sequence[float], scored: Sequence[float]) -> np.ndarray:
    """The expected score of the best of n settings, n = 1 to half of them.

    Args:
        selected: scores [settings] by which the best is chosen, of some seeds.
        scored: scores [settings] of the same settings with other seeds.
    Returns:
        [settings // 2]. Of all subsets of n settings, the mean of `scored` at the
        best of `selected`, ties being broken by order. Settings must be iid: of the
        points of a Sobol sequence a part is no sample.
    Raises:
        ConfigError: for fewer than four settings.
    """
    choose, score = np.asarray(selected, np.float64), np.asarray(scored, np.float64)
    number = choose.size
    if number < 4 or score.shape != choose.shape:
        raise ConfigError(
            "best of n needs 4 settings or more, each with a score on other seeds: "
            f"there are {number} and {score.size}; a random design has them."
        )
    ranked = score[np.argsort(-choose, kind="stable")]
    places = np.arange(number)
    return np.array(
        [
            (special.comb(number - 1 - places, n - 1) * ranked).sum()
            / special.comb(number, n)
            for n in range(1, number // 2 + 1)
        ]
    )


class Sensitivity(NamedTuple):
    """What is lost by one setting for all tasks, in the unit of the scores."""

    own: float  # each task at its own best setting, the mean over tasks
    shared: float  # all tasks at the setting with the best mean
    setting: str  # that one

    @property
    def value(self) -> float:
        """Source: Adkins et al. 2024, hyperparameter sensitivity."""
        return self.own - self.shared


def sensitivity(scores: Mapping[str, Sequence[float]]) -> Sensitivity:
    """Of a variant, from the scores [tasks] of each setting in one unit.

    Raises:
        ConfigError: with fewer than two tasks or two settings.
    """
    names = list(scores)
    table = np.array([scores[name] for name in names], np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ConfigError(
            "sensitivity needs two tasks and two settings or more, all in one "
            f"unit: there are {table.shape[-1] if table.ndim == 2 else 0} tasks and "
            f"{len(names)} settings; run the same settings on more tasks."
        )
    means = table.mean(1)
    best = int(means.argmax())
    return Sensitivity(float(table.max(0).mean()), float(means[best]), names[best])


Point = tuple[object, ...]  # a setting's values


def dimensions(scores: Mapping[Point, float], default: int, share: float = 0.95) -> int:
    """`effective` of one task, `default` being the place of a point in `scores`."""
    return effective([scores], list(scores)[default], share)


def effective(
    scores: Sequence[Mapping[Point, float]], default: Point, share: float = 0.95
) -> int:
    """How many fields have to be tuned to have this share of the best score.

    Args:
        scores: of each task, those of each point of the same full grid; positive in the
            mean of the tasks' best.
        default: the point at which fields that are not tuned stand.
    Returns:
        the size of the smallest set of fields which, tuned for each task while the
        others are the default's, has share * the mean of the tasks' best. Source:
        Adkins et al. 2024, effective hyperparameter dimensionality.
    Raises:
        ConfigError: if the points are no full grid.
    """
    points = list(scores[0])
    axes = [set(values) for values in zip(*points, strict=True)]
    whole = math.prod(len(axis) for axis in axes)
    if len(points) != whole:
        raise ConfigError(
            f"effective dimensionality needs a full grid: there are {len(points)} of "
            f"{whole} points; run all combinations."
        )
    goal = share * np.mean([max(each.values()) for each in scores])

    def reached(fields: Sequence[int]) -> float:
        kept = [i for i in range(len(axes)) if i not in fields]
        near = [p for p in points if all(p[i] == default[i] for i in kept)]
        return float(np.mean([max(each[p] for p in near) for each in scores]))

    return next(
        (
            size
            for size in range(len(axes))
            for fields in itertools.combinations(range(len(axes)), size)
            if reached(fields) >= goal
        ),
        len(axes),
    )


# ---------------------------------------------------------------- of a run store


class Curve(NamedTuple):
    """The best of n settings of a variant on a task, by n from 1 on."""

    variant: str
    task: str
    unit: str
    values: np.ndarray  # [settings // 2]


def curves(arms: Arms, settings: Mapping[str, Sequence[str]]) -> list[Curve]:
    """Of each variant on each task: selected on one half of the seeds, scored on the
    other.

    Args:
        settings: of each variant, the names under which it stands at each setting.
    Raises:
        ConfigError: with fewer than two seeds or four settings.
    """
    found = []
    for variant, names in settings.items():
        known = comparison.in_unit(arms, names)
        for task, own in zip(known.tasks, known.scores, strict=True):
            fewest = min(each.size for each in own.values())
            if fewest < 2:
                raise ConfigError(
                    f"{variant} on {task} has settings with {fewest} seed: the best is "
                    "selected on some seeds and scored on others; run two or more."
                )
            halves = [
                [float(own[name][part].mean()) for name in names]
                for part in (slice(0, fewest // 2), slice(fewest // 2, None))
            ]
            found.append(Curve(variant, task, known.unit, best_of(*halves)))
    return found


def shared(arms: Arms, settings: Mapping[str, Sequence[str]]) -> dict[str, Sensitivity]:
    """Of each variant.

    Raises:
        ConfigError: without two tasks that have a reference.
    """
    found = {}
    for variant, names in settings.items():
        known = comparison.in_unit(arms, names)
        if known.unit != REFERENCE:
            raise ConfigError(
                "sensitivity needs scores in one unit, and a task has no reference: "
                "give --reference before the first run."
            )
        found[variant] = sensitivity(
            {name: [float(own[name].mean()) for own in known.scores] for name in names}
        )
    return found


def on_tasks(arms: Arms, points: Mapping[str, Point]) -> list[dict[Point, float]]:
    """Of each task the mean score at each point.

    Raises: ConfigError.
    """
    known = comparison.in_unit(arms, list(points))
    return [
        {point: float(own[name].mean()) for name, point in points.items()}
        for own in known.scores
    ]
