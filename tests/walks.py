"""Episodes made of numbers, for tests of what is stored."""

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.data import replay
from coadapt.types import Action, EnvSpec, TimeStep

SPEC = EnvSpec(task="x", obs_size=1, action_size=1, max_steps=9, provider="")


def walk(lengths: list[int], terminal: bool):
    """Episodes whose observations are all different numbers: steps, and the start."""
    number, steps = 0.0, []
    for length in lengths:
        for i in range(length):
            last = i == length - 1
            true_next, number = number + 1, number + (2 if last else 1)
            steps.append((true_next, number, last, 0.0 if last and terminal else 1.0))
    return steps


add = jax.jit(replay.add, donate_argnums=0)


def fill(
    capacity: int,
    lengths: list[int],
    terminal: bool = True,
    take: int | None = None,
):
    """A store, and the rows (obs, action, reward, discount, last, next_obs) put in.

    Rewards count the steps. With `take`, only so many of the steps are put in.
    """
    store = replay.init(SPEC, replay.size(capacity), jnp.zeros(1))
    obs, kept = 0.0, []
    for i, (true_next, number, last, discount) in enumerate(
        walk(lengths, terminal)[:take]
    ):
        step = TimeStep(
            obs=np.float32([number]),
            reward=np.float32(i),
            discount=np.float32(discount),
            last=np.bool_(last),
            next_obs=np.float32([true_next]),
        )
        store = add(store, Action(np.float32([-i]), None), step)
        kept.append((obs, -float(i), float(i), discount, last, true_next))
        obs = number
    return store, kept
