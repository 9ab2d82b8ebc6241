"""How a std is made: the interface `ScaleRule`, and final classes below it."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Refusal, Ruled
from coadapt.factors.view import lacks
from coadapt.schema import Positive, Scalar, config
from coadapt.types import Tree


class Residual(NamedTuple):
    """What a fitted mean leaves of B actions, for the closed form of a scale."""

    error: jax.Array  # [B, A]
    std: jax.Array  # [B, A], of the policy that drew the actions
    weight: jax.Array  # [B]
    min_std: jax.Array | float

    def variance(self) -> jax.Array:
        """The weighted variance of each dimension, at least the minimum. [A]."""
        total = jnp.sum(self.weight[:, None] * jnp.square(self.error), axis=0)
        return jnp.maximum(total / jnp.sum(self.weight), self.min_std**2)


class ScaleRule(Ruled, Protocol):
    """How a std is made."""

    symbol: ClassVar[str]  # as Table 1 prints it
    closed_form: ClassVar[bool] = False  # whether `fit` finds it
    of_network: ClassVar[bool] = False  # whether it takes an output a dimension

    def outputs(self, action_size: int) -> int:
        """Of the network, that it takes."""
        return action_size if self.of_network else 0

    def init(self, action_size: int, features: int) -> Tree:
        """Parameters of its own, or None."""
        return None

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        """The std, [B, A] or what broadcasts to it.

        Args:
            own: its parameters.
            head: its outputs [B, outputs] of the network.
            features: [B, F], what the output layer reads, with a 1 for its bias.
        """
        ...

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> Tree:
        """Its parameters, by weighted maximum likelihood, where `closed_form`."""
        raise lacks(self, "closed form")


@config
class StateLogStd(ScaleRule):
    """std(s) = exp(clip(x, low, high)), x an output of the network: SAC's head."""

    low: Scalar = -20.0  # minimum of log std; settings 1.1
    high: Scalar = 2.0  # maximum of log std; settings 1.1

    of_network: ClassVar[bool] = True
    symbol = "Sigma_theta(s)"

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not self.low < self.high:
            reason = "it must be below pi_theta.scale.high"
            yield Refusal("pi_theta.scale.low", self.low, reason)

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.exp(jnp.clip(head, self.low, self.high))


@config
class StateSoftplusStd(ScaleRule):
    """std(s) = init softplus(x) / log 2 + std_offset, x the network's output: MPO's."""

    init_std: Positive = 0.5  # std at x = 0; settings 1.3, per task
    std_offset: Positive = 1e-6  # added to the std; settings 1.3

    of_network: ClassVar[bool] = True
    symbol = "Sigma_theta(s)"

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        unit = jax.nn.softplus(head) / 0.6931  # the authors' rounded log 2
        return unit * self.init_std + self.std_offset


class Learned(ScaleRule, Protocol):
    """One std for all states, of a parameter a dimension, which begin at `raw`."""

    closed_form: ClassVar[bool] = True
    symbol = "Sigma_theta"
    raw: float

    def init(self, action_size: int, features: int) -> jax.Array:
        return jnp.full(action_size, self.raw, jnp.float32)


@config
class LearnedStd(Learned):
    """One std for all states: its variance is softplus of a parameter: AWAC's."""

    raw: Scalar = 0.0  # initial raw parameter; at 0 the variance is 0.693; settings 1.5

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.sqrt(jax.nn.softplus(own))

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> jax.Array:
        variance = residual.variance()
        return variance + jnp.log(-jnp.expm1(-variance))  # the inverse of softplus


@config
class LearnedLogStd(Learned):
    """One std for all states, whose logarithm is a parameter: TRPO's and PPO's."""

    raw: Scalar = 0.0  # initial log std; settings 3.6
    floor: Scalar | None = None  # minimum of log std; none: no minimum
    ceiling: Scalar | None = None  # maximum of log std; none: no maximum

    def limits(self, config: Config) -> Iterator[Refusal]:
        floor, ceiling = self.floor, self.ceiling
        if floor is not None and ceiling is not None and not floor < ceiling:
            reason = "it must be below pi_theta.scale.ceiling"
            yield Refusal("pi_theta.scale.floor", floor, reason)

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.exp(jnp.clip(own, self.floor, self.ceiling))

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> jax.Array:
        return jnp.log(residual.variance()) / 2


@config
class ConstantStd(ScaleRule):
    """One std for all states and all time: AWR's."""

    value: Positive = 0.4  # the std; settings 1.4, per task

    closed_form: ClassVar[bool] = True
    symbol = "Sigma"

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.asarray(self.value, jnp.float32)

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> None:
        return None


@config
class FeatureStd(ScaleRule):
    """Noise on the weights of the last layer: var(s) = sum_f phi_f(s)^2 v_f, PoWER's.

    Source: Kober and Peters 2008, state-dependent exploration (settings 3.1), with a
    diagonal covariance.
    """

    init_std: Positive = 0.5  # initial std of the noise on each weight

    closed_form: ClassVar[bool] = True
    symbol = "Sigma_theta(s)"

    def init(self, action_size: int, features: int) -> jax.Array:
        log_variance = 2 * jnp.log(jnp.asarray(self.init_std, jnp.float32))
        return jnp.broadcast_to(log_variance, (features, action_size))

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        assert features is not None  # whoever reads a policy's head has them
        square, variance = jnp.square(features), jnp.exp(own)
        return jnp.sqrt(jnp.matmul(square, variance, precision="highest"))

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> jax.Array:
        """A step of expectation maximisation on the noise that was not observed."""
        prior = jnp.exp(own)[None]  # [1, F, A]
        gain = prior * features[:, :, None] / jnp.square(residual.std)[:, None]
        mean = gain * residual.error[:, None]  # [B, F, A], of the noise, given the rest
        left = prior * (1.0 - gain * features[:, :, None])
        moment = jnp.sum(residual.weight[:, None, None] * (mean**2 + left), axis=0)
        variance = moment / jnp.sum(residual.weight)
        return jnp.log(jnp.maximum(variance, residual.min_std**2))


Scale = (
    StateLogStd
    | StateSoftplusStd
    | LearnedStd
    | LearnedLogStd
    | ConstantStd
    | FeatureStd
)
