"""The policy's step: E-step and M-step, or a gradient of the KL-control objective."""

import jax
import jax.numpy as jnp

from coadapt import networks, optim
from coadapt.agent import estimate, models
from coadapt.config import BoundCost, BoundLoss, BoundWeights, Config
from coadapt.factors import pi_p, pi_p_update, pi_q, pi_q_update, pi_theta
from coadapt.factors.g import Q
from coadapt.factors.pi_theta import likelihood
from coadapt.ops import (
    bounds,
    divergences,
    ensemble,
    lagrange,
    natural,
    regression,
    weights,
)
from coadapt.types import AgentState, Batch, Metrics, Support, Tree


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
    gradient = pi_q.gradient_of(config.pi_q)
    if gradient is None:
        return _project(config, state, batch, key, critic)
    if isinstance(gradient, pi_q.LikelihoodRatio):
        if isinstance(config.pi_q_update, pi_q_update.NaturalGradient):
            return _natural_step(config, state, batch)
        return _ratio_step(config, state, batch)
    return _climb(config, state, batch, key, critic, warm)


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


def _told(loss: jax.Array, grads: Tree) -> Metrics:
    """Of what the policy's step descends; dead code where it is not logged."""
    return {"policy_loss": loss, "policy_gradient_norm": optim.norm(grads)}


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
    state = state._replace(opt=state.opt._replace(dual=state.opt.dual | {name: opt}))
    return _set_dual(state, name, raw)


def _set_dual(state: AgentState, name: str, raw: jax.Array) -> AgentState:
    duals = state.params.dual | {name: raw}
    return state._replace(params=state.params._replace(dual=duals))


# ---------------------------------------------------------------- KL control, pathwise


def _climb(
    config: Config,
    state: AgentState,
    batch: Batch,
    key: jax.Array,
    critic: Tree,
    warm: jax.Array | None,
) -> tuple[AgentState, Metrics]:
    """The gradient of E[G] - eta D(pi_q, pi_p) through the policy's samples."""
    obs, pi = batch.transition.obs, config.pi_theta
    eta = models.temperature(config, state.params.dual)
    rule = _gradient(config)
    drawn = max(rule.samples, pi_q_update.divergence_samples(config.pi_q_update))
    critic = _climbable(config, critic)

    def loss(params: Tree) -> tuple[jax.Array, jax.Array]:
        dist = models.policy(config, state, params, obs)
        raw = pi.draw(dist, key, drawn)
        if rule.noise_limit is not None:
            raw = pi_theta.clip_noise(dist, raw, rule.noise_limit)
        action = pi.bound(raw)[: rule.samples]
        values = models.action_values(config, state, critic, obs, action)
        value = _climbed(config, values)[0]
        value = value if warm is None else jnp.where(warm, 0.0, value)
        kl = estimate.divergence(config, state, dist, raw, obs, key)
        total = jnp.mean(eta * kl - value)
        if isinstance(config.bounds, BoundCost):
            total += config.bounds.scale * jnp.mean(bounds.excess_norm(action))
        total += _bound_loss(config, dist)
        return total, kl

    (total, kl), grads = jax.value_and_grad(loss, has_aux=True)(state.params.policy)
    state = _step_policy(config, state, grads)
    state = _step_temperature(config, state, kl, batch.transition.action.shape[-1])
    metrics = {"temperature": eta} | _told(total, grads)
    if isinstance(config.pi_p, pi_p.Uniform):
        return state, metrics | {"entropy": -jnp.mean(kl)}
    return state, metrics | {"divergence": jnp.mean(kl)}


def _climbable(config: Config, critic: Tree) -> Tree:
    """The critics whose value the policy climbs; the others need not say anything."""
    if _gradient(config).critic == "first":
        return jax.tree.map(lambda x: x[:1], critic)
    return critic


def _climbed(config: Config, values: jax.Array) -> jax.Array:
    """Whose value the policy climbs, of M actions in the mean: [K, M, B] -> [1, B]."""
    if values.shape[1] > 1:
        values = jnp.mean(values, axis=1, keepdims=True)
    if _gradient(config).critic == "mix":
        return models.pessimistic(config, values)
    return ensemble.minimum(values)


def _gradient(config: Config) -> pi_q.Pathwise:
    gradient = pi_q.gradient_of(config.pi_q)
    assert isinstance(gradient, pi_q.Pathwise)  # legality.check holds it
    return gradient


def _step_temperature(
    config: Config, state: AgentState, kl: jax.Array, action_size: int
) -> AgentState:
    """One step of eta towards its target; kl [B] from the prior."""
    rule = pi_q_update.temperature_of(config.pi_q_update)
    if not pi_q_update.learned(config.pi_q_update):
        return state
    if isinstance(rule, pi_q_update.EntropyTemperature):
        goal = rule.target * action_size
    else:
        assert isinstance(rule, pi_q_update.DivergenceTemperature)  # the other one
        goal = -rule.limit
    raw = state.params.dual["temperature"]
    # a divergence is kept below its limit just as -entropy is below minus its target
    grad = jax.grad(lagrange.entropy_loss)(raw, jax.lax.stop_gradient(kl), goal)
    state = _step_dual(config, state, "temperature", grad, project=False)
    if isinstance(rule, pi_q_update.DivergenceTemperature):
        raw = jnp.clip(state.params.dual["temperature"], rule.low, rule.high)
        state = _set_dual(state, "temperature", raw)
    return state


def _bound_loss(config: Config, dist: Tree) -> jax.Array | float:
    if not isinstance(config.bounds, BoundLoss):
        return 0.0
    return config.bounds.scale * jnp.mean(bounds.excess_squared(dist.mean))


# ---------------------------------------------------------------- KL control, by ratios


def _surrogate(
    config: Config, state: AgentState, batch: Batch, params: Tree
) -> tuple[jax.Array, jax.Array, Tree]:
    """Ratio times G of each step [B], KL(pi_p || pi_theta) [B], and pi_theta."""
    pi, transition = likelihood(config.pi_theta), batch.transition
    prior, score = batch.prior, batch.score
    assert prior is not None and score is not None  # what sequences have
    dist = models.policy(config, state, params, transition.obs)
    log_ratio = pi.log_prob(dist, transition.action) - pi.log_prob(
        prior, transition.action
    )
    ratio = jnp.exp(log_ratio)
    gain = ratio * score
    trust = getattr(config.pi_q_update, "trust_region", None)
    if isinstance(trust, pi_q_update.ClippedRatio):
        clipped = jnp.clip(ratio, 1 - trust.epsilon, 1 + trust.epsilon)
        gain = jnp.minimum(gain, clipped * score)
    return gain, pi.kl(prior, dist), dist


def _ratio_step(
    config: Config, state: AgentState, batch: Batch
) -> tuple[AgentState, Metrics]:
    """The gradient of E_{pi_p}[pi_theta / pi_p G] - eta KL(pi_p || pi_theta)."""
    eta = _penalty(config, state)

    def loss(params: Tree) -> tuple[jax.Array, jax.Array]:
        gain, kl, dist = _surrogate(config, state, batch, params)
        total = eta * jnp.mean(kl) - jnp.mean(gain)
        return total + _bound_loss(config, dist), jnp.mean(kl)

    (total, kl), grads = jax.value_and_grad(loss, has_aux=True)(state.params.policy)
    metrics = {"temperature": eta, "kl": kl} | _told(total, grads)
    return _step_policy(config, state, grads), metrics


def _penalty(config: Config, state: AgentState) -> jax.Array:
    """What multiplies KL(pi_p || pi_theta)."""
    trust = getattr(config.pi_q_update, "trust_region", None)
    if isinstance(trust, pi_q_update.KLPenalty):
        return state.params.dual["penalty"]
    return models.temperature(config, state.params.dual)


def _natural_step(
    config: Config, state: AgentState, batch: Batch
) -> tuple[AgentState, Metrics]:
    """One natural gradient, to the border of the trust region or nearer."""
    update, old = config.pi_q_update, state.params.policy
    assert isinstance(update, pi_q_update.NaturalGradient)
    assert batch.prior is not None  # what sequences have
    over = 1
    if update.kl == "mean":
        over = likelihood(config.pi_theta).dimensions(batch.prior)

    def gain(params: Tree) -> jax.Array:
        surrogate, _, dist = _surrogate(config, state, batch, params)
        return jnp.mean(surrogate) - _bound_loss(config, dist)

    def kl(params: Tree) -> jax.Array:
        return jnp.mean(_surrogate(config, state, batch, params)[1]) / over

    before, gradient = jax.value_and_grad(gain)(old)
    step = natural.natural_step(
        kl, old, gradient,
        radius=update.radius, iterations=update.iterations, damping=update.damping,
    )  # fmt: skip
    new, fraction = natural.backtrack(
        lambda params: (gain(params) - before, kl(params)),
        old, step, radius=update.radius, halvings=update.halvings,
    )  # fmt: skip
    state = state._replace(params=state.params._replace(policy=new))
    metrics = {"kl": over * kl(new), "step_fraction": fraction}
    return state, metrics | _told(-before, gradient)


# ---------------------------------------------------------------- EM control


def _support(
    config: Config, state: AgentState, batch: Batch, key: jax.Array, critic: Tree
) -> Support:
    """Candidate actions of the prior, and their G."""
    transition = batch.transition
    if isinstance(config.pi_p, pi_p.Policy) and config.pi_p.states == "next":
        assert batch.next is not None  # legality.check holds it
        return batch.next
    obs = transition.obs
    if batch.score is not None:
        return Support(obs, transition.action[None], batch.score[None], batch.prior)
    dist = models.policy(config, state, models.following(state), obs)
    fresh, stored = jax.random.split(key)
    if isinstance(config.pi_p, pi_p.Policy):
        action, _ = pi_theta.sample(config.pi_theta, dist, fresh, config.pi_p.samples)
    else:
        action = transition.action[None]
    assert isinstance(config.g, Q)  # legality.check holds it
    scorer = critic if config.g.critic == "online" else state.target.critic

    def score(a: jax.Array) -> jax.Array:
        values = models.action_values(config, state, scorer, obs, a)
        return models.pessimistic(config, values)

    value = score(action)
    if config.g.baseline:
        online = models.policy(config, state, state.params.policy, obs)
        own, _ = pi_theta.sample(config.pi_theta, online, stored, config.g.baseline)
        value = value - jnp.mean(score(own), axis=0)[None]
    return Support(obs, action, value, dist)


def _project(
    config: Config, state: AgentState, batch: Batch, key: jax.Array, critic: Tree
) -> tuple[AgentState, Metrics]:
    """Weigh the prior's actions (E), then fit the policy to them (M)."""
    support = jax.lax.stop_gradient(_support(config, state, batch, key, critic))
    score = support.score
    if batch.score is None:  # labels are standardised over all the data, not a batch
        score = estimate.standardize(config, score)
    eta = models.temperature(config, state.params.dual)
    weight = config.pi_q.weights(score, eta)  # type: ignore[union-attr]
    metrics = {
        "temperature": eta,
        "effective_fraction": weights.effective_fraction(weight),
    }
    state, bound_weight = _bound_weights(config, state, support.action)
    if bound_weight is not None:
        weight = weight + bound_weight
    fit = _m_step
    if isinstance(config.pi_p_update, pi_p_update.ClosedForm):
        fit = _regress
    state, fit_metrics = fit(config, state, support, jax.lax.stop_gradient(weight))
    return _step_kl_temperature(config, state, score), metrics | fit_metrics


def _step_kl_temperature(
    config: Config, state: AgentState, score: jax.Array
) -> AgentState:
    """One step of eta on the dual of KL(pi_q || pi_p) <= epsilon."""
    rule = pi_q_update.temperature_of(config.pi_q_update)
    if not isinstance(rule, pi_q_update.KLTemperature):
        return state
    assert isinstance(config.pi_q, pi_q.NonParametric)  # legality.check holds it
    score = config.pi_q.compared(score)

    def dual(raw: jax.Array) -> jax.Array:
        return lagrange.temperature_dual(score, rule.value_of(raw), rule.epsilon)

    grad = jax.grad(dual)(state.params.dual["temperature"])
    project = rule.floor == "project"
    return _step_dual(config, state, "temperature", grad, project=project)


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
    pi, prior = likelihood(config.pi_theta), support.prior

    def fit(dist: Tree) -> jax.Array:
        likelihood = pi.log_prob(dist, support.action)
        return -jnp.mean(jnp.sum(weight * likelihood, axis=0))

    def loss(params: Tree) -> tuple[jax.Array, dict[str, jax.Array]]:
        dist = models.policy(config, state, params, support.obs)
        bound = _bound_loss(config, dist)
        if trust is None:
            return fit(dist) + bound, {}
        if isinstance(trust, pi_p_update.JointKL):
            kl = {"joint": jnp.mean(pi.kl(prior, dist))}
        else:
            kl = _decoupled(trust, prior, dist)
        if getattr(trust, "likelihood", "joint") == "split":
            total = fit(dist._replace(std=prior.std))
            total += fit(dist._replace(mean=prior.mean))
        else:
            total = fit(dist)
        for name, value in kl.items():
            total += jnp.sum(trust.value_of(state.params.dual[name]) * value)
        return total + bound, kl

    (total, kl), grads = jax.value_and_grad(loss, has_aux=True)(state.params.policy)
    state = _step_policy(config, state, grads)
    metrics = {f"kl_{name}": jnp.sum(value) for name, value in kl.items()}
    metrics |= _told(total, grads)
    if trust is not None:
        state = _step_multipliers(config, state, trust, kl)
    return state, metrics


def _decoupled(
    trust: pi_p_update.DecoupledKL, prior: Tree, dist: Tree
) -> dict[str, jax.Array]:
    """KL(prior || dist) of the mean and of the std, a number for each multiplier."""
    kl = {
        "mean": divergences.kl_of_mean(prior.mean, prior.std, dist.mean),
        "std": divergences.kl_of_std(prior.std, dist.std),
    }
    kl = {name: jnp.mean(value, axis=0) for name, value in kl.items()}  # [A]
    return kl if trust.per_dimension else {n: jnp.sum(v) for n, v in kl.items()}


def _step_multipliers(
    config: Config, state: AgentState, trust: Tree, kl: dict[str, jax.Array]
) -> AgentState:
    epsilon = trust.epsilon()
    for name, value in kl.items():

        def dual(raw: jax.Array, name: str = name, value: jax.Array = value):
            multiplier = trust.value_of(raw)
            return lagrange.multiplier_loss(multiplier, epsilon[name], value)

        grad = jax.grad(dual)(state.params.dual[name])
        state = _step_dual(config, state, name, grad, project=trust.floor == "project")
    return state


def _regress(
    config: Config, state: AgentState, support: Support, weight: jax.Array
) -> tuple[AgentState, Metrics]:
    """Weighted maximum likelihood of the policy's last layer, in closed form."""
    rule, pi, old = config.pi_p_update, config.pi_theta, state.params.policy
    assert isinstance(rule, pi_p_update.ClosedForm)  # legality.check holds it
    assert isinstance(pi, pi_theta.Gaussian)
    samples = support.action.shape[0]
    action = support.action.reshape(-1, support.action.shape[-1])  # [M B, A]
    weight = weight.reshape(-1)
    features = models.features(config, state, old, support.obs)
    features = jnp.tile(features, (samples, 1))
    head = networks.readout(old["net"], features, config.networks.precision)
    std = pi.distribution(old, head, features).std
    precision = weight[:, None] / jnp.square(std)
    gain, condition = regression.weighted_ridge(features, action, precision, rule.ridge)
    error = action - jnp.matmul(features, gain, precision="highest")
    residual = pi_theta.Residual(error, std, weight, rule.min_std)
    output = {"kernel": gain[:-1], "bias": gain[-1]}
    new = {
        "net": dict(old["net"]) | {"output": output},
        "scale": pi.scale.fit(old["scale"], features, residual),  # type: ignore[union-attr]
    }
    state = state._replace(params=state.params._replace(policy=new))
    return state, {"condition": condition}


# ---------------------------------------------------------------- after the steps


def settle(
    config: Config, state: AgentState, obs: jax.Array, score: jax.Array, prior: Tree,
    where: jax.Array,
) -> tuple[AgentState, Metrics]:  # fmt: skip
    """What is set once an iteration, on all of its data, after the policy's steps.

    The penalty of the trust region, by the KL that was made (settings 3.7), and RWR's
    temperature (settings 3.2). Args: obs [C, O]; score [C]; prior [C, ...]; where [C].
    """
    trust = getattr(config.pi_q_update, "trust_region", None)
    if isinstance(trust, pi_q_update.KLPenalty):
        dist = models.policy(config, state, state.params.policy, obs)
        kl = jnp.mean(likelihood(config.pi_theta).kl(prior, dist), where=where)
        eta = lagrange.adapt(
            state.params.dual["penalty"], kl, trust.target,
            factor=trust.factor, tolerance=trust.tolerance,
        )  # fmt: skip
        return _set_dual(state, "penalty", eta), {"kl": kl}
    rule = pi_q_update.temperature_of(config.pi_q_update)
    if isinstance(rule, pi_q_update.ExponentialTemperature):
        best = jnp.max(score, where=where, initial=-jnp.inf)
        # what does not count costs so much that its weight is 0
        cost = jnp.where(where, best - score, 1e9)
        eta = lagrange.exponential_temperature(cost, state.params.dual["temperature"])
        return _set_dual(state, "temperature", eta), {}
    return state, {}
