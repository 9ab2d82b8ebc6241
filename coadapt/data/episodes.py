"""The whole episodes of a store, in order, and minibatches of their steps."""

import jax
import jax.numpy as jnp

from coadapt.data import replay
from coadapt.data.replay import Store
from coadapt.ops.shuffle import Rounds, permute, rounds
from coadapt.types import Episodes


def capacity_of_store(capacity: int, max_steps: int) -> int:
    """Steps to hold so that `capacity` finished ones fit beside an open episode."""
    return capacity + max_steps


def view(store: Store, capacity: int) -> Episodes:
    """Finished episodes, the newest that fit into `capacity` steps, none in part.

    Of several environments, of each as many, one after the other.
    """
    return _in_a_row(store, replay.of_each(_view)(store, capacity=capacity))


def _view(store: Store, *, capacity: int) -> Episodes:
    size = store.reward.shape[0]
    oldest = jnp.maximum(store.tail, store.count - size)
    return _finished(_in_order(store, oldest, size), oldest, capacity)


def newest(store: Store, steps: int, *, finished: bool, whole: bool) -> Episodes:
    """The newest `steps` steps, which the store holds, and the one before them.

    `finished`: leave out the steps of an episode that still runs. `whole`: and those of
    one that began before. Else all count; the one before never does. Of several
    environments, of each as many, one after the other.
    """
    each = replay.of_each(_newest)
    found = each(store, steps=steps, finished=finished, whole=whole)
    return _in_a_row(store, found)


def _in_a_row(store: Store, steps: Episodes) -> Episodes:
    """The steps of several environments [E, C] as one row [E C].

    The last of each ends as a time limit does: what follows is another environment's.
    """
    envs, room = replay.envs_of(store), store.obs.shape[-2]
    if not envs:
        return steps
    env = jnp.arange(envs, dtype=jnp.int32)[:, None]
    steps = steps._replace(
        index=replay.places(store, env, steps.index),
        row=env * room + steps.row,
        next_row=env * room + steps.next_row,
        last=steps.last.at[:, -1].set(True),
    )
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)


def _newest(store: Store, *, steps: int, finished: bool, whole: bool) -> Episodes:
    oldest = store.count - steps - 1
    found = _in_order(store, oldest, steps + 1)
    # the step before bounds an episode if it ended one, or if nothing was before
    found = found._replace(last=found.last.at[0].set(found.last[0] | (oldest < 0)))
    seen = (jnp.arange(steps + 1) > 0) & (found.index >= 0)
    if whole:
        seen &= _finished(found, jnp.ones_like(oldest), steps + 1).seen
    elif finished:
        seen &= _finished(found, jnp.zeros_like(oldest), steps + 1).seen
    return found._replace(seen=seen)


def _in_order(store: Store, oldest: jax.Array, number: int) -> Episodes:
    """Steps from the transition numbered `oldest` on; `seen` marks those that exist."""
    size, room = store.reward.shape[0], store.obs.shape[0]
    index = oldest + jnp.arange(number, dtype=jnp.int32)
    slot = index % size
    there = (index >= 0) & (index < store.count)
    row = store.row[slot]
    return Episodes(
        index=index,
        row=row % room,
        next_row=(row + 1) % room,
        action=store.action[slot],
        reward=store.reward[slot],
        discount=store.discount[slot],
        last=store.last[slot] & there,
        seen=there,
    )


def _finished(steps: Episodes, oldest: jax.Array, capacity: int) -> Episodes:
    """Only the steps of whole episodes, the newest that fit into `capacity`.

    Args:
        oldest: 0 says that the first step is an episode's first.
    """
    last, position = steps.last, jnp.arange(steps.last.shape[0], dtype=jnp.int32)
    end = jnp.max(jnp.where(last, position, -1))  # of the newest finished episode
    # the step after the last end at or before the step in front: where an episode began
    began = jnp.where(jnp.roll(last, 1).at[0].set(False), position, 0)
    start = jax.lax.cummax(began)
    # what precedes the first end may have lost its beginning, unless it is the first
    whole = (start > 0) | (oldest == 0)
    seen = (position <= end) & whole & (end - start < capacity)
    return steps._replace(seen=seen)


def entries(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Positions where mask [C] holds, first in a [C] array, and their number."""
    positions = jnp.nonzero(mask, size=mask.shape[0], fill_value=0)[0]
    return positions.astype(jnp.int32), jnp.sum(mask).astype(jnp.int32)


def minibatch(
    key: jax.Array, positions: jax.Array, n: jax.Array, step: jax.Array, size: int
) -> jax.Array:
    """Minibatch number `step` of an endless row of shuffled passes over the data.

    Each pass takes every entry exactly once and is cut wherever a minibatch is full.
    Source: the authors' generator (settings 1.4).
    Of fewer entries than `size`, some are there more than once.

    Args:
        positions: [C], of which the first n >= 1 count.
        step: int32 scalar.
    Returns:
        [size] of positions.
    """
    total = step * size + jnp.arange(size, dtype=jnp.int32)
    passes, offset = total // n, total % n
    first = passes[0]
    # of each entry the permutation of its pass, which is one of two
    here, after = (rounds(jax.random.fold_in(key, first + i), n) for i in range(2))
    own = jax.tree.map(
        lambda a, b: jnp.where(passes == first, a[:, None], b[:, None]), here, after
    )
    # apart from the gather, beside which arithmetic is not vectorised on a CPU
    chosen = jax.lax.optimization_barrier(permute(Rounds(*own), offset, n))
    return positions[chosen]
