"""Divergences between diagonal Gaussians, dimension by dimension, in nats."""

import jax
import jax.numpy as jnp


def kl_of_mean(mean_p: jax.Array, std_p: jax.Array, mean_q: jax.Array) -> jax.Array:
    """KL( N(mean_p, std_p) || N(mean_q, std_p) ): what moving the mean alone costs.

    Source: Abdolmaleki et al. 2018a, decoupled M-step. Args and result: [..., A].
    """
    return jnp.square((mean_p - mean_q) / std_p) / 2


def kl_of_std(std_p: jax.Array, std_q: jax.Array) -> jax.Array:
    """KL( N(mean, std_p) || N(mean, std_q) ): what changing the std alone costs.

    Source: Abdolmaleki et al. 2018a, decoupled M-step. Args and result: [..., A].
    """
    return jnp.log(std_q / std_p) + jnp.square(std_p / std_q) / 2 - 0.5


def kl(
    mean_p: jax.Array, std_p: jax.Array, mean_q: jax.Array, std_q: jax.Array
) -> jax.Array:
    """KL( N(mean_p, std_p) || N(mean_q, std_q) ) of each dimension.

    Source: textbook. Args: [..., A]. Returns: [..., A].
    """
    return kl_of_std(std_p, std_q) + jnp.square((mean_p - mean_q) / std_q) / 2
