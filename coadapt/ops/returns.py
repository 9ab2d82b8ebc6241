"""Estimates of the return from rewards and bootstrap values.

Time is the first axis. `discount` is gamma times the transition's own discount, so it
is 0 exactly at terminations; `last` also marks time limits, where the sum of rewards
stops but the bootstrap value stays.
"""

import chex
import jax
import jax.numpy as jnp


def td_target(
    reward: jax.Array, discount: jax.Array, next_value: jax.Array
) -> jax.Array:
    """One-step target y = r + gamma * (1 - terminated) * V(s').

    Source: Furuta et al. 2021, Sec. 3, the Bellman operator (with the gamma that the
    text leaves out: settings 2.22).
    Args: all [...]; returns [...].
    """
    chex.assert_equal_shape([reward, discount, next_value])
    return reward + discount * next_value


def lambda_return(
    reward: jax.Array,
    discount: jax.Array,
    next_value: jax.Array,
    last: jax.Array,
    lam: jax.typing.ArrayLike,
) -> jax.Array:
    """TD(lambda) returns, computed backwards in time.

        G_t = r_t + gamma_t [ (1 - lambda) V(s_{t+1}) + lambda G_{t+1} ],
    with lambda = 0 where an episode ends. lambda = 0 is TD(0), lambda = 1 Monte Carlo
    with a bootstrap at time limits; G - V is the generalised advantage.
    Source: Peng et al. 2019 (AWR); Furuta et al. 2021, Sec. 4.2.2.
    Args: arrays [L, ...], next_value of the true successor; lam scalar in [0, 1].
    Returns: [L, ...]. The last row bootstraps, whether or not `last` is set there.
    """
    chex.assert_equal_shape([reward, discount, next_value, last])

    def step(following: jax.Array, row: tuple[jax.Array, ...]):
        r, g, v, ends = row
        mixed = (1 - lam) * v + lam * following
        total = r + g * jnp.where(ends, v, mixed)
        return total, total

    final = next_value[-1]
    _, returns = jax.lax.scan(
        step, final, (reward, discount, next_value, last), reverse=True
    )
    return returns
