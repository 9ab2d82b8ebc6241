"""The non-parametric posterior: pi_q(a|s) proportional to pi_p(a|s) exp(G(s,a) / eta).

Weights w are [M, B], for the M-step  -mean_b sum_m w[m, b] log pi(a[m, b] | s[b]).
"""

import math

import chex
import jax
import jax.numpy as jnp

ROUNDINGS = 4  # of the largest entry; a spread of at most these counts as none


def boltzmann(
    score: jax.Array, temperature: jax.Array, *, per_batch: bool
) -> jax.Array:
    """Normalised weights exp(G / eta) / Z.

    Source: Furuta et al. 2021, Eq. 3. per_batch=False: Z of each state, weights sum to
    1 over M (MPO). per_batch=True: one Z for the batch, weights average 1 over B and
    sum over M (AWAC, settings 2.16).

    Args:
        score: [M, B].
        temperature: scalar > 0.
    Returns:
        [M, B].
    """
    chex.assert_rank(score, 2)
    if per_batch:
        return score.shape[1] * jax.nn.softmax(score / temperature, axis=(0, 1))
    return jax.nn.softmax(score / temperature, axis=0)


def exponential(score: jax.Array, temperature: jax.Array) -> jax.Array:
    """Weights exp(G / eta), their Z taken as 1.

    Source: Furuta et al. 2021, Sec. 4.2.2 (AWR leaves the partition function out).

    Args:
        score: [M, B].
        temperature: scalar > 0.
    Returns:
        [M, B].
    """
    return jnp.exp(score / temperature)


def standardize(score: jax.Array, where: jax.Array | None = None) -> jax.Array:
    """(G - mean) / (std + 1e-8), with the population's std; 0 where all are equal.

    A spread within rounding of the largest entry counts as none: the mean of equal
    numbers is a rounding off, and 1e-8 would make a score of what is left.
    Source: the authors' AWR (settings 1.4): makes the temperature a number of stds.

    Args:
        score: [...].
        where: [...], bool, the entries that count.
    Returns:
        [...].
    """
    size = jnp.max(jnp.abs(score), where=where, initial=0.0)
    # from one of them: of equal numbers, what is left is 0 and not the sum's rounding
    centred = score - jnp.max(score, where=where, initial=-jnp.inf)
    centred -= jnp.mean(centred, where=where)
    std = jnp.std(centred, where=where)
    flat = std <= ROUNDINGS * jnp.finfo(score.dtype).eps * size
    return jnp.where(flat, 0.0, centred / (std + 1e-8))


def effective_fraction(weights: jax.Array) -> jax.Array:
    """Effective sample size over sample size, (sum w)^2 / (n sum w^2), in (0, 1].

    Source: Kong 1992.

    Args:
        weights: [M, B].
    Returns:
        scalar.
    """
    weights = weights / jnp.max(weights)  # float32 has no squares beyond 1e19
    return jnp.square(jnp.sum(weights)) / (weights.size * jnp.sum(jnp.square(weights)))


def effective_episodes(
    weights: jax.Array, last: jax.Array, seen: jax.Array
) -> jax.Array:
    """Effective number of the episodes whose steps are weighed; NaN of one alone.

    Source: Kong 1992, of an episode's share in the sum of |w|.

    Args:
        weights: [C], in order of time.
        last: [C], bool, where episodes end.
        seen: [C], bool, the steps that count.
    Returns:
        scalar, of 1 to their number.
    """
    ends = last.astype(jnp.int32)
    episode = jnp.cumsum(ends, dtype=jnp.int32) - ends
    size = jnp.max(jnp.abs(weights), where=seen, initial=0.0)
    mass = jnp.where(seen, jnp.abs(weights) / size, 0.0)
    mass = jnp.zeros_like(mass).at[episode].add(mass)
    several = jnp.sum(last & seen) > 1
    number = jnp.square(jnp.sum(mass)) / jnp.sum(jnp.square(mass))
    return jnp.where(several, number, jnp.nan)


def top(score: jax.Array, fraction: float) -> tuple[jax.Array, jax.Array]:
    """The best scores of the whole batch, max(1, round(fraction M B)) of them.

    Source: Song et al. 2020 (V-MPO), the top half of advantages; settings 3.5.

    Args:
        score: [M, B].
        fraction: in (0, 1], static; 1 keeps all.
    Returns:
        (scores [n], best first; their places in the flattened score [n], int32).
    """
    chex.assert_rank(score, 2)
    kept = max(1, round(fraction * score.size))
    best, index = jax.lax.top_k(score.reshape(-1), kept)
    return best, index


def scatter(weights: jax.Array, index: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Weights back in the places that `top` took them from, 0 elsewhere.

    Source: Song et al. 2020 (V-MPO): what is not kept has no weight; settings 3.5.

    Args:
        weights: [n].
        index: [n].
        shape: (M, B).
    Returns:
        [M, B].
    """
    flat = jnp.zeros(math.prod(shape), weights.dtype)
    return flat.at[index].set(weights).reshape(shape)


def of_episodes(
    score: jax.Array,
    *,
    temperature: jax.typing.ArrayLike,
    reward: jax.Array | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    """Weights of whole episodes, averaging 1; or with the reward, averaging 0.

        w = softmax(score / tau),   K w   or   R + tau K w - mean(R + tau K w)
    The score is R for the base pi_p, and R - tau sum_t log pi(a_t|s_t) for a uniform
    base, where the reward comes in too. Source: Nachum et al. 2017 (UREX), Eq. 9;
    settings 3.4.

    Args:
        score: [K].
        temperature: tau > 0.
        reward: R, [K].
        where: [K] bool, the episodes that count, K being their number; others may be
            anything.
    Returns:
        [K], 0 where not counted; the loss is its negative mean with
        log-probabilities of episodes.
    """
    chex.assert_rank(score, 1)
    counts = jnp.ones(score.shape, bool) if where is None else where
    number = jnp.maximum(jnp.sum(counts), 1).astype(score.dtype)
    logits = jnp.where(counts, score / temperature, -jnp.inf)
    weights = jnp.where(counts, number * jax.nn.softmax(logits), 0.0)
    if reward is None:
        return weights
    bracket = jnp.where(counts, reward + temperature * weights, 0.0)
    return jnp.where(counts, bracket - jnp.sum(bracket) / number, 0.0)
