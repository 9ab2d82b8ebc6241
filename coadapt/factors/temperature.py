"""How the temperature eta of column pi_q update is found.

The interface is `Temperature`; the classes below it are final.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.view import Duals, View, lacks
from coadapt.ops import lagrange
from coadapt.schema import NonNegative, Positive, Scalar, config


class Temperature(Ruled, Protocol):
    """How eta is found: by one of the four steps below, or by none."""

    learned: ClassVar[bool] = True  # it is a variable of the agent's
    joint_with_value: ClassVar[bool] = False  # found by the search that finds V
    bounds_kl: ClassVar[bool] = False  # keeps KL(pi_q || pi_p) of the weights in bounds

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.eta

    @property
    def given(self) -> float | None:
        """eta, where it is a number of the config's."""
        return None

    def start(self) -> jax.Array:
        """The raw variable of a new agent, where it is learned."""
        raise lacks(self, "variable")

    def value_of(self, raw: jax.Array) -> jax.Array:
        """eta of the raw variable."""
        raise lacks(self, "variable")

    def eta(self, duals: Duals) -> jax.Array:
        """As it is now. Scalar, in units of G."""
        return self.value_of(duals["temperature"])

    def of_dual(
        self, duals: Duals, raw: jax.Array
    ) -> tuple[jax.Array, jax.typing.ArrayLike]:
        """eta and epsilon of the dual that g_estimate=DualValue minimises.

        Args:
            raw: what the search tries, where eta is found by it.
        """
        return self.eta(duals), 0.0

    def after_scores(self, view: View, score: jax.Array) -> View:
        """A step, after an E-step: score [M', B'], the sets that weights compare."""
        return view

    def after_divergence(
        self, view: View, divergence: jax.Array, action_size: int
    ) -> View:
        """A step, after the policy's: divergence [B] from the prior."""
        return view

    def after_iteration(self, view: View, score: jax.Array, where: jax.Array) -> View:
        """A step, after all of an iteration's: score [C], of the steps that count."""
        return view


@config
class ConstantTemperature(Temperature):
    """eta is given."""

    learned: ClassVar[bool] = False

    value: NonNegative = 1.0  # eta, in units of G

    @property
    def given(self) -> float | None:
        return self.value

    def eta(self, duals: Duals) -> jax.Array:
        return jnp.asarray(self.value, jnp.float32)


@config
class KLTemperature(Temperature):
    """eta keeps KL(pi_q || pi_p) at epsilon: descent on the dual of Sec. 4.2.1."""

    bounds_kl: ClassVar[bool] = True

    epsilon: Positive = 0.1  # bound on the KL of the weights, nats; settings 1.3
    init: Scalar = 1.0  # initial raw parameter, eta = softplus(raw); settings 1.3
    # minimum of the raw parameter: projected after a step, or clamped in the forward
    # pass; settings 2.11
    floor_rule: Literal["project", "clamp"] = "project"

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.after_scores

    def start(self) -> jax.Array:
        return jnp.asarray(self.init, jnp.float32)

    def value_of(self, raw: jax.Array) -> jax.Array:
        return lagrange.multiplier(raw, clamp=self.floor_rule == "clamp")

    def after_scores(self, view: View, score: jax.Array) -> View:
        def dual(raw: jax.Array) -> jax.Array:
            return lagrange.temperature_dual(score, self.value_of(raw), self.epsilon)

        grad = jax.grad(dual)(view.duals["temperature"])
        return view.step_dual("temperature", grad, project=self.floor_rule == "project")


@config
class DualTemperature(Temperature):
    """eta minimises the dual together with g_estimate=DualValue, on all the data.

    It falls without end where the best steps are more than e^-epsilon of the data, so
    there is a floor.
    """

    joint_with_value: ClassVar[bool] = True

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the dual is minimised over the value too"
        yield Need("g_estimate", lambda estimate: not estimate.by_gradient, reason)

    epsilon: Positive = 0.5  # bound on the KL of the weights, nats; settings 3.3
    init: Positive = 1.0  # eta where the first search starts
    floor: Positive = 1e-4  # minimum of eta, in units of G

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.of_dual

    def start(self) -> jax.Array:
        above = jnp.asarray(self.init, jnp.float32) - self.floor
        return jnp.log(jnp.maximum(above, self.floor))

    def value_of(self, raw: jax.Array) -> jax.Array:
        return self.floor + jnp.exp(raw)

    def of_dual(
        self, duals: Duals, raw: jax.Array
    ) -> tuple[jax.Array, jax.typing.ArrayLike]:
        return self.value_of(raw), self.epsilon


@config
class ExponentialTemperature(Temperature):
    """eta is the mean cost under the weights, cost = max r - r: RWR's own rule.

    Source: settings 3.2, the maximum likelihood of an exponential distribution.
    """

    init: Positive = 1.0  # initial eta

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the rule is for observed rewards"
        yield Need("g", lambda g: not g.of_policy, reason)

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.after_iteration

    def start(self) -> jax.Array:
        return jnp.asarray(self.init, jnp.float32)

    def value_of(self, raw: jax.Array) -> jax.Array:
        return raw

    def after_iteration(self, view: View, score: jax.Array, where: jax.Array) -> View:
        best = jnp.max(score, where=where, initial=-jnp.inf)
        # what does not count costs so much that its weight is 0
        cost = jnp.where(where, best - score, 1e9)
        eta = lagrange.exponential_temperature(cost, view.duals["temperature"])
        return view.with_duals(temperature=eta)


def _keep_below(view: View, divergence: jax.Array, goal: jax.typing.ArrayLike) -> View:
    """A step of log eta, up where the divergence exceeds -goal."""
    raw, seen = view.duals["temperature"], jax.lax.stop_gradient(divergence)
    grad = jax.grad(lagrange.entropy_loss)(raw, seen, goal)
    return view.step_dual("temperature", grad, project=False)


class _LogTemperature(Temperature, Protocol):
    """The raw variable is log eta."""

    @property
    def init(self) -> float:
        """eta itself, of a new agent."""
        ...

    def start(self) -> jax.Array:
        return jnp.log(jnp.asarray(self.init, jnp.float32))

    def value_of(self, raw: jax.Array) -> jax.Array:
        return jnp.exp(raw)


@config
class EntropyTemperature(_LogTemperature):
    """eta keeps the policy's entropy at a target (Haarnoja et al. 2018b)."""

    target: Scalar = -1.0  # target entropy per action dimension, nats; settings 1.1
    init: Positive = 1.0  # initial eta; settings 1.1

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "entropy is the KL from uniform"
        yield Need("pi_p", lambda prior: prior.is_uniform, reason)

    def after_divergence(
        self, view: View, divergence: jax.Array, action_size: int
    ) -> View:
        return _keep_below(view, divergence, self.target * action_size)


@config
class DivergenceTemperature(_LogTemperature):
    """eta keeps the divergence from the prior at a limit, by ascent on log eta."""

    limit: Positive = 0.05  # bound on the divergence, in its units; settings 3.10
    init: Positive = 1.0  # initial eta
    low: Scalar = -5.0  # minimum of log eta; settings 3.10
    high: Scalar = 10.0  # maximum of log eta; settings 3.10

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the divergence is from a model of the data's policy"
        yield Need("pi_p", lambda prior: prior.by_others, reason)

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not self.low < self.high:
            reason = "it must be below pi_q_update.temperature.high"
            yield Refusal("pi_q_update.temperature.low", self.low, reason)

    def after_divergence(
        self, view: View, divergence: jax.Array, action_size: int
    ) -> View:
        # a divergence is kept below its limit just as -entropy is below its target's
        view = _keep_below(view, divergence, -self.limit)
        raw = jnp.clip(view.duals["temperature"], self.low, self.high)
        return view.with_duals(temperature=raw)
