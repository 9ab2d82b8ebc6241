"""Sums of a row of numbers in a binary tree: drawn in proportion, changed in place.

Node 1 is the sum of all, node n that of nodes 2 n and 2 n + 1, and the last half are
the numbers. A tree of C numbers has 2 P nodes, P the power of 2 from C on; a change and
a draw touch log2 P of them.
"""

import jax
import jax.numpy as jnp


def empty(capacity: int) -> jax.Array:
    """A tree of `capacity` zeros: [2 P]. Source: Schaul et al. 2016, B.2.1."""
    return jnp.zeros(2 << (max(capacity, 2) - 1).bit_length())


def size(tree: jax.Array) -> int:
    """P, for how many numbers there is room. Source: Schaul et al. 2016, B.2.1."""
    return tree.shape[0] // 2


def total(tree: jax.Array) -> jax.Array:
    """The sum of all, a scalar. Source: Schaul et al. 2016, B.2.1."""
    return tree[1]


def at(tree: jax.Array, place: jax.Array) -> jax.Array:
    """The numbers at these places: [B] -> [B]. Source: Schaul et al. 2016, B.2.1."""
    return tree[size(tree) + place]


def put(tree: jax.Array, place: jax.Array, value: jax.Array) -> jax.Array:
    """The tree with these numbers there: [B]; of those at one place the largest.

    Source: Schaul et al. 2016, B.2.1.
    """
    node = size(tree) + place
    # the order in which a device writes one place twice is not known
    tree = tree.at[node].set(0.0).at[node].max(value)

    def up(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        tree, node = carry
        node = node // 2
        return tree.at[node].set(tree[2 * node] + tree[2 * node + 1]), node

    return jax.lax.fori_loop(0, _depth(tree), up, (tree, node))[0]


def draw(tree: jax.Array, key: jax.Array, number: int) -> jax.Array:
    """B = `number` places, each as likely as the number there: [B] int32.

    Stratified: the total is cut into B equal parts, and one is drawn from each.
    Source: Schaul et al. 2016, B.2.1.
    """
    parts = jnp.arange(number, dtype=tree.dtype) + jax.random.uniform(key, (number,))
    rest, node = parts / number * total(tree), jnp.ones(number, jnp.int32)

    def down(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        rest, node = carry
        left = tree[2 * node]
        # what rounding leaves over does not lead to where nothing is
        right = (rest >= left) & (tree[2 * node + 1] > 0)
        rest = jnp.where(right, rest - left, rest)
        return rest, 2 * node + right.astype(jnp.int32)

    return jax.lax.fori_loop(0, _depth(tree), down, (rest, node))[1] - size(tree)


def _depth(tree: jax.Array) -> int:
    return size(tree).bit_length() - 1
