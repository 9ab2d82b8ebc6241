"""Divergences that are known by samples of both, in nats where it is a KL."""

from typing import Literal

import jax
import jax.numpy as jnp


def mmd(
    x: jax.Array,
    y: jax.Array,
    *,
    sigma: jax.typing.ArrayLike,
    kernel: Literal["laplacian", "gaussian"],
) -> jax.Array:
    """Maximum mean discrepancy between samples, the root of a V-statistic.

        sqrt( mean k(x, x') - 2 mean k(x, y) + mean k(y, y') + 1e-6 ),
        k(x, y) = exp( -|x - y|_1 / (2 sigma) )   or   exp( -|x - y|_2^2 / (2 sigma) )
    1e-6 keeps the gradient finite, at x = y too, where the value is 0.001.
    Source: Kumar et al. 2019 (BEAR) and its code; settings 3.10.

    Args:
        x: [M, B, A], samples at B states.
        y: [P, B, A], samples there.
        sigma: scalar > 0.
    Returns:
        [B].
    """
    size = jnp.abs if kernel == "laplacian" else jnp.square

    def mean(a: jax.Array, b: jax.Array) -> jax.Array:
        distance = jnp.sum(size(a[:, None] - b[None]), axis=-1)  # [M, P, B]
        return jnp.mean(jnp.exp(-distance / (2 * sigma)), axis=(0, 1))

    squared = mean(x, x) - 2 * mean(x, y) + mean(y, y)
    return jnp.sqrt(jnp.maximum(squared, 0.0) + 1e-6)  # below 0 by rounding only


def dual_kl(own: jax.Array, others: jax.Array) -> jax.Array:
    """A lower bound of KL(p || q): E_p[f] - E_q[exp(f - 1)], tight at f = 1 + log p/q.

    Source: Nowozin et al. 2016, the dual form of an f-divergence.

    Args:
        own: f at samples of p, [M, ...].
        others: f at samples of q, [P, ...].
    Returns:
        [...], nats.
    """
    return jnp.mean(own, axis=0) - jnp.mean(jnp.exp(others - 1.0), axis=0)


def softplus_dual_kl(own: jax.Array, others: jax.Array) -> jax.Array:
    """The same bound, of 1 + log r for f: E_p[log r] - E_q[r] + 1, r = softplus(f).

    Tight at r = p/q, and not exponential in f.
    Source: the code of Wu et al. 2019 (BRAC); settings 3.10.

    Args:
        own: f at samples of p, [M, ...].
        others: f at samples of q, [P, ...].
    Returns:
        [...], nats.
    """
    ratio = jax.nn.softplus(own) + 1e-8
    lost = jnp.mean(jax.nn.softplus(others), axis=0)
    return jnp.mean(jnp.log(ratio), axis=0) - lost + 1.0


def slope_penalty(slope: jax.Array, *, one_sided: bool) -> jax.Array:
    """(slope - 1)^2, or, one-sided, of slopes above 1 alone: max(slope - 1, 0)^2.

    Source: Gulrajani et al. 2017; one-sided, the code of Wu et al. 2019 (settings
    3.10). Args and result: [...].
    """
    excess = slope - 1.0
    return jnp.square(jnp.maximum(excess, 0.0) if one_sided else excess)


def dual_wasserstein(own: jax.Array, others: jax.Array) -> jax.Array:
    """E_p[f] - E_q[f], whose maximum over 1-Lipschitz f is the Wasserstein-1 distance.

    Source: Wu et al. 2019 (BRAC); settings 3.10.

    Args:
        own: f at samples of p, [M, ...].
        others: f at samples of q, [P, ...].
    Returns:
        [...], in units of f.
    """
    return jnp.mean(own, axis=0) - jnp.mean(others, axis=0)
