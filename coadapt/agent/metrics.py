"""Metrics of an agent after an update: of its networks, its policy, its multipliers."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from coadapt import optim
from coadapt.agent import models
from coadapt.config import Config
from coadapt.factors.view import concat_obs
from coadapt.networks import Torso, learned, variables
from coadapt.networks.layers import Function
from coadapt.types import AgentState, Metrics, Transition, Tree

SLOPE = 1e-3  # of an activation, at and below which it counts as flat


def update_metrics(
    config: Config,
    state: AgentState,
    transition: Transition,
    key: jax.Array,
    log: Sequence[str],
) -> Metrics:
    """The metrics of `log` that are of a state, at transitions [B, ...].

    What is not named is not even traced. `key` is read by policy_entropy alone.
    """
    made: dict[str, Callable[[], jax.Array]] = {
        "policy_norm": lambda: optim.norm(learned(state.params.policy)),
        "policy_dead": lambda: _policy_dead(config, state, transition.obs),
        "policy_entropy": lambda: entropy(config, state, transition.obs, key),
        "critic_norm": lambda: jnp.mean(
            jax.vmap(optim.norm)(learned(state.params.critic))
        ),
        "critic_dead": lambda: _critic_dead(config, state, transition),
    }
    absent = set[str]()
    if not config.pi_theta.has_density:
        absent.add("policy_entropy")
    if not config.networks.policy.layers():
        absent.add("policy_dead")
    if state.params.critic is None:
        absent |= {"critic_norm", "critic_dead"}
    if not config.networks.critic.layers():
        absent.add("critic_dead")
    found = {n: make() for n, make in made.items() if n in log and n not in absent}
    return found | {n: x for n, x in _duals(config, state).items() if n in log}


def _duals(config: Config, state: AgentState) -> Metrics:
    """The multipliers that there are beside the temperature, as their updates left
    them."""
    dual, bounds = state.params.dual, config.bounds
    found = dual | config.pi_p_update.multipliers(dual)
    found |= {} if bounds is None else bounds.multipliers(dual)
    found.pop("temperature", None)  # each step tells of it
    return {f"dual_{name}": value for name, value in found.items()}


def entropy(
    config: Config, state: AgentState, obs: jax.Array, key: jax.Array
) -> jax.Array:
    """Of the online policy at obs [B, O], by one action of each state. Scalar, nats.

    -mean log pi(a|s); of a tanh Gaussian that of the action in the box, of a Softmax
    that of the choice among its options.
    """
    dist, pi = models.policy(config, state, state.params.policy, obs), config.pi_theta
    raw = pi.draw(dist, key, 1)
    return -jnp.mean(pi.log_prob_of(dist, raw))


# ---------------------------------------------------------------- dead units


def _policy_dead(config: Config, state: AgentState, obs: jax.Array) -> jax.Array:
    seen = models.inputs(config, state, obs)
    return dead_share(config.networks.policy, state.params.policy["net"], seen)


def _critic_dead(config: Config, state: AgentState, data: Transition) -> jax.Array:
    seen, spec = models.inputs(config, state, data.obs), config.networks.critic
    if config.g.reads_action:
        seen = concat_obs(seen, data.action)
    each = jax.vmap(lambda params: dead_share(spec, params, seen))
    return jnp.mean(each(state.params.critic))


def dead_share(spec: Torso, params: Tree, rows: jax.Array) -> jax.Array:
    """The share of the hidden units that are dead at rows [B, in]. Scalar.

    A unit is dead if the slope of its activation is at most 1e-3 at every row: of a
    ReLU, if it is 0 throughout.
    """
    dead = [jnp.all(jnp.abs(x) <= SLOPE, axis=0) for x in slopes(spec, params, rows)]
    return jnp.mean(jnp.concatenate(dead).astype(jnp.float32))


def slopes(spec: Torso, params: Tree, rows: jax.Array) -> list[jax.Array]:
    """Of each layer that has an activation its slopes at rows [B, in]: [B, units]."""
    outputs = params["output"]["bias"].shape[-1]
    _, kept = spec.module(outputs, "tf32").apply(
        variables(params), rows, capture_intermediates=True, mutable=["intermediates"]
    )  # type: ignore[misc]
    inner: Any = kept["intermediates"]
    return [
        jax.vmap(jax.vmap(jax.grad(_of_one(layer.activation))))(
            inner[layer.read]["__call__"][0]
        )
        for layer in spec.layers()
        if layer.activation is not None
    ]


def _of_one(activation: Function) -> Callable[[jax.Array], jax.Array]:
    """Of one number; where an activation makes two, their sum."""
    return lambda x: jnp.sum(activation(x[None]))
