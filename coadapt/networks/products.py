"""The products of layers, in a precision that is a part of the run."""

from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

Precision = Literal["float32", "tf32", "bfloat16"]


def _plain(
    a: jax.Array, b: jax.Array, of_a: int, of_b: int, precision: Precision
) -> jax.Array:
    over = (((of_a,), (of_b,)), ((), ()))
    kept = a.dtype  # of sums: float32, or float64 in a process that has it
    halves = precision == "bfloat16"
    exact = precision == "float32" or (halves and not _multiplies_halves())
    how = jax.lax.Precision.HIGHEST if exact else jax.lax.Precision.HIGH
    if halves:
        a, b = _halved(a), _halved(b)
    return jax.lax.dot_general(a, b, over, how, preferred_element_type=kept)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


@cache
def _multiplies_halves() -> bool:
    """Whether the device has products of bfloat16: every accelerator, some CPUs."""
    if not _on_cpu():
        return True
    path = Path("/proc/cpuinfo")
    words = set(path.read_text().split()) if path.exists() else set[str]()
    return bool(words & {"avx512_bf16", "amx_bf16"})


def _halved(x: jax.Array) -> jax.Array:
    """In bfloat16, or the same numbers in float32 where products are of those."""
    if _multiplies_halves():
        return x.astype(jnp.bfloat16)
    return jax.lax.reduce_precision(x, 8, 7)


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
    if of_a == of_b == 0 and b.shape[1] < a.shape[1] and _on_cpu():
        # XLA's fast product for a CPU can not sum over the rows of its left factor: of
        # 256 rows, 256 by 12, it took 10 microseconds and the other 73
        narrow = jax.lax.optimization_barrier(b.T)  # or it is no product of its own
        return jax.lax.optimization_barrier(_plain(narrow, a, 1, 0, precision)).T
    return _plain(a, b, of_a, of_b, precision)


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
