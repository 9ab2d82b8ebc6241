"""The products of layers, in a precision that is a part of the run."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

Precision = Literal["float32", "tf32", "bfloat16"]


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

    kept = a.dtype  # of sums: float32, or float64 in a process that has it

    def dot(a: jax.Array, b: jax.Array, how: jax.lax.Precision) -> jax.Array:
        over = (((of_a,), (of_b,)), ((), ()))
        return jax.lax.dot_general(a, b, over, how, preferred_element_type=kept)

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


def dot(x: jax.Array, w: jax.Array, *_: Any, own: Precision, **__: Any) -> jax.Array:
    """What flax asks of a dense layer: [..., in] and [in, out] -> [..., out]."""
    rows = x.reshape(-1, x.shape[-1])
    product: Any = _product(rows, w, 1, 0, own)
    return product.reshape(*x.shape[:-1], w.shape[-1])
