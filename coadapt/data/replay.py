"""A ring of transitions that stores each observation once.

Observations stand in a ring of rows in the order in which they were seen; where an
episode ends, its final observation takes a row of its own before the next episode's
first. Transition t keeps the row of its obs, and its true successor is the row after.
Insertion and sampling touch O(1) and O(B) rows and are in place where the store is
donated. Observations and actions may be kept in half the bits; what is read is float32
again. Every function is for one agent.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.sampling import Held, UniformSampling
from coadapt.types import Action, EnvSpec, TimeStep, Transition


class Store(NamedTuple):
    """Capacity C transitions over R > C rows of observations."""

    obs: jax.Array  # [R, O], of the precision that the size says
    action: jax.Array  # [C, A], likewise
    reward: jax.Array  # [C]
    discount: jax.Array  # [C]
    last: jax.Array  # [C] bool
    row: jax.Array  # [C] int32, the row of obs, counted without wrapping
    head: jax.Array  # int32 scalar, the row of the observation to act on, likewise
    count: jax.Array  # int32 scalar, transitions ever added
    tail: jax.Array  # int32 scalar, the oldest transition whose rows are whole
    log_prob: jax.Array | None = None  # [C], where it is kept


class Size(NamedTuple):
    """How much a store holds."""

    capacity: int  # C, transitions
    rows: int  # R, observations
    log_prob: bool = False  # whether those of actions are kept
    precision: str = "float32"  # of observations and actions

    def nbytes(self, spec: EnvSpec) -> int:
        """Bytes of one agent's store."""
        numbers = self.rows * spec.obs_size + self.capacity * spec.action_size
        words = self.capacity * (3 + self.log_prob)
        each = jnp.dtype(self.precision).itemsize
        return each * numbers + 4 * words + self.capacity + 12


def size(
    capacity: int,
    *,
    shortest: int = 50,
    log_prob: bool = False,
    precision: str = "float32",
) -> Size:
    """Room for C transitions, the newest observation, and the finals of episodes.

    Episodes of `shortest` steps and more fit; of shorter ones, fewer are kept.
    """
    return Size(capacity, capacity + capacity // shortest + 3, log_prob, precision)


def init(spec: EnvSpec, size: Size, obs: jax.Array) -> Store:
    """An empty store, whose first transition starts at obs [O]."""
    capacity, kept = size.capacity, jnp.dtype(size.precision)
    rows = jnp.zeros((size.rows, spec.obs_size), kept)
    return Store(
        obs=rows.at[0].set(jnp.asarray(obs, kept)),
        action=jnp.zeros((capacity, spec.action_size), kept),
        reward=jnp.zeros(capacity),
        discount=jnp.zeros(capacity),
        last=jnp.zeros(capacity, bool),
        row=jnp.zeros(capacity, jnp.int32),
        head=jnp.zeros((), jnp.int32),
        count=jnp.zeros((), jnp.int32),
        tail=jnp.zeros((), jnp.int32),
        log_prob=jnp.zeros(capacity) if size.log_prob else None,
    )


def add(
    store: Store,
    chosen: Action,
    step: TimeStep,
    really: jax.typing.ArrayLike = True,
) -> Store:
    """Append the transition that starts at the current observation; `really`, or not.

    Both successors are always written, the true one and the first of a new episode:
    where the episode goes on, the second is overwritten by the step after.
    """
    capacity, room = store.reward.shape[0], store.obs.shape[0]
    # out of bounds, nothing is written
    slot = jnp.where(really, store.count % capacity, capacity)
    final = jnp.where(really, (store.head + 1) % room, room)
    fresh = jnp.where(really, (store.head + 2) % room, room)
    takes = 1 + jnp.asarray(step.last).astype(jnp.int32)
    head = store.head + jnp.where(really, takes, 0)
    kept = store.obs.dtype
    obs = store.obs.at[final].set(jnp.asarray(step.next_obs, kept))
    first = jnp.asarray(step.obs, kept)
    obs = obs.at[fresh].set(jnp.where(step.last, first, obs[fresh]))
    row = store.row.at[slot].set(store.head)
    count = store.count + jnp.asarray(really).astype(jnp.int32)
    tail = _unspoilt(store.tail, row, head, count, room)
    log_prob = store.log_prob
    if log_prob is not None:
        log_prob = log_prob.at[slot].set(chosen.log_prob)
    return Store(
        obs=obs,
        action=store.action.at[slot].set(jnp.asarray(chosen.action, kept)),
        reward=store.reward.at[slot].set(step.reward),
        discount=store.discount.at[slot].set(step.discount),
        last=store.last.at[slot].set(step.last),
        row=row,
        head=head,
        count=count,
        tail=tail,
        log_prob=log_prob,
    )


def _unspoilt(
    tail: jax.Array, row: jax.Array, head: jax.Array, count: jax.Array, room: int
) -> jax.Array:
    """The oldest transition whose rows are whole, after a step."""
    capacity = row.shape[0]
    tail = jnp.maximum(tail, count - capacity)
    for _ in range(2):  # a step takes at most two rows, so it spoils at most two
        spoilt = (head - row[tail % capacity] >= room) & (tail < count - 1)
        tail = tail + spoilt.astype(jnp.int32)
    return tail


def cut(store: Store, obs: jax.Array) -> Store:
    """End the running episode as a time limit does; a new one begins at obs [O]."""
    capacity, room = store.reward.shape[0], store.obs.shape[0]
    slot = (store.count - 1) % capacity
    runs = (store.count > 0) & ~store.last[slot]
    head = store.head + runs.astype(jnp.int32)
    return store._replace(
        obs=store.obs.at[head % room].set(jnp.asarray(obs, store.obs.dtype)),
        last=store.last.at[slot].set(store.last[slot] | runs),
        head=head,
        tail=_unspoilt(store.tail, store.row, head, store.count, room),
    )


def resized(store: Store, size: Size) -> Store:
    """The store, on the host, as one that had this size from the start.

    With room for more, it holds every transition that it has; with less, the newest.
    """
    old_capacity, old_room = store.reward.shape[0], store.obs.shape[0]
    count, head = int(store.count), int(store.head)
    index = np.arange(max(count - min(old_capacity, size.capacity), 0), count)
    number = np.arange(max(head - min(old_room, size.rows) + 1, 0), head + 1)
    whole = index[head - store.row[index % old_capacity] < size.rows]
    tail = max(int(store.tail), min(whole, default=0))

    def moved(old: np.ndarray, length: int, held: np.ndarray) -> np.ndarray:
        new = np.zeros((length, *old.shape[1:]), old.dtype)
        new[held % length] = old[held % old.shape[0]]
        return new

    def each(name: str) -> Any:
        old = getattr(store, name)
        if old is None or np.ndim(old) == 0:
            return old
        if name == "obs":
            return moved(old, size.rows, number)
        return moved(old, size.capacity, index)

    new = Store(*(each(name) for name in Store._fields))
    return new._replace(tail=np.asarray(tail, np.int32))


def gather(store: Store, index: jax.Array) -> Transition:
    """Transitions by number, counted since the start: [...] -> leaves [..., ...]."""
    slot = index % store.reward.shape[0]
    row = store.row[slot]
    room = store.obs.shape[0]
    return Transition(
        obs=_read(store.obs, row % room),
        action=_read(store.action, slot),
        reward=store.reward[slot],
        discount=store.discount[slot],
        last=store.last[slot],
        next_obs=_read(store.obs, (row + 1) % room),
    )


def _read(rows: jax.Array, index: jax.Array) -> jax.Array:
    return rows[index].astype(jnp.float32)


def held(store: Store, steps: int = 1) -> Held:
    """The transitions that so many steps follow, their own among them."""
    return Held(store.tail, jnp.maximum(store.count - store.tail - (steps - 1), 1))


def sample(store: Store, key: jax.Array, size: int) -> Transition:
    """`size` transitions, uniform, none twice (unless there are fewer)."""
    return gather(store, UniformSampling().draw(None, key, size, held(store), 0).index)


def sequences(
    store: Store, index: jax.Array, steps: int
) -> tuple[Transition, jax.Array | None]:
    """Runs of steps that were made one after the other, and their log mu(a|s).

    A run may go over the end of an episode.

    Args:
        index: [B], the numbers of their first steps.

    Returns:
        leaves [L, B, ...], and [L, B]; None of a store that does not keep it.
    """
    index = index[None] + jnp.arange(steps, dtype=jnp.int32)[:, None]
    found, slot = gather(store, index), index % store.reward.shape[0]
    # of a data set that was cut, what comes next may not follow
    apart = jnp.diff(store.row[slot], axis=0) != 1
    found = found._replace(last=found.last.at[:-1].set(found.last[:-1] | apart))
    return found, None if store.log_prob is None else store.log_prob[slot]


def begun_with(store: Store, first: Store) -> Store:
    """An empty store of one agent, with all of `first` as its oldest transitions.

    The observation to act on stays; the last episode of `first` does not go on.
    """
    number, rows = first.reward.shape[0], first.obs.shape[0]
    obs, kept = store.obs[0], store.obs.dtype
    stored = store.obs.at[:rows].set(first.obs.astype(kept)).at[rows].set(obs)

    def beginning(name: str) -> jax.Array:
        old = getattr(store, name)
        return old.at[:number].set(getattr(first, name).astype(old.dtype))

    columns = ("action", "reward", "discount", "last", "row")
    return store._replace(
        **{name: beginning(name) for name in columns} | {"obs": stored},
        head=jnp.int32(rows),
        count=jnp.int32(number),
    )._replace(last=beginning("last").at[number - 1].set(True))


def current(store: Store) -> jax.Array:
    """The observation to act on. [O]."""
    return _read(store.obs, store.head % store.obs.shape[0])
