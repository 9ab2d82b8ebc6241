"""What several critics say together."""

import functools

import jax
import jax.numpy as jnp


def minimum(values: jax.Array) -> jax.Array:
    """The least of K estimates, elementwise; NaN where any of them is NaN.

    Not `jnp.min`: its gradient asks which entry EQUALS the minimum, and where XLA
    computes the entries twice and rounds them differently none does, so 0 / 0 makes a
    NaN. Here every gradient goes to one entry, of equal ones to the first.
    Source: Fujimoto et al. 2018, clipped double Q. [K, ...] -> [...].
    """

    def lesser(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where((a <= b) | jnp.isnan(a), a, b)

    return functools.reduce(lesser, values)


def mix(values: jax.Array, weight: jax.typing.ArrayLike) -> jax.Array:
    """weight * minimum + (1 - weight) * maximum of K estimates, elementwise.

    Source: Kumar et al. 2019, Wu et al. 2019 (settings 3.10). [K, ...] -> [...].
    """
    share = jnp.asarray(weight, values.dtype)
    return share * minimum(values) - (1 - share) * minimum(-values)
