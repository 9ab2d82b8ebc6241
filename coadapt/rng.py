"""Random streams, each named by its agent's seed and its purpose.

Nothing here knows an agent's place in a batch or its variant, so an agent draws the
same numbers alone and among eighty, and variants of one seed start alike and meet the
same episodes (common random numbers).
"""

from enum import IntEnum

import jax
import numpy as np

_KIND = "threefry2x32"  # of the generator, whatever is JAX's default


def pin() -> None:
    """Settings of JAX that decide what is drawn: they are a part of every run."""
    jax.config.update("jax_threefry_partitionable", True)


class Purpose(IntEnum):
    """What a stream is for. Numbers are part of the results: never reuse one.

    They are below `_PURPOSES`.
    """

    INIT = 0
    ACT = 1
    LEARN = 2
    RESET = 3
    MEASURE = 4
    MASKS = 5
    RENEW = 6
    NOISE = 7


_PURPOSES = 256  # numbers that are kept for purposes


def stream(
    seed: jax.Array,
    purpose: Purpose,
    index: jax.typing.ArrayLike,
    environment: jax.typing.ArrayLike = 0,
) -> jax.Array:
    """The key number `index` of this seed's stream (an env step, an update, ...).

    Each environment of an agent has a stream of its own, which does not depend on how
    many there are.
    """
    word = int(purpose) + _PURPOSES * environment
    key = jax.random.fold_in(jax.random.key(seed, impl=_KIND), word)
    return jax.random.fold_in(key, index)


def host_seeds(seed: int, purpose: Purpose, index: int, count: int) -> list[int]:
    """Seeds of `count` environments on the host, for a (seed, purpose, index).

    The seed of each does not depend on how many there are.
    """
    words = np.random.SeedSequence([seed, int(purpose), index]).generate_state(count)
    return [int(word) for word in words]
