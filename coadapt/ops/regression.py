"""Weighted least squares in closed form."""

import chex
import jax
import jax.numpy as jnp


def weighted_ridge(
    features: jax.Array,
    target: jax.Array,
    weight: jax.Array,
    ridge: jax.typing.ArrayLike,
) -> tuple[jax.Array, jax.Array]:
    """The linear map with the least weighted squared error, each target by itself.

        K_a = (Phi^T W_a Phi + ridge I)^-1 Phi^T W_a target_a
    with weights that sum to 1 over B, so neither their scale nor B changes what the
    ridge means. Source: Kober and Peters 2009 (PoWER); settings 3.1.

    Args:
        features: Phi [B, F].
        target: [B, A].
        weight: [B, A], >= 0, not all 0 in a column.
        ridge: scalar >= 0.
    Returns:
        (K [F, A]; the largest condition number of the A matrices, scalar, inf if
        one is singular).
    """
    chex.assert_rank([features, target], 2)
    chex.assert_equal_shape([target, weight])
    weight = weight / jnp.sum(weight, axis=0, keepdims=True)
    weighted = features[:, :, None] * weight[:, None, :]  # [B, F, A]
    # no shortened products (TF32): the solution magnifies their error
    gram = jnp.einsum("bfa,bg->afg", weighted, features, precision="highest")
    gram = gram + ridge * jnp.eye(features.shape[1], dtype=gram.dtype)[None]
    moment = jnp.einsum("bfa,ba->af", weighted, target, precision="highest")
    # one decomposition for both: two of LAPACK's at once can hang on two CPU devices
    spectrum, basis = jnp.linalg.eigh(gram)  # [A, F] ascending, [A, F, F]
    inside = jnp.einsum("afk,af->ak", basis, moment, precision="highest") / spectrum
    solution = jnp.einsum("afk,ak->af", basis, inside, precision="highest")
    condition = spectrum[:, -1] / jnp.maximum(spectrum[:, 0], 0.0)
    return solution.T, jnp.max(condition)
