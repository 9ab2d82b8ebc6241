"""What rewards become before critics learn from them; returns are measured without.

The interface is `Rewards`; the classes below it are final. What is counted of rewards
is in `AgentState.rewards`.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from coadapt.ops import moments
from coadapt.ops.moments import Moments
from coadapt.schema import NonNegative, Positive, config
from coadapt.types import Rows, TimeStep, Tree


class Rewards(Protocol):
    """What is counted at each env step, and how rewards are stored and read."""

    @property
    def counts(self) -> bool:
        """Whether it has to see each env step."""
        return False

    @property
    def on_arrival(self) -> bool:
        """Whether rewards are stored as they were scaled when they came."""
        return False

    def init(self, envs: int) -> Tree:
        """What is counted of an agent's environments, before the first env step."""
        return None

    def counted(
        self, kept: Tree, step: TimeStep, discount: jax.Array, really: jax.Array
    ) -> Tree:
        """After an env step, of scalars, or of several environments [E]; `really`, or
        as it was.

        Args:
            discount: gamma, scalar.
        """
        return kept

    def stored(self, kept: Tree, reward: Rows) -> Rows:
        """The newest rewards as they are stored: scalar, or [E]."""
        return reward

    def read(self, kept: Tree, reward: jax.Array) -> jax.Array:
        """Stored rewards as an update reads them: [...]."""
        return reward


class Returns(NamedTuple):
    """Of the discounted sum of rewards until now, as episodes go.

    Each environment has a sum of its own; what is known of sums is of all of them.
    """

    total: jax.Array  # scalar, or [E], the sum as it is now
    moments: Moments  # of all sums, [1]
    largest: jax.Array  # scalar, the largest magnitude of a sum


def _empty(envs: int) -> Returns:
    """Moments of 1e-4 numbers of mean 0 and variance 1, as Gymnasium's start."""
    start = Moments(jnp.full((), 1e-4), jnp.zeros(1), jnp.ones(1))
    total = jnp.zeros(() if envs == 1 else envs)
    return Returns(total, start, jnp.zeros(()))


def _after(kept: Returns, total: jax.Array, really: jax.Array) -> Returns:
    sums = total.reshape(-1, 1)
    where = jnp.broadcast_to(really, sums.shape[:1])
    known = moments.merge(kept.moments, sums, where)
    largest = jnp.maximum(kept.largest, jnp.max(jnp.abs(total)))
    new = Returns(total, known, largest)
    return jax.tree.map(lambda new, old: jnp.where(really, new, old), new, kept)


@config
class ClipReward(Rewards):
    """Rewards clipped to [-limit, limit]: Mnih et al. 2015."""

    limit: Positive = 1.0  # largest magnitude of a reward

    def read(self, kept: Tree, reward: jax.Array) -> jax.Array:
        return jnp.clip(reward, -self.limit, self.limit)


@config
class ScaleReward(Rewards):
    """Over the standard deviation of discounted sums, on arrival: Gymnasium's
    NormalizeReward.

    A sum goes on over a time limit; a termination ends it before its own reward.
    """

    epsilon: NonNegative = 1e-8  # added to the variance
    # largest magnitude of what is stored; none: no clip. Huang et al. 2022 (PPO), of
    # continuous actions: 10
    limit: Positive | None = None

    @property
    def counts(self) -> bool:
        return True

    @property
    def on_arrival(self) -> bool:
        return True

    def init(self, envs: int) -> Returns:
        return _empty(envs)

    def counted(
        self, kept: Returns, step: TimeStep, discount: jax.Array, really: jax.Array
    ) -> Returns:
        total = kept.total * discount * step.discount + step.reward
        return _after(kept, total, really)

    def stored(self, kept: Returns, reward: Rows) -> Rows:
        scaled = reward / jnp.sqrt(kept.moments.var[0] + self.epsilon)
        if self.limit is None:
            return scaled
        return jnp.clip(scaled, -self.limit, self.limit)


@config
class BoundReward(Rewards):
    """Over the standard deviation of discounted sums, or what makes the largest of them
    `most`, whichever is more, as it is when an update reads: Lee et al. 2025b.

    The end of an episode, be it a time limit, ends a sum before its own reward.
    """

    most: Positive | None = 5.0  # largest magnitude of a discounted sum; none: no bound
    epsilon: NonNegative = 1e-8  # added to the variance

    @property
    def counts(self) -> bool:
        return True

    def init(self, envs: int) -> Returns:
        return _empty(envs)

    def counted(
        self, kept: Returns, step: TimeStep, discount: jax.Array, really: jax.Array
    ) -> Returns:
        goes_on = 1.0 - jnp.asarray(step.last).astype(jnp.float32)
        return _after(kept, kept.total * discount * goes_on + step.reward, really)

    def read(self, kept: Returns, reward: jax.Array) -> jax.Array:
        scale = jnp.sqrt(kept.moments.var[0] + self.epsilon)
        if self.most is not None:
            scale = jnp.maximum(scale, kept.largest / self.most)
        return reward / scale


RewardRule = ClipReward | ScaleReward | BoundReward


def as_learned(rule: RewardRule | None, kept: Tree, reward: Rows) -> jax.Array:
    """Rewards [...] as critics would learn from them, if they came now."""
    if rule is None:
        return jnp.asarray(reward)
    return rule.read(kept, jnp.asarray(rule.stored(kept, reward)))
