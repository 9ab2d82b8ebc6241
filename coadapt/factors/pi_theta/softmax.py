"""Discrete choices. Their log-probability is distrax's; what else they have is ours.

It normalises logits that it has normalised already: for a KL and an entropy that
doubles the time (8% of an update of PPO), and for samples, which are the same draws of
jax.random.categorical, it looks at each probability too (a third more).
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, NamedTuple

import distrax
import jax
import jax.numpy as jnp

from coadapt.factors.pi_theta.base import Distribution, log_probs
from coadapt.factors.rules import Combination, Config, Need, Refusal
from coadapt.schema import Range, config
from coadapt.types import Tree


class Categorical(NamedTuple):
    """Independent choices at each of B states: one of a discrete task, else A."""

    logits: jax.Array  # [B, choices, options]


@config
class Softmax(Distribution):
    """A discrete choice: of a discrete task, or of a bin in each action dimension."""

    continuous: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    has_entropy: ClassVar[bool] = True

    # None on a discrete task, whose actions are one-hot; else the number of values from
    # -1 to 1 that each dimension may take
    bins: Annotated[int, Range(ge=2)] | None = None

    @classmethod
    def at(cls, point: Combination) -> "Softmax":
        return cls(bins=11)

    @property
    def symbol(self) -> str:
        return "Softmax"

    @property
    def one_hot(self) -> bool:
        return self.bins is None

    @property
    def kind(self) -> str:
        return f"has {self.bins} bins"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_q.by_samples:
            yield Refusal(
                "pi_theta",
                type(self).__name__,
                "a discrete choice has no pathwise gradient; use "
                "pi_q.gradient=LikelihoodRatio, or weights (pi_q=NonParametric)",
            )

    def outputs(self, action_size: int) -> int:
        return action_size * (self.bins or 1)

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Categorical:
        """Head [B, ...] of the policy network -> logits."""
        return Categorical(
            head.reshape(*head.shape[:-1], -1, self.bins or head.shape[-1])
        )

    def log_prob(self, dist: Categorical, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; of a bin, its probability, not a density."""
        chosen = self._one_hot(action)
        return log_probs(
            distrax.Independent(distrax.OneHotCategorical(dist.logits), 1), chosen
        )

    def draw(self, dist: Categorical, key: jax.Array, samples: int) -> jax.Array:
        """Actions [M, B, A]."""
        shape = (samples, *dist.logits.shape[:-1])
        index = jax.random.categorical(key, dist.logits, shape=shape)
        return self._action(index, dist.logits.shape[-1])

    def uniform(self, key: jax.Array, action_size: int) -> tuple[jax.Array, jax.Array]:
        dist = self.distribution({}, jnp.zeros((1, self.outputs(action_size))))
        action = self.draw(dist, key, 1)[0]
        return action[0], self.log_prob(dist, action)[0]

    def dimensions(self, dist: Categorical) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.logits.shape[-2]

    def kl(self, p: Categorical, q: Categorical) -> jax.Array:
        """KL(p || q) at each state, [B], nats."""
        log_p, log_q = (jax.nn.log_softmax(each.logits) for each in (p, q))
        return _mean(log_p - log_q, log_p)

    def entropy(self, dist: Categorical) -> jax.Array:
        log_p = jax.nn.log_softmax(dist.logits)
        return -_mean(log_p, log_p)

    def mode(self, dist: Categorical) -> jax.Array:
        """The likeliest action [B, A]."""
        return self._action(jnp.argmax(dist.logits, axis=-1), dist.logits.shape[-1])

    def _one_hot(self, action: jax.Array) -> jax.Array:
        """[..., A] -> [..., choices, options]."""
        if self.bins is None:
            return action[..., None, :]
        index = jnp.round((action + 1.0) * ((self.bins - 1) / 2)).astype(jnp.int32)
        index = jnp.clip(index, 0, self.bins - 1)  # of other policies' actions
        return jax.nn.one_hot(index, self.bins, dtype=action.dtype)

    def _action(self, index: jax.Array, options: int) -> jax.Array:
        """[..., choices] -> [..., A]."""
        if self.bins is None:
            return jax.nn.one_hot(index[..., 0], options, dtype=jnp.float32)
        return index.astype(jnp.float32) * (2 / (self.bins - 1)) - 1.0


def _mean(value: jax.Array, log_p: jax.Array) -> jax.Array:
    """Of options, summed over choices; what is impossible counts nothing, if infinite.

    [B, choices, options] -> [B].
    """
    p = jnp.exp(log_p)
    return jnp.sum(p * jnp.where(p == 0, 0.0, value), axis=(-2, -1))
