"""The natural gradient, and a line search that stays in its trust region."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Tree = Any  # a pytree of arrays


def fisher(
    divergence: Callable[[Tree], jax.Array],
    params: Tree,
    damping: jax.typing.ArrayLike,
) -> Callable[[Tree], Tree]:
    """v -> (F + damping I) v, F the Hessian of the divergence: reverse over reverse.

    What does not depend on v is computed once, here. Where the divergence is
    KL(pi_old || pi) at pi = pi_old, F is the Fisher matrix.
    Source: Schulman et al. 2015a, App. C; settings 3.6; Pearlmutter 1994.

    Args:
        divergence: of a tree like params -> scalar, nats.
        damping: scalar >= 0.
    Returns:
        a function of trees like params.
    """
    _, back = jax.vjp(jax.grad(divergence), params)  # F is symmetric

    def product(vector: Tree) -> Tree:
        return jax.tree.map(lambda f, v: f + damping * v, back(vector)[0], vector)

    return product


def natural_step(
    divergence: Callable[[Tree], jax.Array],
    params: Tree,
    gradient: Tree,
    *,
    radius: jax.typing.ArrayLike,
    iterations: int,
    damping: jax.typing.ArrayLike,
) -> Tree:
    """The step along the natural gradient whose divergence is the radius.

        x = CG(F + damping I, g),  step = sqrt(2 radius / x^T (F + damping I) x) x
    The divergence is 0.5 step^T F step to second order. A gradient of 0 gives a step of
    0. Source: Schulman et al. 2015a, App. C; settings 3.6.

    Args:
        gradient: of the gain, like params.
        radius: > 0, nats.
        iterations: of conjugate gradients at most, static.
    Returns:
        a tree like params, to be added to them.
    """
    # the step does not depend on the gradient's scale, whose square may leave float32
    leaves = jax.tree.leaves(gradient)
    scale = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    scale = jnp.where(scale == 0, 1.0, scale)
    unit = jax.tree.map(lambda g: g / scale, gradient)

    product = fisher(divergence, params, damping)
    cg = jax.scipy.sparse.linalg.cg
    direction, _ = cg(product, unit, tol=1e-10, maxiter=iterations)
    parts = jax.tree.map(
        lambda x, fx: jnp.vdot(x, fx, precision="highest"),
        direction,
        product(direction),
    )
    curvature = jnp.sum(jnp.stack(jax.tree.leaves(parts)))
    flat = curvature <= 0
    length = jnp.sqrt(2 * radius / jnp.where(flat, 1.0, curvature))
    return jax.tree.map(lambda x: jnp.where(flat, 0.0, length * x), direction)


def backtrack(
    evaluate: Callable[[Tree], tuple[jax.Array, jax.Array]],
    params: Tree,
    step: Tree,
    *,
    radius: jax.typing.ArrayLike,
    trials: int,
    shrink: jax.typing.ArrayLike = 0.5,
) -> tuple[Tree, jax.Array]:
    """The longest of params + shrink^k step that gains and stays within the radius.

    k = 0, 1, ..., trials - 1; accepted iff gain > 0 and divergence <= radius (a NaN
    never is); the old parameters if none is.
    Source: Schulman et al. 2015a, App. C; settings 3.6.

    Args:
        evaluate: of a tree like params -> (gain over the old parameters, divergence
            from them in nats), scalars.
        step: like params.
        radius: nats.
        trials: static.
        shrink: in (0, 1).
    Returns:
        (parameters, fraction of the step that was accepted, 0 if none).
    """

    def moved(fraction: jax.Array) -> Tree:
        return jax.tree.map(lambda p, s: p + fraction.astype(p.dtype) * s, params, step)

    def search(carry: tuple[jax.Array, ...]) -> jax.Array:
        _, tried, accepted = carry
        return ~accepted & (tried < trials)

    def trial(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        fraction, tried, _ = carry
        gain, divergence = evaluate(moved(fraction))
        accepted = (gain > 0) & (divergence <= radius)
        return jnp.where(accepted, fraction, shrink * fraction), tried + 1, accepted

    start = (jnp.ones(()), jnp.zeros((), jnp.int32), jnp.zeros((), bool))
    fraction, _, accepted = jax.lax.while_loop(search, trial, start)
    new = jax.tree.map(lambda p, q: jnp.where(accepted, q, p), params, moved(fraction))
    return new, jnp.where(accepted, fraction, 0.0)
