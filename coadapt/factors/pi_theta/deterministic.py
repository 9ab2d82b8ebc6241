"""One action at a state."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from coadapt.factors.noise import Added
from coadapt.factors.pi_theta.base import Distribution
from coadapt.factors.rules import Config, Need, Refusal
from coadapt.schema import Positive, config
from coadapt.types import Tree


class Point(NamedTuple):
    """A single action at each of B states."""

    action: jax.Array  # [B, A]


@config
class Deterministic(Distribution):
    """tanh(mu(s)), which is given Gaussian noise to act. It has no density."""

    has_density: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    adds_noise: ClassVar[bool] = True

    # std of the exploration noise, agent units; the noisy action is clipped; settings
    # 3.8
    noise: Positive = 0.1

    @property
    def symbol(self) -> str:
        return "mu_theta(s)"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        name = type(self).__name__
        if not config.pi_q.by_samples:
            yield Refusal(
                "pi_theta",
                name,
                "it has no likelihood, which weights and ratios need; use Gaussian, or "
                "pi_q.gradient=Pathwise",
            )
        if config.pi_p.counts and config.pi_p.has_density:
            reason = "its entropy and its KL are infinite; use pi_p=Ignored, or a VAE"
            yield Refusal("pi_theta", name, f"{reason} and MMD")
        if config.eval_policy.draws:
            reason = f"{name} has one action per state, so it must be Mode"
            yield Refusal("eval_policy", type(config.eval_policy).__name__, reason)

    def outputs(self, action_size: int) -> int:
        return action_size

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Point:
        """Head [B, A] of the policy network -> the action."""
        return Point(jnp.tanh(head))

    def draw(self, dist: Point, key: jax.Array, samples: int) -> jax.Array:
        """The one action, [M, B, A]."""
        return jnp.broadcast_to(dist.action[None], (samples, *dist.action.shape))

    def explore(
        self, dist: Point, key: jax.Array, noise: Added | None = None
    ) -> jax.Array:
        action, (unit, std) = self.sample(dist, key, 1)[0], noise or Added(None, None)
        unit = jax.random.normal(key, action.shape) if unit is None else unit
        std = self.noise if std is None else std
        return jnp.clip(action + std * unit, -1.0, 1.0)

    def mode(self, dist: Point) -> jax.Array:
        """The greedy action [B, A]."""
        return dist.action
