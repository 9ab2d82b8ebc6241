"""Mixtures of Gaussians under a tanh; by distrax, but for samples.

It draws of every component to keep one of them, so that its noise is another one too.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, NamedTuple

import distrax
import jax
import jax.numpy as jnp

from coadapt.factors.pi_theta.base import Distribution, log_probs
from coadapt.factors.pi_theta.normal import Normal, independent
from coadapt.factors.pi_theta.scales import StateLogStd
from coadapt.factors.rules import Config, Need, Refusal
from coadapt.ops import squash
from coadapt.schema import Range, config
from coadapt.types import Tree


class Components(NamedTuple):
    """Of a mixture at each of B states; under a tanh, of what goes into it."""

    logits: jax.Array  # [B, C]
    mean: jax.Array  # [B, C, A]
    std: jax.Array  # [B, C, A]


@config
class MixtureOfGaussians(Distribution):
    """tanh of a mixture of diagonal Gaussians, whose weights depend on the state.

    Source: Bishop 1994 (mixture density networks), under the tanh of settings 1.1. It
    has no formula for its entropy or its KL, and the choice of a component has no
    pathwise gradient. The greedy action is the mean of the likeliest component.
    """

    bounded: ClassVar[bool] = True
    has_kl: ClassVar[bool] = False

    components: Annotated[int, Range(ge=2)] = 4  # number of Gaussians at each state
    scale: StateLogStd = StateLogStd()  # how the std of each is made, before tanh

    @property
    def symbol(self) -> str:
        return f"Tanh(sum_{self.components} w(s) N(mu(s), Sigma(s)))"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_q.by_samples:
            yield Refusal(
                "pi_theta",
                type(self).__name__,
                "the choice of a component has no pathwise gradient; use "
                "pi_q.gradient=LikelihoodRatio, or weights (pi_q=NonParametric)",
            )

    def outputs(self, action_size: int) -> int:
        return self.components * (1 + 2 * action_size)

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Components:
        """Head [B, C + 2 C A] of the policy network -> parameters before the tanh."""
        logits, rest = head[..., : self.components], head[..., self.components :]
        mean, raw = jnp.split(rest, 2, axis=-1)
        shape = (*logits.shape, -1)
        std = self.scale.std(None, raw)
        return Components(logits, mean.reshape(shape), std.reshape(shape))

    def log_prob(self, dist: Components, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; density on [-1, 1]^A."""
        return self.log_prob_of(dist, squash.inverse(action, safe=True))

    def log_prob_of(self, dist: Components, raw: jax.Array) -> jax.Array:
        """The log-probability of bound(raw), without inverting a tanh."""
        mixture = distrax.MixtureSameFamily(
            distrax.Categorical(dist.logits), independent(Normal(dist.mean, dist.std))
        )
        change = jnp.sum(squash.log_det(raw), axis=-1)
        return log_probs(mixture, raw) - change

    def draw(self, dist: Components, key: jax.Array, samples: int) -> jax.Array:
        """Samples [M, B, A] of what `bound` makes actions of."""
        which, noise = jax.random.split(key)
        shape = (samples, *dist.logits.shape[:-1])
        index = jax.random.categorical(which, dist.logits, shape=shape)
        mean, std = _component(dist, index)
        return mean + std * jax.random.normal(noise, mean.shape)

    def bound(self, raw: jax.Array) -> jax.Array:
        return jnp.tanh(raw)

    def before_bound(self, x: jax.Array) -> jax.Array:
        return x

    def mode(self, dist: Components) -> jax.Array:
        """The greedy action [B, A]."""
        index = jnp.argmax(dist.logits, axis=-1)[None]
        return jnp.tanh(_component(dist, index)[0][0])


def _component(dist: Components, index: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and std of the component of each number: index [M, B] -> [M, B, A]."""

    def take(x: jax.Array) -> jax.Array:
        x = jnp.broadcast_to(x[None], (index.shape[0], *x.shape))
        return jnp.take_along_axis(x, index[..., None, None], axis=-2)[..., 0, :]

    return take(dist.mean), take(dist.std)
