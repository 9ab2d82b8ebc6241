"""Priors that are the policy's own, the replay's actions, or fixed."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from coadapt.factors.pi_p.base import Prior
from coadapt.factors.rules import Combination, Config, Need, Refusal
from coadapt.factors.view import Dist, View
from coadapt.schema import Size, config
from coadapt.types import Batch, Episodes, Metrics, Support


@config
class Policy(Prior):
    """The policy (its target copy, where one is kept): M fresh actions a state."""

    is_policy: ClassVar[bool] = True
    weighable: ClassVar[bool] = True

    samples: Size = 20  # M, the number of actions sampled at each state
    # whose states the E-step stands on: those of the transition, or its successors,
    # where the critic's target has drawn and scored the same actions already
    states: Literal["next", "current"] = "next"

    @property
    def symbol(self) -> str:
        return "pi_theta"

    @property
    def at_next(self) -> bool:
        return self.states == "next"

    @classmethod
    def at(cls, point: Combination) -> "Policy":
        return cls(states="current")

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        name = type(self).__name__
        if not config.g.reads_action:
            yield Refusal(
                "pi_p",
                name,
                "a state value cannot score newly sampled actions; use g=Q, or stored "
                "actions (Mixture, OnPolicy)",
            )
        if not config.g_estimate.one_step:
            yield Refusal(
                "pi_p",
                name,
                "a return cannot score newly sampled actions; use g_estimate=TD0 or "
                "Retrace, or stored actions (Mixture, OnPolicy)",
            )

    def limits(self, config: Config) -> Iterator[Refusal]:
        if self.at_next and not config.g_estimate.expects:
            reason = "the actions at next states are those of g_estimate=Retrace; use"
            yield Refusal("pi_p.states", "'next'", f"{reason} 'current'")

    def support(self, view: View, batch: Batch, key: jax.Array) -> Support:
        if batch.next is not None and self.at_next:
            return batch.next
        obs, (fresh, own) = batch.transition.obs, jax.random.split(key)
        dist = view.target_policy(obs)
        action = view.pi.sample(dist, fresh, self.samples)
        return Support(obs, action, view.g.score_actions(view, obs, action, own), dist)


@config
class OnPolicy(Prior):
    """The policy that collected the data: one stored action a state."""

    collects: ClassVar[bool] = True
    weighable: ClassVar[bool] = True
    draws_episodes: ClassVar[bool] = True

    @property
    def symbol(self) -> str:
        return "pi_theta"


@config
class Posterior(Prior):
    """pi_q of the iteration before, which collected the data: a stored action a state.

    In iteration n + 1 the prior is what iteration n found.
    """

    collects: ClassVar[bool] = True
    last_posterior: ClassVar[bool] = True
    weighable: ClassVar[bool] = True

    @property
    def symbol(self) -> str:
        return "pi_q"


@config
class Mixture(Prior):
    """All past policies, as the replay holds them: one stored action a state."""

    past_policies: ClassVar[bool] = True
    weighable: ClassVar[bool] = True

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield Need("data", lambda data: not data.newest, "past policies made the data")

    @property
    def symbol(self) -> str:
        return "pi_theta"

    def update_symbol(self, symbol: str) -> str:
        return f"Mixture + {symbol}"


@config
class Uniform(Prior):
    """The uniform density on the box, whose log is a constant and left out."""

    is_uniform: ClassVar[bool] = True
    draws_episodes: ClassVar[bool] = True
    stays: ClassVar[bool] = True

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.log_ratio if config.pi_q.parametric else self.over_base

    @property
    def symbol(self) -> str:
        return "Fixed"

    def update_symbol(self, symbol: str) -> str:
        return symbol.replace("(Fixed)", "(Fixed to Unif.)")

    def over_base(
        self,
        view: View,
        score: jax.Array,
        obs: jax.Array,
        episodes: Episodes,
        start: jax.Array,
    ) -> jax.Array:
        """An episode's own log-probability under the policy that drew it is off."""
        dist = view.policy(obs[episodes.row])
        log_prob = view.pi.log_prob(dist, episodes.action)
        summed = jnp.cumsum(log_prob)
        return score - view.eta * (summed - summed[start] + log_prob[start])

    def log_ratio(
        self, view: View, log_prob: jax.Array, obs: jax.Array, raw: jax.Array
    ) -> jax.Array:
        return log_prob

    def divergence_metrics(self, divergence: jax.Array) -> Metrics:
        return {"entropy": -jnp.mean(divergence)}


@config
class Ignored(Prior):
    """Any fixed prior at all: a temperature of 0 leaves it out."""

    stays: ClassVar[bool] = True
    counts: ClassVar[bool] = False

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_q_update.counts_divergence:
            reason = "a temperature of 0 ignores it"
            yield Need("pi_q_update.temperature", lambda r: not r.learned, reason)

    def limits(self, config: Config) -> Iterator[Refusal]:
        value = config.pi_q_update.temperature.given
        if value != 0.0:
            yield Refusal(
                "pi_q_update.temperature.value",
                value,
                "a temperature of 0 ignores the prior, so with "
                f"pi_p={type(self).__name__} it must be 0",
            )

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.divergence

    @property
    def symbol(self) -> str:
        return "Fixed"

    def divergence(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        return jnp.zeros(obs.shape[0])
