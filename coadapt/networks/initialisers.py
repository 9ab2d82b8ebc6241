"""How layers start."""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from coadapt.schema import Positive, config

Distribution = Literal[
    "xavier_uniform",
    "fan_out_uniform",
    "fan_in_normal",
    "fan_in_uniform",
    "fan_in_truncated",
    "uniform",
    "orthogonal",
]

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Shape = Literal["truncated_normal", "normal", "uniform"]


@config
class Init:
    """How a layer starts: a distribution, and what multiplies its weights.

    The scale of xavier_uniform and orthogonal is a gain (of the former, std = scale *
    sqrt(2 / (in + out))), of uniform the half-width, of fan_... a variance scale: std =
    sqrt(scale / fan).
    """

    weights: Distribution = "xavier_uniform"  # distribution of the weights
    scale: Positive = 1.0  # factor of the weights
    bias: Literal["fan_in", "zeros"] = "fan_in"  # fan_in: U(+-1/sqrt(in)), torch's own

    def kernel(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        """Weights [in, out] in float32."""
        modes: dict[str, tuple[Mode, Shape]] = {
            "xavier_uniform": ("fan_avg", "uniform"),
            "fan_out_uniform": ("fan_out", "uniform"),
            "fan_in_normal": ("fan_in", "normal"),
            "fan_in_uniform": ("fan_in", "uniform"),
            "fan_in_truncated": ("fan_in", "truncated_normal"),
        }
        scale = jnp.asarray(self.scale, jnp.float32)
        if self.weights == "uniform":
            return scale * jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        if self.weights == "orthogonal":
            return scale * _orthogonal(key, shape)
        unit = nn.initializers.variance_scaling(1.0, *modes[self.weights])(key, shape)
        gain = scale if self.weights == "xavier_uniform" else jnp.sqrt(scale)
        return gain * unit

    def offset(self, key: jax.Array, shape: Sequence[int], fan_in: int) -> jax.Array:
        """Biases [out] in float32."""
        if self.bias == "zeros":
            return jnp.zeros(shape)
        return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) * fan_in**-0.5


def _orthogonal(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """A random matrix with orthonormal columns, or rows where it is wide.

    Gram and Schmidt, each column twice. Not LAPACK's QR: several of them at once, of
    several agents on each of two CPU devices, wait for each other for ever.
    """
    long, short = max(shape), min(shape)
    normal = jax.random.normal(key, (long, short))

    def step(i: jax.Array, found: jax.Array) -> jax.Array:
        column = normal[:, i]
        for _ in range(2):
            column = column - found @ (found.T @ column)
            column = column / jnp.linalg.norm(column)
        return found.at[:, i].set(column)

    found = jax.lax.fori_loop(0, short, step, jnp.zeros((long, short)))
    return found if shape[0] >= shape[1] else found.T
