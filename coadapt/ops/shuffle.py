"""A random permutation of range(n), one element at a time, without a table."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

ROUNDS = 24  # two for each bit of n up to 4096, the mixing that the proof asks for


def _mix(word: jax.Array) -> jax.Array:
    """A bijective scrambling of 32 bits (the finaliser of MurmurHash3)."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


class Rounds(NamedTuple):
    """What a permutation of range(n) is made of: of each round, [ROUNDS, ...]."""

    pivot: jax.Array  # int32, an index and its partner sum to it modulo n
    salt: jax.Array  # uint32, decides which of the pairs swap


def rounds(key: jax.Array, n: jax.Array) -> Rounds:
    """A random permutation; n int32 scalar >= 1, or [...].

    Source: Hoang, Morris and Rogaway 2012, the swap-or-not shuffle.
    """
    words = jax.random.bits(key, (2, ROUNDS), jnp.uint32)
    n = jnp.asarray(n)
    words = words.reshape(2, ROUNDS, *[1] * n.ndim)
    # a division for each n, not for each index: they are what takes long
    pivot = (words[0] % n[None].astype(jnp.uint32)).astype(jnp.int32)
    return Rounds(pivot, words[1])


def permute(permutation: Rounds, index: jax.Array, n: jax.Array) -> jax.Array:
    """Where a permutation of range(n) sends each index, in O(len(index)).

    A batch of distinct indices comes back distinct: sampling without replacement. All
    of range(n) in turn is one pass over a data set in random order. n may be traced.
    Source: Hoang, Morris and Rogaway 2012, the swap-or-not shuffle.

    Args:
        permutation: [ROUNDS], or [ROUNDS, ...] of each index its own.
        index: int32 [...], 0 <= index < n.
        n: int32 scalar >= 1, or [...].
    Returns:
        int32 [...].
    """
    for pivot, salt in zip(*permutation, strict=True):
        partner = pivot - index
        partner = jnp.where(partner < 0, partner + n, partner)
        high = jnp.maximum(index, partner).astype(jnp.uint32)
        swap = (_mix(high ^ salt) & 1).astype(bool)
        index = jnp.where(swap, partner, index)
    return index


def shuffle(key: jax.Array, index: jax.Array, n: jax.Array) -> jax.Array:
    """`permute` by a permutation of its own.

    Source: Hoang, Morris and Rogaway 2012, the swap-or-not shuffle.
    """
    return permute(rounds(key, n), index, n)
