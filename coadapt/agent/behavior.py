"""The behaviour policy pi_b of offline data, as a model: fitted, sampled, evaluated."""

import jax
import jax.numpy as jnp

from coadapt import networks, optim
from coadapt.agent import models
from coadapt.config import Config
from coadapt.factors import pi_p, pi_q_update
from coadapt.factors.pi_theta import TanhGaussian, likelihood
from coadapt.networks import Network
from coadapt.types import AgentState, EnvSpec, Metrics, Transition, Tree


def _net(model: pi_p.VAE) -> Network:
    return Network(sizes=model.sizes)


def _read(config: Config, model: pi_p.VAE, params: Tree, rows: jax.Array) -> jax.Array:
    """One of the VAE's two networks at rows [..., in] -> [..., out]."""
    return networks.apply(_net(model), params, rows, config.networks.precision)


def init(config: Config, spec: EnvSpec, policy: Tree, key: jax.Array) -> Tree | None:
    """The model's parameters; None where the prior is not a behaviour policy.

    With a divergence that is found by a network f, f is "dual" among them.
    """
    if not isinstance(config.pi_p, pi_p.Behavior):
        return None
    model, joint = config.pi_p.model, spec.obs_size + spec.action_size
    if isinstance(model, pi_p.Clone):
        params = jax.tree.map(jnp.copy, policy)  # starts as the policy does
    else:
        latent = model.latent * spec.action_size
        encoder, decoder = jax.random.split(key)
        reads = spec.obs_size + latent
        params = {
            "encoder": networks.init(_net(model), encoder, joint, 2 * latent),
            "decoder": networks.init(_net(model), decoder, reads, spec.action_size),
        }
    if dual(config) is not None:
        own = jax.random.fold_in(key, 1)
        params["dual"] = networks.init(config.networks.critic, own, joint, 1)
    return params


def dual(config: Config) -> pi_q_update.Dual | None:
    """The divergence from the model, where a network finds it."""
    kind = getattr(config.pi_q_update, "divergence", None)
    return kind if isinstance(kind, pi_q_update.Dual) else None


def _f(config: Config, params: Tree, seen: jax.Array, action: jax.Array) -> jax.Array:
    """seen [B, O], action [..., B, A] -> [..., B]."""
    rows = models.beside(seen, action)
    nets = config.networks
    return networks.apply(nets.critic, params["dual"], rows, nets.precision)[..., 0]


def found(
    config: Config, state: AgentState, obs: jax.Array, raw: jax.Array, key: jax.Array
) -> jax.Array:
    """The divergence of pi_q, samples raw [M, B, A], from the model, by f. [B]."""
    kind, params = dual(config), state.params.prior
    assert kind is not None and params is not None
    others = draw(config, state, obs, key, raw.shape[0])
    seen, bound = models.inputs(config, state, obs), config.pi_theta.bound
    own = _f(config, params, seen, bound(raw))
    return kind.between(own, _f(config, params, seen, bound(others)))


def _dual_loss(
    config: Config, state: AgentState, params: Tree, obs: jax.Array, key: jax.Array
) -> jax.Array:
    """-D, and the penalty on f's slope between the samples of the two policies."""
    kind, pi = dual(config), config.pi_theta
    if kind is None:
        return jnp.zeros(())
    draws, mixed = jax.random.split(key)
    dist = models.policy(config, state, state.params.policy, obs)
    own = pi.bound(pi.draw(dist, draws, kind.samples))
    fresh = jax.random.fold_in(draws, 1)
    others = pi.bound(draw(config, state, obs, fresh, kind.samples))
    seen = models.inputs(config, state, obs)
    value = kind.between(
        _f(config, params, seen, own), _f(config, params, seen, others)
    )
    share = jax.random.uniform(mixed, (*own.shape[:-1], 1))
    between = share * own + (1 - share) * others

    def total(action: jax.Array) -> jax.Array:
        return jnp.sum(_f(config, params, seen, action))

    squared = jnp.sum(jnp.square(jax.grad(total)(between)), axis=-1)
    slope = jnp.sqrt(squared + 1e-12)  # whose gradient is finite where f is flat
    return jnp.mean(kind.penalty(slope)) - jnp.mean(value)


def _decode(
    config: Config, model: pi_p.VAE, params: Tree, seen: jax.Array, latent: jax.Array
) -> jax.Array:
    """Actions before their tanh. seen [B, O], latent [..., B, Z] -> [..., B, A]."""
    return _read(config, model, params["decoder"], models.beside(seen, latent))


def loss(
    config: Config,
    state: AgentState,
    params: Tree,
    transition: Transition,
    key: jax.Array,
) -> jax.Array:
    """Of the model on transitions [B, ...]: scalar.

    A clone: -mean log pi_b(a|s). A VAE: the mean square error of the action, and
    kl_weight times the latent's KL from N(0, 1), a dimension. Source: settings 3.10.
    """
    assert isinstance(config.pi_p, pi_p.Behavior)  # legality.check holds it
    model, obs, action = config.pi_p.model, transition.obs, transition.action
    if isinstance(model, pi_p.Clone):
        dist = models.policy(config, state, params, obs)
        return -jnp.mean(likelihood(config.pi_theta).log_prob(dist, action))
    seen = models.inputs(config, state, obs)
    rows = models.beside(seen, action)
    head = _read(config, model, params["encoder"], rows)
    mean, log_std = jnp.split(head, 2, axis=-1)
    log_std = jnp.clip(log_std, -4.0, 15.0)  # settings 3.10, the authors' code
    latent = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    error = jnp.tanh(_decode(config, model, params, seen, latent)) - action
    kl = jnp.square(mean) + jnp.exp(2 * log_std) - 1 - 2 * log_std
    return jnp.mean(jnp.square(error)) + model.kl_weight * jnp.mean(kl) / 2


def fit(
    config: Config, state: AgentState, transition: Transition, key: jax.Array
) -> tuple[AgentState, Metrics]:
    """One step of the model towards the data, and of f where the divergence has one."""

    def both(params: Tree) -> tuple[jax.Array, jax.Array]:
        of_model = loss(config, state, params, transition, key)
        other = jax.random.fold_in(key, 1)
        of_dual = _dual_loss(config, state, params, transition.obs, other)
        return of_model + of_dual, of_model

    grads, of_model = jax.grad(both, has_aux=True)(state.params.prior)
    prior, opt = optim.step(
        config.optim.prior,
        config.optim.clip,
        grads,
        state.opt.prior,
        state.params.prior,
    )
    return state._replace(
        params=state.params._replace(prior=prior), opt=state.opt._replace(prior=opt)
    ), {"prior_loss": of_model}


def draw(
    config: Config, state: AgentState, obs: jax.Array, key: jax.Array, samples: int
) -> jax.Array:
    """Samples [M, B, A] of pi_b, before their tanh where pi_theta has one."""
    assert isinstance(config.pi_p, pi_p.Behavior)  # legality.check holds it
    model, params = config.pi_p.model, state.params.prior
    assert params is not None
    if isinstance(model, pi_p.Clone):
        dist = models.policy(config, state, params, obs)
        return config.pi_theta.draw(dist, key, samples)
    seen = models.inputs(config, state, obs)
    size = params["decoder"]["output"]["bias"].shape[-1] * model.latent
    latent = jax.random.normal(key, (samples, obs.shape[0], size))
    latent = jnp.clip(latent, -model.limit, model.limit)
    raw = _decode(config, model, params, seen, latent)
    return raw if isinstance(config.pi_theta, TanhGaussian) else jnp.tanh(raw)


def log_prob(
    config: Config, state: AgentState, obs: jax.Array, raw: jax.Array
) -> jax.Array:
    """log pi_b of a clone at bound(raw): raw [M, B, A] -> [M, B]."""
    dist = models.policy(config, state, state.params.prior, obs)
    return likelihood(config.pi_theta).log_prob_of(dist, raw)
