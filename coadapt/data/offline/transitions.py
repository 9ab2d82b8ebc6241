"""Transitions and the store of them: how they end, what they returned."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.data import replay
from coadapt.types import Transition


class Summary(NamedTuple):
    """How good the policy was that made a data set: undiscounted returns."""

    transitions: int
    episodes: int  # those whose returns are counted
    mean: float
    std: float  # over episodes, the population's


def store(transitions: Transition) -> replay.Store:
    """A full store of exactly these transitions, in agent units: count C, tail 0.

    Each observation is stored once within an episode, as `replay.add` does; a
    successor that the next transition does not start at takes a row of its own, whether
    or not the episode ended there. `head` is the last successor's row: nothing acts.

    Args:
        transitions: leaves [C, ...], C at least 1.

    Returns:
        R = C + 1 + such successors rows.
    """
    obs, action, reward, discount, last, next_obs = map(np.asarray, transitions)
    count = len(reward)
    ends = ends_of(transitions)
    before = np.cumsum(ends) - ends  # rows that went to successors, up to each
    row = np.arange(count) + before
    rows = np.empty((row[-1] + 2, obs.shape[1]), np.float32)
    # where an episode goes on the second is the same number as the first
    rows[row + 1] = next_obs
    rows[row] = obs
    return replay.Store(
        obs=jnp.array(rows),
        action=jnp.array(action, jnp.float32),
        reward=jnp.array(reward, jnp.float32),
        discount=jnp.array(discount, jnp.float32),
        last=jnp.array(last, bool),
        row=jnp.array(row, jnp.int32),
        head=jnp.int32(row[-1] + 1),
        count=jnp.int32(count),
        tail=jnp.int32(0),
    )


def from_store(store: replay.Store) -> Transition:
    """All that the store of ONE agent holds, oldest first: numpy arrays [C, ...].

    Of several environments, all of one's before the next one's.
    """
    held: Any = jax.tree.map(np.asarray, store)
    ends = zip(np.atleast_1d(held.tail), np.atleast_1d(held.count), strict=True)
    index: Any = [
        replay.places(held, env, np.arange(tail, count, dtype=np.int32))  # type: ignore[arg-type]
        for env, (tail, count) in enumerate(ends)
    ]
    return replay.gather(held, np.concatenate(index))  # type: ignore[arg-type]


def describe(transitions: Transition) -> Summary:
    """Returns of the episodes that came to an end; of all that there is, if none did.

    One that begins within an episode, as the oldest of a ring may, cannot be told from
    a whole one, nor can one that a data set stored as truncated.

    Args:
        transitions: leaves [C, ...], in the order of time, C at least 1.
    """
    ends = np.flatnonzero(ends_of(transitions))
    starts = np.concatenate([[0], ends[:-1] + 1])
    returns = np.add.reduceat(np.asarray(transitions.reward, np.float64), starts)
    finished = np.asarray(transitions.last)[ends]
    kept = returns[finished] if finished.any() else returns
    return Summary(
        transitions=len(transitions.reward),
        episodes=len(kept),
        mean=float(kept.mean()),
        std=float(kept.std()),
    )


def on_host(columns: Iterable[Any]) -> Transition:
    """A Transition of numpy arrays, which its hints do not name."""
    return Transition(*columns)


def ends_of(transitions: Transition) -> np.ndarray:
    """Where the next transition does not start at this one's successor. [C] bool."""
    obs, next_obs = np.asarray(transitions.obs), np.asarray(transitions.next_obs)
    ends = np.array(transitions.last, bool)
    ends[:-1] |= (obs[1:] != next_obs[:-1]).any(axis=1)
    ends[-1:] = True
    return ends
