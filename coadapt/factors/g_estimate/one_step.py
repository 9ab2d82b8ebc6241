"""Estimates from single transitions, or sequences of a few."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from coadapt.factors.ensembles import Ensembles, Minimum
from coadapt.factors.g import G
from coadapt.factors.g_estimate.base import Critics, Discount, OneStepEstimate
from coadapt.factors.multistep import (
    NStepReturn,
    Steps,
    Traces,
    TruncatedRatio,
    log_probs,
)
from coadapt.factors.rules import Config, Need, Refusal
from coadapt.factors.state_value import Expectile
from coadapt.factors.view import Dist, View
from coadapt.ops import distributions, ensemble, returns
from coadapt.ops.distributions import Atoms
from coadapt.schema import Fraction, Positive, Size, config
from coadapt.types import Support, Transition


@config
class Smoothing:
    """Clipped Gaussian noise on the policy's action at the next state.

    Source: Fujimoto et al. 2018 (settings 3.9).
    """

    std: Positive = 0.2  # std of the noise, agent units
    limit: Positive = 0.5  # clip of the noise, agent units

    def smooth(self, action: jax.Array, key: jax.Array) -> jax.Array:
        """[M, B, A] -> [M, B, A]."""
        noise = self.std * jax.random.normal(key, action.shape)
        return jnp.clip(action + jnp.clip(noise, -self.limit, self.limit), -1.0, 1.0)


@config
class NextCloning:
    """A value less the squared distance of its action from the one that was taken.

    Of the next step, where the episode goes on; the sum over action dimensions.
    Source: Tarasov et al. 2023 (ReBRAC), Eq. 4.
    """

    weight: Positive = 1.0  # weight of the distance; Tarasov et al. 2023

    def penalty(self, action: jax.Array, sequence: Transition) -> jax.Array:
        """Of actions [M, B, A] at the successors of first steps [L, B, ...]: [B]."""
        taken, goes_on = sequence.action[1], ~sequence.last[0]
        distance = jnp.sum(jnp.square(action - taken[None]), axis=-1)
        return jnp.where(goes_on, self.weight * jnp.mean(distance, axis=0), 0.0)


@config
class TD0(OneStepEstimate):
    """One step of reward, then the value of the policy's own actions."""

    discount: Discount = 0.99  # gamma, the discount per env step
    critics: Critics = 2  # K, the number of critics
    # weights of two critics: mix * minimum + (1 - mix) * maximum; settings 3.10
    mix: Fraction = 1.0
    samples: Size = 1  # number of the policy's actions at the next state
    # which value of these actions is the target; settings 3.10
    over: Literal["mean", "max"] = "mean"
    # noise on the target's actions, as in TD3; none: no noise
    smoothing: Smoothing | None = None
    ensemble: Ensembles = Minimum()  # how critics are combined
    n_step: NStepReturn | None = None  # n-step returns; none: one step
    # penalty on the distance from the next stored action, in the target; none: no
    # penalty
    cloning: NextCloning | None = None
    # V beside Q, from which targets bootstrap; none: Q of the policy's own actions
    value: Expectile | None = None

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.targets

    @property
    def symbol(self) -> str:
        step = "TD(0)" if self.n_step is None else "n-step TD"
        return step if self.value is None else f"{step}, V by expectile"

    @property
    def distributes(self) -> bool:
        return self.value is None

    @property
    def reads_log_prob(self) -> bool:  # type: ignore[override]
        return self.n_step is not None and self.n_step.importance

    @property
    def length(self) -> int:
        return super().length if self.cloning is None else 2

    @property
    def valued(self) -> int:
        return 1

    def ensemble_symbol(self) -> str:
        return self.ensemble.symbol(self.critics)

    @property
    def best_counts(self) -> bool:
        return self.over == "max"

    def limits(self, config: Config) -> Iterator[Refusal]:
        smoothed, name = "g_estimate.smoothing", type(self.smoothing).__name__
        if self.smoothing is not None and config.g.soft:
            yield Refusal(
                smoothed,
                name,
                "a smoothed action does not have the policy's log-probability, which "
                f"g={type(config.g).__name__} needs; use g=Q",
            )
        if self.smoothing is not None and not config.pi_theta.continuous:
            yield Refusal(smoothed, name, "a discrete choice cannot be smoothed")
        if self.mix != 1.0 and self.critics == 1:
            reason = "there is a maximum to mix in with 2 critics or more"
            yield Refusal("g_estimate.mix", self.mix, reason)
        yield from _minimum_alone(config, "mix", self.mix, self.mix != 1.0, 1.0)
        name = type(self.cloning).__name__
        if self.cloning is not None and (self.n_step is not None or self.best_counts):
            reason = "it is of the mean over actions at the next step; use n_step=none "
            yield Refusal("g_estimate.cloning", name, f"{reason}and over='mean'")
        if self.value is not None:
            yield from self._of_value(config)
        yield from self._of_samples(config)

    def _of_samples(self, config: Config) -> Iterator[Refusal]:
        """Where several actions are one, or one is said to be the best of several."""
        if self.best_counts and self.samples == 1:
            reason = "of one action the best is its mean; use g_estimate.samples of 2 "
            yield Refusal("g_estimate.over", f"{self.over!r}", f"{reason}or more")
        one = not config.pi_theta.has_density and self.smoothing is None
        if self.samples > 1 and one:
            yield Refusal(
                "g_estimate.samples",
                self.samples,
                f"{type(config.pi_theta).__name__} has one action per state, so it "
                "must be 1, or g_estimate.smoothing must be Smoothing",
            )

    def _of_value(self, config: Config) -> Iterator[Refusal]:
        """What is not valid with V."""
        usual = {"samples": 1, "over": "mean", "smoothing": None, "cloning": None}
        for name, none in usual.items():
            came = getattr(self, name)
            if came != none:
                yield Refusal(
                    f"g_estimate.{name}",
                    repr(came) if isinstance(came, str | int) else type(came).__name__,
                    "it is for actions at the next state, but with g_estimate.value="
                    f"{type(self.value).__name__} targets bootstrap from V, so it "
                    f"must be {'none' if none is None else repr(none)}",
                )
        net = config.networks.critic
        if net.drops or net.of_batch:
            yield Refusal(
                "g_estimate.value",
                type(self.value).__name__,
                "its network is like a critic's, but dropout and batch norms are for "
                "critics only; use none, or another networks.critic",
            )

    def critics_of(self, g: G) -> int:
        return self.critics

    def next_samples(self, prior: int) -> int:
        return self.samples if self.value is None else 0

    def combine(self, values: jax.Array) -> jax.Array:
        if values.shape[0] == 1:
            return values[0]
        if self.ensemble.pessimistic:
            return ensemble.mix(values, self.mix)
        return self.ensemble.combine(values)

    def sequence_targets(
        self,
        view: View,
        sequence: Transition,
        log_prob: jax.Array | None,
        key: jax.Array,
    ) -> tuple[jax.Array | Atoms, Support | None]:
        if self.cloning is None:
            return super().sequence_targets(view, sequence, log_prob, key)
        first = jax.tree.map(lambda x: x[0], sequence)
        return self.targets(view, first, key, sequence)

    def targets(
        self,
        view: View,
        transition: Transition,
        key: jax.Array,
        sequence: Transition | None = None,
    ) -> tuple[jax.Array | Atoms, Support | None]:
        """With the sequence, whose first step it is, where its next action counts."""
        obs = transition.next_obs
        dist, raw, action = self._drawn(view, obs, key)
        if self.value is None:
            outputs = view.outputs(view.target_critic, obs, action[: self.samples])
            future = self.future(view, outputs, key, best=self.best_counts)
        else:
            future = view.state_value(obs)
        discount = self.discount * transition.discount
        penalty: Any = 0.0
        if self.cloning is not None and sequence is not None:
            penalty = self.cloning.penalty(action[: self.samples], sequence)

        def backup(value: jax.Array) -> jax.Array:
            value = view.g.next_value(view, value - penalty, dist, raw, obs, key)
            return returns.td_target(transition.reward, discount, value)

        return distributions.mapped(backup, future), None

    def _drawn(
        self, view: View, obs: jax.Array, key: jax.Array
    ) -> tuple[Dist, jax.Array, jax.Array]:
        """The policy at next states, and its actions there, raw and as acted."""
        dist = view.target_policy(obs)
        samples = max(self.samples, view.g.samples(view))
        raw = view.pi.draw(dist, key, samples)
        action = view.pi.bound(raw)
        if self.smoothing is not None:  # the policy's draw has the key itself
            action = self.smoothing.smooth(action, jax.random.fold_in(key, 2))
        return dist, raw, action

    def next_rows(
        self, view: View, transition: Transition, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        obs = transition.next_obs
        return obs, self._drawn(view, obs, key)[2][: self.samples]


@config
class Retrace(OneStepEstimate):
    """Rewards of some steps, then the mean value of the prior's M actions.

    Of a single step in the authors' reading, where no trace is left to cut (settings
    1.3, 2.4). Of more, each later step counts by lam times what `trace` says, which is
    min(1, pi / mu), mu being the policy that acted: Munos et al. 2016.
    """

    expects: ClassVar[bool] = True
    instead: ClassVar[str] = " with g_estimate.steps above 1, but n_step does"

    discount: Discount = 0.99  # gamma, the discount per env step
    critics: Critics = 1  # K, the number of critics
    # of two critics: the minimum at each action, or the critic of the lower mean
    minimum: Literal["sample", "mean"] = "sample"  # settings 1.7, MPO (D)
    steps: Size = 1  # steps of each sequence
    # lambda, the maximum weight of each later step; used with more than one step
    lam: Fraction = 1.0
    trace: Traces = TruncatedRatio()  # trace coefficient; used with more than one step
    ensemble: Ensembles = Minimum()  # how critics are combined
    n_step: NStepReturn | None = None  # n-step returns; none: one step

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.targets if self.steps == 1 else self.sequence_targets

    @property
    def symbol(self) -> str:
        return self.trace.symbol if self.n_step is None else "n-step TD"

    @property
    def distributes(self) -> bool:
        return self.steps == 1

    @property
    def reads_log_prob(self) -> bool:  # type: ignore[override]
        if self.n_step is not None:
            return self.n_step.importance
        return self.steps > 1 and self.trace.ratio

    def ensemble_symbol(self) -> str:
        return self.ensemble.symbol(self.critics)

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield from super().needs(config)
        if not config.pi_p.is_policy:
            reason = "its expectation runs over the M actions of pi_p=Policy; use TD0"
            yield Refusal("g_estimate", type(self).__name__, reason)

    def limits(self, config: Config) -> Iterator[Refusal]:
        if self.steps > 1 and self.n_step is not None:
            reason = (
                "rewards of n steps leave no trace, so it must be 1, or n_step none"
            )
            yield Refusal("g_estimate.steps", self.steps, reason)
        if self.minimum != "sample" and self.critics == 1:
            reason = "there is a minimum of 2 critics or more only"
            yield Refusal("g_estimate.minimum", f"{self.minimum!r}", reason)
        other = self.minimum != "sample"
        said = f"{self.minimum!r}"
        yield from _minimum_alone(config, "minimum", said, other, "'sample'")

    @property
    def length(self) -> int:
        return self.steps if self.n_step is None else self.n_step.most

    def critics_of(self, g: G) -> int:
        return self.critics

    def next_samples(self, prior: int) -> int:
        return prior

    def combine(self, values: jax.Array) -> jax.Array:
        if values.shape[0] == 1:
            return values[0]
        if not self.ensemble.pessimistic:
            return self.ensemble.combine(values)
        if self.minimum == "sample":
            return ensemble.minimum(values)
        lowest = jnp.argmin(jnp.mean(values, axis=1), axis=0)  # [B]
        return jnp.take_along_axis(values, lowest[None, None, :], axis=0)[0]

    def _next(
        self, view: View, obs: jax.Array, key: jax.Array
    ) -> tuple[jax.Array | Atoms, Support]:
        """The value of next states [B, O], [B], and the prior's actions there."""
        dist, raw, action = self._drawn(view, obs, key)
        outputs = view.outputs(view.target_critic, obs, action)
        score = self.combine(view.head.mean(outputs))

        def counted(value: jax.Array) -> jax.Array:
            return view.g.next_value(view, value, dist, raw, obs, key)

        future = distributions.mapped(counted, self.future(view, outputs, key))
        return future, Support(obs, action, score, dist)

    def _drawn(
        self, view: View, obs: jax.Array, key: jax.Array
    ) -> tuple[Dist, jax.Array, jax.Array]:
        dist = view.target_policy(obs)
        raw = view.pi.draw(dist, key, view.prior.samples)
        return dist, raw, view.pi.bound(raw)

    def next_rows(
        self, view: View, transition: Transition, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        obs = transition.next_obs
        return obs, self._drawn(view, obs, key)[2]

    def targets(
        self, view: View, transition: Transition, key: jax.Array
    ) -> tuple[jax.Array | Atoms, Support | None]:
        future, support = self._next(view, transition.next_obs, key)
        discount = self.discount * transition.discount

        def backup(value: jax.Array) -> jax.Array:
            return returns.td_target(transition.reward, discount, value)

        return distributions.mapped(backup, future), support

    def sequence_targets(
        self,
        view: View,
        sequence: Transition,
        log_prob: jax.Array | None,
        key: jax.Array,
    ) -> tuple[jax.Array | Atoms, Support | None]:
        if self.n_step is not None:
            return super().sequence_targets(view, sequence, log_prob, key)
        length, batch = sequence.reward.shape
        flat = jax.tree.map(lambda x: x.reshape(length * batch, *x.shape[2:]), sequence)
        following, support = self._next(view, flat.next_obs, key)  # [L B], [M, L B]
        value = self.combine(view.q(view.target_critic, flat.obs, flat.action[None]))

        def in_time(x: Any) -> jax.Array:
            return x.reshape(length, batch)

        steps = Steps(
            sequence.reward,
            self.discount * sequence.discount,
            in_time(following),
            in_time(value[0]),
            log_probs(view, sequence),
            log_prob,
            sequence.last,
        )
        target = self.trace.returns(steps, self.lam)[0]
        obs, action, score, dist = support
        dist = jax.tree.map(lambda x: x[:batch], dist)
        first = Support(obs[:batch], action[:, :batch], score[:, :batch], dist)
        return target, first


def _minimum_alone(
    config: Config, field: str, came: object, other: bool, usual: object
) -> Iterator[Refusal]:
    """A field that says more of the minimum needs it, of values."""
    kind, head = config.g_estimate.ensemble, config.critic.head
    if other and not (kind.pessimistic and not head.distributional):
        yield Refusal(
            f"g_estimate.{field}",
            came,
            "it is an option of g_estimate.ensemble=Minimum with several critics and "
            f"a head whose target is a number, so it must be {usual}",
        )
