"""A random permutation of range(n), one element at a time, without a table."""

import jax
import jax.numpy as jnp

ROUNDS = 24  # two for each bit of n up to 4096, the mixing that the proof asks for


def _mix(word: jax.Array) -> jax.Array:
    """A bijective scrambling of 32 bits (the finaliser of MurmurHash3)."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def shuffle(key: jax.Array, index: jax.Array, n: jax.Array) -> jax.Array:
    """Where a random permutation of range(n) sends each index, in O(len(index)).

    A batch of distinct indices comes back distinct: sampling without replacement. All
    of range(n) in turn is one pass over a data set in random order. n may be traced.
    Source: Hoang, Morris and Rogaway 2012, the swap-or-not shuffle.
    Args: index int32 [...], 0 <= index < n; n int32 scalar >= 1, or [...].
    Returns: int32 [...].
    """
    words = jax.random.bits(key, (2, ROUNDS), jnp.uint32)
    n = jnp.asarray(n)
    for word, salt in zip(words[0], words[1], strict=True):
        # a division for each n, not for each index: they are what takes long
        pivot = (word % n.astype(jnp.uint32)).astype(jnp.int32)
        partner = pivot - index
        partner = jnp.where(partner < 0, partner + n, partner)
        high = jnp.maximum(index, partner).astype(jnp.uint32)
        swap = (_mix(high ^ salt) & 1).astype(bool)
        index = jnp.where(swap, partner, index)
    return index
