"""What torsos are made of: activations, dense layers, and what a torso has to say."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from coadapt.networks.initialisers import Init
from coadapt.networks.products import Precision, dot
from coadapt.networks.state import STATE
from coadapt.types import Tree

Function = Callable[[jax.Array], jax.Array]
Parametrization = Literal["plain", "weight_norm", "spectral_norm"]
Activation = Literal[
    "relu", "elu", "tanh", "gelu", "silu", "mish", "leaky_relu", "crelu"
]


def crelu(x: jax.Array) -> jax.Array:
    """relu(x) and relu(-x) side by side: [..., F] -> [..., 2 F]. Shang et al. 2016."""
    return jnp.concatenate([nn.relu(x), nn.relu(-x)], axis=-1)


ACTIVATIONS: dict[Activation, Function] = {
    "relu": nn.relu,
    "elu": nn.elu,
    "tanh": jnp.tanh,
    "gelu": partial(nn.gelu, approximate=False),  # x Phi(x); Hendrycks and Gimpel 2016
    "silu": nn.silu,  # Elfwing et al. 2018
    "mish": jax.nn.mish,  # Misra 2019
    "leaky_relu": nn.leaky_relu,  # 0.01 below 0; Maas et al. 2013
    "crelu": crelu,
}


def grown(activation: Activation, size: int) -> int:
    """How many numbers an activation makes of so many."""
    return 2 * size if activation == "crelu" else size


class Dense(nn.Module):
    """x w + b: [..., in] -> [..., size].

    With `weight_norm` w is gain v / |v|, a unit; the gain starts as |v|, so that w
    starts as `start` says. With `spectral_norm` w is v over its largest singular value.
    """

    size: int
    start: Init
    precision: Precision
    kind: Parametrization = "plain"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fan_in, start = x.shape[-1], self.start
        kernel = self.param("kernel", lambda k: start.kernel(k, (fan_in, self.size)))
        bias = self.param("bias", lambda k: start.offset(k, (self.size,), fan_in))
        if self.kind == "weight_norm":
            length = jnp.sqrt(jnp.sum(jnp.square(kernel), axis=0))  # [size]
            gain = self.param("gain", lambda _: length)
            kernel = kernel * (gain / length)[None]
        if self.kind == "spectral_norm":
            kernel = kernel / self._largest(kernel)
        y = dot(x, kernel, self.precision)
        return y + bias.reshape((1,) * (y.ndim - 1) + (-1,))

    def _largest(self, kernel: jax.Array) -> jax.Array:
        """The singular value of a left vector, after one power iteration from the kept
        one. Scalar; the vectors have no gradient."""
        start = jnp.full(kernel.shape[0], kernel.shape[0] ** -0.5)
        left = self.variable(STATE, "left", lambda: start)
        # a natural gradient is of all that it is given, the vectors among it
        fixed, known = jax.lax.stop_gradient((kernel, left.value))
        right = _unit(_matvec(fixed.T, known))
        new = _unit(_matvec(fixed, right))
        if self.is_mutable_collection(STATE):
            left.value = new
        return jnp.sum(new * _matvec(kernel, right))


def _matvec(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    return jnp.sum(matrix * vector[None], axis=1)


def _unit(vector: jax.Array) -> jax.Array:
    return vector / (jnp.linalg.norm(vector) + 1e-12)


def dropped(x: jax.Array, share: jax.typing.ArrayLike, key: jax.Array) -> jax.Array:
    """Each number 0 with a probability of `share`, else over 1 - share: [...]."""
    stays = 1.0 - jnp.asarray(share, x.dtype)
    return jnp.where(jax.random.bernoulli(key, stays, x.shape), x / stays, 0.0)


class Layer(NamedTuple):
    """A hidden layer of a torso."""

    name: str  # of the dense layer, among the parameters
    size: int  # units
    read: str = ""  # the part whose output the activation reads; "": there is none
    activation: Function | None = None


class Torso(Protocol):
    """What a network may be.

    It goes up to and including its output layer, which is called "output".
    """

    unnamed: ClassVar[str] = "MLP"  # of files older than the others
    activation: Activation
    output: Init  # how its output layer starts

    @property
    def of_batch(self) -> bool:
        """Whether a learning pass reads its rows together, as batch norm does."""
        return False

    @property
    def drops(self) -> bool:
        """Whether a learning pass drops numbers at random."""
        return False

    @property
    def projects(self) -> bool:
        """Whether `project` does anything."""
        return False

    @property
    def iterates(self) -> bool:
        """Whether learning passes go on with power iterations, as of spectral norm."""
        return False

    def project(self, params: Tree) -> Tree:
        """What becomes of parameters after each step of an optimiser, and at first.

        Leaves may have an axis of critics before their own.
        """
        return params

    @property
    def symbol(self) -> str:
        """Its sizes, as Table 4 prints them."""
        ...

    @property
    def norm_symbol(self) -> str:
        """Its norms, as Table 4 prints them."""
        ...

    @property
    def start(self) -> Init:
        """How its hidden layers start."""
        ...

    def layers(self) -> tuple[Layer, ...]:
        """Its hidden layers, in order."""
        ...

    def products(self, inputs: int, outputs: int) -> list[tuple[int, int]]:
        """Of each matrix product what it reads and makes; the first reads the inputs,
        or features of them, the last is the output layer's."""
        ...

    def module(self, outputs: int, precision: Precision) -> nn.Module:
        """[..., in] -> [..., outputs], and what the output layer reads, [..., F]."""
        ...
