"""tanh and back, in float32.

tanh and its log-determinant are distrax's. The way back is not: `inverse` is what the
paper found to decide between an agent that learns and one that ends in numerical
errors, so it is a choice here. distrax has the naive one alone, and its distribution
under a tanh, which goes that way for each action that it did not just draw, gives NaN
at the border of the box.
"""

import distrax
import jax
import jax.numpy as jnp

SAFE_LIMIT = 1 - 1e-6


def log_det(pre_tanh: jax.Array) -> jax.Array:
    """log d tanh(u) / du = 2 (log 2 - u - softplus(-2u)), finite for every finite u.

    Source: settings 1.1. [..., A] -> [..., A], nats.
    """
    return jnp.asarray(distrax.Tanh().forward_log_det_jacobian(pre_tanh))


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
