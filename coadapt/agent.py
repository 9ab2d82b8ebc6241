"""The interpreter of a config: evaluate, improve, track (the paper's Section 4).

Every function is pure, for ONE agent, and knows no algorithm by name: what differs
between algorithms is a field that it reads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import networks, optim
from coadapt.config import BoundCost, BoundLoss, BoundWeights, Config, Hard, Soft
from coadapt.factors import g_estimate, pi_p, pi_q, pi_q_update
from coadapt.factors.g import Q, SoftQ, is_action_value
from coadapt.ops import (
    bounds,
    divergences,
    ensemble,
    lagrange,
    moments,
    returns,
    weights,
)
from coadapt.types import (
    AgentState,
    Batch,
    EnvSpec,
    Metrics,
    Params,
    Support,
    Targets,
    Transition,
    Tree,
)  # fmt: skip


class Labels(NamedTuple):
    """What TD(lambda) says of each of C stored steps."""

    target: jax.Array  # [C], the lambda-return
    score: jax.Array  # [C], the advantage, standardised where the config says so


# ---------------------------------------------------------------- networks


def _inputs(config: Config, state: AgentState, obs: jax.Array) -> jax.Array:
    norm = config.networks.input_norm
    if norm is None or state.moments is None:
        return obs
    return moments.normalize(state.moments, obs, norm.epsilon, norm.limit)


def policy(config: Config, state: AgentState, params: Tree, obs: jax.Array) -> Tree:
    """The action distribution at obs [B, O]."""
    inputs = _inputs(config, state, obs)
    head = networks.apply(config.networks.policy, params["net"], inputs)
    return config.pi_theta.distribution(params, head)


def action_values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """Q of all critics: obs [B, O], action [..., B, A] -> [K, ..., B]."""
    inputs = _inputs(config, state, obs)
    inputs = jnp.broadcast_to(inputs, (*action.shape[:-1], inputs.shape[-1]))
    joint = jnp.concatenate([inputs, action], axis=-1)
    return _ensemble(config, params, joint)


def state_values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array
) -> jax.Array:
    """V of all critics, in units of reward: obs [B, O] -> [K, B]."""
    outputs = _ensemble(config, params, _inputs(config, state, obs))
    return outputs / _value_scale(config)


def _ensemble(config: Config, params: Tree, inputs: jax.Array) -> jax.Array:
    def one(critic: Tree) -> jax.Array:
        return networks.apply(config.networks.critic, critic, inputs)[..., 0]

    return jax.vmap(one)(params)


def _value_scale(config: Config) -> jax.Array | float:
    estimate = config.g_estimate
    return estimate.scale() if isinstance(estimate, g_estimate.TDLambda) else 1.0


# ---------------------------------------------------------------- init and act


def init(config: Config, spec: EnvSpec, key: jax.Array) -> AgentState:
    """A new agent. The policy's key and each critic's key depend on nothing else."""
    size = spec.action_size
    outputs = size + config.pi_theta.scale.outputs(size)
    net = networks.init(
        config.networks.policy, jax.random.fold_in(key, 0), spec.obs_size, outputs
    )
    params = Params(
        policy={"net": net, "scale": config.pi_theta.scale.init(size)},
        critic=_init_critics(config, spec, jax.random.fold_in(key, 1)),
        dual=_init_duals(config, size),
    )
    clip = config.optim.clip
    opt = Params(
        policy=optim.init(config.optim.policy, clip, params.policy),
        critic=jax.vmap(lambda p: optim.init(config.optim.critic, clip, p))(
            params.critic
        ),
        dual={
            name: optim.init(config.optim.dual, clip, raw)
            for name, raw in params.dual.items()
        },
    )
    target = Targets(
        policy=None if config.target.policy is None else params.policy,
        critic=None if config.target.critic is None else params.critic,
    )
    norm = config.networks.input_norm
    return AgentState(
        params=params,
        target=jax.tree.map(jnp.copy, target),
        opt=opt,
        moments=None if norm is None else moments.empty(spec.obs_size),
    )


def _init_critics(config: Config, spec: EnvSpec, key: jax.Array) -> Tree:
    inputs = spec.obs_size
    inputs += spec.action_size if is_action_value(config.g) else 0
    number = g_estimate.critics(config.g_estimate)
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(number))
    return jax.vmap(lambda k: networks.init(config.networks.critic, k, inputs, 1))(keys)


def _init_duals(config: Config, action_size: int) -> dict[str, jax.Array]:
    duals: dict[str, jax.Array] = {}
    temperature = config.pi_q_update.temperature
    if not isinstance(temperature, pi_q_update.ConstantTemperature):
        duals["temperature"] = temperature.start()
    if isinstance(config.bounds, BoundWeights):
        duals["bound"] = jnp.asarray(config.bounds.init, jnp.float32)
    trust = getattr(config.pi_p_update, "trust_region", None)
    if trust is not None:
        duals |= trust.start(action_size)
    return duals


def act(
    config: Config,
    state: AgentState,
    obs: jax.Array,
    key: jax.Array,
    *,
    greedy: bool = False,
) -> jax.Array:
    """Actions of the online policy at obs [B, O]: its mode, or a sample. [B, A]."""
    dist = policy(config, state, state.params.policy, obs)
    if greedy:
        return config.pi_theta.mode(dist)
    return config.pi_theta.sample(dist, key, 1)[0][0]


# ---------------------------------------------------------------- G and its targets


def _temperature(config: Config, dual: dict[str, jax.Array]) -> jax.Array:
    temperature = config.pi_q_update.temperature
    if isinstance(temperature, pi_q_update.ConstantTemperature):
        return jnp.asarray(temperature.value, jnp.float32)
    return temperature.value_of(dual["temperature"])


def _following(state: AgentState) -> Tree:
    """Whose actions follow: the target policy's, where one is kept."""
    return state.params.policy if state.target.policy is None else state.target.policy


def annotate(
    config: Config, state: AgentState, transition: Transition, key: jax.Array
) -> Batch:
    """One-step targets for transitions [B, ...], and the support drawn for them."""
    estimate, obs = config.g_estimate, transition.next_obs
    expected = isinstance(estimate, g_estimate.Retrace)
    samples = config.pi_p.samples if isinstance(config.pi_p, pi_p.Policy) else 1
    dist = policy(config, state, _following(state), obs)
    action, log_prob = config.pi_theta.sample(dist, key, samples if expected else 1)
    values = action_values(config, state, state.target.critic, obs, action)
    score = _pessimistic(config, values)
    soft = score
    if isinstance(config.g, SoftQ):
        soft = score - _temperature(config, state.params.dual) * log_prob
    target = returns.td_target(
        transition.reward,
        estimate.discount * transition.discount,
        jnp.mean(soft, axis=0),
    )
    support = Support(obs, action, score, dist) if expected else None
    return Batch(
        transition, jax.lax.stop_gradient(target), jax.lax.stop_gradient(support), None
    )


def _pessimistic(config: Config, values: jax.Array) -> jax.Array:
    """The minimum over critics: [K, M, B] -> [M, B]."""
    if getattr(config.g_estimate, "minimum", "sample") == "sample":
        return ensemble.minimum(values)
    lowest = jnp.argmin(jnp.mean(values, axis=1), axis=0)  # [B]
    return jnp.take_along_axis(values, lowest[None, None, :], axis=0)[0]


def label(
    config: Config,
    state: AgentState,
    obs: jax.Array,
    episodes: Tree,
) -> Labels:
    """Lambda-returns and advantages of stored steps; the critic runs once a row.

    Args: obs [R, O], the store's rows; episodes of length C (data.episodes.Episodes).
    """
    estimate = config.g_estimate
    assert isinstance(estimate, g_estimate.TDLambda)  # config.check holds it
    values = state_values(config, state, state.params.critic, obs)[0]  # [R]
    target = returns.lambda_return(
        episodes.reward,
        estimate.discount * episodes.discount,
        values[episodes.next_row],
        episodes.last,
        estimate.lam,
    )
    score = _standardize(config, target - values[episodes.row], episodes.seen)
    return Labels(jax.lax.stop_gradient(target), jax.lax.stop_gradient(score))


def _standardize(config: Config, score: jax.Array, where: jax.Array | None = None):
    if not isinstance(config.pi_q, pi_q.NonParametric):
        return score
    toggle = jnp.asarray(config.pi_q.standardize)
    return jnp.where(toggle, weights.standardize(score, where), score)


# ---------------------------------------------------------------- evaluate


def evaluate(
    config: Config, state: AgentState, batch: Batch
) -> tuple[AgentState, Metrics]:
    """One step of every critic towards the targets: 0.5 * mean (G_hat - target)^2."""
    scale = _value_scale(config)
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
    step = jax.vmap(
        lambda g, o, p: optim.step(
            config.optim.critic, config.optim.clip, g, o, p, config.optim.weight_decay
        )
    )
    critic, opt = step(grads, state.opt.critic, state.params.critic)
    metrics = {"critic_loss": jnp.mean(each), "value": jnp.mean(value)}
    return state._replace(
        params=state.params._replace(critic=critic),
        opt=state.opt._replace(critic=opt),
    ), metrics


# ---------------------------------------------------------------- improve


def improve(
    config: Config, state: AgentState, batch: Batch, key: jax.Array, critic: Tree
) -> tuple[AgentState, Metrics]:
    """One step of the policy and of the duals.

    `critic` scores actions: the parameters before or after this update's critic step,
    as `schedule.simultaneous` says.
    """
    if isinstance(config.pi_q, pi_q.Parametric):
        return _climb(config, state, batch, key, critic)
    return _project(config, state, batch, key, critic)


def _step_policy(config: Config, state: AgentState, grads: Tree) -> AgentState:
    policy_params, opt = optim.step(
        config.optim.policy,
        config.optim.clip,
        grads,
        state.opt.policy,
        state.params.policy,
        config.optim.weight_decay,
    )
    return state._replace(
        params=state.params._replace(policy=policy_params),
        opt=state.opt._replace(policy=opt),
    )


def _step_dual(
    config: Config, state: AgentState, name: str, grad: jax.Array, *, project: bool
) -> AgentState:
    raw, opt = optim.step(
        config.optim.dual,
        config.optim.clip,
        grad,
        state.opt.dual[name],
        state.params.dual[name],
    )
    raw = lagrange.project(raw) if project else raw
    return state._replace(
        params=state.params._replace(dual=state.params.dual | {name: raw}),
        opt=state.opt._replace(dual=state.opt.dual | {name: opt}),
    )


def _climb(
    config: Config, state: AgentState, batch: Batch, key: jax.Array, critic: Tree
) -> tuple[AgentState, Metrics]:
    """KL control: the gradient of E[G] - eta KL(pi_q || pi_p) through the samples."""
    obs = batch.transition.obs
    eta = _temperature(config, state.params.dual)

    def loss(params: Tree) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        dist = policy(config, state, params, obs)
        action, log_prob = config.pi_theta.sample(dist, key, 1)
        values = action_values(config, state, critic, obs, action)
        value = ensemble.minimum(values)
        total = jnp.mean(eta * log_prob - value)
        if isinstance(config.bounds, BoundCost):
            total += config.bounds.scale * jnp.mean(bounds.excess_norm(action))
        total += _bound_loss(config, dist)
        return total, (log_prob, action)

    grads, (log_prob, action) = jax.grad(loss, has_aux=True)(state.params.policy)
    state = _step_policy(config, state, grads)
    temperature = config.pi_q_update.temperature
    if isinstance(temperature, pi_q_update.EntropyTemperature):
        goal = temperature.target * action.shape[-1]
        grad = jax.grad(lagrange.entropy_loss)(
            state.params.dual["temperature"], log_prob, goal
        )
        state = _step_dual(config, state, "temperature", grad, project=False)
    metrics = {"temperature": eta, "entropy": -jnp.mean(log_prob)}
    return state, metrics


def _bound_loss(config: Config, dist: Tree) -> jax.Array | float:
    if not isinstance(config.bounds, BoundLoss):
        return 0.0
    return config.bounds.scale * jnp.mean(bounds.excess_squared(dist.mean))


def _support(
    config: Config, state: AgentState, batch: Batch, key: jax.Array, critic: Tree
) -> Support:
    """Candidate actions of the prior, and their G."""
    transition = batch.transition
    if isinstance(config.pi_p, pi_p.Policy) and config.pi_p.states == "next":
        assert batch.next is not None  # config.check holds it
        return batch.next
    obs = transition.obs
    dist = policy(config, state, _following(state), obs)
    fresh, stored = jax.random.split(key)
    if isinstance(config.pi_p, pi_p.Policy):
        action, _ = config.pi_theta.sample(dist, fresh, config.pi_p.samples)
    else:
        action = transition.action[None]
    if batch.score is not None:
        return Support(obs, action, batch.score[None], dist)
    assert isinstance(config.g, Q)  # config.check holds it
    scorer = critic if config.g.critic == "online" else state.target.critic

    def score(a: jax.Array) -> jax.Array:
        return _pessimistic(config, action_values(config, state, scorer, obs, a))

    value = score(action)
    if config.g.baseline:
        own, _ = config.pi_theta.sample(
            policy(config, state, state.params.policy, obs), stored, config.g.baseline
        )
        value = value - jnp.mean(score(own), axis=0)[None]
    return Support(obs, action, value, dist)


def _project(
    config: Config, state: AgentState, batch: Batch, key: jax.Array, critic: Tree
) -> tuple[AgentState, Metrics]:
    """EM control: weigh the prior's actions (E), then fit the policy to them (M)."""
    assert isinstance(config.pi_q, pi_q.NonParametric)
    support = jax.lax.stop_gradient(_support(config, state, batch, key, critic))
    score = support.score
    if batch.score is None:  # labels are standardised over all the data, not a batch
        score = _standardize(config, score)
    eta = _temperature(config, state.params.dual)
    weight = config.pi_q.weights(score, eta)
    metrics = {
        "temperature": eta,
        "effective_fraction": weights.effective_fraction(weight),
    }
    state, bound_weight = _bound_weights(config, state, support.action)
    if bound_weight is not None:
        weight = weight + bound_weight
    state, penalty_metrics = _m_step(
        config, state, support, jax.lax.stop_gradient(weight)
    )
    temperature = config.pi_q_update.temperature
    if isinstance(temperature, pi_q_update.KLTemperature):

        def dual(raw: jax.Array) -> jax.Array:
            value = temperature.value_of(raw)
            return lagrange.temperature_dual(score, value, temperature.epsilon)

        grad = jax.grad(dual)(state.params.dual["temperature"])
        project = temperature.floor == "project"
        state = _step_dual(config, state, "temperature", grad, project=project)
    return state, metrics | penalty_metrics


def _bound_weights(
    config: Config, state: AgentState, action: jax.Array
) -> tuple[AgentState, jax.Array | None]:
    """Weights for staying in the box, from a temperature stepped just before."""
    bound = config.bounds
    if not isinstance(bound, BoundWeights):
        return state, None
    cost = -bounds.excess_norm(action)
    clamp = bound.floor == "clamp"

    def dual(raw: jax.Array) -> jax.Array:
        value = lagrange.multiplier(raw, clamp=clamp)
        return lagrange.temperature_dual(cost, value, bound.epsilon)

    grad = jax.grad(dual)(state.params.dual["bound"])
    state = _step_dual(config, state, "bound", grad, project=not clamp)
    eta = lagrange.multiplier(state.params.dual["bound"], clamp=clamp)
    return state, weights.boltzmann(cost, eta, per_batch=False)


def _m_step(
    config: Config, state: AgentState, support: Support, weight: jax.Array
) -> tuple[AgentState, Metrics]:
    """Weighted maximum likelihood, within a trust region where there is one."""
    trust = getattr(config.pi_p_update, "trust_region", None)
    pi, prior = config.pi_theta, support.prior

    def fit(dist: Tree) -> jax.Array:
        likelihood = pi.log_prob(dist, support.action)
        return -jnp.mean(jnp.sum(weight * likelihood, axis=0))

    def loss(params: Tree) -> tuple[jax.Array, dict[str, jax.Array]]:
        dist = policy(config, state, params, support.obs)
        if trust is None:
            return fit(dist) + _bound_loss(config, dist), {}
        kl = {
            "mean": divergences.kl_of_mean(prior.mean, prior.std, dist.mean),
            "std": divergences.kl_of_std(prior.std, dist.std),
        }
        kl = {name: jnp.mean(value, axis=0) for name, value in kl.items()}  # [A]
        total = fit(dist._replace(std=prior.std)) + fit(dist._replace(mean=prior.mean))
        for name, value in kl.items():
            total += jnp.sum(trust.value_of(state.params.dual[name]) * value)
        return total + _bound_loss(config, dist), kl

    grads, kl = jax.grad(loss, has_aux=True)(state.params.policy)
    state = _step_policy(config, state, grads)
    metrics = {f"kl_{name}": jnp.sum(value) for name, value in kl.items()}
    if trust is not None:
        state = _step_multipliers(config, state, trust, kl)
    return state, metrics


def _step_multipliers(
    config: Config, state: AgentState, trust: Tree, kl: dict[str, jax.Array]
) -> AgentState:
    epsilon = {"mean": trust.epsilon_mean, "std": trust.epsilon_std}
    for name, value in kl.items():

        def dual(raw: jax.Array, name: str = name, value: jax.Array = value):
            multiplier = trust.value_of(raw)
            return lagrange.multiplier_loss(multiplier, epsilon[name], value)

        grad = jax.grad(dual)(state.params.dual[name])
        state = _step_dual(config, state, name, grad, project=trust.floor == "project")
    return state


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
