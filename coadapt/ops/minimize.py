"""The minimum of a smooth function, by a quasi-Newton method."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

Tree = Any  # a pytree of arrays


ROUNDING = 1e-6  # relative; the line search takes no larger rise for a descent


def _finite(tree: Tree) -> jax.Array:
    """Whether every number of a tree is finite."""
    leaves = jax.tree.leaves(tree)
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def minimize(
    function: Callable[[Tree], jax.Array],
    start: Tree,
    *,
    iterations: int,
    tolerance: jax.typing.ArrayLike,
) -> tuple[Tree, jax.Array, jax.Array]:
    """L-BFGS with a zoom line search, until the gradient is flat.

    Ends when the gradient's L2 norm is at most the tolerance, after `iterations`, or
    before a step that does not descend or that leads where something is not finite.
    Source: Liu and Nocedal 1989; the line search of Nocedal and Wright 2006, Alg. 3.5.

    Args:
        function: of a tree like start -> scalar.
        iterations: static.
        tolerance: in units of the function per unit of its argument.
    Returns:
        (argument, norm of the gradient there, steps taken).
    """
    solver = optax.lbfgs()
    evaluate = optax.value_and_grad_from_state(function)

    def unfinished(carry: tuple[Tree, ...]) -> jax.Array:
        _, _, gradient, _, steps, descends = carry
        flat = optax.tree.norm(gradient) <= tolerance
        return descends & ~flat & (steps < iterations)

    def step(carry: tuple[Tree, ...]) -> tuple[Tree, ...]:
        params, value, gradient, state, steps, _ = carry
        updates, state = solver.update(
            gradient, state, params, value=value, grad=gradient, value_fn=function
        )
        moved = optax.apply_updates(params, updates)
        new = (moved, *evaluate(moved, state=state))
        descends = _finite(new) & (new[1] <= value + ROUNDING * jnp.abs(value))
        kept = optax.tree.where(descends, new, (params, value, gradient))
        return *kept, state, steps + descends.astype(jnp.int32), descends

    with jax.numpy_dtype_promotion("standard"):  # optax mixes the types of its scalars
        value, gradient = jax.value_and_grad(function)(start)
        begin = (start, value, gradient, solver.init(start), jnp.int32(0))
        carry = (*begin, _finite((value, gradient)))
        params, _, gradient, _, steps, _ = jax.lax.while_loop(unfinished, step, carry)
        return params, optax.tree.norm(gradient), steps
