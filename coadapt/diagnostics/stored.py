"""The observations and transitions that an agent had stored."""

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import schema
from coadapt.config import Offline
from coadapt.data import offline, replay
from coadapt.data.replay import Store
from coadapt.diagnostics.rollouts import rollout
from coadapt.diagnostics.sampling import key_of
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError


def stored(agent: SavedAgent) -> Store:
    """What the agent learns from.

    Raises: ConfigError.
    """
    if isinstance(agent.config.data, Offline):
        return offline.store(offline.read(agent.config.data.dataset, agent.spec))
    if agent.replay is None:
        raise ConfigError(
            f"what {agent.variant} had stored was not loaded: use coadapt.load(..., "
            "replay=True)."
        )
    return agent.replay


def batch(agent: SavedAgent, size: int = 256, *, seed: int = 0) -> np.ndarray:
    """Observations drawn uniformly from the agent's replay.

    Returns:
        [size, O].

    Raises:
        ConfigError: if no replay was loaded.
    """
    schema.must_be(size, int, "size", "a whole number of 1 or more")
    store = jax.tree.map(jnp.asarray, stored(agent))
    return np.asarray(replay.sample(store, key_of(agent, 2 + seed), size).obs)


def states(agent: SavedAgent, size: int = 256, *, seed: int = 0) -> np.ndarray:
    """Observations at which to examine the agent: from its replay, or of an episode.

    They are of an episode of the agent if no replay was loaded or kept.

    Returns:
        [B, O], at most `size`.
    """
    if agent.replay is not None or isinstance(agent.config.data, Offline):
        return batch(agent, size, seed=seed)
    found = rollout(agent, episodes=1, seed=seed).states()
    rng = np.random.default_rng(seed)
    return found[rng.permutation(len(found))[:size]]
