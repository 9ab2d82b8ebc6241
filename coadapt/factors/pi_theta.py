"""Column pi_theta: what distribution do the network's outputs make?"""

from typing import Literal, NamedTuple

import distrax
import jax
import jax.numpy as jnp

from coadapt.ops import squash
from coadapt.schema import Positive, Scalar, config
from coadapt.types import Tree


class Normal(NamedTuple):
    """A diagonal Gaussian at each of B states; under a tanh, of what goes into it."""

    mean: jax.Array  # [B, A]
    std: jax.Array  # [B, A]


def _normal_log_prob(dist: Normal, value: jax.Array) -> jax.Array:
    """[B, A] parameters, value [..., B, A] -> [..., B], nats."""
    mean = jnp.broadcast_to(dist.mean, value.shape)
    std = jnp.broadcast_to(dist.std, value.shape)
    return jnp.asarray(distrax.MultivariateNormalDiag(mean, std).log_prob(value))


def _normal_sample(dist: Normal, key: jax.Array, samples: int) -> jax.Array:
    noise = jax.random.normal(key, (samples, *dist.mean.shape))
    return dist.mean[None] + dist.std[None] * noise


@config
class StateLogStd:
    """std(s) = exp(clip(x, low, high)), x an output of the network: SAC's head."""

    low: Scalar = -20.0  # settings 1.1
    high: Scalar = 2.0  # settings 1.1

    symbol = "Sigma_theta(s)"

    def outputs(self, action_size: int) -> int:
        return action_size

    def init(self, action_size: int) -> None:
        return None

    def std(self, own: Tree, head: jax.Array) -> jax.Array:
        return jnp.exp(jnp.clip(head, self.low, self.high))


@config
class StateSoftplusStd:
    """std(s) = init softplus(x) / log 2 + floor, x an output of the network: MPO's."""

    init_std: Positive = 0.5  # at x = 0; settings 1.3, per task
    floor: Positive = 1e-6  # settings 1.3

    symbol = "Sigma_theta(s)"

    def outputs(self, action_size: int) -> int:
        return action_size

    def init(self, action_size: int) -> None:
        return None

    def std(self, own: Tree, head: jax.Array) -> jax.Array:
        unit = jax.nn.softplus(head) / 0.6931  # the authors' rounded log 2
        return unit * self.init_std + self.floor


@config
class LearnedStd:
    """One std for all states: its variance is softplus of a parameter: AWAC's."""

    raw: Scalar = 0.0  # at the start: variance 0.693; settings 1.5

    symbol = "Sigma_theta"

    def outputs(self, action_size: int) -> int:
        return 0

    def init(self, action_size: int) -> jax.Array:
        return jnp.full(action_size, self.raw, jnp.float32)

    def std(self, own: Tree, head: jax.Array) -> jax.Array:
        return jnp.sqrt(jax.nn.softplus(own))


@config
class ConstantStd:
    """One std for all states and all time: AWR's."""

    value: Positive = 0.4  # settings 1.4, per task

    symbol = "Sigma"

    def outputs(self, action_size: int) -> int:
        return 0

    def init(self, action_size: int) -> None:
        return None

    def std(self, own: Tree, head: jax.Array) -> jax.Array:
        return jnp.asarray(self.value, jnp.float32)


Scale = StateLogStd | StateSoftplusStd | LearnedStd | ConstantStd


def _parameters(scale: Scale, params: Tree, head: jax.Array, bound: bool) -> Normal:
    """Mean and std from the network's outputs [B, A + scale's own]."""
    action_size = head.shape[-1] // (2 if scale.outputs(1) else 1)
    mean, rest = head[..., :action_size], head[..., action_size:]
    mean = jnp.tanh(mean) if bound else mean
    std = scale.std(params["scale"], rest)
    return Normal(mean, jnp.broadcast_to(std, mean.shape))


@config
class Gaussian:
    """N(mu, Sigma), diagonal; actions may leave the box."""

    mean: Literal["free", "tanh"] = (
        "free"  # tanh keeps the mean, not the action, inside
    )
    scale: Scale = StateSoftplusStd()

    @property
    def symbol(self) -> str:
        return f"N(mu_theta(s), {self.scale.symbol})"

    def distribution(self, params: Tree, head: jax.Array) -> Normal:
        """Head [B, ...] of the policy network -> parameters [B, A]."""
        return _parameters(self.scale, params, head, self.mean == "tanh")

    def log_prob(self, dist: Normal, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats."""
        return _normal_log_prob(dist, action)

    def sample(self, dist: Normal, key: jax.Array, samples: int):
        """Actions [M, B, A] and their log-probabilities [M, B]."""
        action = _normal_sample(dist, key, samples)
        return action, _normal_log_prob(dist, action)

    def mode(self, dist: Normal) -> jax.Array:
        """The greedy action [B, A]."""
        return dist.mean


@config
class TanhGaussian:
    """tanh(N(mu, Sigma)): actions stay inside the box."""

    scale: Scale = StateLogStd()
    # how a stored action is mapped back: clipped to +-(1 - 1e-6) first, or plain atanh,
    # which is infinite at +-1 and can end a run (settings 2.9)
    inverse: Literal["safe", "naive"] = "safe"

    @property
    def symbol(self) -> str:
        return f"Tanh(N(mu_theta(s), {self.scale.symbol}))"

    def distribution(self, params: Tree, head: jax.Array) -> Normal:
        """Head [B, ...] of the policy network -> parameters [B, A] before the tanh."""
        return _parameters(self.scale, params, head, bound=False)

    def log_prob(self, dist: Normal, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; density on [-1, 1]^A."""
        return self._log_prob(dist, squash.inverse(action, safe=self.inverse == "safe"))

    def sample(self, dist: Normal, key: jax.Array, samples: int):
        """Actions [M, B, A], their log-probabilities [M, B]; never inverts a tanh."""
        pre_tanh = _normal_sample(dist, key, samples)
        return jnp.tanh(pre_tanh), self._log_prob(dist, pre_tanh)

    def mode(self, dist: Normal) -> jax.Array:
        """The greedy action [B, A]: tanh of the mean."""
        return jnp.tanh(dist.mean)

    def _log_prob(self, dist: Normal, pre_tanh: jax.Array) -> jax.Array:
        change = jnp.sum(squash.log_det(pre_tanh), axis=-1)
        return _normal_log_prob(dist, pre_tanh) - change


PiTheta = Gaussian | TanhGaussian
