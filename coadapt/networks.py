"""Networks: every column of the paper's Table 4 is a field here."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from coadapt.schema import NonNegative, Positive, Range, Size, config
from coadapt.types import Tree

LayerNorm = Literal["none", "first_tanh", "first", "before", "after"]
Distribution = Literal[
    "xavier_uniform", "fan_out_uniform", "fan_in_normal", "fan_in_truncated", "uniform"
]

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Shape = Literal["truncated_normal", "normal", "uniform"]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "elu": nn.elu,
    "tanh": jnp.tanh,
}


@config
class Init:
    """How a layer starts: a distribution, and what multiplies its weights.

    The scale of xavier_uniform is a gain (std = scale * sqrt(2 / (in + out))), of
    uniform the half-width, of fan_... a variance scale: std = sqrt(scale / fan).
    """

    weights: Distribution = "xavier_uniform"
    scale: Positive = 1.0
    bias: Literal["fan_in", "zeros"] = "fan_in"  # fan_in: U(+-1/sqrt(in)), torch's own

    def kernel(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        """Weights [in, out] in float32."""
        modes: dict[str, tuple[Mode, Shape]] = {
            "xavier_uniform": ("fan_avg", "uniform"),
            "fan_out_uniform": ("fan_out", "uniform"),
            "fan_in_normal": ("fan_in", "normal"),
            "fan_in_truncated": ("fan_in", "truncated_normal"),
        }
        scale = jnp.asarray(self.scale, jnp.float32)
        if self.weights == "uniform":
            return scale * jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        unit = nn.initializers.variance_scaling(1.0, *modes[self.weights])(key, shape)
        gain = scale if self.weights == "xavier_uniform" else jnp.sqrt(scale)
        return gain * unit

    def offset(self, key: jax.Array, shape: Sequence[int], fan_in: int) -> jax.Array:
        """Biases [out] in float32."""
        if self.bias == "zeros":
            return jnp.zeros(shape)
        return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) * fan_in**-0.5


@config
class Network:
    """A multi-layer perceptron up to and including its output layer."""

    sizes: tuple[Size, ...] = (256, 256)
    activation: Literal["relu", "elu", "tanh"] = "relu"
    # none; after the first layer, whose activation becomes tanh (the authors, Acme);
    # after the first layer; after every layer, before or after its activation
    layer_norm: LayerNorm = "none"
    hidden: Init = Init()
    output: Init = Init()


@config
class InputNorm:
    """Inputs are clip((x - mean) / sqrt(var + epsilon), -limit, limit)."""

    limit: Positive = 5.0  # settings 1.4
    epsilon: NonNegative = 0.01  # settings 1.4
    until: Annotated[int, Range(ge=0)] = (
        300_000  # env steps after which the moments are frozen; settings 1.4
    )


@config
class Networks:
    """The networks of an agent: what the paper swaps in Tables 5 to 10."""

    policy: Network = Network()
    critic: Network = Network()
    input_norm: InputNorm | None = None


class MLP(nn.Module):
    """The flax module of a `Network`: [..., in] -> [..., outputs]."""

    spec: Network
    outputs: int

    def _dense(self, x: jax.Array, size: int, init: Init, name: str) -> jax.Array:
        fan_in = x.shape[-1]
        return nn.Dense(
            size,
            name=name,
            kernel_init=lambda key, shape, dtype=None: init.kernel(key, shape),
            bias_init=lambda key, shape, dtype=None: init.offset(key, shape, fan_in),
        )(x)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        spec = self.spec
        for i, size in enumerate(spec.sizes):
            activation, norm = _layer(spec, i)
            x = self._dense(x, size, spec.hidden, f"hidden_{i}")
            # torch's epsilon; the slow variance is the one that cannot turn negative
            normalise = nn.LayerNorm(
                epsilon=1e-5, use_fast_variance=False, name=f"norm_{i}"
            )
            if norm == "before":
                x = normalise(x)
            x = activation(x)
            if norm == "after":
                x = normalise(x)
        return self._dense(x, self.outputs, spec.output, "output")


def _layer(spec: Network, index: int):
    """The activation of a hidden layer, and on which side of it a norm stands."""
    activation = ACTIVATIONS[spec.activation]
    if spec.layer_norm in ("before", "after"):
        return activation, spec.layer_norm
    if index > 0 or spec.layer_norm == "none":
        return activation, None
    return (jnp.tanh if spec.layer_norm == "first_tanh" else activation), "before"


def init(spec: Network, key: jax.Array, inputs: int, outputs: int) -> Tree:
    """Parameters of one network."""
    return MLP(spec, outputs).init(key, jnp.zeros((1, inputs)))["params"]


def apply(spec: Network, params: Tree, x: jax.Array) -> jax.Array:
    """[..., in] -> [..., outputs]; the number of outputs is read off the parameters."""
    outputs = params["output"]["bias"].shape[-1]
    return MLP(spec, outputs).apply({"params": params}, x)  # type: ignore[return-value]


def count_multiplies(spec: Network, inputs: int, outputs: int) -> int:
    """Multiply-adds of one row through the network's matrix products."""
    widths = (inputs, *spec.sizes, outputs)
    return sum(a * b for a, b in pairwise(widths))
