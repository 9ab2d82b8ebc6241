"""The networks of an agent, read at observations: policy, critics, behaviour model."""

import jax
import jax.numpy as jnp

from coadapt import networks
from coadapt.config import Config
from coadapt.factors import g_estimate, pi_q_update
from coadapt.ops import ensemble, moments
from coadapt.types import AgentState, Tree


def inputs(config: Config, state: AgentState, obs: jax.Array) -> jax.Array:
    """Observations as the networks read them. [..., O] -> [..., O]."""
    norm = config.networks.input_norm
    if norm is None or state.moments is None:
        return obs
    return moments.normalize(state.moments, obs, norm.epsilon, norm.limit)


def features(
    config: Config, state: AgentState, params: Tree, obs: jax.Array
) -> jax.Array:
    """What the policy's last layer reads: obs [B, O] -> [B, F + 1]."""
    nets, seen = config.networks, inputs(config, state, obs)
    return networks.last_features(nets.policy, params["net"], seen, nets.precision)


def policy(config: Config, state: AgentState, params: Tree, obs: jax.Array) -> Tree:
    """The action distribution at obs [B, O]."""
    nets, seen = config.networks, inputs(config, state, obs)
    head, known = networks.read(nets.policy, params["net"], seen, nets.precision)
    return config.pi_theta.distribution(params, head, known)


def action_values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """Q of all critics: obs [B, O], action [..., B, A] -> [K, ..., B]."""
    return _ensemble(config, params, beside(inputs(config, state, obs), action))


def beside(seen: jax.Array, other: jax.Array) -> jax.Array:
    """Rows of both: seen [B, O], other [..., B, X] -> [..., B, O + X]."""
    seen = jnp.broadcast_to(seen, (*other.shape[:-1], seen.shape[-1]))
    return jnp.concatenate([seen, other], axis=-1)


def state_values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array
) -> jax.Array:
    """V of all critics, in units of reward: obs [B, O] -> [K, B]."""
    outputs = _ensemble(config, params, inputs(config, state, obs))
    return outputs / value_scale(config)


def _ensemble(config: Config, params: Tree, rows: jax.Array) -> jax.Array:
    nets = config.networks

    def one(critic: Tree) -> jax.Array:
        return networks.apply(nets.critic, critic, rows, nets.precision)[..., 0]

    # numpy's arrays, as of an agent that was read, have to be JAX's within a map
    return jax.vmap(one)(jax.tree.map(jnp.asarray, params))


def value_scale(config: Config) -> jax.Array | float:
    """Network output over value."""
    estimate = config.g_estimate
    return estimate.scale() if isinstance(estimate, g_estimate.TDLambda) else 1.0


def pessimistic(config: Config, values: jax.Array) -> jax.Array:
    """What several critics say together: [K, M, B] -> [M, B]."""
    estimate = config.g_estimate
    if values.shape[0] == 1:
        return values[0]
    if isinstance(estimate, g_estimate.TD0):
        return ensemble.mix(values, estimate.mix)
    if getattr(estimate, "minimum", "sample") == "sample":
        return ensemble.minimum(values)
    lowest = jnp.argmin(jnp.mean(values, axis=1), axis=0)  # [B]
    return jnp.take_along_axis(values, lowest[None, None, :], axis=0)[0]


def temperature(config: Config, dual: dict[str, jax.Array]) -> jax.Array:
    """eta, as it is now; 0 where pi_q_update has none."""
    rule = pi_q_update.temperature_of(config.pi_q_update)
    if rule is None or isinstance(rule, pi_q_update.ConstantTemperature):
        return jnp.asarray(getattr(rule, "value", 0.0), jnp.float32)
    return rule.value_of(dual["temperature"])


def following(state: AgentState) -> Tree:
    """Whose actions follow: the target policy's, where one is kept."""
    return state.params.policy if state.target.policy is None else state.target.policy
