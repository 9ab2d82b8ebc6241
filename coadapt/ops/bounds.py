"""How far actions leave the box [-1, 1]^A."""

import jax
import jax.numpy as jnp


def excess(action: jax.Array) -> jax.Array:
    """a - clip(a, -1, 1) in each dimension, 0 inside. [..., A] -> [..., A].

    Source: settings 1.3 (step 4) and 1.4 (bound loss).
    """
    return action - jnp.clip(action, -1.0, 1.0)


def excess_norm(action: jax.Array) -> jax.Array:
    """Euclidean distance to the box, not squared. [..., A] -> [...].

    Its gradient is 0 inside the box (and not the NaN of a norm at 0).
    Source: settings 1.3, step 4.
    """
    squared = jnp.sum(jnp.square(excess(action)), axis=-1)
    outside = squared > 0
    return jnp.where(outside, jnp.sqrt(jnp.where(outside, squared, 1.0)), 0.0)


def excess_squared(action: jax.Array) -> jax.Array:
    """Half the squared distance to the box. [..., A] -> [...].

    Source: settings 1.4, the bound loss without its factor.
    """
    return 0.5 * jnp.sum(jnp.square(excess(action)), axis=-1)
