"""Weights on the prior's actions, which the M-step fits: EM control."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.pi_q.base import Posterior, standardized_if
from coadapt.factors.rules import Combination, Config, Need, Refusal, several
from coadapt.factors.temperature import Temperature
from coadapt.factors.view import View
from coadapt.ops import weights
from coadapt.schema import Positive, Range, Toggle, config
from coadapt.types import Episodes, Metrics


class Weights(Posterior, Protocol):
    """A posterior that is a set of weights."""

    parametric: ClassVar[bool] = False

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        formula = "a non-parametric pi_q has a closed form"
        yield Need("pi_q_update", lambda update: not update.parametric, formula)
        reason = "the E-step weighs actions of a pi_p that the M-step then improves"
        yield Need("pi_p", lambda prior: prior.weighable, reason)
        reason = "the M-step fits pi_p to pi_q, and a fixed prior is KL control's"
        yield Need("pi_p_update", lambda step: step.moves, reason)

    def weights(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        """Weights of the M-step. score [M, B], eta scalar -> [M, B]."""
        ...

    @property
    def per_state(self) -> bool:
        """Whether the actions of a state are weighed against each other alone."""
        return False

    def compared(self, score: jax.Array) -> jax.Array:
        """The scores [M, B] as sets [M', B'] within which weights are normalised."""
        return score


@config
class Clip:
    """Weights are at most `limit`."""

    limit: Positive = 20.0  # the largest weight


@config
class NonParametric(Weights):
    """Weights on actions of the prior: pi_q = pi_p exp(G / eta) / Z (Eq. 3)."""

    # what Z sums over: the samples of each state, the batch, or nothing (Z = 1)
    normalize: Literal["state", "batch", "none"] = "state"
    standardize: Toggle = False  # standardise G over the data
    clip: Clip | None = None  # clip of the weights, after Z; none: no clip
    # weight of an action: exp(G / eta), or 1 if G > 0 and else 0; Wang et al. 2020
    form: Literal["exponential", "indicator"] = "exponential"
    # the share of the batch with the best G that is kept: V-MPO's top half; the rest
    # has weight 0
    top_fraction: Annotated[float, Range(gt=0, le=1)] = 1.0

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.weights

    @property
    def symbol(self) -> str:
        return "Non-parametric"

    @classmethod
    def at(cls, point: Combination) -> "NonParametric":
        """In standard deviations, so that a temperature of 1 suits any task, but where
        the temperature is in units of G or cancels."""
        own_units = point.g.cancels or not point.g_estimate.by_gradient
        return cls(
            normalize="state" if point.pi_p.is_policy else "batch",
            standardize=not own_units,
        )

    @property
    def in_stds(self) -> object:
        return self.standardize

    def limits(self, config: Config) -> Iterator[Refusal]:
        rule, batch = config.pi_q_update.temperature, self.normalize == "batch"
        if rule.bounds_kl and not several(config) and not batch:
            yield Refusal(
                "pi_q_update.temperature",
                type(rule).__name__,
                "with one action per state the KL is 0 and the temperature only falls, "
                "so it needs pi_p=Policy with samples of 2 or more, or "
                "pi_q.normalize='batch'",
            )
        if self.normalize == "state" and not several(config):
            yield Refusal(
                "pi_q.normalize",
                "'state'",
                "with one action per state its weight is 1 whatever its G; use "
                "'batch' or 'none', or pi_p=Policy with samples of 2 or more",
            )
        yield from self._shape_limits(rule, batch)
        if self.standardize and rule.joint_with_value:
            yield Refusal(
                "pi_q.standardize",
                True,
                f"the temperature of a {type(rule).__name__} is in units of "
                "unstandardised G, so it must be false",
            )
        if batch and not several(config) and config.data.policy_rows == 1:
            yield Refusal(
                "data.batch_size",
                1,
                "its one action has weight 1 whatever its G with "
                "pi_q.normalize='batch', so the policy's minibatch must be 2 or more",
            )

    def _shape_limits(self, rule: Temperature, batch: bool) -> Iterator[Refusal]:
        """Of what is kept, and of weights of 0 or 1."""
        if self.form == "indicator" and (rule.learned or self.normalize != "none"):
            yield Refusal(
                "pi_q.form",
                "'indicator'",
                "weights of 0 or 1 have no temperature to adapt, and are not "
                "normalised; use pi_q.normalize='none' and "
                "pi_q_update.temperature=ConstantTemperature",
            )
        if self.top_fraction < 1 and self.normalize == "state":
            reason = "the best of a batch are not all of any state's; use"
            yield Refusal(
                "pi_q.top_fraction",
                self.top_fraction,
                f"{reason} pi_q.normalize='batch'",
            )
        if self.top_fraction < 1 and not batch and rule.bounds_kl:
            yield Refusal(
                "pi_q.top_fraction",
                self.top_fraction,
                f"the KL of {type(rule).__name__} is then of the best of the batch; "
                "use pi_q.normalize='batch'",
            )

    def standardized(
        self, score: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        return standardized_if(self.standardize, score, where)

    @property
    def per_state(self) -> bool:
        return self.normalize == "state"

    def weights(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        if self.top_fraction < 1:
            best, place = weights.top(score, self.top_fraction)
            # one Z: the kept are B / n of the states, as far as an average goes
            share = score.shape[1] / best.size if self.normalize == "batch" else 1.0
            weight = share * self._normalized(best[None], temperature)[0]
            weight = weights.scatter(weight, place, score.shape)
        else:
            weight = self._normalized(score, temperature)
        return weight if self.clip is None else jnp.minimum(weight, self.clip.limit)

    def episode_metrics(
        self, view: View, score: jax.Array, episodes: Episodes
    ) -> Metrics:
        # else they depend on minibatches
        if self.normalize != "none" or self.top_fraction < 1:
            return {}
        return _of_episodes(self.weights(score[None], view.eta)[0], episodes)

    def _normalized(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        if self.form == "indicator":
            return (score > 0).astype(score.dtype)
        if self.normalize == "none":
            return weights.exponential(score, temperature)
        per_batch = self.normalize == "batch"
        return weights.boltzmann(score, temperature, per_batch=per_batch)

    def compared(self, score: jax.Array) -> jax.Array:
        if self.top_fraction < 1:
            score, _ = weights.top(score, self.top_fraction)
        return score.reshape(-1, 1) if self.normalize == "batch" else score


@config
class Episodic(Weights):
    """Weights on whole episodes of the prior: pi_q(tau) = pi_p(tau) exp(R / eta) / Z.

    Z is over the episodes of the batch. With pi_p=Uniform an episode's weight is
    divided by its own probability under the policy that drew it; as in the original,
    all episodes are then alike before their returns are known, long ones and short.
    Source: settings 3.4.
    """

    whole_episodes: ClassVar[bool] = True

    standardize: Toggle = False  # standardise R over the episodes
    # also increase E[R], by the likelihood ratio, beside the fit to pi_q
    expected_return: Toggle = False

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.scores

    @property
    def symbol(self) -> str:
        return "Non-parametric"

    @classmethod
    def at(cls, point: Combination) -> "Episodic":
        return cls(standardize=True)

    @property
    def in_stds(self) -> object:
        return self.standardize

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        formula = "a non-parametric pi_q has a closed form"
        yield Need("pi_q_update", lambda update: not update.parametric, formula)
        reason = "the policy samples episodes, and their base is the policy or uniform"
        yield Need("pi_p", lambda prior: prior.draws_episodes, reason)
        fits = lambda step: step.moves and step.by_gradient  # noqa: E731
        yield Need("pi_p_update", fits, "episodes are fitted by SG")
        reason = "an episode is weighted by its return"
        yield Need("g", lambda g: g.total, reason)
        yield Need("g_estimate", lambda estimate: estimate.whole_return, reason)
        reason = "the weights of episodes are computed once per iteration"
        yield Need("pi_q_update.temperature", lambda rule: not rule.learned, reason)
        newest = "the policy itself collects the data"
        yield Need("data", lambda data: data.newest, newest)

    def weights(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        """The score of a step is its episode's weight already. [M, B] -> [M, B]."""
        return score

    def scores(
        self, view: View, score: jax.Array, obs: jax.Array, episodes: Episodes
    ) -> jax.Array:
        """The weight of each step: its episode's, times the mean length of an episode.

        So the mean over steps of weight * grad log pi is the mean over episodes of
        their weights and the gradients of their whole log-probabilities. Source:
        settings 3.4.
        """
        where, position = episodes.last & episodes.seen, jnp.arange(score.shape[0])
        began = jnp.where(jnp.roll(episodes.last, 1).at[0].set(True), position, 0)
        start = jax.lax.cummax(began)  # of the episode that a step is in
        end = jax.lax.cummin(
            jnp.where(episodes.last, position, score.size - 1), reverse=True
        )
        total = score[start]  # [C], at the end of an episode, its return
        whole = jnp.where(self.standardize, weights.standardize(total, where), total)
        eta = view.eta
        based = view.prior.over_base(view, whole, obs, episodes, start)
        weight = weights.of_episodes(based, temperature=eta, reward=None, where=where)
        both = weights.of_episodes(based, temperature=eta, reward=whole, where=where)
        weight = jnp.where(self.expected_return, both, weight)
        length = jnp.sum(episodes.seen) / jnp.maximum(jnp.sum(where), 1)
        return weight[end] * length

    def episode_metrics(
        self, view: View, score: jax.Array, episodes: Episodes
    ) -> Metrics:
        return _of_episodes(score, episodes)


def _of_episodes(weight: jax.Array, episodes: Episodes) -> Metrics:
    number = weights.effective_episodes(weight, episodes.last, episodes.seen)
    return {"effective_episodes": number}
