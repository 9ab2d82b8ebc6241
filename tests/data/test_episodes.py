"""Whole episodes in order, and minibatches of their steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from walks import fill

from coadapt.data import episodes


def visible(lengths: list[int], capacity: int) -> list[float]:
    """Step numbers that a plain reading of the rule leaves visible."""
    end, first = sum(lengths), sum(lengths)
    for length in reversed(lengths):
        if end - (first - length) > capacity:
            break
        first -= length
    return [float(i) for i in range(first, end)]


@pytest.mark.parametrize(
    ("lengths", "open_steps"),
    [([4, 5], 0), ([4, 5], 3), ([9, 9, 9], 0), ([9, 9, 9, 9, 9], 2), ([7] * 9, 6)],
    ids=["all", "one open", "evicted", "evicted and open", "many"],
)
def test_view_shows_finished_episodes_that_fit(lengths, open_steps):
    capacity, longest = 25, 9
    size = episodes.capacity_of_store(capacity, longest)
    take = sum(lengths) + open_steps
    store, _ = fill(size, [*lengths, 50], take=take)
    kept = episodes.view(store, capacity)
    rewards = [float(r) for r in kept.reward[kept.seen]]
    assert rewards == visible(lengths, capacity)
    assert [float(r) for r in kept.reward[kept.seen & kept.last]] == [
        float(e - 1) for e in np.cumsum(lengths) if e - 1 in rewards
    ]


def test_rows_lead_to_the_observations():
    store, kept = fill(34, [9, 9, 7])
    seen = episodes.view(store, 25)
    obs = np.asarray(store.obs)[np.asarray(seen.row)[np.asarray(seen.seen)], 0]
    after = np.asarray(store.obs)[np.asarray(seen.next_row)[np.asarray(seen.seen)], 0]
    assert obs.tolist() == [step[0] for step in kept]
    assert after.tolist() == [step[5] for step in kept]


@pytest.mark.parametrize(("n", "size"), [(7, 3), (10, 10), (300, 256), (1000, 64)])
def test_each_pass_takes_every_entry_once(n, size):
    """C18: minibatches are consecutive cuts of shuffled passes over the whole data."""
    positions = jnp.arange(n + 5, dtype=jnp.int32) * 2  # five entries do not count
    steps = jnp.arange(3 * n // size + 1, dtype=jnp.int32)
    batches = jax.vmap(
        lambda i: episodes.minibatch(
            jax.random.key(3), positions, jnp.int32(n), i, size
        )
    )(steps)
    stream = np.asarray(batches).reshape(-1)
    passes = [stream[k * n : (k + 1) * n] for k in range(3)]
    for taken in passes:
        assert sorted(taken.tolist()) == [2 * i for i in range(n)]
    assert passes[0].tolist() != passes[1].tolist()
