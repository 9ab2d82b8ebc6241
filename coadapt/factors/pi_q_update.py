"""Column pi_q update: how is the E-step solved, and how is its temperature found?"""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from coadapt.ops import divergences, lagrange
from coadapt.schema import NonNegative, Positive, Range, Scalar, Size, config


@config
class ConstantTemperature:
    """eta is given."""

    value: NonNegative = 1.0  # in units of G


@config
class KLTemperature:
    """eta keeps KL(pi_q || pi_p) at epsilon: descent on the dual of Sec. 4.2.1."""

    epsilon: Positive = 0.1  # nats; settings 1.3
    init: Scalar = 1.0  # of the raw variable, eta = softplus(raw); settings 1.3
    # of the raw variable: projected after a step, or clamped in the forward pass
    floor: Literal["project", "clamp"] = "project"  # settings 2.11

    def start(self) -> jax.Array:
        return jnp.asarray(self.init, jnp.float32)

    def value_of(self, raw: jax.Array) -> jax.Array:
        return lagrange.multiplier(raw, clamp=self.floor == "clamp")


@config
class DualTemperature:
    """eta minimises the dual together with g_estimate=DualValue, on all the data.

    It falls without end where the best steps are more than e^-epsilon of the data, so
    there is a floor.
    """

    epsilon: Positive = 0.5  # nats; settings 3.3
    init: Positive = 1.0  # eta itself, where the first search starts
    floor: Positive = 1e-4  # in units of G

    def start(self) -> jax.Array:
        above = jnp.asarray(self.init, jnp.float32) - self.floor
        return jnp.log(jnp.maximum(above, self.floor))

    def value_of(self, raw: jax.Array) -> jax.Array:
        return self.floor + jnp.exp(raw)


@config
class ExponentialTemperature:
    """eta is the mean cost under the weights, cost = max r - r: RWR's own rule.

    Source: settings 3.2, the maximum likelihood of an exponential distribution.
    """

    init: Positive = 1.0  # eta itself

    def start(self) -> jax.Array:
        return jnp.asarray(self.init, jnp.float32)

    def value_of(self, raw: jax.Array) -> jax.Array:
        return raw


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
class DivergenceTemperature:
    """eta keeps the divergence from the prior at a limit, by ascent on log eta."""

    limit: Positive = 0.05  # what the divergence may be, in its units; settings 3.10
    init: Positive = 1.0  # eta itself
    low: Scalar = -5.0  # of log eta; settings 3.10
    high: Scalar = 10.0  # of log eta; settings 3.10

    def start(self) -> jax.Array:
        return jnp.log(jnp.asarray(self.init, jnp.float32))

    def value_of(self, raw: jax.Array) -> jax.Array:
        return jnp.exp(raw)


@config
class KL:
    """KL(pi_q || pi_p), as the mean of log pi_q - log pi_p over samples of pi_q."""

    samples: Size = 1  # actions of the policy that it is averaged over, M


@config
class MMD:
    """The maximum mean discrepancy between actions of pi_q and of pi_p, untanhed.

    Source: Kumar et al. 2019 (settings 3.10).
    """

    samples: Size = 10  # of each; settings 3.10
    # of the exponential of a distance (L1) or a squared one (L2)
    kernel: Literal["laplacian", "gaussian"] = "laplacian"  # settings 3.10
    sigma: Positive = 20.0  # width of the kernel; settings 3.10


@config
class DualKL:
    """KL(pi_q || pi_p) as the best lower bound that a critic-sized network f finds.

    Source: Wu et al. 2019 and its code (settings 3.10).
    """

    samples: Size = 4  # of each; settings 3.10
    # what f makes the ratio of the densities: softplus(f), or exp(f - 1)
    ratio: Literal["softplus", "exp"] = "softplus"  # settings 3.10
    # weight of the penalty on slopes of f above 1; 0: none
    slope: NonNegative = 5.0  # settings 3.10

    def between(self, own: jax.Array, others: jax.Array) -> jax.Array:
        if self.ratio == "softplus":
            return divergences.softplus_dual_kl(own, others)
        return divergences.dual_kl(own, others)

    def penalty(self, slope: jax.Array) -> jax.Array:
        return self.slope * divergences.slope_penalty(slope, one_sided=True)


@config
class Wasserstein:
    """The Wasserstein distance, as a network f finds it whose slope is held below 1.

    Source: Wu et al. 2019 and its code (settings 3.10).
    """

    samples: Size = 4  # of each; settings 3.10
    slope: Positive = 5.0  # weight of the penalty on f's slope; settings 3.10
    # whether slopes below 1 are penalised too (two, Gulrajani et al. 2017)
    sided: Literal["one", "two"] = "one"  # settings 3.10

    def between(self, own: jax.Array, others: jax.Array) -> jax.Array:
        return divergences.dual_wasserstein(own, others)

    def penalty(self, slope: jax.Array) -> jax.Array:
        one = self.sided == "one"
        return self.slope * divergences.slope_penalty(slope, one_sided=one)


Dual = DualKL | Wasserstein


@config
class KLPenalty:
    """eta KL(pi_p || pi_theta); eta doubles or halves to keep the KL near a target.

    Source: Schulman et al. 2017 (settings 3.7), where eta is called beta.
    """

    target: Positive = 0.01  # nats
    init: Positive = 1.0  # eta at the start
    factor: Annotated[Scalar, Range(ge=1)] = 2.0  # 1 leaves eta as it is
    # eta changes where the KL is beyond target times or over this
    tolerance: Annotated[Scalar, Range(ge=1)] = 1.5


@config
class ClippedRatio:
    """min(r A, clip(r, 1 - epsilon, 1 + epsilon) A), r = pi_theta / pi_p."""

    # how far from 1 a ratio of probabilities counts
    epsilon: Annotated[Scalar, Range(gt=0, lt=1)] = 0.2  # Schulman et al. 2017


@config
class Analytic:
    """pi_q has a closed form: weights on the prior's samples."""

    # eta, and how it is found
    temperature: (
        ConstantTemperature | KLTemperature | DualTemperature | ExponentialTemperature
    ) = ConstantTemperature()

    @property
    def symbol(self) -> str:
        bounded = isinstance(self.temperature, KLTemperature)
        return "Analytic + TR" if bounded else "Analytic"


@config
class Gradient:
    """Stochastic gradient on E[G] - eta D(pi_q, pi_p)."""

    # eta, and how it is found
    temperature: ConstantTemperature | EntropyTemperature | DivergenceTemperature = (
        EntropyTemperature()
    )
    divergence: KL | MMD | DualKL | Wasserstein = KL()  # of the policy from the prior

    @property
    def symbol(self) -> str:
        return "SG"


@config
class Proximal:
    """Stochastic gradient on E[G] that is kept near the prior."""

    # what keeps the policy near the prior
    trust_region: KLPenalty | ClippedRatio = KLPenalty()

    @property
    def symbol(self) -> str:
        return "SG + TR"


@config
class NaturalGradient:
    """One step to the border of KL(pi_p || pi_theta) <= radius, halved until it is in.

    Source: Schulman et al. 2015a (settings 3.6).
    """

    radius: Positive = 0.01  # nats; settings 3.6
    # over the A action dimensions: KL itself; or their mean, as sb3-contrib has it, so
    # that radius and damping are A times as large
    kl: Literal["sum", "mean"] = "sum"
    iterations: Size = 20  # of conjugate gradients; settings 3.6
    # added to the diagonal of the Fisher matrix
    damping: NonNegative = 0.1  # settings 3.6
    # of the step, at most, until it is in the region and an improvement
    halvings: Size = 10  # settings 3.6

    @property
    def symbol(self) -> str:
        return "TR"


PiQUpdate = Analytic | Gradient | Proximal | NaturalGradient


def temperature_of(update: PiQUpdate):
    """The rule that finds eta; None where there is no temperature."""
    return getattr(update, "temperature", None)


def divergence_samples(update: PiQUpdate) -> int:
    """Of the policy's actions at a state, how many a divergence takes."""
    return update.divergence.samples if isinstance(update, Gradient) else 1


def learned(update: PiQUpdate) -> bool:
    """Whether the temperature is a variable of the agent's."""
    rule = temperature_of(update)
    return rule is not None and not isinstance(rule, ConstantTemperature)
