"""Looks at a study that grows: how much of the error each of them may spend.

With more looks at the same data one of them is sooner wrong. Lan and DeMets fix, before
the first run, how much of alpha is spent until a share t of the seeds is there; by the
form that O'Brien and Fleming's bounds have little is spent early:
    spent(t) = 2 - 2 Phi(z / sqrt(t)),  z the normal quantile of 1 - alpha / 2
and the last look has nearly the level of a study without looks. Alpha is one-sided, of
one part of a verdict. Source: Lan and DeMets 1983; Armitage, McPherson and Rowe 1969.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from coadapt.schema import ConfigError

_POINTS, _FAR = 1001, 8.0  # of a normal density that is integrated, in stds


class Look(NamedTuple):
    """When results are judged, and at which level."""

    seeds: int  # of each arm
    alpha: float  # one-sided, beyond each end of an interval


def sizes(first: int, most: int) -> tuple[int, ...]:
    """Seeds of each look: doubled from the first on, the last with the most.

    Raises:
        ConfigError: if that is less.
    """
    if most < first:
        raise ConfigError(
            f"max_seeds is {most}: it must be at least {first}, the seeds of the first "
            "look."
        )
    doubled = [first * 2**i for i in range(int(math.log2(most / first)) + 1)]
    return tuple(dict.fromkeys([*(n for n in doubled if n < most), most]))


def spent(share: float, alpha: float) -> float:
    """One-sided error that may be spent until this share of the seeds is there."""
    z = special.ndtri(1 - alpha / 2)
    return float(2 * special.ndtr(-z / math.sqrt(share)))


@functools.lru_cache(maxsize=1024)
def looks(seeds: tuple[int, ...], alpha: float) -> tuple[Look, ...]:
    """Each look with its nominal level, so that together they spend alpha.

    Args:
        seeds: of each look, growing.
        alpha: one-sided, of all looks together.
    """
    return tuple(_looks(seeds, alpha))


def _looks(seeds: tuple[int, ...], alpha: float) -> Iterator[Look]:
    """One after the other: what has no further look costs little."""
    before, walk = 0.0, _Walk(seeds[-1])
    for number in seeds:
        now = spent(number / seeds[-1], alpha)
        bound = walk.bound(number, now - before)
        yield Look(number, float(special.ndtr(-bound)))
        before = now
        if number < seeds[-1]:
            walk.go_on(number, bound)


class _Walk:
    """The sum of runs' scores, of studies that no look has ended, on a grid."""

    def __init__(self, most: int):
        self.most, self.at = most, 0.0  # of the time from 0 to 1
        self.grid, self.weights = np.zeros(1), np.ones(1)

    def bound(self, number: int, error: float) -> float:
        """The z beyond which lies so much of what is left."""
        step = self._step(number)

        def beyond(z: float) -> float:
            edge = z * math.sqrt(number / self.most)
            return float(self.weights @ special.ndtr((self.grid - edge) / step)) - error

        return _root(beyond, 0.0, 40.0, 1e-10)

    def _step(self, number: int) -> float:
        return math.sqrt(number / self.most - self.at)

    def go_on(self, number: int, bound: float) -> None:
        """With what is below the bound."""
        now, step = number / self.most, self._step(number)
        grid = np.linspace(-_FAR, bound, _POINTS) * math.sqrt(now)
        apart = (grid[:, None] - self.grid[None, :]) / step
        density = (
            np.exp(-0.5 * apart**2) @ self.weights / (step * math.sqrt(2 * math.pi))
        )
        width = np.full(_POINTS, grid[1] - grid[0])
        width[[0, -1]] /= 2  # of the trapezoid rule
        self.at, self.grid, self.weights = now, grid, density * width


def _root(function: Callable[[float], float], low: float, high: float, to: float):
    return float(optimize.brentq(function, low, high, xtol=to))  # type: ignore[arg-type]


def sequential_p(ps: Sequence[float], seeds: tuple[int, ...]) -> float:
    """The least one-sided alpha at which one of these looks would have decided.

    Args:
        ps: one-sided p at each look so far; NaN, where there was none, is 1.
        seeds: of all looks of the plan.
    Source: Liu and Anderson 2008.
    """

    def over(log: float) -> float:
        levels = _looks(seeds, math.exp(log))
        return max(
            math.log(max(look.alpha, 1e-300) / max(p, 1e-300))
            for p, look in zip(ps, levels, strict=False)
        )

    ps = [1.0 if math.isnan(p) else p for p in ps]
    low, high = math.log(1e-12), math.log(0.5)
    if over(high) < 0:
        return 1.0
    if over(low) >= 0:
        return math.exp(low)
    return math.exp(_root(over, low, high, 1e-6))
