"""Torsos of residual blocks."""

from typing import Literal, Protocol

import flax.linen as nn
import jax

from coadapt.networks.initialisers import Init
from coadapt.networks.layers import ACTIVATIONS, Activation, Dense, Layer, Torso, grown
from coadapt.networks.norms import LayerNorm, RMSNorm
from coadapt.networks.products import Precision
from coadapt.schema import Size, config

Kind = Literal["layer", "rms"]
_KINDS = {"layer": LayerNorm(epsilon=1e-6), "rms": RMSNorm(epsilon=1e-6)}


def _normalised(kind: Kind, x: jax.Array, name: str) -> jax.Array:
    return _KINDS[kind].module(name)(x)  # type: ignore[operator]


class _Blocks(Torso, Protocol):
    """What torsos of residual blocks say of themselves."""

    @property
    def width(self) -> int: ...

    @property
    def blocks(self) -> int: ...

    @property
    def norm(self) -> Kind: ...

    @property
    def inner(self) -> Init: ...

    @property
    def symbol(self) -> str:
        return f"{type(self).__name__} {self.blocks} x {self.width}"

    @property
    def norm_symbol(self) -> str:
        return "blocks" if self.norm == "layer" else "RMS, blocks"

    @property
    def start(self) -> Init:
        return self.inner


@config
class SimBa(_Blocks):
    """A linear layer, blocks x + W2 act(W1 norm(x)), and a norm: Lee et al. 2025.

    The source has inputs by their running moments before it (`networks.input_norm`),
    policies of one block of 128 and critics of two of 512.
    """

    width: Size = 256  # units of the stream
    blocks: Size = 2  # residual blocks
    expansion: Size = 4  # units within a block, over those of the stream
    activation: Activation = "relu"  # within a block
    norm: Kind = "layer"  # before each block, and before the output layer
    # initialisation of the first layer
    stem: Init = Init(weights="orthogonal", bias="zeros")
    # initialisation of the layers of blocks: He et al. 2015
    inner: Init = Init(weights="fan_in_truncated", scale=2.0, bias="zeros")
    output: Init = Init()  # initialisation of the output layer

    def layers(self) -> tuple[Layer, ...]:
        found = [Layer("hidden_0", self.width)]
        wide, act = self.expansion * self.width, ACTIVATIONS[self.activation]
        for i in range(1, 2 * self.blocks, 2):
            found.append(Layer(f"hidden_{i}", wide, f"hidden_{i}", act))
            found.append(Layer(f"hidden_{i + 1}", self.width))
        return tuple(found)

    def products(self, inputs: int, outputs: int) -> list[tuple[int, int]]:
        width, wide = self.width, self.expansion * self.width
        block = [(width, wide), (grown(self.activation, wide), width)]
        return [(inputs, width), *self.blocks * block, (width, outputs)]

    def module(self, outputs: int, precision: Precision) -> nn.Module:
        return _SimBa(self, outputs, precision)


class _SimBa(nn.Module):
    spec: SimBa
    outputs: int
    precision: Precision

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        spec, precision, stream = self.spec, self.precision, x
        for i, layer in enumerate(spec.layers()):
            start = spec.inner if i else spec.stem
            if layer.activation is not None:
                x = _normalised(spec.norm, stream, f"norm_{i}")
            x = Dense(layer.size, start, precision, name=layer.name)(x)
            if layer.activation is not None:
                x = layer.activation(x)
            else:
                stream = stream + x if i else x
        x = _normalised(spec.norm, stream, "norm_output")
        return Dense(self.outputs, spec.output, precision, name="output")(x), x


@config
class BroNet(_Blocks):
    """act(norm(W x)), then blocks x + norm(W2 act(norm(W1 x))): Nauman et al. 2024.

    The source has policies of one block of 256 and critics of two of 512.
    """

    width: Size = 256  # units of each hidden layer
    blocks: Size = 2  # residual blocks
    activation: Activation = "relu"  # after the first layer, and within a block
    norm: Kind = "layer"  # after each hidden layer
    # initialisation of hidden layers
    inner: Init = Init(weights="orthogonal", scale=2**0.5, bias="zeros")
    output: Init = Init()  # initialisation of the output layer

    def layers(self) -> tuple[Layer, ...]:
        act, made = ACTIVATIONS[self.activation], grown(self.activation, self.width)
        return tuple(
            Layer(f"hidden_{i}", made)
            if i and i % 2 == 0
            else Layer(f"hidden_{i}", self.width, f"norm_{i}", act)
            for i in range(2 * self.blocks + 1)
        )

    def products(self, inputs: int, outputs: int) -> list[tuple[int, int]]:
        width, made = self.width, grown(self.activation, self.width)
        block = [(made, width), (made, made)]
        return [(inputs, width), *self.blocks * block, (made, outputs)]

    def module(self, outputs: int, precision: Precision) -> nn.Module:
        return _BroNet(self, outputs, precision)


class _BroNet(nn.Module):
    spec: BroNet
    outputs: int
    precision: Precision

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        spec, precision, stream = self.spec, self.precision, x
        for i, layer in enumerate(spec.layers()):
            x = Dense(layer.size, spec.inner, precision, name=layer.name)(x)
            x = _normalised(spec.norm, x, f"norm_{i}")
            if layer.activation is not None:
                x = layer.activation(x)
            if i % 2 == 0:
                x = stream = stream + x if i else x
        return Dense(self.outputs, spec.output, precision, name="output")(x), x
