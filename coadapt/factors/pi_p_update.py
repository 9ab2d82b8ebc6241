"""Column pi_p update: how does the prior follow the posterior?"""

from typing import Literal

import jax
import jax.numpy as jnp

from coadapt.ops import lagrange
from coadapt.schema import NonNegative, Positive, Scalar, config


@config
class DecoupledKL:
    """KL(old || new) of the mean and of the std held apart.

    Source: Abdolmaleki et al. 2018a; settings 1.3. The multipliers are softplus of raw
    variables, raised while their KL is above epsilon.
    """

    epsilon_mean: Positive = 1e-3  # nats; a dimension's, or of all together
    epsilon_std: Positive = 1e-6  # nats, as epsilon_mean
    init_mean: Scalar = 1.0  # of the raw variable
    init_std: Scalar = 10.0  # of the raw variable
    # of the raw variables: projected after a step, or clamped in the forward pass
    floor: Literal["project", "clamp"] = "project"  # settings 2.11
    # an epsilon and a multiplier for each action dimension, as the authors' MPO has
    # them; or one for the sum over dimensions, as Song et al. 2020 (V-MPO)
    per_dimension: bool = True
    # of the actions that are fitted: the mean's under the old std plus the std's under
    # the old mean, as in MPO; or the policy's own, as in V-MPO
    likelihood: Literal["split", "joint"] = "split"

    def start(self, action_size: int) -> dict[str, jax.Array]:
        ones = jnp.ones(action_size if self.per_dimension else ())
        return {"mean": ones * self.init_mean, "std": ones * self.init_std}

    def epsilon(self) -> dict[str, jax.typing.ArrayLike]:
        return {"mean": self.epsilon_mean, "std": self.epsilon_std}

    def value_of(self, raw: jax.Array) -> jax.Array:
        return lagrange.multiplier(raw, clamp=self.floor == "clamp")


@config
class JointKL:
    """KL(old || new) of the whole distribution held at epsilon: of any pi_theta.

    Source: V-MPO with discrete actions (Song et al. 2020), as DecoupledKL without the
    parts.
    """

    epsilon_joint: Positive = 1e-2  # nats
    init_joint: Scalar = 1.0  # of the raw variable
    # of the raw variable: projected after a step, or clamped in the forward pass
    floor: Literal["project", "clamp"] = "project"  # settings 2.11

    def start(self, action_size: int) -> dict[str, jax.Array]:
        return {"joint": jnp.asarray(self.init_joint, jnp.float32)}

    def epsilon(self) -> dict[str, jax.typing.ArrayLike]:
        return {"joint": self.epsilon_joint}

    def value_of(self, raw: jax.Array) -> jax.Array:
        return lagrange.multiplier(raw, clamp=self.floor == "clamp")


@config
class Gradient:
    """Weighted maximum likelihood by stochastic gradient: the M-step."""

    # what keeps the policy near its target copy
    trust_region: DecoupledKL | JointKL | None = None

    @property
    def symbol(self) -> str:
        return "SG" if self.trust_region is None else "SG + TR"


@config
class ClosedForm:
    """Weighted maximum likelihood in closed form, of the policy's last layer.

    A ridge regression of the actions on the features below that layer, then the std of
    what is left. Source: settings 3.1.
    """

    ridge: NonNegative = 1e-3  # of the regression; settings 3.1
    min_std: Positive = 1e-3**0.5  # Sigma is at least 1e-3; settings 3.1

    @property
    def symbol(self) -> str:
        return "Analytic"


@config
class Copy:
    """The prior becomes the posterior, which is the policy, or is projected on it by
    stochastic gradient."""

    @property
    def symbol(self) -> str:
        return "pi_q"


@config
class Fixed:
    """The prior stays as it is."""

    @property
    def symbol(self) -> str:
        return "(Fixed)"


PiPUpdate = Gradient | ClosedForm | Copy | Fixed
