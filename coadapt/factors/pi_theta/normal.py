"""Diagonal Gaussians at states: densities, KL and entropies are distrax's.

Its MultivariateNormalDiag holds more than the mean and the std, so that it cannot be
stored, sliced or given another std leaf by leaf. Parameters are therefore a NamedTuple,
and a distribution of distrax is made where one is asked for something. Samples have the
values of distrax's; they are drawn here so that the noise is a kernel of its own.
"""

from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp

from coadapt.factors.noise import Added
from coadapt.factors.pi_theta.base import log_probs
from coadapt.system.kernels import apart


class Normal(NamedTuple):
    """A diagonal Gaussian at each of B states; under a tanh, of what goes into it."""

    mean: jax.Array  # [B, A]
    std: jax.Array  # [B, A]


def independent(dist: Normal) -> distrax.Independent:
    """The last axis is that of an event."""
    return distrax.Independent(distrax.Normal(*dist), 1)


def normal_log_prob(dist: Normal, value: jax.Array) -> jax.Array:
    """[B, A] parameters, value [..., B, A] -> [..., B], nats."""
    return log_probs(independent(dist), value)


def normal_entropy(dist: Normal) -> jax.Array:
    """[B, A] parameters -> [B], nats."""
    return jnp.asarray(independent(dist).entropy())


def normal_kls(p: Normal, q: Normal) -> jax.Array:
    """KL(p || q) of each dimension: [B, A] parameters -> [B, A], nats.

    distrax divides each mean by the std before it subtracts them, which at a std of
    1e-6 leaves 5% of error: it is given their difference, on which alone a KL depends.
    """
    moved = distrax.Normal(p.mean - q.mean, p.std)
    centred = distrax.Normal(jnp.zeros_like(q.mean), q.std)
    return jnp.asarray(moved.kl_divergence(centred))


def normal_kl(p: Normal, q: Normal) -> jax.Array:
    """KL(p || q) at each state: [B, A] parameters -> [B], nats."""
    return jnp.sum(normal_kls(p, q), axis=-1)


def normal_sample(dist: Normal, key: jax.Array, samples: int) -> jax.Array:
    """[B, A] parameters -> [M, B, A]: distrax's numbers, noise kept apart."""
    noise = apart(jax.random.normal(key, (samples, *dist.mean.shape)))
    return dist.mean[None] + dist.std[None] * noise


def normal_explored(dist: Normal, key: jax.Array, noise: Added | None) -> jax.Array:
    """The action before `bound`, [B, A]: a sample, or of the noise that is given.

    Source: Eberhard et al. 2023, who put coloured noise where a sample has white.
    """
    if noise is None or noise.unit is None:
        return normal_sample(dist, key, 1)[0]
    return dist.mean + dist.std * noise.unit


def clip_noise(dist: Normal, raw: jax.Array, limit: jax.typing.ArrayLike) -> jax.Array:
    """Samples [M, B, A] whose standard normal noise is held within +-limit.

    Source: the code of Kumar et al. 2019 (settings 3.10).
    """
    most = limit * dist.std
    return jnp.clip(raw, (dist.mean - most)[None], (dist.mean + most)[None])
