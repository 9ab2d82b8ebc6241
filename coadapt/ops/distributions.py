"""Distributions of returns as weighted atoms, and losses that fit critics to them.

An axis of atoms is the last one. Weights are not negative and sum to 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Atoms(NamedTuple):
    """The atoms of distributions: their values, and how likely each is.

    An array that all distributions share has the axis of atoms alone: the values of
    categories, the weights of quantiles.
    """

    value: jax.Array  # [..., n], or [n]
    weight: jax.Array  # [..., n], or [n]

    @property
    def shape(self) -> tuple[int, ...]:
        return jnp.broadcast_shapes(self.value.shape, self.weight.shape)

    def over(self, more: int = 0) -> "Atoms":
        """The same, both arrays of one rank, with `more` leading axes of length 1."""
        rank = more + max(self.value.ndim, self.weight.ndim)
        return Atoms(*(x.reshape(*(1,) * (rank - x.ndim), *x.shape) for x in self))


# ---------------------------------------------------------------- atoms


def mean(atoms: Atoms) -> jax.Array:
    """[..., n] -> [...]. Source: Bellemare et al. 2017 (C51), Algorithm 1."""
    value, weight = atoms.over()
    return jnp.sum(value * weight, axis=-1)


def expected(returns: jax.Array | Atoms) -> jax.Array:
    """The means of distributions [..., n]; numbers [...] as they are.

    Source: Bellemare et al. 2017 (C51), Algorithm 1.
    """
    return mean(returns) if isinstance(returns, Atoms) else returns


def take(atoms: Atoms, index: jax.Array) -> Atoms:
    """Of K distributions at each place, the one that `index` says: [..., n].

    Source: Bellemare et al. 2017 (C51), Algorithm 1, there that of the best action.

    Args:
        atoms: [K, ..., n].
        index: [...], of the first axis.
    """

    def each(x: jax.Array) -> jax.Array:
        if x.ndim == 1:
            return x
        return jnp.take_along_axis(x, index[None, ..., None], axis=0)[0]

    return Atoms(each(atoms.value), each(atoms.weight))


def mixture(atoms: Atoms) -> Atoms:
    """The mixture of K distributions of equal weight: [K, ..., n] -> [..., m].

    m is n where they share their values, else K n.
    Source: Kuznetsov et al. 2020 (TQC), Sec. 3, which pools the atoms of K critics.
    """
    if atoms.value.ndim == 1:
        return Atoms(atoms.value, jnp.mean(atoms.weight, axis=0))
    number, *_ = atoms.shape

    def joined(x: jax.Array) -> jax.Array:
        if x.ndim == 1:
            return jnp.tile(x, number)
        x = jnp.moveaxis(x, 0, -2)
        return x.reshape(*x.shape[:-2], -1)

    return Atoms(joined(atoms.value), joined(atoms.weight) / number)


def mapped(
    function: Callable[[jax.Array], jax.Array], returns: jax.Array | Atoms
) -> jax.Array | Atoms:
    """A function [B] -> [B] of B numbers, or of each atom of B distributions.

    Source: Bellemare et al. 2017 (C51), Sec. 4, the backup r + gamma z of each atom.
    """
    if not isinstance(returns, Atoms):
        return function(returns)
    value = jnp.broadcast_to(returns.over().value, returns.shape)
    return Atoms(jax.vmap(function, -1, -1)(value), returns.weight)


def truncate(atoms: Atoms, dropped: jax.typing.ArrayLike) -> Atoms:
    """Without the `dropped` largest atoms; the others are equally likely: [..., n].

    Source: Kuznetsov et al. 2020 (TQC), Eq. 10, of atoms that count alike.

    Args:
        dropped: fewer than n; scalar, may be traced.
    """
    value = jnp.sort(atoms.value, axis=-1)
    number = value.shape[-1]
    kept = number - jnp.asarray(dropped)
    share = 1.0 / kept.astype(value.dtype)
    return Atoms(value, jnp.where(jnp.arange(number) < kept, share, 0.0))


# ---------------------------------------------------------------- categories


def project(atoms: Atoms, support: jax.Array) -> jax.Array:
    """The distribution projected onto a support, of the same mean where it lies within.

    Each atom is shared by its two neighbours, in proportion to how near they are; what
    lies outside counts at the end. Of a single atom this is its two-hot code.
    Source: Bellemare et al. 2017 (C51), Eq. 7.

    Args:
        atoms: [..., n].
        support: [m], ascending.
    Returns:
        weights [..., m].
    """
    value, weight = atoms.over()
    value = jnp.clip(value, support[0], support[-1])[..., :, None]
    gap, ones = jnp.diff(support), (1,) * (value.ndim - 1)
    after = jnp.append(gap, gap[-1]).reshape(*ones, -1)
    before = jnp.append(gap[:1], gap).reshape(*ones, -1)
    far = value - support.reshape(*ones, -1)  # [..., n, m]
    share = 1.0 - jnp.where(far >= 0, far / after, -far / before)
    return jnp.sum(jnp.maximum(share, 0.0) * weight[..., :, None], axis=-2)


def smoothed(
    value: jax.Array, edges: jax.Array, std: jax.typing.ArrayLike
) -> jax.Array:
    """How likely each bin is under a normal around each value, given all of the bins.

    Source: Imani and White 2018 (HL-Gauss); Farebrother et al. 2024, Sec. 3.1.

    Args:
        value: [...], clipped to the edges.
        edges: [m + 1], ascending.
        std: of the distribution, scalar.
    Returns:
        weights [..., m].
    """
    value = jnp.clip(value, edges[0], edges[-1])[..., None]
    edges = edges.reshape(*(1,) * (value.ndim - 1), -1)
    below = jax.scipy.special.erf((edges - value) / (jnp.sqrt(2.0) * std))
    return jnp.diff(below, axis=-1) / (below[..., -1:] - below[..., :1])


def cross_entropy(logits: jax.Array, weight: jax.Array) -> jax.Array:
    """Of a softmax of `logits` from probabilities: [..., m] each -> [...], nats.

    Source: Bellemare et al. 2017 (C51), Algorithm 1, the loss.
    """
    return -jnp.sum(weight * jax.nn.log_softmax(logits), axis=-1)


# ---------------------------------------------------------------- quantiles


def quantile_huber(
    quantiles: jax.Array, atoms: Atoms, kappa: jax.typing.ArrayLike
) -> jax.Array:
    """The quantile Huber loss of quantiles q from a distribution, their mean.

    The expectation over atoms z of |tau_i - 1(u < 0)| h(u) / kappa, where u = z - q_i,
    tau_i = (i - 1/2) / n, and h is Huber's loss, linear beyond kappa.
    Source: Dabney et al. 2018 (QR-DQN), Eq. 10, there the sum over quantiles.

    Args:
        quantiles: [..., n].
        atoms: [..., m].
        kappa: scalar > 0.
    Returns:
        [...].
    """
    number = quantiles.shape[-1]
    atoms = atoms.over(quantiles.ndim - len(atoms.shape))
    u = atoms.value[..., None, :] - quantiles[..., :, None]  # [..., n, m]
    tau = (jnp.arange(number, dtype=quantiles.dtype) + 0.5) / number
    below = (u < 0).astype(u.dtype)
    side = jnp.abs(tau.reshape(*(1,) * (u.ndim - 2), -1, 1) - below)
    each = jnp.sum(side * huber(u, kappa) * atoms.weight[..., None, :], axis=-1)
    return jnp.mean(each, axis=-1) / kappa


# ---------------------------------------------------------------- errors and scales


def huber(error: jax.Array, limit: jax.typing.ArrayLike) -> jax.Array:
    """error^2 / 2, but linear beyond the limit. Source: Huber 1964. Elementwise."""
    size = jnp.abs(error)
    return jnp.where(
        size <= limit, 0.5 * jnp.square(error), limit * (size - 0.5 * limit)
    )


def log_cosh(error: jax.Array) -> jax.Array:
    """log cosh error: half a square near 0, |error| - log 2 far away. Elementwise.

    Source: Green 1990, as a potential of differences.
    """
    size = jnp.abs(error)
    return size + jax.nn.softplus(-2.0 * size) - jnp.log(2.0)


def symlog(x: jax.Array) -> jax.Array:
    """sign(x) log(1 + |x|). Source: Hafner et al. 2023, Eq. 9. Elementwise."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def symexp(x: jax.Array) -> jax.Array:
    """The inverse of symlog. Source: Hafner et al. 2023, Eq. 9. Elementwise."""
    return jnp.sign(x) * jnp.expm1(jnp.abs(x))
