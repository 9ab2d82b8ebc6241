"""The interpreter of a config: evaluate, improve, track (the paper's Section 4).

Every function is pure, for ONE agent, and knows no algorithm by name: what differs
between algorithms is a field that it reads.

    init       a new agent
    act        actions of the policy
    annotate   targets of single transitions      (estimate.py)
    solve      the critic, where a dual gives it  (estimate.py)
    label      returns and scores of sequences    (estimate.py)
    evaluate   one step of the critics
    improve    one step of the policy             (improve.py)
    settle     what is set once an iteration      (improve.py)
    track      target networks
    vitals     what can be told of an agent       (vitals.py)
"""

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import networks, optim
from coadapt.agent import behavior, models
from coadapt.agent.estimate import (
    Labels,
    annotate,
    annotate_sequences,
    label,
    priors,
    solve,
)
from coadapt.agent.improve import improve, settle
from coadapt.agent.models import action_values, policy, state_values
from coadapt.agent.vitals import vitals
from coadapt.config import BestOf, BoundWeights, Config, Hard, Mode, Soft
from coadapt.factors import g_estimate, pi_q_update, pi_theta
from coadapt.factors.g import is_action_value
from coadapt.ops import moments
from coadapt.types import AgentState, Batch, EnvSpec, Metrics, Params, Targets, Tree

__all__ = [
    "Labels",
    "act",
    "action_values",
    "annotate",
    "annotate_sequences",
    "evaluate",
    "fit_prior",
    "improve",
    "init",
    "label",
    "log_prob",
    "policy",
    "priors",
    "settle",
    "solve",
    "state_values",
    "track",
    "vitals",
]

fit_prior = behavior.fit


# ---------------------------------------------------------------- init and act


def init(config: Config, spec: EnvSpec, key: jax.Array) -> AgentState:
    """A new agent. The policy's key and each critic's key depend on nothing else."""
    size = spec.action_size
    net = networks.init(
        config.networks.policy,
        jax.random.fold_in(key, 0),
        spec.obs_size,
        config.pi_theta.outputs(size),
    )
    features = networks.width(config.networks.policy, spec.obs_size)
    policy = {"net": net, "scale": config.pi_theta.init(size, features)}
    params = Params(
        policy=policy,
        critic=_init_critics(config, spec, jax.random.fold_in(key, 1)),
        dual=_init_duals(config, size),
        prior=behavior.init(config, spec, policy, jax.random.fold_in(key, 2)),
    )
    target = Targets(
        policy=None if config.target.policy is None else params.policy,
        critic=None if config.target.critic is None else params.critic,
    )
    norm = config.networks.input_norm
    return AgentState(
        params=params,
        target=jax.tree.map(jnp.copy, target),
        opt=_init_optimisers(config, params),
        moments=None if norm is None else moments.empty(spec.obs_size),
    )


def _init_optimisers(config: Config, params: Params) -> Params:
    rules, clip = config.optim, config.optim.clip
    each = jax.vmap(lambda critic: optim.init(rules.critic, clip, critic))
    return Params(
        policy=optim.init(rules.policy, clip, params.policy),
        critic=None if params.critic is None else each(params.critic),
        dual={
            name: optim.init(rules.dual, clip, raw) for name, raw in params.dual.items()
        },
        prior=None
        if params.prior is None
        else optim.init(rules.prior, clip, params.prior),
    )


def _init_critics(config: Config, spec: EnvSpec, key: jax.Array) -> Tree | None:
    number = g_estimate.critics(config.g_estimate, config.g)
    if number == 0:
        return None
    inputs = spec.obs_size
    inputs += spec.action_size if is_action_value(config.g) else 0
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(number))
    return jax.vmap(lambda k: networks.init(config.networks.critic, k, inputs, 1))(keys)


def _init_duals(config: Config, action_size: int) -> dict[str, jax.Array]:
    duals: dict[str, jax.Array] = {}
    rule = pi_q_update.temperature_of(config.pi_q_update)
    if rule is not None and pi_q_update.learned(config.pi_q_update):
        duals["temperature"] = rule.start()
    if isinstance(config.g_estimate, g_estimate.DualValue):
        duals["terminal"] = jnp.zeros(())  # the value after a termination
    if isinstance(config.bounds, BoundWeights):
        duals["bound"] = jnp.asarray(config.bounds.init, jnp.float32)
    penalty = getattr(config.pi_q_update, "trust_region", None)
    if isinstance(penalty, pi_q_update.KLPenalty):
        duals["penalty"] = jnp.asarray(penalty.init, jnp.float32)
    trust = getattr(config.pi_p_update, "trust_region", None)
    return duals if trust is None else duals | trust.start(action_size)


def act(
    config: Config,
    state: AgentState,
    obs: jax.Array,
    key: jax.Array,
    *,
    greedy: bool = False,
) -> jax.Array:
    """Actions of the online policy at obs [B, O], [B, A]: to explore, or greedy.

    What greedy is, `config.greedy` says: the mode, a sample, or the best of some.
    """
    dist = policy(config, state, state.params.policy, obs)
    if not greedy:
        return pi_theta.explore(config.pi_theta, dist, key)
    rule = config.greedy
    if isinstance(rule, Mode):
        return config.pi_theta.mode(dist)
    number = rule.samples if isinstance(rule, BestOf) else 1
    action = config.pi_theta.bound(config.pi_theta.draw(dist, key, number))
    if not isinstance(rule, BestOf):
        return action[0]
    value = action_values(config, state, state.params.critic, obs, action)[0]
    best = jnp.argmax(value, axis=0)  # [B]
    return jnp.take_along_axis(action, best[None, :, None], axis=0)[0]


def log_prob(
    config: Config, state: AgentState, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """Of actions [B, A] under the online policy at obs [B, O]: [B]."""
    dist = policy(config, state, state.params.policy, obs)
    return pi_theta.likelihood(config.pi_theta).log_prob(dist, action)


# ---------------------------------------------------------------- evaluate


def evaluate(
    config: Config, state: AgentState, batch: Batch
) -> tuple[AgentState, Metrics]:
    """One step of every critic towards the targets: 0.5 * mean (G_hat - target)^2."""
    scale = models.value_scale(config)
    transition = batch.transition

    def loss(critic: Tree) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        if is_action_value(config.g):
            value = action_values(
                config, state, critic, transition.obs, transition.action
            )
        else:
            value = state_values(config, state, critic, transition.obs)
        error = scale * (value - batch.target[None])
        each = 0.5 * jnp.mean(jnp.square(error), axis=1)  # [K]
        return jnp.sum(each), (each, value)

    grads, (each, value) = jax.grad(loss, has_aux=True)(state.params.critic)
    size = jnp.mean(jax.vmap(optim.norm)(grads))
    step = jax.vmap(
        lambda g, o, p: optim.step(
            config.optim.critic, config.optim.clip, g, o, p, config.optim.weight_decay
        )
    )
    critic, opt = step(grads, state.opt.critic, state.params.critic)
    metrics = {
        "critic_loss": jnp.mean(each),
        "value": jnp.mean(value),
        "critic_gradient_norm": size,
    }
    return state._replace(
        params=state.params._replace(critic=critic),
        opt=state.opt._replace(critic=opt),
    ), metrics


# ---------------------------------------------------------------- track


def track(
    config: Config, state: AgentState, updates: jax.Array | np.int32
) -> AgentState:
    """Move the target networks, after update number `updates` (counted from 1).

    `updates` is the same for all agents of a program, so that a copy every so many
    updates stays a branch under vmap, and costs nothing in between.
    """

    def follow(rule: Hard | Soft | None, online: Tree, target: Tree) -> Tree:
        if rule is None:
            return None
        if isinstance(rule, Soft):
            return jax.tree.map(
                lambda new, old: old + rule.rate * (new - old), online, target
            )
        due = updates % rule.period == 0
        return jax.lax.cond(due, lambda: online, lambda: target)

    return state._replace(
        target=Targets(
            policy=follow(
                config.target.policy, state.params.policy, state.target.policy
            ),
            critic=follow(
                config.target.critic, state.params.critic, state.target.critic
            ),
        )
    )
