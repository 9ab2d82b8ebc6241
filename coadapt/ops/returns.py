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

    Args:
        reward: [...].
        discount: [...].
        next_value: [...].
    Returns:
        [...].
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

    Args:
        reward: [L, ...].
        discount: [L, ...].
        last: [L, ...].
        next_value: [L, ...], of the true successor.
        lam: scalar in [0, 1].
    Returns:
        [L, ...]. The last row bootstraps, whether or not `last` is set there.
    """
    chex.assert_equal_shape([reward, discount, next_value, last])
    lam = jnp.asarray(lam, reward.dtype)
    rows = reward, discount, next_value, last
    # a step of a loop costs a core nanoseconds, an accelerator three kernels
    return jax.lax.platform_dependent(
        lam, *rows, cpu=_step_by_step, default=_all_at_once
    )


def _step_by_step(lam: jax.Array, *rows: jax.Array) -> jax.Array:
    def step(following: jax.Array, row: tuple[jax.Array, ...]):
        r, g, v, ends = row
        mixed = (1 - lam) * v + lam * following
        total = r + g * jnp.where(ends, v, mixed)
        return total, total

    _, _, next_value, _ = rows
    return jax.lax.scan(step, next_value[-1], rows, reverse=True)[1]


def _all_at_once(
    lam: jax.Array,
    reward: jax.Array,
    discount: jax.Array,
    next_value: jax.Array,
    last: jax.Array,
) -> jax.Array:
    """In some log2(L) passes: G_t = a_t + b_t G_{t+1}, and such maps compose."""
    last = last.at[-1].set(True)
    mixed = jnp.where(last, next_value, (1 - lam) * next_value)
    a, b = reward + discount * mixed, discount * jnp.where(last, 0.0, lam)

    def compose(later: tuple, earlier: tuple) -> tuple[jax.Array, jax.Array]:
        (a1, b1), (a0, b0) = later, earlier
        # what lies behind an end counts for nothing, infinities too
        return a0 + jnp.where(b0 == 0, 0.0, b0 * a1), b0 * b1

    return jax.lax.associative_scan(compose, (a, b), reverse=True)[0]


def n_step_return(
    reward: jax.Array,
    discount: jax.Array,
    next_value: jax.Array,
    last: jax.Array,
    n: int,
) -> jax.Array:
    """The sum of up to n rewards, then the value of the state reached.

        G^1_t = r_t + gamma_t V(s_{t+1}),  G^k_t = r_t + gamma_t G^{k-1}_{t+1},
    but G^k_t = G^1_t where an episode ends. n = 1 is TD(0); n >= L is Monte Carlo with
    a bootstrap at time limits.
    Source: Sutton and Barto 2018, Sec. 7.1; settings 3.5 (V-MPO).

    Args:
        reward: [L, ...].
        discount: [L, ...].
        last: [L, ...].
        next_value: [L, ...], of the true successor.
        n: >= 1, static.
    Returns:
        [L, ...]. The last row bootstraps, whether or not `last` is set there.
    """
    chex.assert_equal_shape([reward, discount, next_value, last])

    def extend(_: jax.Array, shorter: jax.Array) -> jax.Array:
        following = jnp.concatenate([shorter[1:], next_value[-1:]])
        return reward + discount * jnp.where(last, next_value, following)

    # with as many steps as there are, no more changes anything
    most = min(n, reward.shape[0])
    return jax.lax.fori_loop(1, most, extend, reward + discount * next_value)


def first_steps(
    reward: jax.Array,
    discount: jax.Array,
    ratio: jax.Array,
    last: jax.Array,
    n: jax.typing.ArrayLike,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The first n steps of sequences as one step, fewer where an episode ends.

        R = sum_{k < m} (prod_{0 < j <= k} rho_j) (prod_{j < k} gamma_j) r_k,
    where m is n, or the steps up to and including the first `last`.
    Source: Sutton and Barto 2018, Sec. 7.1; Precup et al. 2000 (per decision).

    Args:
        reward: [L, ...].
        discount: [L, ...].
        last: [L, ...].
        ratio: rho, [L, ...]; 1 for no correction.
        n: in 1 .. L, may be traced.
    Returns:
        R [...]; what multiplies the last step's own discount and value, [...]; and
        the place of that step, m - 1.
    """
    chex.assert_equal_shape([reward, discount, ratio, last])
    runs = jnp.cumprod(jnp.where(last, 0, 1), axis=0)  # through step k
    before = jnp.concatenate([jnp.ones_like(runs[:1]), runs[:-1]])
    order = jnp.arange(reward.shape[0]).reshape(-1, *(1,) * (reward.ndim - 1))
    counts = (before > 0) & (order < n)
    # of step k: gamma of those before it, rho of those up to it but the first's
    factor = jnp.concatenate([jnp.ones_like(ratio[:1]), discount[:-1] * ratio[1:]])
    factor = jnp.where(counts, factor, 1.0)  # what does not count may be infinite
    weight = jnp.cumprod(factor, axis=0)
    total = jnp.sum(jnp.where(counts, weight * reward, 0.0), axis=0)
    place = jnp.sum(counts, axis=0) - 1
    return total, jnp.take_along_axis(weight, place[None], axis=0)[0], place


def retrace_return(
    reward: jax.Array,
    discount: jax.Array,
    next_value: jax.Array,
    value: jax.Array,
    log_ratio: jax.Array,
    last: jax.Array,
    lam: jax.typing.ArrayLike,
) -> jax.Array:
    """Retrace(lambda): `traced_return` with truncated importance weights.

        c_t = lambda min(1, pi(a_t|s_t) / mu(a_t|s_t)).
    Source: Munos et al. 2016, Eq. 3 and 4; Furuta et al. 2021, Table 1 (MPO).

    Args:
        reward: [L, ...].
        discount: [L, ...].
        next_value: [L, ...], E_pi Q(s_{t+1}, .) of the true successor.
        value: [L, ...], Q(s_t, a_t).
        last: [L, ...].
        log_ratio: log pi - log mu of a_t, nats.
        lam: scalar in [0, 1].
    """
    trace = jnp.exp(jnp.minimum(log_ratio, 0.0)) * jnp.asarray(lam, value.dtype)
    return traced_return(reward, discount, next_value, value, trace, last)


def traced_return(
    reward: jax.Array,
    discount: jax.Array,
    next_value: jax.Array,
    value: jax.Array,
    trace: jax.Array,
    last: jax.Array,
) -> jax.Array:
    """Off-policy returns, whose corrections count by a trace.

        G_t = r_t + gamma_t [ V(s_{t+1}) + c_{t+1} (G_{t+1} - Q(s_{t+1}, a_{t+1})) ],
    with c_{t+1} = 0 where an episode ends.
    Source: Munos et al. 2016, Eq. 3 and Table 1.

    Args:
        reward: [L, ...].
        discount: [L, ...].
        last: [L, ...].
        next_value: [L, ...], E_pi Q(s_{t+1}, .) of the true successor.
        value: [L, ...], Q(s_t, a_t).
        trace: [L, ...], c_t.
    Returns:
        [L, ...]. The last row bootstraps, whether or not `last` is set there.
    """
    chex.assert_equal_shape([reward, discount, next_value, value, trace, last])

    def step(correction: jax.Array, row: tuple[jax.Array, ...]):
        r, g, v, q, c, ends = row
        total = r + g * jnp.where(ends, v, v + correction)
        return c * (total - q), total

    rows = (reward, discount, next_value, value, trace, last)
    _, returns = jax.lax.scan(step, jnp.zeros_like(reward[0]), rows, reverse=True)
    return returns
