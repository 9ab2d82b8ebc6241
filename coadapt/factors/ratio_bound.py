"""What keeps a policy that is moved by ratios near its prior, for column pi_q update.

The interface is `RatioBound`; the classes below it are final.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Refusal, Ruled
from coadapt.factors.view import Duals, View
from coadapt.ops import lagrange
from coadapt.schema import Positive, Range, Scalar, config
from coadapt.types import Metrics


class RatioBound(Ruled, Protocol):
    """What keeps a policy that is moved by ratios near the prior."""

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.gain

    def duals(self) -> dict[str, jax.Array]:
        """Raw variables of its own, by name, as they start."""
        return {}

    def eta(self, duals: Duals) -> jax.Array:
        """What multiplies KL(pi_p || pi_theta). Scalar."""
        return jnp.zeros((), jnp.float32)

    def gain(self, ratio: jax.Array, score: jax.Array) -> jax.Array:
        """What is climbed: [B], [B] -> [B]."""
        return ratio * score

    def after_iteration(
        self, view: View, kl: Callable[[], jax.Array]
    ) -> tuple[View, Metrics]:
        """A step, after all of an iteration's, by the KL that was made. Scalar."""
        return view, {}


@config
class KLPenalty(RatioBound):
    """eta KL(pi_p || pi_theta); eta doubles or halves to keep the KL near a target.

    Source: Schulman et al. 2017 (settings 3.7), where eta is called beta.
    """

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not config.pi_theta.has_kl:
            reason = f"a {type(config.pi_theta).__name__} has no formula for its KL"
            name, field = type(self).__name__, "pi_q_update.trust_region"
            yield Refusal(field, name, f"{reason}; use ClippedRatio")

    target: Positive = 0.01  # target KL, nats
    init: Positive = 1.0  # initial eta
    # factor by which eta is adapted; 1: it is constant
    factor: Annotated[Scalar, Range(ge=1)] = 2.0
    # eta is adapted if the KL is above target times this, or below target over this
    tolerance: Annotated[Scalar, Range(ge=1)] = 1.5

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.after_iteration

    def duals(self) -> dict[str, jax.Array]:
        return {"penalty": jnp.asarray(self.init, jnp.float32)}

    def eta(self, duals: Duals) -> jax.Array:
        return duals["penalty"]

    def after_iteration(
        self, view: View, kl: Callable[[], jax.Array]
    ) -> tuple[View, Metrics]:
        made = kl()
        eta = lagrange.adapt(
            view.duals["penalty"], made, self.target,
            factor=self.factor, tolerance=self.tolerance,
        )  # fmt: skip
        return view.with_duals(penalty=eta), {"kl": made}


@config
class ClippedRatio(RatioBound):
    """min(r A, clip(r, 1 - epsilon, 1 + epsilon) A), r = pi_theta / pi_p."""

    # ratios of probabilities are clipped to 1 +- epsilon; Schulman et al. 2017
    epsilon: Annotated[Scalar, Range(gt=0, lt=1)] = 0.2

    def gain(self, ratio: jax.Array, score: jax.Array) -> jax.Array:
        clipped = jnp.clip(ratio, 1 - self.epsilon, 1 + self.epsilon)
        return jnp.minimum(ratio * score, clipped * score)


@config
class KLStop:
    """No more of an update's policy steps once KL(pi_p || pi_theta) is too large.

    It is the mean over the next minibatch, before its step; that step and those that
    would follow leave all as it is.
    Source: Achiam 2018 (Spinning Up) and Raffin et al. 2021 (stable-baselines3).
    """

    target: Positive = 0.01  # target KL, nats; Achiam 2018
    # the steps end if the KL is above target times this; Achiam 2018
    tolerance: Annotated[Scalar, Range(ge=1)] = 1.5

    def exceeded(self, kl: jax.Array) -> jax.Array:
        """Whether the KL, scalar, is too large: scalar bool."""
        return kl > self.tolerance * jnp.asarray(self.target, jnp.float32)
