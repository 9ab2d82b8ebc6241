"""Column pi_q: what object is the posterior?

Two interfaces: `Weights` on the prior's actions, which the M-step fits (EM control),
and `Movement` of a parametric posterior along a gradient (KL control).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Protocol, cast

import jax
import jax.numpy as jnp

from coadapt.factors.pi_q_update import Goal, Terms
from coadapt.factors.pi_theta import clip_noise
from coadapt.factors.rules import Combination, Config, Need, Refusal, Ruled, several
from coadapt.factors.temperature import Temperature
from coadapt.factors.view import Dist, View
from coadapt.ops import ensemble, weights
from coadapt.schema import NonNegative, Positive, Range, Size, Toggle, config
from coadapt.types import Batch, Episodes, Metrics, Tree


class Posterior(Ruled, Protocol):
    """What every class of this column has."""

    parametric: ClassVar[bool]  # it is the policy itself, else weights on actions
    whole_episodes: ClassVar[bool] = False  # it reads episodes from their first step

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def in_stds(self) -> object:
        """Whether weights are of scores in standard deviations: traced, or False."""
        return False

    @property
    def samples(self) -> int:
        """Of the policy's own actions at a state, how many move it."""
        return 1

    def critic_rows(self, critics: int) -> int:
        """Values of K critics at a state that its gradient runs through."""
        return 0

    @property
    def by_samples(self) -> bool:
        """Whether G's gradient runs through the policy's own actions."""
        return False

    @property
    def reads_prior(self) -> bool:
        """Whether it reads the distributions that stored actions were drawn from."""
        return False

    def standardized(
        self, score: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        """Scores [...], in standard deviations of those that count, or as they are."""
        return score

    def scores(
        self, view: View, score: jax.Array, obs: jax.Array, episodes: Episodes
    ) -> jax.Array:
        """What is made of G of stored steps, once for all minibatches: [C] -> [C].

        Args:
            obs: [R, O], the store's rows.
        """
        return self.standardized(score, episodes.seen)

    def told(self, view: View, score: jax.Array, episodes: Episodes) -> Metrics:
        """What there is to know of the weights of whole episodes, once an iteration.

        Args:
            score: [C], what `scores` made of G.
        """
        return {}


class Weights(Posterior, Protocol):
    """A posterior that is a set of weights."""

    parametric: ClassVar[bool] = False

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        formula = "a non-parametric pi_q is a formula"
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


def _standardized(
    toggle: jax.typing.ArrayLike, score: jax.Array, where: jax.Array | None
) -> jax.Array:
    if toggle is False:
        return score
    return jnp.where(jnp.asarray(toggle), weights.standardize(score, where), score)


# ---------------------------------------------------------------- weights


@config
class Clip:
    """Weights are at most `limit`."""

    limit: Positive = 20.0  # the largest weight


@config
class NonParametric(Weights):
    """Weights on actions of the prior: pi_q = pi_p exp(G / eta) / Z (Eq. 3)."""

    # what Z sums over: the samples of each state, the batch, or nothing (Z = 1)
    normalize: Literal["state", "batch", "none"] = "state"
    standardize: Toggle = False  # G in standard deviations over the data
    clip: Clip | None = None  # of the weights, after Z
    # of the weight: exp(G / eta), or 1 where G is above 0 and else 0; Wang et al. 2020
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
                "with one action a state the KL is 0 and the temperature only falls, "
                "so it needs pi_p=Policy with samples of 2 or more, or "
                "pi_q.normalize='batch'",
            )
        if self.normalize == "state" and not several(config):
            yield Refusal(
                "pi_q.normalize",
                "'state'",
                "with one action a state its weight is 1 whatever its G; use 'batch' "
                "or 'none', or pi_p=Policy with samples of 2 or more",
            )
        yield from self._shape_limits(rule, batch)
        if self.standardize and rule.joint_with_value:
            yield Refusal(
                "pi_q.standardize",
                True,
                f"the temperature of a {type(rule).__name__} is in units of G as it "
                "is, so it must be false",
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
                "a weight of 0 or 1 has neither a temperature to find nor a sum to be "
                "divided by; use pi_q.normalize='none' and "
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
        return _standardized(self.standardize, score, where)

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

    def told(self, view: View, score: jax.Array, episodes: Episodes) -> Metrics:
        # else they hang on minibatches
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

    standardize: Toggle = False  # R in standard deviations over the episodes
    # climb E[R] too, by the likelihood ratio, beside the fit to pi_q
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
        formula = "a non-parametric pi_q is a formula"
        yield Need("pi_q_update", lambda update: not update.parametric, formula)
        reason = (
            "whole episodes are drawn by the policy, and their base is it or uniform"
        )
        yield Need("pi_p", lambda prior: prior.draws_episodes, reason)
        fits = lambda step: step.moves and step.by_gradient  # noqa: E731
        yield Need("pi_p_update", fits, "episodes are fitted by SG")
        reason = "what weighs an episode is its return"
        yield Need("g", lambda g: g.total, reason)
        yield Need("g_estimate", lambda estimate: estimate.whole_return, reason)
        reason = "the weights of episodes are taken once an iteration"
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

    def told(self, view: View, score: jax.Array, episodes: Episodes) -> Metrics:
        return _of_episodes(score, episodes)


def _of_episodes(weight: jax.Array, episodes: Episodes) -> Metrics:
    number = weights.effective_episodes(weight, episodes.last, episodes.seen)
    return {"effective_episodes": number}


# ---------------------------------------------------------------- a policy


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

    def told(self, view: View, divergence: jax.Array) -> Metrics:
        """Metrics of the divergence [B]."""
        ...


@config
class Cloning:
    """Less the squared distance from the stored action: behaviour cloning beside G.

    Source: Fujimoto and Gu 2021 (TD3+BC), Eq. 3 and 5.
    """

    weight: Positive = 1.0  # of the distance
    # the distance over action dimensions; their sum: Tarasov et al. 2023 (ReBRAC)
    over: Literal["mean", "sum"] = "mean"
    # G in units of its mean size over the minibatch, so much of it; none: as it is
    alpha: Positive | None = 2.5  # Fujimoto and Gu 2021

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

    # of several critics: their minimum, the first, the mean of all, or what
    # g_estimate makes of them where actions are scored
    critic: Literal["minimum", "first", "mean", "mix"] = "minimum"
    # actions of the policy that each critic's value is averaged over, before one of the
    # critics is taken
    samples: Size = 1  # settings 3.10
    # where the standard normal noise of these actions is clipped; none: it is not
    noise_limit: Positive | None = None  # settings 3.10
    cloning: Cloning | None = None  # of stored actions, beside G

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
        reason = "a pi_q that climbs a critic is found by SG"
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
                f"all actions that {type(pi).__name__} draws are one, so it must be 1",
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
                "an action of clipped noise has not the policy's log-probability, "
                f"which pi_q_update.divergence={type(divergence).__name__} counts; use "
                "none, or MMD",
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
        if self.critic == "mean":
            return jnp.mean(values, axis=0)
        if self.critic == "mix":
            return view.estimate.combine(values)
        return ensemble.minimum(values)

    def loss(self, terms: Terms, eta: jax.Array) -> jax.Array:
        return jnp.mean(eta * terms.divergence - terms.gain)

    def told(self, view: View, divergence: jax.Array) -> Metrics:
        return view.prior.told(divergence)


@config
class EntropyBonus(Ruled):
    """The policy's entropy at the states of the data, beside G.

    Source: Schulman et al. 2017, Eq. 9; Huang et al. 2022 (PPO), detail 10.
    """

    weight: NonNegative = 0.01  # of the entropy; Huang et al. 2022, of Atari

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the bonus is a formula for the entropy"
        yield Need("pi_theta", lambda pi: pi.has_entropy, reason)


@config
class LikelihoodRatio(Movement):
    """The gradient of E_{pi_p}[ pi_theta / pi_p G ], on stored actions of the prior."""

    by_samples: ClassVar[bool] = False

    standardize: Toggle = True  # G in standard deviations over the data; settings 3.6
    # what G is standardised over: an iteration's data, or each minibatch of the policy;
    # Huang et al. 2022, detail 7
    over: Literal["data", "minibatch"] = "data"
    entropy: EntropyBonus | None = None  # of the policy, beside G; none: no bonus

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "a parametric pi_q is moved along a gradient"
        yield Need("pi_q_update", lambda update: update.parametric, reason)
        reason = "the ratio is to the policy that collected the data, the last pi_q"
        yield Need("pi_p", lambda prior: prior.last_posterior, reason)
        yield Need(
            "g",
            lambda g: not g.soft and not g.logarithmic,
            "the ratio multiplies a return or an advantage, and a logarithm is of "
            "weights",
        )
        if config.pi_q_update.has_temperature:
            reason = "eta multiplies KL(pi_p || pi_theta), which Proximal adapts"
            yield Need("pi_q_update.temperature", lambda r: not r.learned, reason)

    def standardized(
        self, score: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        if self.over == "minibatch":  # which `terms` sees
            return score
        return _standardized(self.standardize, score, where)

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
            score = _standardized(self.standardize, score, None)
        gain = view.update.gain(jnp.exp(log_ratio), score)
        if self.entropy is not None:
            gain = gain + self.entropy.weight * pi.entropy(dist)
        if pi.has_kl:
            return Terms(gain, pi.kl(prior, dist), dist, None)
        # its unbiased estimate from these actions of the prior: Schulman 2020
        return Terms(gain, jnp.expm1(log_ratio) - log_ratio, dist, None)

    def loss(self, terms: Terms, eta: jax.Array) -> jax.Array:
        return eta * jnp.mean(terms.divergence) - jnp.mean(terms.gain)

    def told(self, view: View, divergence: jax.Array) -> Metrics:
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
            told=partial(self.gradient.told, view),
            prior=batch.prior,
            action_size=batch.transition.action.shape[-1],
        )


PiQ = NonParametric | Episodic | Parametric
