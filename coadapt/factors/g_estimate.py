"""Column G estimate: how is G fitted?"""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from coadapt.schema import Fraction, Range, Scalar, Toggle, config

Discount = Annotated[Scalar, Range(ge=0, lt=1)]
# critics trained side by side; two and their minimum are clipped double Q
Critics = Annotated[int, Range(ge=1, le=2)]


@config
class TD0:
    """One step of reward, then the value of one action of the policy."""

    discount: Discount = 0.99
    critics: Critics = 2

    @property
    def symbol(self) -> str:
        return "TD(0)"


@config
class Retrace:
    """One step of reward, then the mean value of the prior's M actions.

    The authors' reading of Retrace: a single step, where no trace is left to cut, and
    an expectation in place of a sample (settings 1.3, 2.4).
    """

    discount: Discount = 0.99
    critics: Critics = 1
    # of two critics: the minimum at each action, or the critic of the lower mean
    minimum: Literal["sample", "mean"] = "sample"  # settings 1.7, MPO (D)

    @property
    def symbol(self) -> str:
        return "Retrace(1)"


@config
class TDLambda:
    """Lambda-returns along whole episodes, bootstrapped at time limits."""

    discount: Discount = 0.99
    lam: Fraction = 0.95
    scaled: Toggle = True  # the network fits (1 - discount) V; settings 1.4

    @property
    def symbol(self) -> str:
        return "TD(lambda)"

    def scale(self) -> jax.Array:
        """Network output over value."""
        horizon = 1.0 - jnp.asarray(self.discount, jnp.float32)
        return jnp.where(jnp.asarray(self.scaled), horizon, 1.0)


GEstimate = TD0 | Retrace | TDLambda


def critics(estimate: GEstimate) -> int:
    """K, the number of critics."""
    return 1 if isinstance(estimate, TDLambda) else estimate.critics
