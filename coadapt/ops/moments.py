"""Running mean and variance of observations."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

ROUNDINGS = 4  # of a mean; a spread of at most these counts as none


class Moments(NamedTuple):
    """Population moments of the rows seen; count 0 stands for mean 0, variance 1."""

    count: jax.Array  # scalar float32, rows merged so far
    mean: jax.Array  # [O]
    var: jax.Array  # [O]


def empty(size: int) -> Moments:
    """Moments of nothing yet: mean 0, variance 1.

    Source: the authors' AWR (settings 1.4), where the normaliser starts as identity.
    """
    return Moments(jnp.zeros(()), jnp.zeros(size), jnp.ones(size))


def merge(moments: Moments, rows: jax.Array, where: jax.Array) -> Moments:
    """Moments of what was seen before and `rows` together.

    Source: Chan et al. 1979, pairwise update; equal to one pass over everything.

    Args:
        moments: of what was seen before.
        rows: [B, O].
        where: [B] bool, the rows that count; others may be anything.
    """
    chex.assert_shape(where, rows.shape[:1])
    mask = where[:, None].astype(rows.dtype)
    rows = jnp.where(where[:, None], rows, 0.0)  # NaN times 0 would be NaN
    added = jnp.sum(mask)
    safe = jnp.maximum(added, 1.0)
    mean = jnp.sum(rows * mask, axis=0) / safe
    square = jnp.sum(jnp.square(rows - mean[None]) * mask, axis=0)
    count = moments.count + added
    delta = mean - moments.mean
    share = added / jnp.maximum(count, 1.0)
    old = moments.var * moments.count
    total = old + square + jnp.square(delta) * moments.count * share
    seen = count > 0
    return Moments(
        count,
        jnp.where(seen, moments.mean + delta * share, moments.mean),
        jnp.where(seen, total / jnp.maximum(count, 1.0), moments.var),
    )


def normalize(
    moments: Moments,
    obs: jax.Array,
    epsilon: jax.Array | float,
    limit: jax.Array | float | None,
) -> jax.Array:
    """clip( (x - mean) / sqrt(var + epsilon), -limit, limit ); 0 of what never varied.

    With an epsilon of 0 there is nothing to divide by then. Without a limit nothing is
    clipped.
    Source: the authors' AWR (settings 1.4). [..., O] -> [..., O].
    """
    var = moments.var + epsilon
    # a mean of equal numbers is some roundings off, and so is their spread
    rounding = jnp.square(ROUNDINGS * jnp.finfo(var.dtype).eps * moments.mean)
    flat = var <= rounding
    scale = jnp.where(flat, 0.0, jax.lax.rsqrt(jnp.where(flat, 1.0, var)))
    shape = (1,) * (obs.ndim - 1) + moments.mean.shape
    scaled = (obs - moments.mean.reshape(shape)) * scale.reshape(shape)
    return scaled if limit is None else jnp.clip(scaled, -limit, limit)
