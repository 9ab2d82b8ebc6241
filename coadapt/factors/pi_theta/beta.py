"""Beta distributions, inside the box."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, digamma

from coadapt.factors.pi_theta.base import Distribution
from coadapt.ops import divergences, squash
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
        a, b = (jnp.broadcast_to(each, x.shape) for each in dist)
        each = (a - 1.0) * jnp.log(x) + (b - 1.0) * jnp.log1p(-x) - betaln(a, b)
        return jnp.sum(each - jnp.log(2.0), axis=-1)

    def draw(self, dist: Concentrations, key: jax.Array, samples: int) -> jax.Array:
        """Actions [M, B, A]."""
        shape = (samples, *dist.alpha.shape)
        a, b = (jnp.broadcast_to(each, shape) for each in dist)
        return _inside(2.0 * jax.random.beta(key, a, b) - 1.0)

    def dimensions(self, dist: Concentrations) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.alpha.shape[-1]

    def kl(self, p: Concentrations, q: Concentrations) -> jax.Array:
        """KL(p || q) at each state, [B], nats."""
        return jnp.sum(divergences.kl_beta(*p, *q), axis=-1)

    def entropy(self, dist: Concentrations) -> jax.Array:
        a, b = dist
        each = betaln(a, b) - (a - 1.0) * digamma(a) - (b - 1.0) * digamma(b)
        each = each + (a + b - 2.0) * digamma(a + b) + jnp.log(2.0)
        return jnp.sum(each, axis=-1)

    def mode(self, dist: Concentrations) -> jax.Array:
        """The greedy action [B, A]; the middle where all are as likely."""
        a, b = (each - 1.0 + 1e-6 for each in dist)
        return 2.0 * a / (a + b) - 1.0


def _inside(action: jax.Array) -> jax.Array:
    """Away from the box's ends, where a density is 0 or a logarithm infinite."""
    return jnp.clip(action, -squash.SAFE_LIMIT, squash.SAFE_LIMIT)
