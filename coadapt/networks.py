"""Networks: every column of the paper's Table 4 is a field here."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from coadapt.schema import NonNegative, Positive, Range, Size, config
from coadapt.types import Tree

LayerNorm = Literal["none", "first_tanh", "first", "before", "after"]
Distribution = Literal[
    "xavier_uniform",
    "fan_out_uniform",
    "fan_in_normal",
    "fan_in_uniform",
    "fan_in_truncated",
    "uniform",
    "orthogonal",
]

Precision = Literal["float32", "tf32", "bfloat16"]

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

    The scale of xavier_uniform and orthogonal is a gain (of the former, std = scale *
    sqrt(2 / (in + out))), of uniform the half-width, of fan_... a variance scale: std =
    sqrt(scale / fan).
    """

    weights: Distribution = "xavier_uniform"  # the distribution
    scale: Positive = 1.0  # what multiplies them
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

    number: Size = 100  # of features
    width: Positive = 1.0  # of the Gaussian kernel that they stand for, in inputs

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


@config
class Network:
    """A multi-layer perceptron up to and including its output layer.

    With sizes=() it is linear in its inputs, or in the `features` of them.
    """

    features: Quadratic | Fourier | None = None  # what the first layer reads
    sizes: tuple[Size, ...] = (256, 256)  # hidden layers
    activation: Literal["relu", "elu", "tanh"] = "relu"  # after each hidden layer
    # none; after the first layer, whose activation becomes tanh (the authors, Acme);
    # after the first layer; after every layer, before or after its activation
    layer_norm: LayerNorm = "none"
    hidden: Init = Init()  # how hidden layers start
    output: Init = Init()  # how the output layer starts


@config
class InputNorm:
    """Inputs are clip((x - mean) / sqrt(var + epsilon), -limit, limit)."""

    limit: Positive = 5.0  # where normalised inputs are clipped; settings 1.4
    epsilon: NonNegative = 0.01  # added to the variance; settings 1.4
    until: Annotated[int, Range(ge=0)] = (
        300_000  # env steps after which the moments are frozen; settings 1.4
    )


@config
class Networks:
    """The networks of an agent: what the paper swaps in Tables 5 to 10."""

    policy: Network = Network()  # of the policy
    critic: Network = Network()  # of each critic
    # of observations, by their running moments; none: as they come
    input_norm: InputNorm | None = None
    # of the products of layers and of their gradients, whose sums are float32 as all
    # else is. tf32 rounds factors to 10 bits where an accelerator can, and is float32
    # on a CPU; bfloat16 rounds them to 7
    precision: Precision = "tf32"


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _product(
    a: jax.Array, b: jax.Array, of_a: int, of_b: int, precision: Precision
) -> jax.Array:
    """The product of two matrices, summed over a dimension of each, in float32.

    Its gradients come out as a and b are stored. JAX's own of a layer's weights is
    transposed: on a CPU, the optimiser then reads it against the grain, which is 3 to
    9% of an update (docs/benchmarks.md). There is no forward mode. JAX's own precision
    has no say: it is a part of the run.
    """
    exact, tensor = jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGH

    def dot(a: jax.Array, b: jax.Array, how: jax.lax.Precision) -> jax.Array:
        over = (((of_a,), (of_b,)), ((), ()))
        return jax.lax.dot_general(a, b, over, how, preferred_element_type=jnp.float32)

    def halved(a: jax.Array, b: jax.Array) -> jax.Array:
        return dot(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), tensor)

    def rounded(a: jax.Array, b: jax.Array) -> jax.Array:
        """The same numbers: XLA for a CPU refuses some products of bfloat16."""
        a, b = (jax.lax.reduce_precision(x, 8, 7) for x in (a, b))
        return dot(a, b, exact)

    if precision == "bfloat16":
        return jax.lax.platform_dependent(a, b, cpu=rounded, default=halved)
    return dot(a, b, exact if precision == "float32" else tensor)


def _gradients(
    of_a: int,
    of_b: int,
    precision: Precision,
    factors: tuple[jax.Array, jax.Array],
    grad: jax.Array,  # [a's other dimension, b's other dimension]
) -> tuple[jax.Array, jax.Array]:
    a, b = factors
    by_b, by_a = (grad, b, 1, 1 - of_b), (grad, a, 0, 1 - of_a)
    return _stored(by_b, of_a == 1, precision), _stored(by_a, of_b == 1, precision)


def _stored(product: tuple, kept_first: bool, precision: Precision) -> jax.Array:
    """The product, or with its factors exchanged its transpose."""
    x, y, of_x, of_y = product
    ordered = (x, y, of_x, of_y) if kept_first else (y, x, of_y, of_x)
    return _product(*ordered, precision)


def _forward(a: jax.Array, b: jax.Array, of_a: int, of_b: int, precision: Precision):
    return _product(a, b, of_a, of_b, precision), (a, b)


_product.defvjp(_forward, _gradients)


def _dot(x: jax.Array, w: jax.Array, *_: Any, own: Precision, **__: Any) -> jax.Array:
    """What flax asks of a dense layer: [..., in] and [in, out] -> [..., out]."""
    rows = x.reshape(-1, x.shape[-1])
    product: Any = _product(rows, w, 1, 0, own)
    return product.reshape(*x.shape[:-1], w.shape[-1])


class MLP(nn.Module):
    """The flax module of a `Network`: [..., in] -> [..., outputs], and their inputs."""

    spec: Network
    outputs: int
    precision: Precision = "tf32"

    def _dense(self, x: jax.Array, size: int, init: Init, name: str) -> jax.Array:
        fan_in = x.shape[-1]
        return nn.Dense(
            size,
            name=name,
            kernel_init=lambda key, shape, dtype=None: init.kernel(key, shape),
            bias_init=lambda key, shape, dtype=None: init.offset(key, shape, fan_in),
            dot_general=partial(_dot, own=self.precision),
        )(x)

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        spec = self.spec
        x = x if spec.features is None else spec.features.apply(x)
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
        return self._dense(x, self.outputs, spec.output, "output"), x


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


def read(
    spec: Network, params: Tree, x: jax.Array, precision: Precision = "tf32"
) -> tuple[jax.Array, jax.Array]:
    """The outputs, and what the output layer reads, with a 1 for its bias.

    [..., in] -> [..., outputs], [..., F + 1]; the number of outputs is read off the
    parameters.
    """
    outputs = params["output"]["bias"].shape[-1]
    both: Any = MLP(spec, outputs, precision).apply({"params": params}, x)
    head, found = both
    return head, jnp.concatenate([found, jnp.ones((*x.shape[:-1], 1))], axis=-1)


def apply(
    spec: Network, params: Tree, x: jax.Array, precision: Precision = "tf32"
) -> jax.Array:
    """[..., in] -> [..., outputs]."""
    return read(spec, params, x, precision)[0]


def last_features(
    spec: Network, params: Tree, x: jax.Array, precision: Precision = "tf32"
) -> jax.Array:
    """[..., in] -> [..., F + 1]."""
    return read(spec, params, x, precision)[1]


def readout(
    params: Tree, features: jax.Array, precision: Precision = "tf32"
) -> jax.Array:
    """The output layer on `last_features`: [..., F + 1] -> [..., outputs]."""
    kernel, bias = params["output"]["kernel"], params["output"]["bias"]
    return _dot(features, jnp.concatenate([kernel, bias[None]]), own=precision)


def width(spec: Network, inputs: int) -> int:
    """F + 1, the size of `last_features`."""
    return (spec.sizes[-1] if spec.sizes else _first(spec, inputs)) + 1


def _first(spec: Network, inputs: int) -> int:
    return inputs if spec.features is None else spec.features.size(inputs)


def count_multiplies(spec: Network, inputs: int, outputs: int) -> int:
    """Multiply-adds of one row through the network's matrix products."""
    widths = (_first(spec, inputs), *spec.sizes, outputs)
    return sum(a * b for a, b in pairwise(widths))
