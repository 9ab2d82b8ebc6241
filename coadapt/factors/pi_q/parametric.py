"""A parametric posterior, moved along a gradient: KL control."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, Literal, Protocol, cast

import jax
import jax.numpy as jnp

from coadapt.factors.pi_q.base import Posterior, standardized_if
from coadapt.factors.pi_q_update import Goal, Terms
from coadapt.factors.pi_theta import clip_noise
from coadapt.factors.rules import Combination, Config, Need, Refusal, Ruled
from coadapt.factors.view import Dist, View
from coadapt.ops import ensemble
from coadapt.schema import NonNegative, Positive, Size, Toggle, config
from coadapt.types import Batch, Metrics, Tree


class Movement(Ruled, Protocol):
    """How the gradient of G reaches a parametric posterior."""

    by_samples: ClassVar[bool]  # through the policy's own actions, else stored ones

    @classmethod
    def at(cls, point: Combination) -> "Parametric":  # type: ignore[override]
        return Parametric(gradient=cls())  # type: ignore[arg-type]

    @property
    def samples(self) -> int:
        """Of those actions, at a state."""
        return 1

    def critic_rows(self, critics: int) -> int:
        """As `Posterior.critic_rows`."""
        return 0

    def standardized(
        self, score: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        """As `Posterior.standardized`."""
        return score

    def combine(self, view: View, values: jax.Array) -> jax.Array:
        """As `Posterior.combine`."""
        return view.estimate.combine(values)

    def terms(
        self,
        view: View,
        batch: Batch,
        key: jax.Array,
        warm: jax.Array | None,
        params: Tree,
    ) -> Terms:
        """What moves a policy of these parameters.

        Args:
            warm: scalar bool, leave G out; None: never.
        """
        ...

    def loss(self, terms: Terms, eta: jax.Array) -> jax.Array:
        """What is descended, scalar: -E[G] + eta D."""
        ...

    def divergence_metrics(self, view: View, divergence: jax.Array) -> Metrics:
        """Metrics of the divergence [B]."""
        ...


@config
class Cloning:
    """Less the squared distance from the stored action: behaviour cloning beside G.

    Source: Fujimoto and Gu 2021 (TD3+BC), Eq. 3 and 5.
    """

    weight: Positive = 1.0  # weight of the distance
    # how the distance is taken over action dimensions; sum: Tarasov et al. 2023
    # (ReBRAC)
    over: Literal["mean", "sum"] = "mean"
    # G is multiplied by alpha over its mean magnitude in the minibatch; none: by 1;
    # Fujimoto and Gu 2021
    alpha: Positive | None = 2.5

    def gain(self, value: jax.Array, action: jax.Array, stored: jax.Array) -> jax.Array:
        """What is climbed: value [B], action [M, B, A], stored [B, A] -> [B]."""
        if self.alpha is not None:
            size = jax.lax.stop_gradient(jnp.mean(jnp.abs(value)))
            value = self.alpha * value / jnp.maximum(size, 1e-8)
        over = jnp.mean if self.over == "mean" else jnp.sum
        distance = jnp.mean(over(jnp.square(action - stored[None]), axis=-1), axis=0)
        return value - self.weight * distance


@config
class Pathwise(Movement):
    """The gradient of G(s, a) runs through the critic to the policy's own sample."""

    by_samples: ClassVar[bool] = True

    # value that is maximised, of several critics: minimum, first, mean, or mix, by
    # which g_estimate scores actions
    critic: Literal["minimum", "first", "mean", "mix"] = "minimum"
    # actions of the policy over which the value of each critic is averaged, before
    # critics are combined; settings 3.10
    samples: Size = 1
    # clip of the standard normal noise of these actions; none: no clip; settings 3.10
    noise_limit: Positive | None = None
    # penalty on the distance from stored actions; none: no penalty
    cloning: Cloning | None = None

    def terms(
        self,
        view: View,
        batch: Batch,
        key: jax.Array,
        warm: jax.Array | None,
        params: Tree,
    ) -> Terms:
        obs, dist = batch.transition.obs, view.policy(batch.transition.obs, params)
        samples = max(self.samples, view.update.divergence_samples)
        raw = view.pi.draw(dist, key, samples)
        if self.noise_limit is not None:
            raw = clip_noise(dist, raw, self.noise_limit)
        action = view.pi.bound(raw)[: self.samples]
        value = self.climbed(view, view.q(self.read(view.critic), obs, action))[0]
        value = value if warm is None else jnp.where(warm, 0.0, value)
        if self.cloning is not None:
            value = self.cloning.gain(value, action, batch.transition.action)
        divergence = view.prior.divergence(view, dist, raw, obs, key)
        return Terms(value, divergence, dist, action)

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "a pi_q that maximises a critic is updated by SG"
        yield Need("pi_q_update", lambda update: update.counts_divergence, reason)
        fixed = "KL control holds its prior fixed"
        yield Need("pi_p", lambda prior: prior.stays, fixed)
        yield Need("pi_p_update", lambda step: not step.moves, fixed)
        reason = "a gradient to the action runs through an action value"
        fits = lambda g: g.reads_action and not g.logarithmic  # noqa: E731
        yield Need("g", fits, reason)
        yield Need(
            "g_estimate",
            lambda estimate: estimate.one_step,
            "the gradient runs through a critic of (s, a), which single transitions "
            "fit",
        )
        reason = "the gradient through Q reads single transitions"
        yield Need("data", lambda data: not data.in_order, reason)

    def limits(self, config: Config) -> Iterator[Refusal]:
        pi, clipped = config.pi_theta, "pi_q.gradient.noise_limit"
        if not pi.has_density and self.samples > 1:
            yield Refusal(
                "pi_q.gradient.samples",
                self.samples,
                f"{type(pi).__name__} has one action per state, so it must be 1",
            )
        if self.noise_limit is None:
            return
        if not (pi.has_density and pi.has_moments):
            reason = f"{type(pi).__name__} draws no normal noise, so it must be none"
            yield Refusal(clipped, self.noise_limit, reason)
        divergence = config.pi_q_update.divergence
        if divergence.needs_density and config.pi_p.counts:
            yield Refusal(
                clipped,
                self.noise_limit,
                "with clipped noise an action does not have the policy's "
                "log-probability, which pi_q_update.divergence="
                f"{type(divergence).__name__} needs; use none, or MMD",
            )

    def critic_rows(self, critics: int) -> int:
        return self.samples * (1 if self.critic == "first" else critics)

    def read(self, critic: Tree) -> Tree:
        """The critics whose value is climbed; the others need not say anything."""
        if self.critic == "first":
            return jax.tree.map(lambda x: x[:1], critic)
        return critic

    def climbed(self, view: View, values: jax.Array) -> jax.Array:
        """Whose value is climbed, of M actions in the mean: [K, M, B] -> [1, B]."""
        if values.shape[1] > 1:
            values = jnp.mean(values, axis=1, keepdims=True)
        return self.combine(view, values)

    def combine(self, view: View, values: jax.Array) -> jax.Array:
        if self.critic == "first" and len(values) > 1:  # else `read` left it alone
            return values[0]
        if self.critic == "mean":
            return jnp.mean(values, axis=0)
        if self.critic == "mix":
            return view.estimate.combine(values)
        return ensemble.minimum(values)

    def loss(self, terms: Terms, eta: jax.Array) -> jax.Array:
        return jnp.mean(eta * terms.divergence - terms.gain)

    def divergence_metrics(self, view: View, divergence: jax.Array) -> Metrics:
        return view.prior.divergence_metrics(divergence)


@config
class EntropyBonus(Ruled):
    """The policy's entropy at the states of the data, beside G.

    Source: Schulman et al. 2017, Eq. 9; Huang et al. 2022 (PPO), detail 10.
    """

    weight: NonNegative = 0.01  # weight of the entropy; Huang et al. 2022, of Atari

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the bonus needs the entropy in closed form"
        yield Need("pi_theta", lambda pi: pi.has_entropy, reason)


@config
class LikelihoodRatio(Movement):
    """The gradient of E_{pi_p}[ pi_theta / pi_p G ], on stored actions of the prior."""

    by_samples: ClassVar[bool] = False

    standardize: Toggle = True  # standardise G; settings 3.6
    # what G is standardised over: an iteration's data, or each minibatch of the policy;
    # Huang et al. 2022, detail 7
    over: Literal["data", "minibatch"] = "data"
    entropy: EntropyBonus | None = None  # entropy bonus; none: no bonus

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "a parametric pi_q is updated by a gradient"
        yield Need("pi_q_update", lambda update: update.parametric, reason)
        reason = "the ratio is to the policy that collected the data, the last pi_q"
        yield Need("pi_p", lambda prior: prior.last_posterior, reason)
        yield Need(
            "g",
            lambda g: not g.soft and not g.logarithmic,
            "a likelihood ratio multiplies a return or an advantage",
        )
        if config.pi_q_update.has_temperature:
            reason = "eta multiplies KL(pi_p || pi_theta), which Proximal adapts"
            yield Need("pi_q_update.temperature", lambda r: not r.learned, reason)

    def standardized(
        self, score: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        if self.over == "minibatch":  # which `terms` sees
            return score
        return standardized_if(self.standardize, score, where)

    def limits(self, config: Config) -> Iterator[Refusal]:
        if self.over == "minibatch" and config.data.policy_rows == 1:
            reason = "one row has no spread, so its minibatch must be 2 or more"
            yield Refusal("data.batch_size", 1, reason)

    def terms(
        self,
        view: View,
        batch: Batch,
        key: jax.Array,
        warm: jax.Array | None,
        params: Tree,
    ) -> Terms:
        transition, pi, prior = batch.transition, view.pi, cast(Dist, batch.prior)
        assert batch.score is not None  # sequences, which this reads, have it
        dist = view.policy(transition.obs, params)
        log_ratio = pi.log_prob(dist, transition.action) - pi.log_prob(
            prior, transition.action
        )
        score = batch.score
        if self.over == "minibatch":
            score = standardized_if(self.standardize, score, None)
        gain = view.update.gain(jnp.exp(log_ratio), score)
        if self.entropy is not None:
            gain = gain + self.entropy.weight * pi.entropy(dist)
        if pi.has_kl:
            return Terms(gain, pi.kl(prior, dist), dist, None)
        # its unbiased estimate from these actions of the prior: Schulman 2020
        return Terms(gain, jnp.expm1(log_ratio) - log_ratio, dist, None)

    def loss(self, terms: Terms, eta: jax.Array) -> jax.Array:
        return eta * jnp.mean(terms.divergence) - jnp.mean(terms.gain)

    def divergence_metrics(self, view: View, divergence: jax.Array) -> Metrics:
        return {"kl": jnp.mean(divergence)}


class Moved(Posterior, Protocol):
    """A posterior that is the policy itself."""

    parametric: ClassVar[bool] = True

    def goal(
        self, view: View, batch: Batch, key: jax.Array, warm: jax.Array | None
    ) -> Goal:
        """What `pi_q_update.move` moves the policy by."""
        ...


@config
class Parametric(Moved):
    """The policy itself, moved along a gradient of the objective (4.1.2)."""

    # how G's gradient reaches the policy
    gradient: Pathwise | LikelihoodRatio = Pathwise()

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.gradient.terms

    @property
    def symbol(self) -> str:
        return "pi_theta"

    @property
    def samples(self) -> int:
        return self.gradient.samples

    def critic_rows(self, critics: int) -> int:
        return self.gradient.critic_rows(critics)

    @property
    def by_samples(self) -> bool:
        return self.gradient.by_samples

    @property
    def reads_prior(self) -> bool:
        return not self.gradient.by_samples

    def combine(self, view: View, values: jax.Array) -> jax.Array:
        return self.gradient.combine(view, values)

    def standardized(
        self, score: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        return self.gradient.standardized(score, where)

    def goal(
        self, view: View, batch: Batch, key: jax.Array, warm: jax.Array | None
    ) -> Goal:
        return Goal(
            terms=partial(self.gradient.terms, view, batch, key, warm),
            loss=self.gradient.loss,
            divergence_metrics=partial(self.gradient.divergence_metrics, view),
            prior=batch.prior,
            action_size=batch.transition.action.shape[-1],
        )
