"""Critics, policy and posterior over one or two dimensions of the action."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import schema
from coadapt.agent import models
from coadapt.config import Config
from coadapt.diagnostics.returns import own_values
from coadapt.diagnostics.sampling import policy_samples, traced
from coadapt.factors import pi_q
from coadapt.ops import weights
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError
from coadapt.types import AgentState, Rows


class Slice(NamedTuple):
    """Critics, policy and posterior over a line or a plane through the actions.

    The G points are the middles of equal cells, the last of the axes running fastest.
    """

    axes: tuple[int, ...]  # dimensions of the action that vary: one or two
    grid: tuple[np.ndarray, ...]  # the values that each of them takes
    q: np.ndarray  # [K, G, S], of each critic, reward units
    score: np.ndarray  # [G, S], what the policy's step makes of the critics
    value: np.ndarray  # [S], the score's mean over the policy's own actions
    density: np.ndarray | None  # [G, S], exp log pi; None of a deterministic policy
    # [G, S], exp(score / eta) as the E-step weighs, adding up to 1 over the points;
    # None where neither the E-step nor the temperature makes one
    weight: np.ndarray | None
    # [G, S], pi_q, the prior's density times the weights, adding up to 1; None unless
    # the prior is the policy, or its slow copy
    posterior: np.ndarray | None

    @property
    def advantage(self) -> np.ndarray:
        """score - value, [G, S]."""
        return self.score - self.value

    @property
    def gap(self) -> np.ndarray:
        """The action gap: the highest score less the mean over the points. [S].

        Of discrete actions it is to the second best; in a continuum the best has
        neighbours that are as good. Source: Farahmand 2011; Bellemare et al. 2016.
        """
        return self.score.max(axis=0) - self.score.mean(axis=0)

    @property
    def share(self) -> np.ndarray | None:
        """The density, adding up to 1 over the points. [G, S].

        Of a policy whose dimensions are independent, what lies in each cell of the
        marginal over these axes.
        """
        return None if self.density is None else _shares(self.density)

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """[..., G, S] -> [..., G_0(, G_1), S]."""
        sizes = [len(one) for one in self.grid]
        return values.reshape(*values.shape[:-2], *sizes, values.shape[-1])


def _shares(values: np.ndarray) -> np.ndarray:
    total = values.sum(axis=0)
    return values / np.where(total > 0, total, np.nan)  # nowhere: nothing to share


def critic_slice(
    agent: SavedAgent,
    obs: Rows,
    axes: Sequence[int] = (0,),
    *,
    points: int = 101,
    limits: tuple[float, float] = (-1.0, 1.0),
    around: Rows | None = None,
) -> Slice:
    """The critics' values of actions that differ in one or two dimensions.

    Args:
        obs: [S, O], the states.
        axes: one or two dimensions of the action, of A.
        points: along each axis.
        limits: of each axis, agent units; a Gaussian's actions may be beyond +-1.
        around: [S, A], actions that give the other dimensions; None: the policy's mode.

    Raises:
        ConfigError: if the critics are not of actions, or actions are discrete.
    """
    axes = tuple(int(axis) for axis in axes)
    _require_slice(agent, axes, points, limits)
    if around is None:
        mode = agent.config.pi_theta.mode(agent.policy(obs))
        around = np.asarray(mode, np.float32)
    action, grid = _grid(np.asarray(around, np.float32), axes, points, limits)
    config, state, seen = traced(agent), agent.state, np.asarray(obs, np.float32)
    q = agent.q(seen, action)
    score = np.asarray(_scores(config, state, seen, action))
    drawn = policy_samples(agent, obs)
    value = np.asarray(_scores(config, state, seen, drawn)).mean(axis=0)
    density = None
    if agent.config.pi_theta.has_density:
        density = np.exp(agent.log_prob(seen, action))
    less = own_values(agent, seen) if agent.config.g.relative else 0.0
    weight = _weights(config, state, score - less)
    weight = None if weight is None else np.asarray(weight)
    posterior = None
    if weight is not None and agent.config.pi_p.is_policy:
        posterior = _shares(np.exp(_prior(config, state, seen, action)) * weight)
    return Slice(axes, grid, q, score, value, density, weight, posterior)


def _require_slice(
    agent: SavedAgent, axes: tuple[int, ...], points: int, limits: tuple[float, float]
) -> None:
    size = agent.spec.action_size
    if agent.spec.num_actions:
        raise ConfigError(
            f"the actions of {agent.task} are discrete: there is no line through them."
        )
    require_axes(axes, (1, 2), size, "action")
    require_points(points)
    if not limits[0] < limits[1]:
        raise ConfigError(
            f"limits is {limits}: it must be a lower limit and a higher one."
        )


def require_axes(
    axes: tuple[int, ...], numbers: tuple[int, ...], size: int, what: str
) -> None:
    """Refuse all but so many of `size` dimensions, named once each.

    Raises:
        ConfigError: in one sentence.
    """
    known = len(set(axes)) == len(axes) in numbers
    if not known or not all(0 <= axis < size for axis in axes):
        many = " or ".join({1: "one", 2: "two"}[number] for number in numbers)
        raise ConfigError(
            f"axes is {schema.shown(axes)}: it must name {many} different "
            f"dimensions of the {what}, each from 0 to {size - 1}."
        )


def require_points(points: int) -> None:
    schema.must_be(points, int, "points", "a whole number of 2 or more")
    if points < 2:
        raise ConfigError(f"points is {points}: it must be 2 or more.")


def _grid(
    around: np.ndarray, axes: tuple[int, ...], points: int, limits: tuple[float, float]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Actions [G, S, A], and the values along each axis."""
    edges = np.linspace(*limits, points + 1)
    middles = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)
    mesh = np.meshgrid(*[middles] * len(axes), indexing="ij")
    action = np.tile(around, (mesh[0].size, 1, 1))
    for axis, values in zip(axes, mesh, strict=True):
        action[:, :, axis] = values.reshape(-1, 1)
    return action, (middles,) * len(axes)


@jax.jit
def _scores(config: Config, state: AgentState, obs: jax.Array, action: jax.Array):
    """What a policy's step makes of the critics: action [M, B, A] -> [M, B]."""
    view, slow = models.View(config, state), config.pi_p.at_next or config.g.slow
    values = view.q(view.target_critic if slow else view.critic, obs, action)
    return config.pi_q.combine(cast(Any, view), values)


@jax.jit
def _prior(config: Config, state: AgentState, obs: jax.Array, action: jax.Array):
    """log pi_p of actions [M, B, A], the policy that draws the E-step's samples."""
    return config.pi_theta.log_prob(
        models.View(config, state).target_policy(obs), action
    )


@jax.jit
def _weights(config: Config, state: AgentState, score: jax.Array) -> jax.Array | None:
    """The E-step's weights on a grid [G, S], each state by itself, summing to 1."""
    eta = config.pi_q_update.eta(state.params.dual)
    if not config.pi_q.parametric and not config.pi_q.whole_episodes:
        rule = cast(pi_q.Weights, config.pi_q)
        score = rule.standardized(score)
        one = jax.vmap(lambda s: rule.weights(s[:, None], eta)[:, 0], 1, 1)(score)
        return one / jnp.sum(one, axis=0, keepdims=True)
    if config.g.soft and config.pi_p.is_uniform:
        return weights.boltzmann(score, eta, per_batch=False)
    return None
