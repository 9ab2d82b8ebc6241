"""Whole episodes in order, and minibatches of their steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from walks import SPEC, fill

from coadapt.data import episodes, replay
from coadapt.ops.shuffle import shuffle
from coadapt.types import Action, TimeStep


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
    batches = jax.jit(
        jax.vmap(
            lambda i: episodes.minibatch(
                jax.random.key(3), positions, jnp.int32(n), i, size
            )
        )
    )(steps)
    stream = np.asarray(batches).reshape(-1)
    passes = [stream[k * n : (k + 1) * n] for k in range(3)]
    for taken in passes:
        assert sorted(taken.tolist()) == [2 * i for i in range(n)]
    assert passes[0].tolist() != passes[1].tolist()
    # a minibatch over the end of a pass too: each entry is of its own pass's shuffle
    for k, taken in enumerate(passes):
        key, every = jax.random.fold_in(jax.random.key(3), k), jnp.arange(n)
        alone = jax.jit(shuffle)(key, every, jnp.int32(n))
        assert taken.tolist() == positions[alone].tolist()


# ---------------------------------------------------------------- the newest steps


def wander(rng: np.random.Generator, count: int, most: int) -> list[dict]:
    """Steps of episodes of 1 to `most` steps that terminate or meet a time limit."""
    steps: list[dict] = []
    number, episode = 0.0, 0
    while len(steps) < count:
        length, terminates = rng.integers(1, most + 1), rng.random() < 0.5
        for i in range(length):
            last = i == length - 1
            steps.append(
                {
                    "episode": episode,
                    "begins": i == 0,
                    "obs": number,
                    "next_obs": number + 1,
                    "last": last,
                    "discount": float(not (last and terminates)),
                }
            )
            number += 2 if last else 1
        episode += 1
    return steps[:count]


def kept_of(steps: list[dict], window: int, finished: bool, whole: bool) -> list[int]:
    """Numbers of the steps that count: the rule of `newest`, read plainly."""
    first = max(len(steps) - window, 0)
    kept = []
    for number in range(first, len(steps)):
        own = [
            i for i, s in enumerate(steps) if s["episode"] == steps[number]["episode"]
        ]
        ended = steps[own[-1]]["last"]
        if (finished or whole) and not ended:
            continue
        if whole and own[0] < first:
            continue
        kept.append(number)
    return kept


@jax.jit
def put(store: replay.Store, columns: dict) -> replay.Store:
    """All steps, one after the other. Columns [T]."""

    def step(store, each):
        number, after = each["number"], each["after"]
        action = Action(-number[None], None)
        made = TimeStep(
            obs=after[None],
            reward=number,
            discount=each["discount"],
            last=each["last"],
            next_obs=each["next_obs"][None],
        )
        return replay.add(store, action, made), None

    return jax.lax.scan(step, store, columns)[0]


# one window, for the shapes; runs that are shorter, as long, longer, and wrap twice
@pytest.mark.parametrize("most", [1, 4, 12], ids=["one step", "short", "long"])
@pytest.mark.parametrize("count", [5, 11, 12, 13, 20, 37])
@pytest.mark.parametrize("seed", range(3))
def test_newest_is_the_plain_rule(seed, count, most):
    """Windows that begin within an episode, at its start, and before the first step."""
    window, rng = 12, np.random.default_rng(1000 * seed + count)
    steps = wander(rng, count, most)
    begin = replay.init(SPEC, replay.size(window + 1, shortest=1), jnp.zeros(1))
    following = [s["obs"] for s in steps[1:]] + [steps[-1]["next_obs"]]
    columns = {"number": np.arange(count), "after": following}
    columns |= {k: [s[k] for s in steps] for k in ("discount", "next_obs")}
    columns = {k: np.asarray(v, np.float32) for k, v in columns.items()}
    store = put(begin, columns | {"last": np.array([s["last"] for s in steps])})
    for finished, whole in ((False, False), (True, False), (False, True), (True, True)):
        found = episodes.newest(store, window, finished=finished, whole=whole)
        assert found.seen.shape == (window + 1,)
        seen = np.asarray(found.seen)
        expected = kept_of(steps, window, finished, whole)
        assert np.asarray(found.index)[seen].tolist() == expected
        assert np.asarray(found.reward)[seen].tolist() == expected
        assert (-np.asarray(found.action)[seen, 0]).tolist() == expected
        for key in ("last", "discount"):
            held = np.asarray(getattr(found, key))[seen].tolist()
            assert held == [steps[i][key] for i in expected]
        rows = np.asarray(store.obs)[:, 0]
        for key, where in (("obs", found.row), ("next_obs", found.next_row)):
            held = rows[np.asarray(where)[seen]].tolist()
            assert held == [steps[i][key] for i in expected]
        assert not seen[0]  # the one before; it bounds the episode that follows it:
        bound = count <= window or steps[count - window - 1]["last"]
        assert bool(found.last[0]) == bound
