"""Beta distributions, inside the box; by distrax."""

from typing import ClassVar, NamedTuple

import distrax
import jax
import jax.numpy as jnp

from coadapt.factors.pi_theta.base import Distribution, log_probs
from coadapt.ops import squash
from coadapt.schema import config
from coadapt.types import Tree


class Concentrations(NamedTuple):
    """Of a Beta distribution of each dimension, at each of B states."""

    alpha: jax.Array  # [B, A], above 1
    beta: jax.Array  # [B, A], above 1


@config
class Beta(Distribution):
    """2 x - 1, each x of Beta(alpha, beta), both above 1: one mode, all of it inside.

    Source: Chou et al. 2017, alpha and beta = 1 + softplus of the network's outputs. A
    sample's gradient is the implicit one of the two gammas that it is made of, as JAX
    has it.
    """

    bounded: ClassVar[bool] = True
    has_entropy: ClassVar[bool] = True

    @property
    def symbol(self) -> str:
        return "Beta(s)"

    def outputs(self, action_size: int) -> int:
        return 2 * action_size

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Concentrations:
        """Head [B, 2 A] of the policy network -> parameters [B, A]."""
        alpha, beta = jnp.split(1.0 + jax.nn.softplus(head), 2, axis=-1)
        return Concentrations(alpha, beta)

    def log_prob(self, dist: Concentrations, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; density on [-1, 1]^A."""
        x = (_inside(action) + 1.0) / 2.0
        return log_probs(_unit(dist), x) - _stretch(dist)

    def draw(self, dist: Concentrations, key: jax.Array, samples: int) -> jax.Array:
        """Actions [M, B, A]."""
        x = jnp.asarray(_unit(dist).sample(seed=key, sample_shape=(samples,)))
        return _inside(2.0 * x - 1.0)

    def dimensions(self, dist: Concentrations) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.alpha.shape[-1]

    def kl(self, p: Concentrations, q: Concentrations) -> jax.Array:
        """KL(p || q) at each state, [B], nats."""
        return jnp.asarray(_unit(p).kl_divergence(_unit(q)))

    def entropy(self, dist: Concentrations) -> jax.Array:
        return jnp.asarray(_unit(dist).entropy()) + _stretch(dist)

    def mode(self, dist: Concentrations) -> jax.Array:
        """The greedy action [B, A]; the middle where all are as likely."""
        a, b = (each - 1.0 + 1e-6 for each in dist)
        return 2.0 * a / (a + b) - 1.0


def _unit(dist: Concentrations) -> distrax.Independent:
    """Of x, which is inside [0, 1]^A."""
    return distrax.Independent(distrax.Beta(*dist), 1)


def _stretch(dist: Concentrations) -> jax.Array:
    """The logarithm of how much larger the box is than that."""
    return dist.alpha.shape[-1] * jnp.log(2.0)


def _inside(action: jax.Array) -> jax.Array:
    """Away from the box's ends, where a density is 0 or a logarithm infinite."""
    return jnp.clip(action, -squash.SAFE_LIMIT, squash.SAFE_LIMIT)
