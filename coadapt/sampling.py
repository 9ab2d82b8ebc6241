"""Which stored transitions a minibatch has, and what an update writes about them.

The interface is `Sampling`; the classes below it are final. What they remember of the
data is in `AgentState.sampling`. Transitions are numbered since the start, those that
the environments of an agent made in one step in the order of the environments.
"""

from typing import Annotated, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from coadapt.ops import sum_tree
from coadapt.ops.shuffle import shuffle
from coadapt.schema import Count, Fraction, Positive, Range, Scalar, Size, config
from coadapt.types import Tree

Number = jax.typing.ArrayLike


class Held(NamedTuple):
    """Which transitions can be drawn: numbers from `tail` on, `count` of them."""

    tail: jax.Array  # int32 scalar
    count: jax.Array  # int32 scalar, at least 1
    oldest: jax.Array  # int32 scalar, from which on some environment holds its own
    came: jax.Array  # int32 scalar, ever added; the newest may not be drawn yet


class Came(NamedTuple):
    """The transitions that an env step added to a replay, and pushed out of it."""

    index: jax.Array  # [E] int32, added
    gone: jax.Array  # [G] int32, the newest that are held no more; below 0: none


class Drawn(NamedTuple):
    """A minibatch of B."""

    index: jax.Array  # [B] int32
    weight: jax.Array | None = None  # [B], of each in the critics' loss; none: 1


class Sampling(Protocol):
    """How minibatches are drawn."""

    @property
    def in_order(self) -> bool:
        """Whether it depends on the order in which transitions came."""
        return True

    @property
    def two_sources(self) -> bool:
        """Whether it tells the data set that a replay began with from what came."""
        return False

    def init(self, capacity: int) -> Tree:
        """What it remembers of so many transitions at most."""
        return None

    def began(self, kept: Tree, number: int) -> Tree:
        """After a replay began with so many transitions of a data set."""
        return kept

    def added(self, kept: Tree, came: Came, really: Number) -> Tree:
        """After an env step; as it was, unless `really`."""
        return kept

    def draw(
        self, kept: Tree, key: jax.Array, size: int, held: Held, updates: Number
    ) -> Drawn:
        """A minibatch, after so many updates."""
        ...

    def learned(self, kept: Tree, index: jax.Array, error: jax.Array) -> Tree:
        """After a step of the critics on these [B], whose errors had this magnitude."""
        return kept


def _uniform(key: jax.Array, size: int, tail: jax.Array, count: jax.Array) -> jax.Array:
    """Some of `count` numbers from `tail` on, none twice unless `count` < `size`."""
    return tail + shuffle(key, jnp.arange(size, dtype=jnp.int32) % count, count)


@config
class UniformSampling(Sampling):
    """Each transition is as likely as each other."""

    @property
    def in_order(self) -> bool:
        return False

    def draw(
        self, kept: Tree, key: jax.Array, size: int, held: Held, updates: Number
    ) -> Drawn:
        return Drawn(_uniform(key, size, held.tail, held.count))


class Priorities(NamedTuple):
    """That of transition i is at place i modulo the room of the tree, a power of 2.

    It is 0 of what is not held, so that nothing else is drawn.
    """

    tree: jax.Array  # of `sum_tree`
    largest: jax.Array  # scalar, the largest until now: what a new transition has


@config
class PrioritizedSampling(Sampling):
    """As likely as (|error| + epsilon)^alpha: Schaul et al. 2016, proportional.

    The error is the mean magnitude over the critics, when the transition was last
    learned from; a new one has the largest until then. Minibatches are stratified.
    Errors are weighted by (number * probability)^-beta over the largest of the
    minibatch, and beta rises to 1 in a line.
    """

    alpha: Fraction = 0.6  # exponent of the priorities; 0: uniform
    # initial exponent of the importance weights; 1: full correction
    beta: Fraction = 0.4
    length: Annotated[Count, Range(ge=1)] = 1_000_000  # updates until beta is 1
    epsilon: Positive = 1e-6  # added to the magnitude of an error

    def init(self, capacity: int) -> Priorities:
        return Priorities(sum_tree.empty(capacity), jnp.ones(()))

    def began(self, kept: Priorities, number: int) -> Priorities:
        places = jnp.arange(number, dtype=jnp.int32)
        value = jnp.full(number, kept.largest)
        return kept._replace(tree=sum_tree.put(kept.tree, places, value))

    def added(self, kept: Priorities, came: Came, really: Number) -> Priorities:
        room, newest = sum_tree.size(kept.tree), jnp.max(came.index)
        ends = (came.gone >= 0) & (came.gone + room > newest)  # else it has made room
        place = jnp.concatenate([came.index, came.gone]) % room
        value = jnp.concatenate([
            jnp.full(came.index.shape, kept.largest),
            jnp.where(ends, 0.0, sum_tree.at(kept.tree, came.gone % room)),
        ])  # fmt: skip
        value = jnp.where(really, value, sum_tree.at(kept.tree, place))
        return kept._replace(tree=sum_tree.put(kept.tree, place, value))

    def draw(
        self, kept: Priorities, key: jax.Array, size: int, held: Held, updates: Number
    ) -> Drawn:
        room, newest = sum_tree.size(kept.tree), held.came - 1
        place = sum_tree.draw(kept.tree, key, size)
        index = newest - (newest - place) % room
        # the newest may wait for steps that follow them
        index = jnp.clip(index, held.oldest, held.tail + held.count - 1)
        share = sum_tree.at(kept.tree, index % room) / sum_tree.total(kept.tree)
        share = jnp.maximum(share, jnp.finfo(share.dtype).tiny)
        passed = jnp.asarray(updates, jnp.float32) / jnp.asarray(
            self.length, jnp.float32
        )
        beta = self.beta + (1.0 - self.beta) * jnp.minimum(passed, 1.0)
        log = -beta * jnp.log(share)  # the number of transitions cancels
        return Drawn(index, jnp.exp(log - jnp.max(log)))

    def learned(
        self, kept: Priorities, index: jax.Array, error: jax.Array
    ) -> Priorities:
        value = jnp.power(error + self.epsilon, self.alpha)
        place = index % sum_tree.size(kept.tree)
        tree = sum_tree.put(kept.tree, place, value)
        return Priorities(tree, jnp.maximum(kept.largest, jnp.max(value)))


@config
class RecentSampling(Sampling):
    """Uniform among the newest, ever fewer of them: emphasising recent experience.

    Update k of each `period` draws from the newest max(N eta^(1000 k / period), fewest)
    of N. Source: Wang and Ross 2019, whose period is the episode that just ended.
    """

    # how fast old transitions are left out; 1: uniform
    eta: Annotated[Scalar, Range(gt=0, le=1)] = 0.996
    period: Size = 1000  # updates of one cycle
    fewest: Size = 5000  # fewest transitions to draw from

    def draw(
        self, kept: Tree, key: jax.Array, size: int, held: Held, updates: Number
    ) -> Drawn:
        k = jnp.asarray(updates) % self.period
        power = 1000.0 * k.astype(jnp.float32) / self.period
        few = held.count.astype(jnp.float32) * jnp.power(self.eta, power)
        few = jnp.maximum(few.astype(jnp.int32), self.fewest)
        few = jnp.minimum(few, held.count)
        return Drawn(_uniform(key, size, held.tail + held.count - few, few))


@config
class SymmetricSampling(Sampling):
    """Half of the data set that the replay began with, half of what came since.

    Source: Ball et al. 2023 (RLPD). Before anything came, all is of the data set.
    """

    @property
    def two_sources(self) -> bool:
        return True

    def init(self, capacity: int) -> jax.Array:
        return jnp.zeros((), jnp.int32)  # how many of the first are the data set's

    def began(self, kept: jax.Array, number: int) -> jax.Array:
        return jnp.full_like(kept, number)

    def draw(
        self, kept: jax.Array, key: jax.Array, size: int, held: Held, updates: Number
    ) -> Drawn:
        old, new = jax.random.split(key)
        given = jnp.maximum(kept, 1)
        came = held.tail + held.count - kept
        first = jnp.where(came > 0, kept, 0)
        half = size // 2
        of_set = _uniform(old, half, held.tail, given)
        since = _uniform(new, size - half, first, jnp.where(came > 0, came, given))
        return Drawn(jnp.concatenate([of_set, since]))


Samplings = UniformSampling | PrioritizedSampling | RecentSampling | SymmetricSampling
