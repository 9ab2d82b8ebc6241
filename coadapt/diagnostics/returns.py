"""The returns that followed, which a critic is an estimate of."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.agent import models
from coadapt.config import Config
from coadapt.diagnostics.rollouts import Rollouts, best_counts
from coadapt.diagnostics.sampling import SAMPLES, draw, key_of, policy_samples, traced
from coadapt.ops import returns
from coadapt.rewards import as_learned
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError
from coadapt.types import AgentState


class Returns(NamedTuple):
    """Discounted returns along episodes; NaN where no step was taken."""

    value: np.ndarray  # [T, E]
    tail: np.ndarray  # [T, E], what multiplies the value of the cut end: in [0, 1)


def discounted_returns(
    reward: np.ndarray,
    discount: np.ndarray,
    last: np.ndarray,
    gamma: float,
    end_value: np.ndarray | None = None,
) -> Returns:
    """What followed each step, as far as it was seen; then the value of the cut end.

        G_t = r_t + gamma d_t G_{t+1},   but   G_t = r_t + gamma d_t V(s_{t+1})
    where an episode ends; d is 0 at a termination, so V counts at time limits alone. It
    is an opinion, not an observation: `tail` says how much of it is in a return.
    Source: Sutton and Barto 2018, Sec. 3.3; Pardo et al. 2018 for time limits.

    Args:
        reward: [T, E].
        discount: [T, E].
        last: [T, E].
        gamma: the agent's discount.
        end_value: [T, E], of the true successors; None: zero, which leaves the tail
            out.
    """
    values = np.zeros_like(reward) if end_value is None else end_value
    rows = np.asarray(gamma * discount, np.float32), np.asarray(last, bool)
    none = np.zeros_like(rows[0])

    def summed(reward: np.ndarray, value: np.ndarray) -> np.ndarray:
        both = np.asarray(reward, np.float32), np.asarray(value, np.float32)
        return np.asarray(_summed(both[0], rows[0], both[1], rows[1]))

    return Returns(summed(reward, values), summed(none, none + 1))


@jax.jit
def _summed(reward: jax.Array, discount: jax.Array, value: jax.Array, last: jax.Array):
    return returns.lambda_return(reward, discount, value, last, 1.0)


def monte_carlo(agent: SavedAgent, found: Rollouts) -> Returns:
    """The discounted returns that the agent's critic estimates, from each step on.

    Rewards are clipped or scaled by `config.reward`, with its current statistics. For a
    soft critic, -eta D(pi_q, pi_p) of every state after the first counts as reward
    (with a uniform prior the entropy, eta H), as in its target. At a time limit, the
    return ends with the agent's own value of the last state, as in its target. What
    `g_estimate.cloning` subtracts from a target is of stored actions, and left out.

    Returns:
        [T, E]; NaN where no step was taken, and in an episode that its simulator did
        not end.
    """
    end = np.maximum(found.there.sum(axis=0) - 1, 0)
    cut = found.next_obs[end, np.arange(len(end))]  # [E, O]
    rule = traced(agent).reward
    reward = np.asarray(as_learned(rule, agent.state.rewards, found.reward))
    whole = discounted_returns(
        np.where(found.there, reward + _bonus(agent, found), 0.0),
        found.discount,
        found.last,
        found.gamma,
        np.broadcast_to(own_values(agent, cut), found.reward.shape),
    )
    counts = found.there & (found.last & found.there).any(axis=0)
    return Returns(*(np.where(counts, x, np.nan) for x in whole))


def _bonus(agent: SavedAgent, found: Rollouts) -> np.ndarray:
    """What a soft critic counts as reward of the step before a state. [T, E]."""
    if not agent.config.g.soft:
        return np.zeros_like(found.reward)
    rows = found.next_obs.reshape(-1, found.next_obs.shape[-1])
    bonus = np.asarray(_penalty(traced(agent), agent.state, rows, key_of(agent, 1)))
    return -found.gamma * found.discount * bonus.reshape(found.reward.shape)


@jax.jit
def _penalty(config: Config, state: AgentState, obs: jax.Array, key: jax.Array):
    """eta D(pi_q, pi_p) at obs [B, O], the mean over some sets of samples. [B]."""
    number = config.pi_q_update.divergence_samples
    keys = jax.random.split(key, max(1, SAMPLES // number))

    def once(key: jax.Array) -> jax.Array:
        raw, _, dist = draw(config, state, obs, key, number=number)
        seen = models.View(config, state)
        return config.pi_p.divergence(seen, dist, raw, obs, key)

    eta = config.pi_q_update.eta(state.params.dual)
    return eta * jnp.mean(jax.lax.map(once, keys), axis=0)


def own_values(agent: SavedAgent, obs: np.ndarray) -> np.ndarray:
    """The value of the policy's own actions, or of the state: obs [B, O] -> [B].

    Of an agent that learns V beside Q it is that V, from which its targets bootstrap.
    """
    if agent.state.params.critic is None:
        raise ConfigError(f"{agent.variant} has no critic, and so no values.")
    if not agent.config.g.reads_action:
        return agent.v(obs)[0]
    if agent.state.params.value is not None:
        seen = np.asarray(obs, np.float32)
        return np.asarray(_beside(traced(agent), agent.state, seen))
    action = policy_samples(agent, obs, key=key_of(agent, 1))
    value = together(agent, agent.q(obs, action))
    return value.max(axis=0) if best_counts(agent.config) else value.mean(axis=0)


@jax.jit
def _beside(config: Config, state: AgentState, obs: jax.Array) -> jax.Array:
    return models.View(config, state).state_value(obs)


def observed(agent: SavedAgent, found: Rollouts, max_tail: float) -> Returns:
    """`monte_carlo`, NaN where more than `max_tail` of a return is an opinion.

    Raises:
        ConfigError: where that is so of all.
    """
    target = monte_carlo(agent, found)
    counts = target.tail <= max_tail  # false of NaN
    if not counts.any():
        least = np.nanmin(target.tail) if np.isfinite(target.tail).any() else np.nan
        raise ConfigError(
            f"max_tail is {max_tail}: in no return on {agent.task} does the critic's "
            f"own value at the time limit weigh so little; the least is {least:.2g}."
        )
    return target._replace(value=np.where(counts, target.value, np.nan))


def together(agent: SavedAgent, values: np.ndarray) -> np.ndarray:
    """What the critics say together, as the target takes it: [K, M, B] -> [M, B]."""
    return np.asarray(_mixed(traced(agent), values))


@jax.jit
def _mixed(config: Config, values: jax.Array) -> jax.Array:
    return config.g_estimate.combine(values)
