"""A policy's entropy, and its actions at the border of the box."""

from functools import partial

import jax
import numpy as np

from coadapt.config import Config
from coadapt.diagnostics.sampling import actions, draw, key_of, traced
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError
from coadapt.types import AgentState, Rows


def entropy(agent: SavedAgent, obs: Rows, *, samples: int = 256) -> np.ndarray:
    """The policy's entropy at each state.

    In closed form where there is one: for a Gaussian, sum log std + A/2 log(2 pi e),
    for a Softmax, which is discrete, - sum p log p. Otherwise the mean of -log pi over
    samples. Source: textbook.

    Args:
        obs: [B, O].

    Returns:
        [B], nats.

    Raises:
        ConfigError: if the policy is deterministic.
    """
    pi, dist = agent.config.pi_theta, agent.policy(obs)
    if pi.has_entropy:
        return np.asarray(pi.entropy(dist))
    return sampled_entropy(agent, obs, samples=samples)


def sampled_entropy(agent: SavedAgent, obs: Rows, *, samples: int = 256) -> np.ndarray:
    """The mean of -log pi over so many of the policy's actions at obs [B, O]: [B].

    Raises:
        ConfigError: of a deterministic policy.
    """
    if not agent.config.pi_theta.has_density:
        raise ConfigError(
            f"{agent.variant} has a deterministic policy: it has no entropy."
        )
    seen, key = np.asarray(obs, np.float32), key_of(agent, 3)
    found = _surprise(traced(agent), agent.state, seen, key, number=samples)
    return np.asarray(found).mean(axis=0)


@partial(jax.jit, static_argnames="number")
def _surprise(config: Config, state: AgentState, obs, key, *, number: int):
    raw, _, dist = draw(config, state, obs, key, number=number)
    return -config.pi_theta.log_prob_of(dist, raw)


def saturated(
    agent: SavedAgent, obs: Rows, *, limit: float = 0.99, samples: int = 32
) -> np.ndarray:
    """The share of the policy's actions at the bounds of the box or beyond.

    Args:
        obs: [B, O].

    Returns:
        [A], the share of actions with |a| >= limit (agent units), for each dimension.

    Raises:
        ConfigError: if actions are discrete.
    """
    if agent.spec.num_actions:
        raise ConfigError(
            f"the actions of {agent.task} are discrete: they have no bounds."
        )
    action = actions(agent, obs, samples, key_of(agent, 3))
    return (np.abs(action) >= limit).mean(axis=(0, 1))
