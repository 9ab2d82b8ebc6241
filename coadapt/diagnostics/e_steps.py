"""The weights of an E-step: effective samples, entropy and KL."""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import learn
from coadapt.agent import models
from coadapt.config import Config
from coadapt.data import episodes, replay
from coadapt.data.replay import Store
from coadapt.diagnostics.sampling import key_of, traced
from coadapt.diagnostics.stored import stored
from coadapt.factors import pi_q
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError
from coadapt.types import AgentState


class EStep(NamedTuple):
    """The weights of one E-step, on a batch as an update draws it."""

    weight: np.ndarray  # [M, B]
    score: np.ndarray  # [M, B], G, standardised where the config says so
    temperature: float  # eta, in units of the score
    per_state: bool  # whether Z is of each state, or of the batch

    @property
    def effective(self) -> np.ndarray:
        """Effective samples, as a share: of each state [B], or of the batch [1].

        (sum w)^2 / (n sum w^2). Source: Kong 1992.
        """
        w = self._normal()
        return 1.0 / (len(w) * np.square(w).sum(axis=0))

    @property
    def entropy(self) -> np.ndarray:
        """-sum w log w, nats: of each state [B], or of the batch [1]."""
        w = self._normal()
        return -np.where(w > 0, w * np.log(np.where(w > 0, w, 1.0)), 0.0).sum(axis=0)

    @property
    def kl(self) -> np.ndarray:
        """log n - entropy: KL(pi_q || pi_p) on the samples, what epsilon bounds."""
        return np.log(len(self._normal())) - self.entropy

    def _normal(self) -> np.ndarray:
        """Weights [n, sets], adding up to 1 in each set. float64."""
        w = np.asarray(self.weight, np.float64)
        w = w if self.per_state else w.reshape(-1, 1)
        w = w / w.max(axis=0)
        return w / w.sum(axis=0)


def e_step(agent: SavedAgent, *, seed: int = 0) -> EStep:
    """The weights of one E-step of the agent, on a batch from its replay.

    They are normalised over the actions of each state, or over the batch if the agent
    weighs stored actions, and are without the weights of `bounds`.

    Raises:
        ConfigError: if the posterior is parametric, or no replay was loaded.
    """
    if agent.config.pi_q.parametric:
        raise ConfigError(
            f"{agent.variant} has a parametric posterior: it weighs no samples."
        )
    config, key = traced(agent), key_of(agent, 2 + seed)
    found = _e_step(config, agent.state, stored(agent), key)
    weight, score, eta = (np.asarray(x) for x in found)
    rule = cast(pi_q.Weights, agent.config.pi_q)
    return EStep(weight, score, float(eta), rule.per_state)


@jax.jit
def _e_step(config: Config, state: AgentState, store: Store, key: jax.Array):
    choose, noise, draws = jax.random.split(key, 3)
    if config.data.in_order:
        kept, (positions, n) = learn.steps_to_learn_from(config, state, store)
        score = agents.compute_returns(config, state, replay.rows(store), kept).score
        size = config.data.policy_rows
        chosen = episodes.minibatch(key, positions, jnp.maximum(n, 1), 0, size)  # type: ignore[arg-type]
        score = score[chosen][None]
    else:
        batch = learn.minibatch(config, state, store, choose, noise)
        support = config.pi_p.support(models.View(config, state), batch, draws)
        score = config.pi_q.standardized(support.score)
    eta = config.pi_q_update.eta(state.params.dual)
    return config.pi_q.weights(score, eta), score, eta  # type: ignore[union-attr]
