"""Features of inputs that are not learned."""

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.schema import Positive, Size, config


class Features(Protocol):
    """What the first layer may read instead of its inputs."""

    def size(self, inputs: int) -> int:
        """How many features there are of so many inputs."""
        ...

    def apply(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., size(in)]."""
        ...


@config
class Quadratic(Features):
    """The inputs, and the products of each two of them."""

    def size(self, inputs: int) -> int:
        return inputs + inputs * (inputs + 1) // 2

    def apply(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., size(in)]."""
        row, column = np.triu_indices(x.shape[-1])
        return jnp.concatenate([x, x[..., row] * x[..., column]], axis=-1)


@config
class Fourier(Features):
    """sqrt(2 / number) cos(W x + b), W ~ N(0, 1 / width^2), b uniform: random features.

    Source: Rahimi and Recht 2007. W and b are the same for all agents, not learned.
    """

    number: Size = 100  # number of features
    # width of the Gaussian kernel that they approximate, in units of the inputs
    width: Positive = 1.0

    def size(self, inputs: int) -> int:
        return self.number

    def apply(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., number]."""
        directions, phases = jax.random.split(jax.random.key(0))
        w = jax.random.normal(directions, (x.shape[-1], self.number)) / self.width
        b = jax.random.uniform(phases, (self.number,), maxval=2 * jnp.pi)
        angle = jnp.matmul(x, w, precision="highest") + b.reshape(
            (1,) * (x.ndim - 1) + b.shape
        )
        return jnp.cos(angle) * (2 / self.number) ** 0.5
