"""The value of states over two dimensions of the observation."""

from typing import NamedTuple

import numpy as np

from coadapt.diagnostics.landscapes import require_axes, require_points
from coadapt.diagnostics.returns import observed, own_values
from coadapt.diagnostics.rollouts import Rollouts
from coadapt.runs.trained_agent import SavedAgent


class Surface(NamedTuple):
    """The value of states over two dimensions of the observation, and what followed."""

    axes: tuple[int, int]  # dimensions of the observation that vary
    grid: tuple[np.ndarray, np.ndarray]  # the values that each of them takes
    value: np.ndarray  # [G_0, G_1], reward units
    obs: np.ndarray  # [n, 2], states that were passed, along the axes
    returns: np.ndarray  # [n], what followed each of them


def value_surface(
    agent: SavedAgent,
    found: Rollouts,
    axes: tuple[int, int] = (0, 1),
    *,
    points: int = 61,
    max_tail: float = 0.1,
) -> Surface:
    """V(s), or Q of the policy's own actions, and the observed returns.

    The surface is over the range of the states in `found`, slightly enlarged; other
    dimensions of the observation are at their medians.

    Args:
        found: what `rollout` gives.
        axes: two dimensions of the observation, of O.
        points: along each axis.
        max_tail: as of `overestimation`.

    Raises:
        ConfigError: if there is no critic, no such dimension, or no step is left.
    """
    axes = tuple(int(axis) for axis in axes)  # type: ignore[assignment]
    require_axes(axes, (2,), agent.spec.obs_size, "observation")
    require_points(points)
    target = observed(agent, found, max_tail)
    seen, counts = found.states(), np.isfinite(target.value)
    grid = tuple(_span(seen[:, axis], points) for axis in axes)
    rows = np.tile(np.median(seen, axis=0), (points**2, 1))
    for axis, values in zip(axes, np.meshgrid(*grid, indexing="ij"), strict=True):
        rows[:, axis] = values.ravel()
    value = own_values(agent, rows.astype(np.float32)).reshape(points, points)
    passed = found.obs[counts][:, list(axes)]
    return Surface(axes, grid, value, passed, target.value[counts])  # type: ignore[arg-type]


def _span(values: np.ndarray, points: int) -> np.ndarray:
    """From a little below all values to a little above them, [points]."""
    low, high = float(values.min()), float(values.max())
    beyond = 0.03 * (high - low) or 0.5
    return np.linspace(low - beyond, high + beyond, points)
