"""What several critics say together: a field of the estimates of action values.

The interface is `Ensemble`; the classes below it are final. One rule is for a target,
where critics are to be doubted, and one for the scores of actions, elsewhere.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.ops import distributions, ensemble
from coadapt.ops.distributions import Atoms
from coadapt.schema import Count, Range, config


class Ensemble(Ruled, Protocol):
    """How K critics are one. It is not asked where K is 1, but by `pool`."""

    # g_estimate.mix and g_estimate.minimum say more of it
    pessimistic: ClassVar[bool] = False
    pools: ClassVar[bool] = True  # distributions of returns too

    def symbol(self, critics: int) -> str:
        """What Table 1 adds to the estimate where a policy climbs K critics."""
        return ""

    def combine(self, values: jax.Array) -> jax.Array:
        """Of values that score actions: [K, ...] -> [...]."""
        ...

    def target(self, values: jax.Array, key: jax.Array) -> jax.Array:
        """Of values of next states, one random choice for all: [K, ...] -> [...]."""
        return self.combine(values)

    def pool(self, atoms: Atoms, key: jax.Array) -> Atoms:
        """As `target`, of distributions: [K, ..., n] -> [..., m]."""
        ...

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield from super().needs(config)
        if not self.pools and config.critic.head.distributional:
            yield Refusal(
                "g_estimate.ensemble",
                type(self).__name__,
                "it is not defined for distributions, which critic.head="
                f"{type(config.critic.head).__name__} has; use Mean, or "
                "critic.head=HLGauss",
            )

    def limits(self, config: Config) -> Iterator[Refusal]:
        yield from super().limits(config)
        estimate = config.g_estimate
        if estimate.critics == 1 and not self.pessimistic and not self.of_one:
            yield Refusal(
                "g_estimate.ensemble",
                type(self).__name__,
                "one critic is not an ensemble; use g_estimate.critics of 2 or more",
            )

    of_one: ClassVar[bool] = False  # it changes what a single critic says


@config
class Minimum(Ensemble):
    """The least, everywhere: clipped double Q with two. Fujimoto et al. 2018.

    Of distributions the one whose mean is least.
    """

    pessimistic: ClassVar[bool] = True

    def symbol(self, critics: int) -> str:
        return "TD3" if critics > 1 else ""

    def combine(self, values: jax.Array) -> jax.Array:
        return ensemble.minimum(values)

    def pool(self, atoms: Atoms, key: jax.Array) -> Atoms:
        least = jnp.argmin(distributions.mean(atoms), axis=0)
        return distributions.take(atoms, least)


@config
class SubsetMinimum(Ensemble):
    """In targets the least of some, drawn for each minibatch; else the mean of all.

    Source: Chen et al. 2021 (REDQ), Algorithm 1.
    """

    # M, the size of the subset; Chen et al. 2021
    size: Annotated[Count, Range(ge=1)] = 2

    def symbol(self, critics: int) -> str:
        return "REDQ"

    def limits(self, config: Config) -> Iterator[Refusal]:
        yield from super().limits(config)
        critics = config.g_estimate.critics
        if self.size > critics:
            reason = f"it must be at most g_estimate.critics, which is {critics}"
            yield Refusal("g_estimate.ensemble.size", self.size, reason)

    def _drawn(self, values: jax.Array, key: jax.Array) -> jax.Array:
        """Infinite but of the critics that are drawn: [K, ...] -> [K, ...]."""
        place = jax.random.permutation(key, values.shape[0])  # of each critic
        drawn = (place < self.size).reshape(-1, *(1,) * (values.ndim - 1))
        return jnp.where(drawn, values, jnp.inf)

    def combine(self, values: jax.Array) -> jax.Array:
        return jnp.mean(values, axis=0)

    def target(self, values: jax.Array, key: jax.Array) -> jax.Array:
        return ensemble.minimum(self._drawn(values, key))

    def pool(self, atoms: Atoms, key: jax.Array) -> Atoms:
        drawn = self._drawn(distributions.mean(atoms), key)
        return distributions.take(atoms, jnp.argmin(drawn, axis=0))


@config
class Mean(Ensemble):
    """The mean, everywhere. Of distributions the mixture of all."""

    def combine(self, values: jax.Array) -> jax.Array:
        return jnp.mean(values, axis=0)

    def pool(self, atoms: Atoms, key: jax.Array) -> Atoms:
        return distributions.mixture(atoms)


@config
class Median(Ensemble):
    """The median, everywhere; of an even number the mean of the two in the middle."""

    pools: ClassVar[bool] = False

    def combine(self, values: jax.Array) -> jax.Array:
        return jnp.median(values, axis=0)

    def pool(self, atoms: Atoms, key: jax.Array) -> Atoms:
        raise TypeError("distributions have no median")


@config
class Truncated(Ensemble):
    """In targets all quantiles of all critics without the largest; else the mean.

    Source: Kuznetsov et al. 2020 (TQC).
    """

    of_one: ClassVar[bool] = True

    # quantiles that are dropped per critic: of all K n, the K times this largest;
    # Kuznetsov et al. 2020
    drop: Annotated[Count, Range(ge=0)] = 2

    def symbol(self, critics: int) -> str:
        return "TQC"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "it drops the largest quantiles"
        yield Need("critic.head", lambda head: head.quantiles, reason)

    def limits(self, config: Config) -> Iterator[Refusal]:
        number = config.critic.head.outputs
        if self.drop >= number:
            reason = f"it must be below critic.head.number, which is {number}"
            yield Refusal("g_estimate.ensemble.drop", self.drop, reason)

    def combine(self, values: jax.Array) -> jax.Array:
        return jnp.mean(values, axis=0)

    def pool(self, atoms: Atoms, key: jax.Array) -> Atoms:
        number = atoms.shape[0]
        return distributions.truncate(distributions.mixture(atoms), number * self.drop)


Ensembles = Minimum | SubsetMinimum | Mean | Median | Truncated
