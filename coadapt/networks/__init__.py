"""Networks: every column of the paper's Table 4 is a field here.

layers          activations, dense layers, and what a torso has to say
mlp, residual   torsos
hyperspherical  a torso of units, whose weights are projected after each step
norms           of a layer's numbers, and where they stand
batch           norms over the rows of a batch
state           what a network keeps beside what it learns
initialisers    how layers start
features        of inputs, not learned
products        of layers, in a precision of the run's own
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from coadapt.networks.batch import BatchNorm as BatchNorm
from coadapt.networks.batch import BatchRenorm as BatchRenorm
from coadapt.networks.features import Features as Features
from coadapt.networks.features import Fourier as Fourier
from coadapt.networks.features import Quadratic as Quadratic
from coadapt.networks.hyperspherical import SimbaV2 as SimbaV2
from coadapt.networks.initialisers import Init as Init
from coadapt.networks.layers import ACTIVATIONS as ACTIVATIONS
from coadapt.networks.layers import Layer as Layer
from coadapt.networks.layers import Torso as Torso
from coadapt.networks.mlp import MLP as MLP
from coadapt.networks.norms import LayerNorm as LayerNorm
from coadapt.networks.norms import Norm as Norm
from coadapt.networks.norms import RMSNorm as RMSNorm
from coadapt.networks.products import Precision as Precision
from coadapt.networks.products import dot
from coadapt.networks.residual import BroNet as BroNet
from coadapt.networks.residual import SimBa as SimBa
from coadapt.networks.state import STATE as STATE
from coadapt.networks.state import keeping as keeping
from coadapt.networks.state import learned as learned
from coadapt.networks.state import rejoined as rejoined
from coadapt.schema import NonNegative, Positive, Range, config
from coadapt.types import Tree

Torsos = MLP | SimBa | BroNet | SimbaV2
Network = MLP  # its name when there was no other


@config
class InputNorm:
    """Inputs are clip((x - mean) / sqrt(var + epsilon), -limit, limit)."""

    # clip of normalised inputs; none: no clip; settings 1.4
    limit: Positive | None = 5.0
    epsilon: NonNegative = 0.01  # added to the variance; settings 1.4
    # env steps after which the moments are frozen; none: they never are. Of a data set
    # they are of all that it has, from the start
    until: Annotated[int, Range(ge=0)] | None = 300_000  # settings 1.4

    def counts(self, steps: jax.typing.ArrayLike) -> jax.typing.ArrayLike:
        """Whether the observation after so many env steps counts."""
        return True if self.until is None else jnp.less(steps, self.until)


@config
class Networks:
    """The networks of an agent: what the paper swaps in Tables 5 to 10."""

    policy: Torsos = MLP()  # network of the policy
    critic: Torsos = MLP()  # network of each critic
    # normalises observations by their running moments; none: observations as they are
    input_norm: InputNorm | None = None
    # of the products of layers and of their gradients, whose sums are float32 as all
    # else is. tf32 rounds factors to 10 bits where an accelerator can, and is float32
    # on a CPU; bfloat16 rounds them to 7
    precision: Precision = "tf32"


def init(spec: Torso, key: jax.Array, inputs: int, outputs: int) -> Tree:
    """Parameters of one network, and what it keeps."""
    made: Any = spec.module(outputs, "tf32").init(key, jnp.zeros((1, inputs)))
    params = spec.project(made["params"])
    return params | ({STATE: made[STATE]} if STATE in made else {})


class Pass(NamedTuple):
    """What a pass through a network gives."""

    head: jax.Array  # [..., outputs]
    features: jax.Array  # [..., F + 1], what the output layer reads, a 1 for its bias
    kept: Tree  # what the network keeps after it; None where it keeps nothing


def variables(params: Tree) -> dict[str, Tree]:
    """The tree of a network as flax reads it."""
    if STATE not in params:
        return {"params": params}
    own = {name: part for name, part in params.items() if name != STATE}
    return {"params": own, STATE: params[STATE]}


def run(
    spec: Torso,
    params: Tree,
    x: jax.Array,
    precision: Precision = "tf32",
    *,
    learning: bool = False,
    masks: jax.Array | None = None,
) -> Pass:
    """A pass: rows [..., in]; the number of outputs is read off the parameters.

    Args:
        learning: norms are by the moments of these rows, which running ones follow.
        masks: the key of dropout; none: nothing is dropped.
    """
    module = spec.module(params["output"]["bias"].shape[-1], precision)
    rngs = {} if masks is None else {"dropout": masks}
    known: Any = variables(params)
    if learning and STATE in known:
        made: Any = module.apply(known, x, rngs=rngs, mutable=[STATE])
        (head, found), kept = made[0], made[1][STATE]
    else:
        both: Any = module.apply(known, x, rngs=rngs)
        (head, found), kept = both, known.get(STATE)
    ones = jnp.ones((*x.shape[:-1], 1))
    return Pass(head, jnp.concatenate([found, ones], axis=-1), kept)


def apply(
    spec: Torso, params: Tree, x: jax.Array, precision: Precision = "tf32"
) -> jax.Array:
    """[..., in] -> [..., outputs]."""
    return run(spec, params, x, precision).head


def last_features(
    spec: Torso, params: Tree, x: jax.Array, precision: Precision = "tf32"
) -> jax.Array:
    """What the output layer reads, with a 1 for its bias: [..., in] -> [..., F + 1]."""
    return run(spec, params, x, precision).features


def readout(
    params: Tree, features: jax.Array, precision: Precision = "tf32"
) -> jax.Array:
    """The output layer on `last_features`: [..., F + 1] -> [..., outputs]."""
    kernel, bias = params["output"]["kernel"], params["output"]["bias"]
    return dot(features, jnp.concatenate([kernel, bias[None]]), precision)


def width(spec: Torso, inputs: int) -> int:
    """F + 1, the size of `last_features`."""
    return spec.products(inputs, 1)[-1][0] + 1


def count_multiplies(spec: Torso, inputs: int, outputs: int) -> int:
    """Multiply-adds of one row through the network's matrix products."""
    return sum(a * b for a, b in spec.products(inputs, outputs))


def count_first(spec: Torso, inputs: int, outputs: int) -> int:
    """Those of the product that reads the inputs."""
    first, *_ = spec.products(inputs, outputs)
    return first[0] * first[1]


def count_floats(spec: Torso, inputs: int, outputs: int) -> int:
    """Numbers of one row that the products read and make."""
    return (
        inputs + sum(read for read, _ in spec.products(inputs, outputs)[1:]) + outputs
    )
