"""tanh and back, in float32."""

import jax
import jax.numpy as jnp

SAFE_LIMIT = 1 - 1e-6


def log_det(pre_tanh: jax.Array) -> jax.Array:
    """log d tanh(u) / du = 2 (log 2 - u - softplus(-2u)), finite for every finite u.

    Source: settings 1.1. [..., A] -> [..., A], nats.
    """
    return 2.0 * (jnp.log(2.0) - pre_tanh - jax.nn.softplus(-2.0 * pre_tanh))


def inverse(action: jax.Array, *, safe: bool) -> jax.Array:
    """The u with tanh(u) = a.

    safe=False: plain atanh, infinite at |a| = 1, which float32 reaches from |u| of
    about 9 (8 in XLA on a CPU): the likely cause of the paper's numerical errors.
    safe=True: a is clipped to +-(1 - 1e-6) first, so |u| <= 7.25.
    Source: settings 1.1, 2.9. [..., A] -> [..., A].
    """
    if safe:
        action = jnp.clip(action, -SAFE_LIMIT, SAFE_LIMIT)
    return jnp.arctanh(action)
