"""Estimates along sequences: lambda-returns, n-step and whole returns."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from coadapt.factors.g import G
from coadapt.factors.g_estimate.base import Discount, SequenceEstimate
from coadapt.factors.rules import Config
from coadapt.factors.view import View
from coadapt.ops import returns
from coadapt.schema import Fraction, Size, Toggle, config
from coadapt.types import Episodes


@config
class TDLambda(SequenceEstimate):
    """Lambda-returns along whole episodes, bootstrapped at time limits."""

    discount: Discount = 0.99  # gamma, the discount per env step
    lam: Fraction = 0.95  # lambda: 0 is one step, 1 the whole return
    scaled: Toggle = True  # the network predicts (1 - discount) V; settings 1.4

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.returns

    @property
    def symbol(self) -> str:
        return "TD(lambda)"

    def scale(self) -> jax.Array:
        horizon = 1.0 - jnp.asarray(self.discount, jnp.float32)
        return jnp.where(jnp.asarray(self.scaled), horizon, 1.0)

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        return _lambda_return(self.discount, self.lam, reward, values, episodes)


def _lambda_return(
    gamma: float,
    lam: float,
    reward: jax.Array,
    values: jax.Array,
    episodes: Episodes,
) -> jax.Array:
    """rewards [C] and values of rows [R] -> [C]."""
    discount, next_value = gamma * episodes.discount, values[episodes.next_row]
    return returns.lambda_return(reward, discount, next_value, episodes.last, lam)


@config
class GAE(SequenceEstimate):
    """Generalised advantages: the lambda-return's difference from V, which fits it."""

    discount: Discount = 0.99  # gamma, the discount per env step
    lam: Fraction = 0.95  # lambda: 0 is one step, 1 the whole return; settings 3.7

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.returns

    @property
    def symbol(self) -> str:
        return "GAE"

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        return _lambda_return(self.discount, self.lam, reward, values, episodes)


@config
class NStep(SequenceEstimate):
    """Rewards of `steps` steps (fewer where an episode ends), then V."""

    discount: Discount = 0.99  # gamma, the discount per env step
    steps: Size = 32  # rewards before the bootstrap; settings 3.5

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.returns

    @property
    def symbol(self) -> str:
        return "n-step TD"

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        discount = self.discount * episodes.discount
        next_value = values[episodes.next_row]
        return returns.n_step_return(
            reward, discount, next_value, episodes.last, self.steps
        )


@config
class MonteCarlo(SequenceEstimate):
    """All rewards that follow, TD(1).

    With g=Advantage a critic V is fitted to them, bootstraps where a time limit or the
    end of the data cuts a return short, and is the baseline. Else there is no critic,
    only finished episodes count, and a return ends with its episode.
    """

    whole_return: ClassVar[bool] = True

    discount: Discount = 0.99  # gamma, the discount per env step

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.returns

    @property
    def symbol(self) -> str:
        return "TD(1)"

    def estimates(self, g: G) -> bool:
        return not g.soft and g.of_policy

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        return _lambda_return(self.discount, 1.0, reward, values, episodes)


@config
class NoEstimate(SequenceEstimate):
    """Nothing is fitted: what was received is taken as it is."""

    discount: Discount = 0.99  # discount of the return that g=LogReward may use

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.returns

    @property
    def symbol(self) -> str:
        return "-"

    def estimates(self, g: G) -> bool:
        return not g.of_policy

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        return _lambda_return(self.discount, 1.0, reward, values, episodes)
