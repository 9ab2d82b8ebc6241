"""Diagonal Gaussians at states: densities, KL, samples."""

from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp

from coadapt.factors.noise import Added
from coadapt.ops import divergences


class Normal(NamedTuple):
    """A diagonal Gaussian at each of B states; under a tanh, of what goes into it."""

    mean: jax.Array  # [B, A]
    std: jax.Array  # [B, A]


def normal_log_prob(dist: Normal, value: jax.Array) -> jax.Array:
    """[B, A] parameters, value [..., B, A] -> [..., B], nats."""
    mean = jnp.broadcast_to(dist.mean, value.shape)
    std = jnp.broadcast_to(dist.std, value.shape)
    return jnp.asarray(distrax.MultivariateNormalDiag(mean, std).log_prob(value))


def normal_kl(p: Normal, q: Normal) -> jax.Array:
    """[B, A] parameters -> [B], nats."""
    return jnp.sum(divergences.kl(p.mean, p.std, q.mean, q.std), axis=-1)


def normal_sample(dist: Normal, key: jax.Array, samples: int) -> jax.Array:
    noise = jax.random.normal(key, (samples, *dist.mean.shape))
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
