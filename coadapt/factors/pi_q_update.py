"""Column pi_q update: how is the E-step solved, and how is its temperature found?"""

from typing import Literal

import jax
import jax.numpy as jnp

from coadapt.ops import lagrange
from coadapt.schema import NonNegative, Positive, Scalar, config


@config
class ConstantTemperature:
    """eta is given."""

    value: NonNegative = 1.0  # in units of G


@config
class KLTemperature:
    """eta keeps KL(pi_q || pi_p) at epsilon: descent on the dual of Sec. 4.2.1."""

    epsilon: Positive = 0.1  # nats; settings 1.3
    init: Scalar = 1.0  # of the raw variable, eta = softplus(raw); settings 1.3
    floor: Literal["project", "clamp"] = "project"  # settings 2.11

    def start(self) -> jax.Array:
        return jnp.asarray(self.init, jnp.float32)

    def value_of(self, raw: jax.Array) -> jax.Array:
        return lagrange.multiplier(raw, clamp=self.floor == "clamp")


@config
class EntropyTemperature:
    """eta keeps the policy's entropy at a target (Haarnoja et al. 2018b)."""

    target: Scalar = -1.0  # nats for each action dimension; settings 1.1
    init: Positive = 1.0  # eta itself; settings 1.1

    def start(self) -> jax.Array:
        return jnp.log(jnp.asarray(self.init, jnp.float32))

    def value_of(self, raw: jax.Array) -> jax.Array:
        return jnp.exp(raw)


@config
class Analytic:
    """pi_q has a closed form: weights on the prior's samples."""

    temperature: ConstantTemperature | KLTemperature = ConstantTemperature()

    @property
    def symbol(self) -> str:
        bounded = isinstance(self.temperature, KLTemperature)
        return "Analytic + TR" if bounded else "Analytic"


@config
class Gradient:
    """Stochastic gradient on E[G] - eta KL(pi_q || pi_p)."""

    temperature: ConstantTemperature | EntropyTemperature = EntropyTemperature()

    @property
    def symbol(self) -> str:
        return "SG"


PiQUpdate = Analytic | Gradient
Temperature = ConstantTemperature | KLTemperature | EntropyTemperature
