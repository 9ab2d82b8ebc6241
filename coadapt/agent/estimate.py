"""G and the critic's targets: of single transitions, and along sequences."""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp

from coadapt.agent import models
from coadapt.agent.models import View
from coadapt.config import Config
from coadapt.factors.g_estimate import OneStepEstimate, SequenceEstimate
from coadapt.types import AgentState, Batch, Episodes, Metrics, Transition, Tree


class ReturnsAndScores(NamedTuple):
    """What the estimate says of each of C stored steps."""

    target: jax.Array  # [C], what the critic is fitted to
    score: jax.Array  # [C], G, standardised where the config says so
    # [C, n], the critic's outputs as they are now, where its loss reads them
    before: jax.Array | None


# ---------------------------------------------------------------- single transitions


def compute_targets(
    config: Config, state: AgentState, transition: Transition, key: jax.Array
) -> Batch:
    """One-step targets for transitions [B, ...], and the support drawn for them."""
    estimate, stop = cast(OneStepEstimate, config.g_estimate), jax.lax.stop_gradient
    phase = models.targets_phase(config, state, transition.obs, transition.action)
    seen, beside = View(config, state, phase=phase), None
    target, support = estimate.targets(seen, transition, key)
    if phase.beside is not None:
        beside = stop(estimate.next_rows(seen, transition, key))
    return Batch(transition, stop(target), stop(support), None, beside=beside)


def compute_sequence_targets(
    config: Config,
    state: AgentState,
    sequence: Transition,
    log_prob: jax.Array | None,
    key: jax.Array,
) -> Batch:
    """Targets of the first steps of sequences [L, B, ...], and their support.

    Args:
        log_prob: [L, B], of the actions, under the policy that took them; None where
            no estimate reads it.
    """
    estimate, stop = cast(OneStepEstimate, config.g_estimate), jax.lax.stop_gradient
    phase = models.targets_phase(config, state, sequence.obs[0], sequence.action[0])
    seen = View(config, state, phase=phase)
    target, support = estimate.sequence_targets(seen, sequence, log_prob, key)
    first = jax.tree.map(lambda x: x[0], sequence)
    return Batch(first, stop(target), stop(support), None)


# ---------------------------------------------------------------- sequences


def solve(
    config: Config, state: AgentState, obs: jax.Array, episodes: Episodes
) -> tuple[AgentState, Metrics]:
    """What the estimate fits on all data at once, obs [R, O] being the store's rows."""
    estimate = cast(SequenceEstimate, config.g_estimate)
    seen, metrics = estimate.solve(View(config, state), obs, episodes)
    return cast(View, seen).state, metrics


def compute_returns(
    config: Config, state: AgentState, obs: jax.Array, episodes: Episodes
) -> ReturnsAndScores:
    """Returns and scores of stored steps; the critic runs once a row.

    Args:
        obs: [R, O], the store's rows.
        episodes: of length C.
    """
    estimate, seen = cast(SequenceEstimate, config.g_estimate), View(config, state)
    reward = config.g.rewards(episodes)
    values = jnp.zeros(obs.shape[0], reward.dtype)  # [R], where there is no critic
    if models.critics(config):
        values = seen.v(seen.critic, obs)[0]
    target = estimate.returns(seen, reward, values, episodes)
    score = config.g.score(seen, episodes, target, values[episodes.row])
    score = config.pi_q.scores(seen, score, obs, episodes)
    before = None
    if config.critic.clip is not None:
        outputs = models.state_outputs(config, state, seen.critic, obs)
        before = outputs[0][episodes.row]
    return jax.lax.stop_gradient(ReturnsAndScores(target, score, before))


def priors(
    config: Config, state: AgentState, obs: jax.Array, episodes: Episodes
) -> Tree | None:
    """The prior's distributions [C, ...] at stored steps, where learning reads them."""
    if not config.pi_q.reads_prior and not config.pi_p_update.reads_prior:
        return None
    rows = obs[episodes.row]
    return jax.lax.stop_gradient(config.pi_p.stored(View(config, state), rows))
