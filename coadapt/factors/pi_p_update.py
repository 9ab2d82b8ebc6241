"""Column pi_p update: how does the prior follow the posterior?"""

from typing import Literal

import jax
import jax.numpy as jnp

from coadapt.ops import lagrange
from coadapt.schema import Positive, Scalar, config


@config
class DecoupledKL:
    """KL(old || new) of the mean and of the std held apart, in each action dimension.

    Source: Abdolmaleki et al. 2018a; settings 1.3. The multipliers are softplus of raw
    variables, raised while their KL is above epsilon.
    """

    epsilon_mean: Positive = 1e-3  # nats a dimension
    epsilon_std: Positive = 1e-6  # nats a dimension
    init_mean: Scalar = 1.0  # of the raw variable
    init_std: Scalar = 10.0  # of the raw variable
    floor: Literal["project", "clamp"] = "project"  # settings 2.11

    def start(self, action_size: int) -> dict[str, jax.Array]:
        ones = jnp.ones(action_size)
        return {"mean": ones * self.init_mean, "std": ones * self.init_std}

    def value_of(self, raw: jax.Array) -> jax.Array:
        return lagrange.multiplier(raw, clamp=self.floor == "clamp")


@config
class Gradient:
    """Weighted maximum likelihood by stochastic gradient: the M-step."""

    trust_region: DecoupledKL | None = None

    @property
    def symbol(self) -> str:
        return "SG" if self.trust_region is None else "SG + TR"


@config
class Fixed:
    """The prior stays as it is."""

    @property
    def symbol(self) -> str:
        return "(Fixed)"


PiPUpdate = Gradient | Fixed
