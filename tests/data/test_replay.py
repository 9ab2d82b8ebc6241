"""The store against a plain Python list of transitions."""

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from walks import SPEC, fill, walk

from coadapt import algorithms, devices, envs, runner
from coadapt.data import replay
from coadapt.types import Action, TimeStep

add, cut = jax.jit(replay.add), jax.jit(replay.cut)
sample = jax.jit(replay.sample, static_argnums=2)


def on_host(store: replay.Store) -> replay.Store:
    """Where nothing is compiled for each number of transitions that are looked at."""
    return jax.tree.map(np.asarray, store)


def read(store: replay.Store) -> list[tuple]:
    """All that the store still holds, oldest first."""
    store = on_host(store)
    t = replay.gather(store, np.arange(store.tail, store.count, dtype=np.int32))
    columns = (t.obs[:, 0], t.action[:, 0], t.reward, t.discount, t.last)
    return list(zip(*(c.tolist() for c in (*columns, t.next_obs[:, 0])), strict=True))


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


@pytest.mark.parametrize("task", ["toy/bandit", "toy/lqr"])
def test_a_run_of_few_steps_keeps_all_that_a_longer_one_would(task):
    """Else one that is extended would have learned from other minibatches."""
    config, spec, steps = algorithms.preset("sac"), envs.spec(task), 240
    store = replay.init(
        spec, runner.store_size(config, spec, steps), obs := jnp.ones(spec.obs_size)
    )
    for number in range(1, steps + 1):
        last = jnp.bool_(number % spec.max_steps == 0)
        made = TimeStep(obs, jnp.float32(0.0), jnp.float32(1.0), last, obs)
        store = add(store, Action(jnp.zeros(1), None), made)
    assert (int(store.tail), int(store.count)) == (0, steps)


def test_current_is_what_to_act_on():
    store, kept = fill(50, [5, 4, 6])
    assert float(replay.current(store)[0]) == kept[-1][5] + 1


def require(precision):
    if not devices.converts(precision):
        pytest.skip(f"XLA cannot convert {precision} on this processor")


@pytest.mark.parametrize(
    ("precision", "each"), [("float32", 4), ("float16", 2), ("bfloat16", 2)]
)
def test_each_observation_is_stored_once(precision, each):
    require(precision)
    capacity = 10_000
    size = replay.size(capacity, precision=precision)
    store = replay.init(SPEC, size, jnp.zeros(1))
    held = sum(x.nbytes for x in jax.tree.leaves(store))
    assert held == size.nbytes(SPEC)
    # obs and action; reward, discount, row of 4 bytes, a flag of 1; 2% of rows for
    # finals
    assert held <= capacity * (2 * each + 3 * 4 + 1 + 0.02 * each) + 64


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_the_bits_round_observations_and_actions_alone(precision):
    """Read back as float32: each the nearest number of that precision."""
    require(precision)
    size, third = replay.size(50, precision=precision), jnp.full(1, 1 / 3)
    store = replay.init(SPEC, size, third)
    step = TimeStep(
        obs=2 * third,
        reward=third[0],
        discount=jnp.float32(1),
        last=jnp.bool(False),
        next_obs=2 * third,
    )
    store = replay.add(store, Action(3 * third / 7, None), step)
    found = replay.gather(store, jnp.int32(0))
    assert {x.dtype for x in found} == {jnp.dtype(jnp.float32), jnp.dtype(bool)}
    for kept, came in (
        (found.obs, third),
        (found.next_obs, 2 * third),
        (found.action, 3 * third / 7),
        (replay.current(store), 2 * third),
    ):
        nearest = np.asarray(came, jnp.dtype(precision)).astype(np.float32)
        np.testing.assert_array_equal(kept, nearest)
    assert found.reward == third[0]


def test_a_sample_has_no_duplicates_and_covers_everything():
    store, kept = fill(50, [55] * 6)
    seen = set()
    for i in range(40):
        t = sample(store, jax.random.key(i), 20)
        rewards = np.asarray(t.reward).tolist()
        assert len(set(rewards)) == 20
        seen |= set(rewards)
    # a transition is missed by one sample with 0.6, by all with 0.6^40 = 1e-9
    assert seen == {step[2] for step in kept[-50:]}


def test_a_sample_larger_than_the_store_repeats():
    store, _ = fill(50, [3])
    t = sample(store, jax.random.key(0), 8)
    assert set(np.asarray(t.reward).tolist()) == {0.0, 1.0, 2.0}


LENGTHS = {
    "empty": [],
    "one": [3],
    "three": [5, 4, 6],
    "single steps": [1] * 30,
    "mixed": [1, 7, 2] * 12,
    "wrapped": [55] * 6,
}
every_length = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


def a_step(last: bool, number: float = 500.0, discount: float = 1.0):
    """A transition whose numbers are of no other; then a new observation."""
    made = TimeStep(
        obs=np.float32([number + (2 if last else 1)]),
        reward=np.float32(number),
        discount=np.float32(discount),
        last=np.bool_(last),
        next_obs=np.float32([number + 1]),
    )
    return Action(np.float32([-number]), np.float32(number / 8)), made


def assert_same(one: replay.Store, other: replay.Store) -> None:
    for name, a, b in zip(replay.Store._fields, one, other, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


# ---------------------------------------------------------------- not really


@pytest.mark.parametrize("last", [False, True], ids=["goes on", "ends"])
@pytest.mark.parametrize("kept", [False, True], ids=["", "log_prob"])
@every_length
def test_what_is_not_really_added_changes_nothing(lengths, kept, last):
    """Not a number of any array, full or not, wherever the next rows would be."""
    store, _ = fill(50, lengths)
    if kept:
        store = store._replace(log_prob=jnp.arange(50, dtype=jnp.float32))
    for _ in range(7):  # so that full stores are at other places of their rings
        assert_same(add(store, *a_step(last), False), store)
        after = add(store, *a_step(last), True)
        assert int(after.count) == int(store.count) + 1  # the step would show
        assert_same(after, add(store, *a_step(last)))
        store = after


@pytest.mark.parametrize("last", [[False] * 4, [True] * 4, [True, False] * 2], ids=str)
@every_length
def test_of_several_agents_those_add_that_really_do(lengths, last):
    store, _ = fill(50, lengths)
    other, _ = fill(50, lengths[::-1], terminal=False)
    each = [store, other, other, store]
    stacked = jax.tree.map(lambda *x: np.stack(x), *each)
    steps = [a_step(end, 500.0 + 10 * i) for i, end in enumerate(last)]
    chosen, made = jax.tree.map(lambda *x: np.stack(x), *steps)
    really = np.array([True, False, True, False])
    got = jax.jit(jax.vmap(replay.add))(stacked, chosen, made, really)
    for i, (before, step) in enumerate(zip(each, steps, strict=True)):
        expected = add(before, *step) if really[i] else before
        assert_same(jax.tree.map(lambda x, i=i: np.asarray(x)[i], got), expected)


# ---------------------------------------------------------------- cut


class Model:
    """All transitions ever, where their observations stand, and which are left."""

    def __init__(self, size: replay.Size):
        self.size = size
        self.steps, self.rows = list[tuple](), list[int]()
        self.obs = self.number = 0.0
        self.head = self.tail = 0

    def new(self) -> float:
        self.number += 1
        return self.number

    def add(self, last: bool, discount: float) -> tuple[Action, TimeStep]:
        true_next = self.new()
        obs = self.new() if last else true_next
        i = float(len(self.steps))
        self.steps.append((self.obs, -i, i, discount, last, true_next))
        self.rows.append(self.head)
        self.obs, self.head = obs, self.head + 1 + last
        return Action(np.float32([-i]), None), TimeStep(
            obs=np.float32([obs]),
            reward=np.float32(i),
            discount=np.float32(discount),
            last=np.bool_(last),
            next_obs=np.float32([true_next]),
        )

    def cut(self) -> np.ndarray:
        if self.steps:
            *rest, last, true_next = self.steps[-1]
            self.steps[-1] = (*rest, True, true_next)
            self.head += not last
        self.obs = self.new()
        return np.float32([self.obs])

    def held(self) -> list[tuple]:
        """Those that the capacity and the rows are enough for, and the newest."""
        capacity, rows = self.size[:2]
        self.tail = max(self.tail, len(self.steps) - capacity)
        while self.tail < len(self.steps) - 1:
            if self.head - self.rows[self.tail] < rows:
                break
            self.tail += 1
        return self.steps[self.tail :]


def assert_holds(store: replay.Store, model: Model) -> None:
    store = on_host(store)
    assert read(store) == model.held()
    assert float(replay.current(store)[0]) == model.obs


@pytest.mark.parametrize("often", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("capacity", [1, 2, 7, 50])
def test_episodes_that_are_cut_are_held_as_those_that_end(capacity, often):
    """Steps, ends and cuts in a random order, also one after the other, and a list."""
    rng, size = random.Random(0), replay.size(capacity)
    store, model = replay.init(SPEC, size, jnp.zeros(1)), Model(size)
    cuts = 0
    for _ in range(4 * capacity + 100):
        if rng.random() < often:
            store, cuts = cut(store, model.cut()), cuts + 1
        else:
            last = rng.random() < 0.15
            discount = 0.0 if last and rng.random() < 0.5 else 1.0
            store = add(store, *model.add(last, discount))
        assert_holds(store, model)
    assert cuts and int(store.count) > capacity  # the ring was full


@pytest.mark.parametrize("capacity", [1, 5, 50])
@every_length
def test_to_cut_is_to_have_added_a_step_that_a_time_limit_ends(lengths, capacity):
    """To the bit, in all arrays: last, a discount of 1, and the true successor."""
    store, _ = fill(capacity, lengths)
    for _ in range(4):
        goes_on, ends = a_step(False), a_step(True)
        expected = add(store, *ends)
        assert_same(cut(add(store, *goes_on), ends[1].obs), expected)
        newest = read(expected)[-1]
        assert newest[3:] == (1.0, True, 501.0)
        store = add(add(store, *goes_on), *goes_on)  # and from other places


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "time limit"])
@every_length
def test_where_no_episode_runs_a_cut_replaces_the_current_observation(
    lengths, terminal
):
    store, kept = fill(50, lengths, terminal)  # all of their episodes have ended
    before = on_host(store)
    row = int(store.head) % store.obs.shape[0]
    assert before.obs[row, 0] == replay.current(store)[0] != 700.0
    for _ in range(2):  # and another one at once does no more
        store = cut(store, np.float32([700.0]))
        obs = before.obs.copy()
        obs[row] = 700.0
        assert_same(store, before._replace(obs=obs))
    held = read(store)
    assert held == kept[len(kept) - len(held) :]  # among them every final observation


def test_of_several_agents_those_are_cut_whose_episodes_run():
    ended, running = (fill(50, [5, 7], take=take)[0] for take in (5, 9))
    empty = replay.init(SPEC, replay.size(50), jnp.zeros(1))
    each = [running, ended, empty]
    obs = np.float32([[700.0], [701.0], [702.0]])
    got = jax.jit(jax.vmap(replay.cut))(
        jax.tree.map(lambda *x: np.stack(x), *each), obs
    )
    for i, store in enumerate(each):
        assert_same(
            jax.tree.map(lambda x, i=i: np.asarray(x)[i], got), cut(store, obs[i])
        )
    assert (got.head - np.stack([s.head for s in each])).tolist() == [1, 0, 0]


# ---------------------------------------------------------------- resized


@pytest.mark.parametrize("larger", [51, 53, 120, 1000])
@every_length
def test_a_larger_store_holds_every_transition(lengths, larger):
    for more in range(3):  # however the old ring was turned
        store = on_host(fill(50, [*lengths, *[2] * more])[0])
        new = replay.resized(store, replay.size(larger))
        assert new.reward.shape == (larger,)
        assert new.obs.shape[0] == replay.size(larger).rows
        assert [x.dtype for x in new[:9]] == [x.dtype for x in store[:9]]
        index = np.arange(int(store.tail), int(store.count))
        for mine, theirs in zip(
            replay.gather(new, index), replay.gather(store, index), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(replay.current(new), replay.current(store))
        assert read(new) == read(store)
        assert new[6:9] == store[6:9]  # head, count, tail


@pytest.mark.parametrize("kept", [False, True], ids=["", "log_prob"])
@pytest.mark.parametrize("lengths", [[], [3], [5, 4, 6], [20, 20, 9]], ids=str)
def test_a_resized_store_goes_on_as_one_that_was_large_from_the_start(lengths, kept):
    """To the bit, in all arrays, also when that one is full: nothing was dropped."""
    small, large = replay.size(50, log_prob=kept), replay.size(70, log_prob=kept)
    stores = [replay.init(SPEC, size, jnp.zeros(1)) for size in (small, large)]
    number = 0
    for _, _, last, _ in walk(lengths, True):
        number += 1
        step = a_step(last, 3.0 * number)
        stores = [add(store, *step) for store in stores]
    moved, whole = replay.resized(on_host(stores[0]), large), stores[1]
    assert_same(moved, whole)
    assert [x.dtype for x in jax.tree.leaves(moved)] == [
        x.dtype for x in jax.tree.leaves(whole)
    ]
    moved = jax.tree.map(jnp.asarray, moved)
    for i in range(100):
        number += 1
        step = a_step(i % 7 == 6, 3.0 * number)
        moved, whole = add(moved, *step), add(whole, *step)
        assert_same(moved, whole)
    assert int(whole.count) > 70  # it was full


@pytest.mark.parametrize("smaller", [3, 49])
@every_length
def test_a_smaller_store_is_one_that_was_small_from_the_start(lengths, smaller):
    """And so it goes on: also where short episodes took its rows."""
    sizes = [replay.size(n, log_prob=True) for n in (50, smaller)]
    stores = [replay.init(SPEC, size, jnp.zeros(1)) for size in sizes]
    steps = [*walk([2, 1] * 10, True), *walk(lengths[:20], True)]
    for i, (_, _, last, _) in enumerate(steps):
        stores = [add(store, *a_step(last, 3.0 * i)) for store in stores]
    moved, small = (
        replay.resized(on_host(stores[0]), sizes[1]),
        stores[1],
    )
    assert read(moved) == read(small)
    moved = jax.tree.map(jnp.asarray, moved)
    for i in range(smaller):
        step = a_step(i % 2 == 1, 5000.0 + 3.0 * i)
        moved, small = add(moved, *step), add(small, *step)
        assert moved[6:9] == small[6:9]  # head, count, tail
    assert read(moved) == read(small)


@every_length
def test_what_a_resized_store_had_stays_until_that_one_is_full(lengths):
    size = replay.size(50)
    store, model = replay.init(SPEC, size, jnp.zeros(1)), Model(size)
    for _, _, last, discount in walk(lengths, True):
        store = add(store, *model.add(last, discount))
        assert_holds(store, model)
    had, model.size = len(model.held()), replay.size(80)
    new = replay.resized(on_host(store), model.size)
    store, rng = jax.tree.map(jnp.asarray, new), random.Random(0)
    for i in range(150):
        ends = i >= 25 and rng.random() < 0.05
        store = add(store, *model.add(ends, 1.0))
        assert_holds(store, model)
        if i < 25:  # 50 that it had at most, on 54 rows, and these: all fit
            assert len(model.held()) == had + i + 1
