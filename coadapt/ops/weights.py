"""The non-parametric posterior: pi_q(a|s) proportional to pi_p(a|s) exp(G(s,a) / eta).

Weights w are [M, B], for the M-step  -mean_b sum_m w[m, b] log pi(a[m, b] | s[b]).
"""

import chex
import jax
import jax.numpy as jnp


def boltzmann(
    score: jax.Array, temperature: jax.Array, *, per_batch: bool
) -> jax.Array:
    """Normalised weights exp(G / eta) / Z.

    Source: Furuta et al. 2021, Eq. 3. per_batch=False: Z of each state, weights sum to
    1 over M (MPO). per_batch=True: one Z for the batch, weights average 1 over B and
    sum over M (AWAC, settings 2.16).
    Args: score [M, B]; temperature scalar > 0. Returns: [M, B].
    """
    chex.assert_rank(score, 2)
    if per_batch:
        return score.shape[1] * jax.nn.softmax(score / temperature, axis=(0, 1))
    return jax.nn.softmax(score / temperature, axis=0)


def exponential(score: jax.Array, temperature: jax.Array) -> jax.Array:
    """Weights exp(G / eta), their Z taken as 1.

    Source: Furuta et al. 2021, Sec. 4.2.2 (AWR leaves the partition function out).
    Args: score [M, B]; temperature scalar > 0. Returns: [M, B].
    """
    return jnp.exp(score / temperature)


def standardize(score: jax.Array, where: jax.Array | None = None) -> jax.Array:
    """(G - mean) / (std + 1e-8), with the population's std.

    Source: the authors' AWR (settings 1.4): makes the temperature a number of stds.
    Args: score [...]; where [...] bool, the entries that count. Returns: [...].
    """
    mean = jnp.mean(score, where=where)
    std = jnp.std(score, where=where)
    return (score - mean) / (std + 1e-8)


def effective_fraction(weights: jax.Array) -> jax.Array:
    """Effective sample size over sample size, (sum w)^2 / (n sum w^2), in (0, 1].

    Source: Kong 1992. Args: weights [M, B]. Returns: scalar.
    """
    weights = weights / jnp.max(weights)  # float32 has no squares beyond 1e19
    return jnp.square(jnp.sum(weights)) / (weights.size * jnp.sum(jnp.square(weights)))
