"""The products of layers, in a precision that is a part of the run."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from coadapt.system.kernels import apart, multiplies_halves, on_cpu

Precision = Literal["float32", "tf32", "bfloat16"]


def _plain(
    a: jax.Array, b: jax.Array, of_a: int, of_b: int, precision: Precision
) -> jax.Array:
    """A product in a kernel of its own.

    Fused with a sum over critics, XLA's for a CPU took 200 microseconds instead of 40.
    """
    over = (((of_a,), (of_b,)), ((), ()))
    kept = a.dtype  # of sums: float32, or float64 in a process that has it
    how = jax.lax.Precision.HIGH
    if precision == "float32" or (precision == "bfloat16" and not multiplies_halves()):
        how = jax.lax.Precision.HIGHEST
    if precision == "bfloat16":
        a, b = _halved(a), _halved(b)
    return apart(jax.lax.dot_general(a, b, over, how, preferred_element_type=kept))


def _halved(x: jax.Array) -> jax.Array:
    """In bfloat16, or the same numbers in float32 where that is faster."""
    if multiplies_halves():
        return x.astype(jnp.bfloat16)
    return jax.lax.reduce_precision(x, 8, 7)


def _turned(x: jax.Array) -> jax.Array:
    return apart(apart(x).T)


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
    if of_a == 1 or not on_cpu():
        return _plain(a, b, of_a, of_b, precision)
    # XLA's faster product for a CPU can not sum over the rows of its left factor
    if b.shape[1 - of_b] < a.shape[1]:  # the smaller factor is transposed
        return _plain(b if of_b else _turned(b), a, 1, 0, precision).T
    return _plain(_turned(a), b, 1, of_b, precision)


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


def dot(x: jax.Array, w: jax.Array, precision: Precision) -> jax.Array:
    """The product of a dense layer: [..., in] and [in, out] -> [..., out]."""
    rows = x.reshape(-1, x.shape[-1])
    product: Any = _product(rows, w, 1, 0, precision)
    return product.reshape(*x.shape[:-1], w.shape[-1])
