"""Actions of an agent's policy, and the random keys of a question."""

from functools import partial

import jax
import numpy as np

from coadapt import agent as agents
from coadapt import schema
from coadapt.config import Config
from coadapt.rng import Purpose, stream
from coadapt.runs.trained_agent import SavedAgent
from coadapt.types import AgentState, Rows, Tree

SAMPLES = 32  # actions that stand for a policy at a state


def key_of(agent: SavedAgent, number: int) -> jax.Array:
    return stream(np.uint32(agent.seed), Purpose.MEASURE, number)  # type: ignore[arg-type]


def traced(agent: SavedAgent) -> Config:
    """The config in the types that a program has it in."""
    return schema.as_traced(agent.config)


def policy_samples(
    agent: SavedAgent, obs: Rows, number: int = SAMPLES, key: jax.Array | None = None
) -> np.ndarray:
    """Actions of the policy at obs [B, O], without noise for exploration: [M, B, A]."""
    return actions(agent, obs, number, key_of(agent, 0) if key is None else key)


def actions(agent: SavedAgent, obs: Rows, number: int, key: jax.Array) -> np.ndarray:
    seen = np.asarray(obs, np.float32)
    return np.asarray(draw(traced(agent), agent.state, seen, key, number=number)[1])


@partial(jax.jit, static_argnames="number")
def draw(
    config: Config, state: AgentState, obs: jax.Array, key: jax.Array, *, number: int
) -> tuple[jax.Array, jax.Array, Tree]:
    """The policy's samples [M, B, A] before their bound and after, and the policy."""
    dist = agents.policy(config, state, state.params.policy, obs)
    raw = config.pi_theta.draw(dist, key, number)
    return raw, config.pi_theta.bound(raw), dist
