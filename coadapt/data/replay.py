"""A ring of transitions that stores each observation once.

Observations stand in a ring of rows in the order in which they were seen; where an
episode ends, its final observation takes a row of its own before the next episode's
first. Transition t keeps the row of its obs, and its true successor is the row after.
Insertion and sampling touch O(1) and O(B) rows and are in place where the store is
donated. Observations and actions may be kept in half the bits; what is read is float32
again. Every function is for one agent. Where it has several environments, each has a
ring of its own, of equal capacity: arrays [E, ...], which are read as one.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.sampling import Came, Held, UniformSampling
from coadapt.types import Action, EnvSpec, TimeStep, Transition

P = ParamSpec("P")
T = TypeVar("T")


class Store(NamedTuple):
    """Capacity C transitions over R > C rows of observations.

    Of an agent with several environments, all arrays are [E, ...].
    """

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
    """How much a store holds: of each environment, C transitions."""

    capacity: int  # C, transitions
    rows: int  # R, observations
    log_prob: bool = False  # whether those of actions are kept
    precision: str = "float32"  # of observations and actions
    envs: int = 1  # E

    def nbytes(self, spec: EnvSpec) -> int:
        """Bytes of one agent's store."""
        numbers = self.rows * spec.obs_size + self.capacity * spec.action_size
        words = self.capacity * (3 + self.log_prob)
        each = jnp.dtype(self.precision).itemsize
        return self.envs * (each * numbers + 4 * words + self.capacity + 12)


def size(
    capacity: int,
    *,
    shortest: int = 50,
    log_prob: bool = False,
    precision: str = "float32",
    envs: int = 1,
) -> Size:
    """Room for C transitions, the newest observation, and the finals of episodes.

    Episodes of `shortest` steps and more fit; of shorter ones, fewer are kept.
    """
    rows = capacity + capacity // shortest + 3
    return Size(capacity, rows, log_prob, precision, envs)


# ---------------------------------------------------------------- several environments


def envs_of(store: Store) -> int:
    """0 where the agent has one environment, and the arrays no axis of it; else E."""
    return store.count.shape[0] if jnp.ndim(store.count) else 0


def of_each(
    function: Callable[Concatenate[Store, P], T],
) -> Callable[Concatenate[Store, P], T]:
    """A function of one environment's store, over all those of an agent."""

    @wraps(function)
    def mapped(store: Store, *args: P.args, **constants: P.kwargs) -> T:
        one = partial(function, **constants)
        return (jax.vmap(one) if envs_of(store) else one)(store, *args)

    return mapped


def rows(store: Store) -> jax.Array:
    """The observations of all environments, one after the other: [E R, O]."""
    return store.obs.reshape(-1, store.obs.shape[-1])


# ---------------------------------------------------------------- writing


def init(spec: EnvSpec, size: Size, obs: jax.Array) -> Store:
    """An empty store, whose first transition starts at obs [O]; of several [E, O]."""
    begin = partial(_init, spec, size)
    return begin(obs) if size.envs == 1 else jax.vmap(begin)(obs)


def _init(spec: EnvSpec, size: Size, obs: jax.Array) -> Store:
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
    """Append the transition that starts at the current observation, if `really`.

    Of several environments, one of each: `chosen` and `step` [E, ...].
    """
    return of_each(_add)(store, chosen, step, really=really)


def _add(
    store: Store, chosen: Action, step: TimeStep, *, really: jax.typing.ArrayLike
) -> Store:
    """Both successors are always written, the true one and the first of a new episode:
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


@of_each
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
    if not envs_of(store):
        return _resized(store, size)
    each = [
        _resized(jax.tree.map(lambda x, e=e: x[e], store), size)
        for e in range(envs_of(store))
    ]
    return jax.tree.map(lambda *x: np.stack(x), *each)


def _resized(store: Store, size: Size) -> Store:
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


# ---------------------------------------------------------------- reading


def places(store: Store, env: jax.Array, number: jax.Array) -> jax.Array:
    """What `gather` takes for transitions of these environments, by number.

    Of one environment it is the number itself, counted since the start; of several,
    the slot in the rings of all, one after the other.
    """
    capacity = store.reward.shape[-1]
    return env * capacity + number % capacity if envs_of(store) else number


def gather(store: Store, index: jax.Array) -> Transition:
    """Transitions at `places`: [...] -> leaves [..., ...]."""
    capacity, room = store.reward.shape[-1], store.obs.shape[-2]
    slot = index % store.reward.size
    begin = slot // capacity * room if envs_of(store) else 0  # of its ring's rows
    row, obs = store.row.reshape(-1)[slot], rows(store)
    return Transition(
        obs=_read(obs, begin + row % room),
        action=_read(store.action.reshape(-1, store.action.shape[-1]), slot),
        reward=store.reward.reshape(-1)[slot],
        discount=store.discount.reshape(-1)[slot],
        last=store.last.reshape(-1)[slot],
        next_obs=_read(obs, begin + (row + 1) % room),
    )


def _read(rows: jax.Array, index: jax.Array) -> jax.Array:
    return rows[index].astype(jnp.float32)


_LEAVE = 5  # transitions that an env step may push out: 3, and 2 by a cut before it


def came(store: Store, before: Store) -> Came:
    """The transitions that an env step added and pushed out, by number in time."""
    each, number = max(envs_of(store), 1), jnp.atleast_1d(before.count)
    env = jnp.arange(each, dtype=jnp.int32)
    below = jnp.arange(1, _LEAVE + 1, dtype=jnp.int32)[:, None]
    gone = jnp.atleast_1d(store.tail)[None] - below  # [G, E]
    gone = jnp.where(gone >= 0, gone * each + env[None], -1)
    return Came(number * each + env, gone.reshape(-1))


def held(store: Store, steps: int = 1, *, in_order: bool = False) -> Held:
    """The transitions from which on so many steps in a row are held.

    Of one environment they have their numbers since the start. Of several, either all
    that are held, those of the first before those of the second, and so on; or
    `in_order` of time, those that all environments hold.
    """
    free, each = _free(store, steps), envs_of(store)
    if not each:
        return Held(store.tail, jnp.maximum(free, 1), store.tail, store.count)
    if in_order:
        tail, ends = jnp.max(store.tail), jnp.max(store.count)
        number = jnp.min(free) * each
        return Held(
            tail * each, jnp.maximum(number, 1), jnp.min(store.tail) * each, ends * each
        )
    start = jnp.zeros((), jnp.int32)
    number = jnp.maximum(jnp.sum(jnp.maximum(free, 0), dtype=jnp.int32), 1)
    return Held(start, number, start, number)


def _free(store: Store, steps: int) -> jax.Array:
    return store.count - store.tail - (steps - 1)


def located(
    store: Store, index: jax.Array, steps: int, *, in_order: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Environments, and numbers since their start, of indices [B] of `held`."""
    number = envs_of(store)
    if not number:
        return jnp.zeros_like(index), index
    if in_order:
        env = index % number
        return env, jnp.maximum(index // number, store.tail[env])
    each = jnp.maximum(_free(store, steps), 0)  # [E]
    ends = jnp.cumsum(each, dtype=jnp.int32)
    env = jnp.searchsorted(ends, index, side="right").astype(jnp.int32)
    env = jnp.minimum(env, ends.size - 1)  # where nothing is held
    return env, store.tail[env] + index - (ends - each)[env]


def sample(store: Store, key: jax.Array, size: int) -> Transition:
    """`size` transitions, uniform, none twice (unless there are fewer)."""
    return drawn(store, UniformSampling().draw(None, key, size, held(store), 0).index)


def drawn(store: Store, index: jax.Array, *, in_order: bool = False) -> Transition:
    """The transitions that a sampling drew of `held`: [B] -> leaves [B, ...]."""
    found = located(store, index, 1, in_order=in_order)
    return gather(store, places(store, *found))


def sequences(
    store: Store, index: jax.Array, steps: int, *, in_order: bool = False
) -> tuple[Transition, jax.Array | None]:
    """Runs of steps that were made one after the other, and their log mu(a|s).

    A run may go over the end of an episode.

    Args:
        index: [B], of `held`, where their first steps are.

    Returns:
        leaves [L, B, ...], and [L, B]; None of a store that does not keep it.
    """
    later = jnp.arange(steps, dtype=jnp.int32)[:, None]
    env, number = located(store, index, steps, in_order=in_order)
    index = places(store, env[None], number[None] + later)
    found, slot = gather(store, index), index % store.reward.size
    # of a data set that was cut, what comes next may not follow
    apart = jnp.diff(store.row.reshape(-1)[slot], axis=0) != 1
    found = found._replace(last=found.last.at[:-1].set(found.last[:-1] | apart))
    log_prob = store.log_prob
    return found, None if log_prob is None else log_prob.reshape(-1)[slot]


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


@of_each
def current(store: Store) -> jax.Array:
    """The observation to act on. [O], or [E, O]."""
    return _read(store.obs, store.head % store.obs.shape[0])
