"""Dual functions: the temperature and the multipliers of the trust regions."""

import chex
import jax
import jax.numpy as jnp

RAW_FLOOR = -18.0  # of the raw variable; softplus of it is 1.5e-8
VALUE_FLOOR = 1e-8


def multiplier(raw: jax.Array, *, clamp: bool) -> jax.Array:
    """A positive multiplier from a free variable: softplus(max(raw, -18)) + 1e-8.

    clamp=True: the maximum is taken here and stops the gradient below the floor, so a
    multiplier that falls through never returns (the authors' torch code).
    clamp=False: the caller projects the variable with `project` after each step, and
    it can return. Source: settings 1.3, 2.11.
    """
    floored = jnp.maximum(raw, RAW_FLOOR) if clamp else raw
    return jax.nn.softplus(floored) + VALUE_FLOOR


def project(raw: jax.Array) -> jax.Array:
    """The projection that keeps a raw variable at or above the floor.

    Source: settings 2.11, as Acme does after each step.
    """
    return jnp.maximum(raw, RAW_FLOOR)


def temperature_dual(
    score: jax.Array, temperature: jax.Array, epsilon: jax.typing.ArrayLike
) -> jax.Array:
    """Dual of the E-step's KL constraint, whose minimiser is the temperature.

        g(eta) = eta * (epsilon + mean_b log( mean_m exp(score[m, b] / eta) ))
    Source: Furuta et al. 2021, Sec. 4.2.1, with the average over states outside the
    logarithm, as in the authors' code (settings 2.5). dg/deta = epsilon - KL(w || 1/M).

    Args:
        score: [M, B], detached by the caller.
        temperature: eta, scalar > 0.
        epsilon: >= 0, nats.
    Returns:
        scalar, in units of the score.
    """
    chex.assert_rank(score, 2)
    samples = score.shape[0]
    log_mean = jax.nn.logsumexp(score / temperature, axis=0) - jnp.log(samples)
    return temperature * (epsilon + jnp.mean(log_mean))


def multiplier_loss(
    multiplier: jax.Array, epsilon: jax.typing.ArrayLike, divergence: jax.Array
) -> jax.Array:
    """sum_d alpha_d (epsilon - KL_d): its descent raises alpha where KL > epsilon.

    Source: Furuta et al. 2021, Sec. 4.2.1 (trust region of the M-step).

    Args:
        multiplier: [A] or scalar.
        epsilon: nats.
        divergence: as the multiplier, detached.
    Returns:
        scalar.
    """
    return jnp.sum(multiplier * (epsilon - divergence))


def entropy_loss(
    log_temperature: jax.Array, log_prob: jax.Array, target: jax.typing.ArrayLike
) -> jax.Array:
    """-alpha * mean(log pi + H_target): its descent lowers alpha while H > H_target.

    Source: Haarnoja et al. 2018b; Furuta et al. 2021, Sec. 4.2.3.

    Args:
        log_temperature: scalar.
        log_prob: [...], detached, nats.
        target: scalar, nats.
    Returns:
        scalar.
    """
    return -jnp.exp(log_temperature) * jnp.mean(log_prob + target)


def adapt(
    coefficient: jax.Array,
    divergence: jax.Array,
    target: jax.typing.ArrayLike,
    *,
    factor: jax.typing.ArrayLike,
    tolerance: jax.typing.ArrayLike,
) -> jax.Array:
    """The penalty's coefficient, a factor up or down where the divergence is off.

    coefficient / factor where divergence < target / tolerance, coefficient * factor
    where divergence > target * tolerance, else as it was.
    Source: Schulman et al. 2017, Sec. 4 (factor 2, tolerance 1.5); settings 3.7.

    Args:
        coefficient: [...], > 0.
        divergence: [...], nats.
        target: > 0, nats.
        factor: >= 1.
        tolerance: >= 1.
    Returns:
        [...].
    """
    lower = divergence < target / tolerance
    higher = divergence > target * tolerance
    changed = jnp.where(higher, coefficient * factor, coefficient)
    return jnp.where(lower, coefficient / factor, changed)


def exponential_temperature(
    cost: jax.Array, temperature: jax.typing.ArrayLike
) -> jax.Array:
    """One EM step on the temperature of exponential weights, at least 1e-8.

        u = exp(-c / eta),  eta' = sum(u c) / sum(u)
    Source: Peters and Schaal 2007 (RWR), whose beta is 1 / eta; settings 3.2.

    Args:
        cost: [..., n], >= 0.
        temperature: > 0, scalar or [...].
    Returns:
        [...], in units of the cost.
    """
    temperature = jnp.broadcast_to(temperature, cost.shape[:-1])
    weight = jax.nn.softmax(-cost / temperature[..., None], axis=-1)
    return jnp.maximum(jnp.sum(weight * cost, axis=-1), VALUE_FLOOR)
