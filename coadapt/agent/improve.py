"""The policy's step: E-step and M-step, or a gradient of the KL-control objective."""

from typing import cast

import jax
import jax.numpy as jnp

from coadapt import networks
from coadapt.agent import models
from coadapt.agent.models import View
from coadapt.config import Config
from coadapt.factors.pi_q import Moved, Weights
from coadapt.ops import weights
from coadapt.types import AgentState, Batch, Episodes, Metrics, Tree


def improve(
    config: Config,
    state: AgentState,
    batch: Batch,
    key: jax.Array,
    critic: Tree,
    warm: jax.Array | None = None,
) -> tuple[AgentState, Metrics]:
    """One step of the policy and of the duals.

    `critic` scores actions: the parameters before or after this update's critic step,
    as `schedule.simultaneous` says. `warm` (scalar bool): leave G out, and pull the
    policy to its prior alone.
    """
    view = View(config, state, critic, models.policy_phase(state))
    if not config.pi_q.parametric:
        after, metrics, obs = em_step(view, batch, key)
    else:
        goal = cast(Moved, config.pi_q).goal(view, batch, key, warm)
        moved, metrics = config.pi_q_update.move(view, goal)
        after, obs = cast(View, moved).state, batch.transition.obs
    after = _with_kept(view, after, obs)
    return models.with_new_masks(after), metrics


def _with_kept(view: View, after: AgentState, obs: jax.Array) -> AgentState:
    """What the policy's network keeps of a step at obs [B, O]."""
    policy, before = after.params.policy, view.policy_params
    if networks.STATE not in policy["net"]:
        return after
    how = view.phase.policy
    kept = models.policy_pass(view.config, view.state, before, obs, how).kept
    policy = policy | {"net": networks.keeping(policy["net"], kept)}
    return after._replace(params=after.params._replace(policy=policy))


def em_step(
    view: View, batch: Batch, key: jax.Array
) -> tuple[AgentState, Metrics, jax.Array]:
    """Weigh the prior's actions (E), then fit the policy to them (M).

    Returns:
        the agent after it, metrics, and the states [B, O] of these actions.
    """
    config, posterior = view.config, cast(Weights, view.config.pi_q)
    support = jax.lax.stop_gradient(config.pi_p.support(view, batch, key))
    score = support.score
    if batch.score is None:  # a sequence's are standardised already
        score = posterior.standardized(score)
    eta = view.eta
    weight = posterior.weights(score, eta)
    metrics = {
        "temperature": eta,
        "effective_fraction": weights.effective_fraction(weight),
    }
    view, bound_weight = view.bound_weights(support.action)
    if bound_weight is not None:
        weight = weight + bound_weight
    weight = jax.lax.stop_gradient(weight)
    fitted, fit_metrics = config.pi_p_update.fit(view, support, weight)
    after = config.pi_q_update.after_scores(fitted, posterior.compared(score))
    return cast(View, after).state, metrics | fit_metrics, support.obs


def end_of_iteration(
    config: Config, state: AgentState, obs: jax.Array, score: jax.Array, prior: Tree,
    where: jax.Array,
) -> tuple[AgentState, Metrics]:  # fmt: skip
    """What is set once an iteration, on all of its data, after the policy's steps.

    Args:
        obs: [C, O].
        score: [C].
        prior: [C, ...].
        where: [C].
    """
    view = View(config, state)

    def kl() -> jax.Array:
        return jnp.mean(view.pi.kl(prior, view.policy(obs)), where=where)

    after, metrics = config.pi_q_update.after_iteration(view, score, where, kl)
    return cast(View, after).state, metrics


def weight_metrics(
    config: Config, state: AgentState, score: jax.Array, steps: Episodes
) -> Metrics:
    """What there is to know of the weights of an iteration's episodes; score [C]."""
    return config.pi_q.episode_metrics(View(config, state), score, steps)
