"""The interpreter of a config: evaluate, improve, track (the paper's Section 4).

Every function is pure, for ONE agent, and knows no algorithm by name: what differs
between algorithms is a field that it reads.

    init              a new agent
    begin             what an update alone has
    end               the agent between updates
    act               actions of the policy
    compute_targets   targets of single transitions (estimate.py)
    solve             the critic, where a dual gives it (estimate.py)
    compute_returns   returns and scores of sequences (estimate.py)
    evaluate          one step of the critics
    improve           one step of the policy (improve.py)
    fit_value         one step of the state value beside Q
    end_of_iteration  multipliers, once an iteration (improve.py)
    weight_metrics    of the weights of episodes (improve.py)
    track             target networks; the critics' alone: track_critic
    update_metrics    of networks, policy, multipliers (metrics.py)
"""

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import networks, optim
from coadapt.agent import behavior, models, state_value
from coadapt.agent.estimate import (
    ReturnsAndScores,
    compute_returns,
    compute_sequence_targets,
    compute_targets,
    priors,
    solve,
)
from coadapt.agent.improve import end_of_iteration, improve, weight_metrics
from coadapt.agent.metrics import update_metrics
from coadapt.agent.models import action_values, policy, state_values
from coadapt.config import Config, Hard, Soft
from coadapt.factors.noise import Added
from coadapt.networks import learned
from coadapt.ops import distributions, moments
from coadapt.rng import Purpose, stream
from coadapt.types import AgentState, Batch, EnvSpec, Metrics, Params, Targets, Tree

__all__ = [
    "ReturnsAndScores",
    "act",
    "action_values",
    "begin",
    "compute_returns",
    "compute_sequence_targets",
    "compute_targets",
    "end",
    "end_of_iteration",
    "evaluate",
    "fit_prior",
    "fit_value",
    "improve",
    "init",
    "log_prob",
    "policy",
    "priors",
    "solve",
    "state_values",
    "track",
    "track_critic",
    "update_metrics",
    "weight_metrics",
]

fit_prior = behavior.fit
fit_value = state_value.fit


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
        value=state_value.init(config, spec, jax.random.fold_in(key, 3)),
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
        rewards=None if config.reward is None else config.reward.init(config.data.envs),
        sampling=config.data.remembers(),
    )


def _init_optimisers(config: Config, params: Params) -> Params:
    rules, clip = config.optim, config.optim.clip
    each = jax.vmap(lambda critic: optim.init(rules.critic, clip, critic))
    params = Params(*map(learned, params))
    return Params(
        policy=optim.init(rules.policy, clip, params.policy),
        critic=None if params.critic is None else each(params.critic),
        dual={
            name: optim.init(rules.dual, clip, raw) for name, raw in params.dual.items()
        },
        prior=None
        if params.prior is None
        else optim.init(rules.prior, clip, params.prior),
        value=None
        if params.value is None
        else optim.init(rules.critic, clip, params.value),
    )


def _init_critics(config: Config, spec: EnvSpec, key: jax.Array) -> Tree | None:
    number = models.critics(config)
    if number == 0:
        return None
    inputs = spec.obs_size
    inputs += spec.action_size if config.g.reads_action else 0
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(number))
    net, outputs = config.networks.critic, config.critic.head.outputs
    return jax.vmap(lambda k: networks.init(net, k, inputs, outputs))(keys)


def _init_duals(config: Config, action_size: int) -> dict[str, jax.Array]:
    """Every factor's own, by names that are its own."""
    bounds = config.bounds
    return (
        config.pi_q_update.duals()
        | config.g_estimate.duals()
        | ({} if bounds is None else bounds.duals())
        | config.pi_p_update.duals(action_size)
    )


def begin(
    config: Config, state: AgentState, seed: jax.Array, updates: jax.Array | np.int32
) -> AgentState:
    """The agent within update number `updates` (counted from 0): with a key for
    dropout, where a network has it."""
    nets = config.networks
    if not (nets.policy.drops or nets.critic.drops):
        return state
    return state._replace(masks=stream(seed, Purpose.MASKS, updates))


def end(
    config: Config,
    state: AgentState,
    spec: EnvSpec,
    seed: jax.Array,
    updates: jax.Array | np.int32,
) -> AgentState:
    """The agent after update number `updates` (counted from 1), where some of its parts
    may start anew."""
    state, resets = state._replace(masks=None), config.schedule.resets
    if resets is None:
        return state
    nets = config.networks

    def renewed() -> AgentState:
        fresh = init(config, spec, stream(seed, Purpose.RENEW, updates))
        return resets.renewed(state, fresh, nets.policy, nets.critic)

    return jax.lax.cond(updates % resets.period == 0, renewed, lambda: state)


def act(
    config: Config,
    state: AgentState,
    obs: jax.Array,
    key: jax.Array,
    *,
    greedy: bool = False,
    noise: Added | None = None,
) -> jax.Array:
    """Actions of the online policy at obs [B, O], [B, A]: to explore, or greedy.

    What greedy is, `config.eval_policy` says: the mode, a sample, or the best of some.
    `noise` is what `config.exploration` adds; None: it is drawn by the key.
    """
    if greedy:
        return config.eval_policy.act(models.View(config, state), obs, key)
    dist = policy(config, state, state.params.policy, obs)
    added = () if noise is None else (noise,)  # a class of one's own may take none
    return config.pi_theta.explore(dist, key, *added)


def log_prob(
    config: Config, state: AgentState, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """Of actions [B, A] under the online policy at obs [B, O]: [B]."""
    dist = policy(config, state, state.params.policy, obs)
    return config.pi_theta.log_prob(dist, action)


# ---------------------------------------------------------------- evaluate


def evaluate(
    config: Config, state: AgentState, batch: Batch
) -> tuple[AgentState, Metrics]:
    """One step of every critic towards the targets, by the loss of its head."""
    head, old = config.critic.head, state.params.critic
    scale, masks = config.g_estimate.scale(), models.masks(state, 1)

    def loss(critic: Tree) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Tree]]:
        outputs, kept = models.fitted_outputs(config, state, critic, batch, masks)
        rows = config.critic.losses(outputs, batch.target, scale, batch.before)
        if batch.weight is not None:
            rows = rows * batch.weight[None]
        # twice and a half are exact: critic_loss is rounded as in stored runs, no more
        each = 0.5 * jnp.mean(2.0 * rows, axis=1)
        return jnp.sum(each), (each, head.mean(outputs) / scale, kept)

    grads, (each, value, kept) = jax.grad(loss, has_aux=True)(old)
    grads = learned(grads)
    size = jnp.mean(jax.vmap(optim.norm)(grads))
    step = jax.vmap(
        lambda g, o, p: optim.step(
            config.optim.critic, config.optim.clip, g, o, p, config.optim.weight_decay
        )
    )
    critic, opt = step(grads, state.opt.critic, learned(old))
    critic = networks.keeping(config.networks.critic.project(critic), kept)
    metrics = {
        "critic_loss": jnp.mean(each),
        "value": jnp.mean(value),
        "critic_gradient_norm": size,
    }
    state = state._replace(
        params=state.params._replace(critic=critic),
        opt=state.opt._replace(critic=opt),
    )
    return models.with_new_masks(_remembered(config, state, batch, value)), metrics


def _remembered(
    config: Config, state: AgentState, batch: Batch, value: jax.Array
) -> AgentState:
    """What the sampling writes about a batch whose values were these, [K, B]."""
    if batch.index is None or state.sampling is None:
        return state
    target = distributions.expected(batch.target)
    error = jnp.mean(jnp.abs(value - target[None]), axis=0)
    kept = config.data.draws.learned(state.sampling, batch.index, error)
    return state._replace(sampling=kept)


# ---------------------------------------------------------------- track


def track(
    config: Config, state: AgentState, updates: jax.Array | np.int32
) -> AgentState:
    """Move the target networks, after update number `updates` (counted from 1)."""
    policy = _followed(
        config.target.policy, state.params.policy, state.target.policy, updates
    )
    state = state._replace(target=state.target._replace(policy=policy))
    return state if config.target.each_step else track_critic(config, state, updates)


def track_critic(
    config: Config, state: AgentState, number: jax.Array | np.int32
) -> AgentState:
    """Move the critics' copy, after this number of updates, or of critic steps."""
    critic = _followed(
        config.target.critic, state.params.critic, state.target.critic, number
    )
    return state._replace(target=state.target._replace(critic=critic))


def _followed(
    rule: Hard | Soft | None,
    online: Tree,
    target: Tree,
    number: jax.Array | np.int32,
) -> Tree:
    return None if rule is None else rule.follow(online, target, number)
