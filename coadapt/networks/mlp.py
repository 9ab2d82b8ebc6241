"""The multi-layer perceptron."""

from typing import Annotated, Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from coadapt.networks.batch import BatchNorm, BatchRenorm
from coadapt.networks.features import Fourier, Quadratic
from coadapt.networks.initialisers import Init
from coadapt.networks.layers import (
    ACTIVATIONS,
    Activation,
    Dense,
    Function,
    Layer,
    Parametrization,
    Torso,
    dropped,
    grown,
)
from coadapt.networks.norms import LayerNorm, RMSNorm
from coadapt.networks.products import Precision
from coadapt.schema import Range, Scalar, Size, Spelling, config

Norms = LayerNorm | RMSNorm | BatchNorm | BatchRenorm
_LayerNorm = Literal["none", "first_tanh", "first", "before", "after"]


def _as_norm(word: Any) -> LayerNorm | None:
    return None if word == "none" else LayerNorm(at=word)


@config
class MLP(Torso):
    """A multi-layer perceptron up to and including its output layer.

    With sizes=() it is linear in its inputs, or in the `features` of them, and what is
    of hidden layers (activation, parametrization, dropout, a norm elsewhere than on the
    inputs) changes nothing.
    `layer_norm=first` is another spelling of `norm=LayerNorm` and `norm.at=first`.
    """

    spelled: ClassVar = {"layer_norm": Spelling("norm", _LayerNorm, _as_norm)}

    features: Quadratic | Fourier | None = None  # what the first layer reads
    sizes: tuple[Size, ...] = (256, 256)  # units of each hidden layer
    activation: Activation = "relu"  # after each hidden layer
    # normalises a layer's numbers, row by row or over the batch; none: no norm
    norm: Norms | None = None
    # of hidden layers' weights; weight_norm: gain * v / |v| of each unit, both learned;
    # Salimans and Kingma 2016; spectral_norm: over their largest singular value, one
    # power iteration a pass; Miyato et al. 2018
    parametrization: Parametrization = "plain"
    # the share of a hidden layer's numbers that is 0 in a learning pass, before the
    # norm: Hiraoka et al. 2022; none: no layer of it
    dropout: Annotated[Scalar, Range(ge=0, lt=1)] | None = None
    hidden: Init = Init()  # initialisation of hidden layers
    output: Init = Init()  # initialisation of the output layer

    @property
    def symbol(self) -> str:
        return f"({', '.join(map(str, self.sizes))})"

    @property
    def norm_symbol(self) -> str:
        return "-" if self.norm is None else self.norm.symbol

    @property
    def start(self) -> Init:
        return self.hidden

    @property
    def of_batch(self) -> bool:
        return self.norm is not None and self.norm.of_batch

    @property
    def drops(self) -> bool:
        return self.dropout is not None

    @property
    def iterates(self) -> bool:
        return self.parametrization == "spectral_norm" and bool(self.sizes)

    def place(self, index: int) -> str:
        """On which side of a layer's activation a norm stands; '' on none."""
        at = "" if self.norm is None else self.norm.at
        if at in ("first", "first_tanh"):
            return "before" if index == 0 else ""
        return {"before": "before", "after": "after", "input_after": "after"}.get(
            at, ""
        )

    def _function(self, index: int) -> Function:
        tanh = self.norm is not None and self.norm.at == "first_tanh" and index == 0
        return jnp.tanh if tanh else ACTIVATIONS[self.activation]

    def layers(self) -> tuple[Layer, ...]:
        return tuple(
            Layer(
                f"hidden_{i}",
                size,
                f"norm_{i}" if self.place(i) == "before" else f"hidden_{i}",
                self._function(i),
            )
            for i, size in enumerate(self.sizes)
        )

    def products(self, inputs: int, outputs: int) -> list[tuple[int, int]]:
        first = inputs if self.features is None else self.features.size(inputs)
        made = [
            size if layer.activation is jnp.tanh else grown(self.activation, size)
            for size, layer in zip(self.sizes, self.layers(), strict=True)
        ]
        reads = (first, *made)
        return list(zip(reads, (*self.sizes, outputs), strict=True))

    def module(self, outputs: int, precision: Precision) -> nn.Module:
        return _Layers(self, outputs, precision)


class _Layers(nn.Module):
    spec: MLP
    outputs: int
    precision: Precision

    def _normalised(self, x: jax.Array, name: str) -> jax.Array:
        norm: Any = self.spec.norm
        return norm.module(name)(x)

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        spec, precision = self.spec, self.precision
        kind = spec.parametrization
        x = x if spec.features is None else spec.features.apply(x)
        if spec.norm is not None and spec.norm.at in ("input", "input_after"):
            x = self._normalised(x, "norm_input")
        for i, layer in enumerate(spec.layers()):
            x = Dense(layer.size, spec.hidden, precision, kind, name=layer.name)(x)
            if spec.dropout is not None and self.has_rng("dropout"):
                x = dropped(x, spec.dropout, self.make_rng("dropout"))
            if spec.place(i) == "before":
                x = self._normalised(x, f"norm_{i}")
            x = layer.activation(x)  # type: ignore[misc]
            if spec.place(i) == "after":
                x = self._normalised(x, f"norm_{i}")
        return Dense(self.outputs, spec.output, precision, name="output")(x), x
