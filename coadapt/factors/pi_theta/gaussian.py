"""Diagonal Gaussians, and those under a tanh."""

from typing import ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.noise import Added
from coadapt.factors.pi_theta.base import Distribution
from coadapt.factors.pi_theta.normal import (
    Normal,
    normal_entropy,
    normal_explored,
    normal_kl,
    normal_log_prob,
    normal_sample,
)
from coadapt.factors.pi_theta.scales import (
    LearnedLogStd,
    Residual,
    Scale,
    StateLogStd,
    StateSoftplusStd,
)
from coadapt.factors.rules import Combination, Refusal
from coadapt.ops import squash
from coadapt.schema import config
from coadapt.system.kernels import apart
from coadapt.types import Tree


def _parameters(
    scale: Scale, params: Tree, head: jax.Array, features: jax.Array | None, bound: bool
) -> Normal:
    """Mean and std from the network's outputs [B, A + scale's own]."""
    action_size = head.shape[-1] // (2 if scale.outputs(1) else 1)
    # a kernel that reads a half of each row is not vectorised
    mean, rest = apart((head[..., :action_size], head[..., action_size:]))
    mean = jnp.tanh(mean) if bound else mean
    std = scale.std(params["scale"], rest, features)
    return Normal(mean, jnp.broadcast_to(std, mean.shape))


class Diagonal(Distribution, Protocol):
    """What both have: a mean and a std, of what `bound` makes actions of."""

    has_moments: ClassVar[bool] = True
    adds_noise: ClassVar[bool] = True
    scale: Scale

    def outputs(self, action_size: int) -> int:
        return action_size + self.scale.outputs(action_size)

    def init(self, action_size: int, features: int) -> Tree:
        return self.scale.init(action_size, features)

    def draw(self, dist: Normal, key: jax.Array, samples: int) -> jax.Array:
        """Samples [M, B, A] of what `bound` makes actions of."""
        return normal_sample(dist, key, samples)

    def explore(
        self, dist: Normal, key: jax.Array, noise: Added | None = None
    ) -> jax.Array:
        return self.bound(normal_explored(dist, key, noise))

    def mode(self, dist: Normal) -> jax.Array:
        """The greedy action [B, A]: what is made of the mean."""
        return self.bound(dist.mean)

    def dimensions(self, dist: Normal) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.mean.shape[-1]

    def kl(self, p: Normal, q: Normal) -> jax.Array:
        """KL(p || q) at each state, [B], nats: a tanh does not change it."""
        return normal_kl(p, q)


@config
class Gaussian(Diagonal):
    """N(mu, Sigma), diagonal; actions may leave the box."""

    has_entropy: ClassVar[bool] = True

    mean: Literal["free", "tanh"] = (
        "free"  # tanh keeps the mean, not the action, inside
    )
    scale: Scale = StateSoftplusStd()  # how the std is computed

    @classmethod
    def at(cls, point: Combination) -> "Gaussian":
        regression = point.pi_p_update.closed_form
        return cls(scale=LearnedLogStd() if regression else StateSoftplusStd())

    @property
    def symbol(self) -> str:
        return f"N(mu_theta(s), {self.scale.symbol})"

    @property
    def mean_in_box(self) -> bool:
        return self.mean == "tanh"

    def unfit(self) -> Refusal | None:
        if self.mean != "free":
            reason = "a mean under a tanh has no closed form; use 'free'"
            return Refusal("pi_theta.mean", f"{self.mean!r}", reason)
        if self.scale.closed_form:
            return None
        return Refusal(
            "pi_theta.scale",
            type(self.scale).__name__,
            "a std that is a network's output has no closed form; use FeatureStd, "
            "LearnedStd, LearnedLogStd or ConstantStd",
        )

    def fit_scale(self, own: Tree, features: jax.Array, residual: Residual) -> Tree:
        return self.scale.fit(own, features, residual)

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Normal:
        """Head [B, ...] of the policy network -> parameters [B, A]."""
        return _parameters(self.scale, params, head, features, self.mean == "tanh")

    def log_prob(self, dist: Normal, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats."""
        return normal_log_prob(dist, action)

    def entropy(self, dist: Normal) -> jax.Array:
        return normal_entropy(dist)


@config
class TanhGaussian(Diagonal):
    """tanh(N(mu, Sigma)): actions stay inside the box."""

    bounded: ClassVar[bool] = True

    scale: Scale = StateLogStd()  # how the std before tanh is computed
    # how a stored action is mapped back: clipped to +-(1 - 1e-6) first, or plain atanh,
    # which is infinite at +-1 and can end a run (settings 2.9)
    inverse: Literal["safe", "naive"] = "safe"

    @property
    def symbol(self) -> str:
        return f"Tanh(N(mu_theta(s), {self.scale.symbol}))"

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Normal:
        """Head [B, ...] of the policy network -> parameters [B, A] before the tanh."""
        return _parameters(self.scale, params, head, features, bound=False)

    def log_prob(self, dist: Normal, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; density on [-1, 1]^A."""
        raw = squash.inverse(action, safe=self.inverse == "safe")
        return self.log_prob_of(dist, raw)

    def bound(self, raw: jax.Array) -> jax.Array:
        return jnp.tanh(raw)

    def before_bound(self, x: jax.Array) -> jax.Array:
        return x

    def log_prob_of(self, dist: Normal, raw: jax.Array) -> jax.Array:
        """The log-probability of bound(raw), without inverting a tanh."""
        change = jnp.sum(squash.log_det(raw), axis=-1)
        return normal_log_prob(dist, raw) - change
