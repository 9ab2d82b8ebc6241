"""Targets of several steps of a replay: n-step returns, and what cuts a trace.

`NStepReturn` turns steps in a row into a single one. The interface of traces is
`Trace`; the classes below it are final.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.view import View
from coadapt.ops import returns
from coadapt.schema import Count, Range, config
from coadapt.types import Transition

# ---------------------------------------------------------------- n-step returns


def _no_density(field: str, came: object, config: Config) -> Iterator[Refusal]:
    if not config.pi_theta.has_density:
        name = type(config.pi_theta).__name__
        reason = f"pi_theta={name} has no density, which a ratio needs"
        yield Refusal(field, came, f"{reason}, so it must be false")


def _not_kept(
    field: str, came: object, config: Config, instead: str
) -> Iterator[Refusal]:
    if not config.data.stored:
        yield Refusal(
            field,
            came,
            "a data set does not say how likely its actions were, so with data="
            f"{type(config.data).__name__} it must be {instead}",
        )


@config
class NStepReturn(Ruled):
    """Rewards of n steps, fewer where an episode ends, then the value of what follows.

    Nothing corrects for the later actions, which older policies chose, unless
    `importance` does: then what follows each of them counts by pi / mu as well
    (Precup et al. 2000, per decision), which nothing bounds. Where G counts a
    divergence as reward, that of the later states is counted, by the policy as it is.
    Source: Sutton and Barto 2018, Sec. 7.1; Barth-Maron et al. 2018 (D4PG).
    """

    # n, the number of rewards before the bootstrap
    steps: Annotated[Count, Range(ge=1)] = 3
    # consecutive steps of each sample, the maximum of n; variants that differ only in n
    # share a program
    most: Annotated[int, Range(ge=2, le=64)] = 10
    importance: bool = False  # whether later steps are weighted by pi / mu

    def limits(self, config: Config) -> Iterator[Refusal]:
        if self.steps > self.most:
            reason = f"it must be at most g_estimate.n_step.most, which is {self.most}"
            yield Refusal("g_estimate.n_step.steps", self.steps, reason)
        if self.importance:
            field = "g_estimate.n_step.importance"
            yield from _no_density(field, True, config)
            yield from _not_kept(field, True, config, "false")

    def as_one(
        self,
        view: View,
        sequence: Transition,
        log_prob: jax.Array | None,
        discount: jax.typing.ArrayLike,
        key: jax.Array,
    ) -> Transition:
        """The first n steps of sequences [L, B, ...] as one step: [B, ...].

        Its reward is their sum, its successor the last one's, and its discount what is
        left beside one `discount`.

        Args:
            log_prob: [L, B], of the actions, under the policy that took them.
        """
        reward, gamma = sequence.reward, jnp.asarray(discount) * sequence.discount
        if view.g.soft:
            reward = reward + self._divergences(view, sequence, key)
        ratio = self._ratios(view, sequence, log_prob)
        n = jnp.asarray(self.steps)
        total, left, place = returns.first_steps(reward, gamma, ratio, sequence.last, n)

        def at(x: jax.Array) -> jax.Array:
            index = place.reshape(1, -1, *(1,) * (x.ndim - 2))
            return jnp.take_along_axis(x, index, axis=0)[0]

        first = jax.tree.map(lambda x: x[0], sequence)
        return first._replace(
            reward=total,
            discount=left * at(sequence.discount),
            last=at(sequence.last),
            next_obs=at(sequence.next_obs),
        )

    def _divergences(
        self, view: View, sequence: Transition, key: jax.Array
    ) -> jax.Array:
        """What a state counts beside its reward, but the first: [L, B]."""
        length, batch = sequence.reward.shape
        obs = sequence.obs[1:].reshape((length - 1) * batch, -1)
        dist = view.target_policy(obs)
        raw = view.pi.draw(dist, key, view.g.samples(view))
        zero = jnp.zeros(obs.shape[0])
        later = view.g.next_value(view, zero, dist, raw, obs, key)
        return jnp.concatenate([jnp.zeros((1, batch)), later.reshape(-1, batch)])

    def _ratios(
        self, view: View, sequence: Transition, log_prob: jax.Array | None
    ) -> jax.Array:
        """pi / mu of each action, 1 where that is not counted: [L, B]."""
        if not self.importance or log_prob is None:
            return jnp.ones_like(sequence.reward)
        return jnp.exp(log_probs(view, sequence) - log_prob)


def log_probs(view: View, sequence: Transition) -> jax.Array:
    """log pi of the actions of sequences, by the policy that follows: [L, B]."""
    length, batch = sequence.reward.shape
    obs, action = (
        x.reshape(length * batch, -1) for x in (sequence.obs, sequence.action)
    )
    return view.pi.log_prob(view.target_policy(obs), action).reshape(length, batch)


# ---------------------------------------------------------------- traces


class Steps(NamedTuple):
    """What a return along sequences is made of, each [L, B]."""

    reward: jax.Array
    discount: jax.Array  # gamma times the step's own
    next_value: jax.Array  # the mean value of the policy's actions at the successor
    value: jax.Array  # of the stored action
    log_prob: jax.Array  # of that action, under the policy
    log_mu: jax.Array | None  # and under the one that took it, where that is known
    last: jax.Array


class Trace(Ruled, Protocol):
    """How much of what later steps say a target counts."""

    ratio: ClassVar[bool] = True  # it reads how likely stored actions were

    @property
    def symbol(self) -> str:
        """As Table 1 prints the estimate."""
        ...

    def counts(self, steps: Steps) -> jax.Array:
        """What a later step counts, before lam: [L, B]."""
        ...

    def returns(self, steps: Steps, lam: jax.typing.ArrayLike) -> jax.Array:
        """Targets of sequences: [L, B]."""
        trace = self.counts(steps) * jnp.asarray(lam, steps.value.dtype)
        r, g, v, q, *_, last = steps
        return returns.traced_return(r, g, v, q, trace, last)

    def limits(self, config: Config) -> Iterator[Refusal]:
        steps = config.g_estimate.steps
        if self.ratio and steps > 1:
            instead = "1, or g_estimate.trace must be Uncut or Peng"
            yield from _not_kept("g_estimate.steps", steps, config, instead)


def _log_ratio(steps: Steps) -> jax.Array:
    return steps.log_prob - cast(jax.Array, steps.log_mu)


@config
class TruncatedRatio(Trace):
    """min(1, pi / mu): Retrace. Source: Munos et al. 2016."""

    @property
    def symbol(self) -> str:
        return "Retrace(1)"

    def counts(self, steps: Steps) -> jax.Array:
        return jnp.exp(jnp.minimum(_log_ratio(steps), 0.0))


@config
class FullRatio(Trace):
    """pi / mu: importance sampling, per decision. Source: Precup et al. 2000."""

    @property
    def symbol(self) -> str:
        return "IS(lambda)"

    def counts(self, steps: Steps) -> jax.Array:
        return jnp.exp(_log_ratio(steps))


@config
class TreeBackup(Trace):
    """pi(a|s), a probability. Source: Precup et al. 2000.

    A density may be above 1, and is in units of the action, so this is for a Softmax.
    """

    ratio: ClassVar[bool] = False

    @property
    def symbol(self) -> str:
        return "TB(lambda)"

    def counts(self, steps: Steps) -> jax.Array:
        return jnp.exp(steps.log_prob)

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the probability of an action cuts the trace, not its density"
        yield Need("pi_theta", lambda pi: not pi.continuous, reason)


@config
class Uncut(Trace):
    """1, whatever the action: Q(lambda). Source: Harutyunyan et al. 2016."""

    ratio: ClassVar[bool] = False

    @property
    def symbol(self) -> str:
        return "Q(lambda)"

    def counts(self, steps: Steps) -> jax.Array:
        return jnp.ones_like(steps.value)


@config
class Peng(Trace):
    """Lambda-returns with no correction: Peng's Q(lambda).

    Source: Peng and Williams 1994; Kozuno et al. 2021.
    """

    ratio: ClassVar[bool] = False

    @property
    def symbol(self) -> str:
        return "Peng's Q(lambda)"

    def counts(self, steps: Steps) -> jax.Array:
        return jnp.ones_like(steps.value)

    def returns(self, steps: Steps, lam: jax.typing.ArrayLike) -> jax.Array:
        return returns.lambda_return(
            steps.reward, steps.discount, steps.next_value, steps.last, lam
        )


Traces = TruncatedRatio | FullRatio | TreeBackup | Uncut | Peng
