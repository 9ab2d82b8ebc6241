"""Column G estimate: how is G fitted?

Two interfaces: a `OneStepEstimate` bootstraps from a slow copy of the critic, after the
steps that a replay gave; a `SequenceEstimate` sums along whole sequences.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.ensembles import Ensemble, Ensembles, Minimum
from coadapt.factors.g import G
from coadapt.factors.multistep import (
    NStepReturn,
    Steps,
    Traces,
    TruncatedRatio,
    log_probs,
)
from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.state_value import Expectile
from coadapt.factors.view import Dist, View, lacks
from coadapt.ops import distributions, ensemble, lagrange, minimize, returns
from coadapt.ops.distributions import Atoms
from coadapt.schema import Fraction, Positive, Range, Scalar, Size, Toggle, config
from coadapt.types import Episodes, Metrics, Support, Transition, Tree

Discount = Annotated[Scalar, Range(ge=0, lt=1)]
# critics trained side by side; two and their minimum are clipped double Q
Critics = Annotated[int, Range(ge=1, le=100)]


class Estimate(Ruled, Protocol):
    """What every class of this column has; the field `discount` among it."""

    one_step: ClassVar[bool]  # it reads a replay, and bootstraps from a slow copy
    expects: ClassVar[bool] = False  # the value of a state is the mean of the prior's M
    by_gradient: ClassVar[bool] = True  # critics, where there are any, are fitted by SG
    whole_return: ClassVar[bool] = False  # all rewards that follow
    reads_log_prob: ClassVar[bool] = False  # how likely stored actions were
    instead: ClassVar[str] = ""  # with what it would give a distribution
    value: Expectile | None = None  # V of states, beside a critic of (s, a)

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def distributes(self) -> bool:
        """Whether its target may be a distribution of returns."""
        return False

    def ensemble_symbol(self) -> str:
        """What Table 1 adds where a policy climbs its critics; '' for nothing."""
        return ""

    @property
    def best_counts(self) -> bool:
        """Whether of several actions the best one's value counts, else their mean."""
        return False

    def estimates(self, g: G) -> bool:
        """Whether it is an estimate of g."""
        ...

    def critics_of(self, g: G) -> int:
        """K, the number of critics of g; 0: nothing is fitted."""
        ...

    def next_samples(self, prior: int) -> int:
        """Actions at a next state that critics score, `prior` being those of pi_p."""
        return 0

    def duals(self) -> dict[str, jax.Array]:
        """Raw variables of its own, by name, as they start."""
        return {}

    def scale(self) -> jax.Array | float:
        """Network output over value."""
        return 1.0

    def combine(self, values: jax.Array) -> jax.Array:
        """What several critics say together: [K, M, B] -> [M, B]."""
        return ensemble.minimum(values)


class OneStepEstimate(Estimate, Protocol):
    """An estimate from single transitions, or from sequences of a few."""

    one_step: ClassVar[bool] = True

    discount: Scalar
    ensemble: Ensemble = Minimum()
    n_step: NStepReturn | None = None

    def estimates(self, g: G) -> bool:
        return g.reads_action and not g.logarithmic

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_p.collects:
            yield Refusal(
                "g_estimate",
                type(self).__name__,
                "it bootstraps single transitions of a long past, and the data of "
                f"pi_p={type(config.pi_p).__name__} are the newest alone; use an "
                "estimate along sequences",
            )
        reason = "it bootstraps single transitions from a slow copy"
        yield Need("data", lambda data: not data.in_order, reason)

    @property
    def length(self) -> int:
        """Steps in a row that a sample has."""
        return 1 if self.n_step is None else self.n_step.most

    @property
    def valued(self) -> int:
        """Of those, at how many critics are read."""
        return 1 if self.n_step is not None else self.length

    def targets(
        self, view: View, transition: Transition, key: jax.Array
    ) -> tuple[jax.Array | Atoms, Support | None]:
        """What the critics are fitted to at transitions [B, ...]: [B].

        With it the actions at the next states, where the E-step stands on them.
        """
        ...

    def next_rows(
        self, view: View, transition: Transition, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The states and actions [B, O], [M, B, A] whose values `targets` asks for."""
        ...

    def sequence_targets(
        self,
        view: View,
        sequence: Transition,
        log_prob: jax.Array | None,
        key: jax.Array,
    ) -> tuple[jax.Array | Atoms, Support | None]:
        """As `targets`, of the first steps of sequences [L, B, ...], where L > 1.

        Args:
            log_prob: [L, B], of the actions, under the policy that took them; None
                where nothing keeps it.
        """
        if self.n_step is None:
            raise lacks(self, "estimate of sequences")
        own = jax.random.fold_in(key, 4)  # the targets' draws have the key itself
        one = self.n_step.as_one(view, sequence, log_prob, self.discount, own)
        return self.targets(view, one, key)

    def future(
        self, view: View, outputs: jax.Array, key: jax.Array, *, best: bool = False
    ) -> jax.Array | Atoms:
        """What next states are worth, by K critics' outputs at M actions.

        Args:
            outputs: [K, M, B, n].
            best: the best action counts, else all do.
        Returns:
            [B], or of a distribution [B, m].
        """
        own = jax.random.fold_in(key, 3)
        if view.head.distributional:
            atoms = self.ensemble.pool(view.head.atoms(outputs), own)
            if not best:
                return distributions.mixture(atoms)
            highest = jnp.argmax(distributions.mean(atoms), axis=0)
            return distributions.take(atoms, highest)
        values = view.head.mean(outputs)
        if values.shape[0] == 1 or self.ensemble.pessimistic:
            values = self.combine(values)
        else:
            values = self.ensemble.target(values, own)
        return jnp.max(values, axis=0) if best else jnp.mean(values, axis=0)


class SequenceEstimate(Estimate, Protocol):
    """An estimate along sequences, in the order of time."""

    one_step: ClassVar[bool] = False

    def estimates(self, g: G) -> bool:
        return not g.reads_action

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield Need("data", lambda data: data.in_order, "it sums along sequences")

    @property
    def length(self) -> int:
        """Whole sequences are read, whatever their length."""
        return 1

    @property
    def valued(self) -> int:
        """As `length`."""
        return 1

    def critics_of(self, g: G) -> int:
        return 0 if g.reads_action else 1

    def solve(
        self, view: View, obs: jax.Array, episodes: Episodes
    ) -> tuple[View, Metrics]:
        """What is fitted on all the data at once, before returns are taken.

        Args:
            obs: [R, O], the store's rows.
        """
        return view, {}

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        """What the critic is fitted to, and scores are taken from: [C].

        Args:
            reward: [C].
            values: [R], V of the store's rows; 0 where there is no critic.
        """
        ...


# ---------------------------------------------------------------- single transitions


@config
class Smoothing:
    """Clipped Gaussian noise on the policy's action at the next state.

    Source: Fujimoto et al. 2018 (settings 3.9).
    """

    std: Positive = 0.2  # of the noise, in actions of [-1, 1]
    limit: Positive = 0.5  # where the noise is clipped

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

    weight: Positive = 1.0  # of the distance; Tarasov et al. 2023

    def penalty(self, action: jax.Array, sequence: Transition) -> jax.Array:
        """Of actions [M, B, A] at the successors of first steps [L, B, ...]: [B]."""
        taken, goes_on = sequence.action[1], ~sequence.last[0]
        distance = jnp.sum(jnp.square(action - taken[None]), axis=-1)
        return jnp.where(goes_on, self.weight * jnp.mean(distance, axis=0), 0.0)


@config
class TD0(OneStepEstimate):
    """One step of reward, then the value of the policy's own actions."""

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    critics: Critics = 2  # trained side by side, K
    # of the critics: mix * minimum + (1 - mix) * maximum; settings 3.10
    mix: Fraction = 1.0
    samples: Size = 1  # actions at the next state, and which of their values counts
    # what of the values of those actions is the target's
    over: Literal["mean", "max"] = "mean"  # settings 3.10
    smoothing: Smoothing | None = None  # noise on the target's actions
    ensemble: Ensembles = Minimum()  # what the critics say together
    n_step: NStepReturn | None = None  # rewards before the bootstrap; none: one
    cloning: NextCloning | None = None  # of stored actions, in the target
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
                "a smoothed action has not the policy's log-probability, which "
                f"g={type(config.g).__name__} counts; use g=Q",
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

    def _of_value(self, config: Config) -> Iterator[Refusal]:
        """What V leaves without a meaning."""
        usual = {"samples": 1, "over": "mean", "smoothing": None, "cloning": None}
        for name, none in usual.items():
            came = getattr(self, name)
            if came != none:
                yield Refusal(
                    f"g_estimate.{name}",
                    repr(came) if isinstance(came, str | int) else type(came).__name__,
                    "it is of actions at the next state, and with g_estimate.value="
                    f"{type(self.value).__name__} a target bootstraps from V, so it "
                    f"must be {'none' if none is None else repr(none)}",
                )
        net = config.networks.critic
        if net.drops or net.of_batch:
            yield Refusal(
                "g_estimate.value",
                type(self.value).__name__,
                "its network is like a critic's, and dropout and norms of a batch are "
                "of the critics' own passes; use none, or another networks.critic",
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
            future = view.beside(obs)
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
        dist = view.following(obs)
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

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    critics: Critics = 1  # trained side by side, K
    # of two critics: the minimum at each action, or the critic of the lower mean
    minimum: Literal["sample", "mean"] = "sample"  # settings 1.7, MPO (D)
    steps: Size = 1  # of a sequence
    lam: Fraction = 1.0  # with more than one step
    trace: Traces = TruncatedRatio()  # what cuts it, with more than one step
    ensemble: Ensembles = Minimum()  # what the critics say together
    n_step: NStepReturn | None = None  # rewards before the bootstrap; none: one

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
        dist = view.following(obs)
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
            "it says which of several critics' values counts, with "
            "g_estimate.ensemble=Minimum and a head whose target is a number, so it "
            f"must be {usual}",
        )


# ---------------------------------------------------------------- sequences


@config
class TDLambda(SequenceEstimate):
    """Lambda-returns along whole episodes, bootstrapped at time limits."""

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    lam: Fraction = 0.95  # lambda: 0 is one step, 1 the whole return
    scaled: Toggle = True  # the network fits (1 - discount) V; settings 1.4

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

    discount: Discount = 0.99  # gamma: what a reward a step later counts
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

    discount: Discount = 0.99  # gamma: what a reward a step later counts
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

    discount: Discount = 0.99  # gamma: what a reward a step later counts

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
class DualValue(SequenceEstimate):
    """V minimises the dual of REPS with the temperature, on all data, to convergence.

        eta epsilon + eta log mean exp(delta / eta) + (1 - gamma) mean V(s_0),
    delta = r + gamma V(s') - V(s), s_0 the starts of episodes, and a ridge. A step that
    terminates leads to a state of value V_T that is never left: it counts as gamma /
    (1 - gamma) steps from there to there, without which the best steps of a task that
    pays at its end would have no weight at all. With V linear the dual is convex, and
    the ridge makes V unique: at a gradient of norm x it is at most x / ridge off (Boyd
    and Vandenberghe 2004, Sec. 9.1.2).
    Source: Peters et al. 2010 (settings 3.3); L-BFGS.
    """

    by_gradient: ClassVar[bool] = False

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    iterations: Size = 200  # at most
    # of the gradient's norm; over the ridge, it is how far V's weights may be off
    tolerance: float = 1e-6
    ridge: Positive = 1e-3  # of the critic's parameters, half their squared norm

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.dual

    @property
    def symbol(self) -> str:
        return "TD(0)"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield from super().needs(config)
        if not config.pi_q_update.has_temperature:
            yield Refusal(
                "g_estimate",
                type(self).__name__,
                "its dual has a temperature, and "
                f"pi_q_update={type(config.pi_q_update).__name__} has none; use "
                "pi_q_update=Gradient, or MonteCarlo, GAE, NStep or TDLambda",
            )

    def limits(self, config: Config) -> Iterator[Refusal]:
        value = config.pi_q_update.temperature.given
        if value is not None and not value > 0:
            reason = f"the dual of g_estimate={type(self).__name__} needs one above 0"
            yield Refusal("pi_q_update.temperature.value", value, reason)

    def duals(self) -> dict[str, jax.Array]:
        return {"terminal": jnp.zeros(())}  # the value after a termination

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        return self.surprise(episodes, values, view.duals["terminal"])

    def solve(
        self, view: View, obs: jax.Array, episodes: Episodes
    ) -> tuple[View, Metrics]:
        """Minimise the dual over V and V_T, and over eta where it is found with V."""
        old, joint = view.duals, view.update.joint_with_value
        raw = old["temperature"] if joint else jnp.zeros(())

        def dual(found: tuple[Tree, jax.Array, jax.Array]) -> jax.Array:
            return self.dual(view, obs, episodes, _anchored(found[0]), *found[1:])

        (critic, raw, terminal), norm, _ = minimize.minimize(
            dual,
            (_anchored(view.critic), raw, old["terminal"]),
            iterations=self.iterations,
            tolerance=self.tolerance,
        )
        duals = {"terminal": terminal} | ({"temperature": raw} if joint else {})
        return view.with_critic(critic).with_duals(**duals), {"dual_gradient": norm}

    def dual(
        self,
        view: View,
        obs: jax.Array,
        episodes: Episodes,
        critic: Tree,
        raw: jax.Array,
        terminal: jax.Array,
    ) -> jax.Array:
        """What `solve` minimises over the critic, the raw temperature and V_T."""
        eta, epsilon = view.update.of_dual(view.duals, raw)
        gamma, counts = jnp.asarray(self.discount), self._counts(episodes)
        value = view.v(critic, obs)[0]
        delta = self.surprise(episodes, value, terminal) - value[episodes.row]
        delta = jnp.append(delta, (gamma - 1) * terminal)
        # what does not count has weight 0, and a finite delta: no NaN of 0 * inf
        delta = jnp.where(counts > 0, delta, -1e9)
        delta += eta * jnp.log(jnp.where(counts > 0, counts, 1.0))
        total = lagrange.temperature_dual(delta[:, None], eta, epsilon)
        ended: Any = episodes.last | ~episodes.seen
        begins = jnp.roll(ended, 1).at[0].set(True)
        starts = begins & episodes.seen  # the first step of the data stands for a start
        start = jnp.mean(value[episodes.row], where=starts)
        squares = sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(critic))
        return total + (1 - gamma) * start + self.ridge * squares / 2

    def _counts(self, episodes: Episodes) -> jax.Array:
        """How often each of C steps counts, and what follows terminations: mean 1."""
        terminal = episodes.seen & (episodes.discount == 0.0)
        ends = jnp.sum(terminal.astype(jnp.float32))
        after = self.discount / (1 - self.discount) * ends
        counts = jnp.append(episodes.seen.astype(jnp.float32), after)
        return counts / jnp.mean(counts)

    def surprise(
        self, episodes: Episodes, value: jax.Array, terminal: jax.Array
    ) -> jax.Array:
        """r + gamma V(s'), V_T after a termination. value [R] -> [C]."""
        goes_on = episodes.discount
        following = goes_on * value[episodes.next_row] + (1 - goes_on) * terminal
        return episodes.reward + self.discount * following


def _anchored(critic: Tree) -> Tree:
    """The critic with an output bias of 0.

    A constant added to V and V_T leaves the dual as it is, so the ridge alone chooses
    the bias. Searched for, it would be the gradient's rounding over the ridge.
    """
    output = critic["output"]
    return critic | {"output": output | {"bias": jnp.zeros_like(output["bias"])}}


@config
class NoEstimate(SequenceEstimate):
    """Nothing is fitted: what was received is taken as it is."""

    discount: Discount = 0.99  # of the return that g=LogReward may read

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


OneStep = TD0 | Retrace
Sequence = TDLambda | GAE | NStep | MonteCarlo | DualValue | NoEstimate
GEstimate = OneStep | Sequence
