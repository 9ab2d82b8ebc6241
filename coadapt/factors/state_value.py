"""A state value V beside Q: what a state is worth by the actions in the data."""

from typing import Annotated

import jax
import jax.numpy as jnp

from coadapt.schema import Range, Scalar, config


@config
class Expectile:
    """V(s), an expectile of Q(s, a) over the stored actions; targets bootstrap from it.

    Source: Kostrikov et al. 2022 (IQL), Eq. 5. An expectile above 0.5 leans to the best
    of the actions that the data have, and no other action is ever scored. V has a
    network like a critic's, of the state alone, and the critics' optimiser.
    """

    # tau: 0.5 is the mean over the data's actions, near 1 their best
    expectile: Annotated[Scalar, Range(gt=0, lt=1)] = 0.7  # settings 4.8

    def each(self, error: jax.Array) -> jax.Array:
        """|tau - 1(error < 0)| error^2, of Q less V: [B] -> [B]."""
        weight = jnp.where(error < 0.0, 1.0 - self.expectile, self.expectile)
        return weight * jnp.square(error)
