"""A torso whose features and weights stay on the unit sphere: SimbaV2."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from coadapt.networks.initialisers import Init
from coadapt.networks.layers import ACTIVATIONS, Activation, Layer, Torso, grown
from coadapt.networks.products import Precision, dot
from coadapt.schema import Positive, Size, config
from coadapt.types import Tree

_TINY = 1e-8  # below which a length is none, and what keeps hidden rows from 0
_START = Init(weights="orthogonal", bias="zeros")


def unit(x: jax.Array, axis: int = -1) -> jax.Array:
    """x / |x| along an axis; what has no length stays."""
    # where x is 0 the root has no slope: its square is held there
    square = jnp.sum(jnp.square(x), axis=axis, keepdims=True)
    length = jnp.sqrt(jnp.maximum(square, _TINY**2))
    return x / length


@config
class SimbaV2(Torso):
    """Features and weights of length 1, blocks that move between two: Lee et al. 2025b.

    The input with a constant beside it, made a unit; a layer, a learned scale, a unit.
    Each block is unit(x + alpha (unit(W2 relu(s W1 x)) - x)) with learned s and alpha.
    Then a layer with a learned scale, which the output layer reads. After every step of
    the optimiser the weights of each unit are made of length 1. A learned scale starts
    at `init`, and is stored `scale` / `init` times as large, so that a step moves it as
    much less.

    The source has policies of one block of 128 and critics of two of 512, and two such
    last layers for a policy's mean and spread, which share one here.
    """

    width: Size = 512  # units of the stream
    blocks: Size = 2  # number of blocks
    expansion: Size = 4  # units within a block, over those of the stream
    activation: Activation = "relu"  # within a block
    shift: Positive | None = 3.0  # constant beside the input; none: no constant
    unit_input: bool = True  # whether the input is scaled to length 1
    # initial value of the learned scale s; none: sqrt(2 / width)
    scaler_init: Positive | None = None
    # initial value of the parameter that stores s; none: sqrt(2 / width)
    scaler_scale: Positive | None = None
    alpha_init: Positive | None = None  # initial value of alpha; none: 1 / (blocks + 1)
    # initial value of the parameter that stores alpha; none: 1 / sqrt(width)
    alpha_scale: Positive | None = None
    # initialisation of the output layer, before its weights are scaled to length 1
    output: Init = _START

    @property
    def symbol(self) -> str:
        return f"SimbaV2 {self.blocks} x {self.width}"

    @property
    def norm_symbol(self) -> str:
        return "hyperspherical"

    @property
    def start(self) -> Init:
        return _START

    @property
    def projects(self) -> bool:
        return True

    def layers(self) -> tuple[Layer, ...]:
        wide, width, last = self.expansion * self.width, self.width, 2 * self.blocks + 1
        act = ACTIVATIONS[self.activation]
        found = [Layer("hidden_0", width)]
        for i in range(1, last, 2):
            found.append(Layer(f"hidden_{i}", wide, f"scaler_{i}", act))
            found.append(Layer(f"hidden_{i + 1}", width))
        return (*found, Layer(f"hidden_{last}", width))

    def products(self, inputs: int, outputs: int) -> list[tuple[int, int]]:
        width, wide = self.width, self.expansion * self.width
        first = inputs + (self.shift is not None)
        block = [(width, wide), (grown(self.activation, wide), width)]
        return [(first, width), *self.blocks * block, (width, width), (width, outputs)]

    def module(self, outputs: int, precision: Precision) -> nn.Module:
        return _SimbaV2(self, outputs, precision)

    def project(self, params: Tree) -> Tree:
        """Each unit's weights, of length 1."""
        return {
            name: part | {"kernel": unit(part["kernel"], axis=-2)}
            if "kernel" in part
            else part
            for name, part in params.items()
        }

    def scaler(self, share: float = 1.0) -> tuple[jax.Array, jax.Array]:
        """Of a learned scale, how it starts and how it is stored."""
        own = (2.0 / self.width) ** 0.5
        given = (self.scaler_init, self.scaler_scale)
        start, stored = (_number(own if x is None else x) * share for x in given)
        return start, stored

    def alpha(self) -> tuple[jax.Array, jax.Array]:
        """As `scaler`, of the way of a block."""
        start, stored = self.alpha_init, self.alpha_scale
        return (
            _number(1.0 / (self.blocks + 1) if start is None else start),
            _number(self.width**-0.5 if stored is None else stored),
        )


def _number(x: float) -> jax.Array:
    return jnp.asarray(x, jnp.float32)


class _Weights(nn.Module):
    """x W: [..., in] -> [..., size]. Of a head, + b."""

    size: int
    precision: Precision
    head: Init | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.size)
        start = self.head or _START
        kernel = self.param("kernel", lambda key: start.kernel(key, shape))
        made = dot(x, kernel, self.precision)
        if self.head is None:
            return made
        size, inputs = (self.size,), shape[0]
        bias = self.param("bias", lambda key: start.offset(key, size, inputs))
        return made + bias.reshape((1,) * (made.ndim - 1) + (-1,))


class _Scaler(nn.Module):
    """A learned number times each feature: [..., F] -> [..., F]."""

    numbers: tuple[jax.Array, jax.Array]  # how it starts, how it is stored

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        start, stored = self.numbers
        own = self.param("scale", lambda _: jnp.full(x.shape[-1], stored))
        return x * (own * (start / stored)).reshape((1,) * (x.ndim - 1) + (-1,))


class _SimbaV2(nn.Module):
    spec: SimbaV2
    outputs: int
    precision: Precision

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        spec, stream = self.spec, self._input(x)
        inner = spec.scaler(spec.expansion**-0.5)
        last = 2 * spec.blocks + 1
        for i in range(1, last, 2):
            x = _Scaler(inner, name=f"scaler_{i}")(self._dense(i, stream))
            x = ACTIVATIONS[spec.activation](x) + _TINY  # no row of zeros
            x = unit(self._dense(i + 1, x))
            step = _Scaler(spec.alpha(), name=f"alpha_{i}")(x - stream)
            stream = unit(stream + step)
        one = (_number(1.0), _number(1.0))
        x = _Scaler(one, name=f"scaler_{last}")(self._dense(last, stream))
        head = _Weights(self.outputs, self.precision, spec.output, name="output")
        return head(x), x

    def _dense(self, index: int, x: jax.Array) -> jax.Array:
        layer = self.spec.layers()[index]
        return _Weights(layer.size, self.precision, name=layer.name)(x)

    def _input(self, x: jax.Array) -> jax.Array:
        spec = self.spec
        if spec.shift is not None:
            beside = jnp.full((*x.shape[:-1], 1), _number(spec.shift))
            x = jnp.concatenate([x, beside], axis=-1)
        x = unit(x) if spec.unit_input else x
        return unit(_Scaler(spec.scaler(), name="scaler_0")(self._dense(0, x)))
