"""The store against a plain Python list of transitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from walks import SPEC, fill

from coadapt.data import replay


def read(store: replay.Store) -> list[tuple]:
    """All that the store still holds, oldest first."""
    index = jnp.arange(int(store.tail), int(store.count), dtype=jnp.int32)
    t = replay.gather(store, index)
    columns = (t.obs[:, 0], t.action[:, 0], t.reward, t.discount, t.last)
    rows = zip(*(np.asarray(c) for c in (*columns, t.next_obs[:, 0])), strict=True)
    return [
        (float(o), float(a), float(r), float(d), bool(z), float(n))
        for o, a, r, d, z, n in rows
    ]


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "time limit"])
@pytest.mark.parametrize(
    "lengths",
    [[3], [5, 4, 6], [1] * 30, [1, 7, 2] * 12, [60], [55] * 6],
    ids=["one", "three", "single steps", "mixed", "long", "wrapped"],
)
def test_holds_the_newest_transitions_with_their_true_successors(lengths, terminal):
    store, kept = fill(50, lengths, terminal)
    held = read(store)
    assert held == kept[-len(held) :]
    # 50 transitions fit, less those whose rows went to the ends of short episodes
    ends = sum(step[4] for step in kept[-50:])
    spare = replay.size(50).rows - 50
    assert len(held) >= min(len(kept), 50) - max(ends - spare + 2, 0)
    if max(lengths) > 50:
        assert len(held) == 50


def test_current_is_what_to_act_on():
    store, kept = fill(50, [5, 4, 6])
    assert float(replay.current(store)[0]) == kept[-1][5] + 1


def test_each_observation_is_stored_once():
    capacity = 10_000
    store = replay.init(SPEC, replay.size(capacity), jnp.zeros(1))
    held = sum(x.nbytes for x in jax.tree.leaves(store))
    assert held == replay.size(capacity).nbytes(SPEC)
    # obs, action, reward, discount, row of 4 bytes, a flag of 1; 2% of rows for finals
    assert held <= capacity * (5 * 4 + 1 + 0.02 * 4) + 64


def test_a_sample_has_no_duplicates_and_covers_everything():
    store, kept = fill(50, [55] * 6)
    seen = set()
    for i in range(40):
        t = replay.sample(store, jax.random.key(i), 20)
        rewards = [float(r) for r in t.reward]
        assert len(set(rewards)) == 20
        seen |= set(rewards)
    # a transition is missed by one sample with 0.6, by all with 0.6^40 = 1e-9
    assert seen == {step[2] for step in kept[-50:]}


def test_a_sample_larger_than_the_store_repeats():
    store, _ = fill(50, [3])
    t = replay.sample(store, jax.random.key(0), 8)
    assert {float(r) for r in t.reward} == {0.0, 1.0, 2.0}
