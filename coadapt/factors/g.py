"""Column G: what does optimal mean?

The interface of the column is `Objective`; the classes below are final.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Need, Refusal, Ruled, critics
from coadapt.factors.view import Dist, View
from coadapt.schema import Range, config
from coadapt.types import Episodes


class Objective(Ruled, Protocol):
    """What a class of this column has; a method that it has not is as it is here."""

    reads_action: ClassVar[bool] = True  # a critic of it reads (s, a), else s alone
    soft: ClassVar[bool] = False  # its return counts the divergence as reward
    of_policy: ClassVar[bool] = True  # it is some policy's value, as Table 1 prints it
    logarithmic: ClassVar[bool] = False  # of a weight
    total: ClassVar[bool] = False  # the return itself
    cancels: ClassVar[bool] = False  # eta, in the weights

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def own_samples(self) -> int:
        """Of the policy's actions at a state, how many `score_actions` scores too."""
        return 0

    @property
    def relative(self) -> bool:
        """Whether the value of its state is taken off the score of an action."""
        return False

    @property
    def slow(self) -> bool:
        """Whether the target critics score actions."""
        return False

    @property
    def received(self) -> bool:
        """Whether a step is scored by its own reward, rather than by its return."""
        return False

    def samples(self, view: View) -> int:
        """Of the policy's actions at a state, how many `next_value` reads."""
        return 1

    def next_value(
        self,
        view: View,
        value: jax.Array,
        dist: Dist,
        raw: jax.Array,
        obs: jax.Array,
        key: jax.Array,
    ) -> jax.Array:
        """What the future is worth, given the critics' value of it: [B] -> [B].

        Args:
            dist: the policy at obs [B, O].
            raw: its samples [M, B, A], before they are bounded.
        """
        return value

    def rewards(self, episodes: Episodes) -> jax.Array:
        """What returns along sequences are sums of: [C]."""
        return episodes.reward

    def score(
        self, view: View, episodes: Episodes, target: jax.Array, value: jax.Array
    ) -> jax.Array:
        """G of each stored step, given its return and its state's value, [C] each."""
        return target

    def score_actions(
        self, view: View, obs: jax.Array, action: jax.Array, key: jax.Array
    ) -> jax.Array:
        """G of actions [M, B, A] at obs [B, O], by the critics: [M, B]."""
        return view.estimate.combine(view.q(view.critic, obs, action))


@config
class Q(Objective):
    """The action value, less the mean over `baseline` of the policy's own actions, or
    less the V that is learned beside it."""

    critic: Literal["online", "target"] = "online"  # critics whose Q scores the actions
    # number of the policy's own actions whose mean value is subtracted; 0: nothing is
    baseline: Annotated[int, Range(ge=0)] = 0
    # subtract V of the state, if g_estimate.value learns one: Kostrikov et al. 2022
    over_value: bool = False

    total: ClassVar[bool] = True

    def maths(self, config: Config) -> Callable[..., Any] | None:
        if not config.g_estimate.one_step:
            return self.score
        scores = not config.pi_q.parametric and not config.pi_p.at_next
        return self.score_actions if scores else self.next_value

    @property
    def symbol(self) -> str:
        return "Q"

    def limits(self, config: Config) -> Iterator[Refusal]:
        parametric, at_next = config.pi_q.parametric, config.pi_p.at_next
        scored, none = f"{self.critic!r}", not critics(config)
        if self.slow and none:
            reason = "there is no critic, so it must be 'online'"
            yield Refusal("g.critic", scored, reason)
        if self.slow and parametric:
            reason = "a parametric pi_q maximises the critic itself, so it must be"
            reason += " 'online'"
            yield Refusal("g.critic", scored, reason)
        if at_next and not self.slow:
            reason = (
                "at pi_p.states='next' the actions were scored by the target critic"
            )
            yield Refusal("g.critic", scored, reason)
        if self.baseline and (parametric or at_next or none):
            yield Refusal(
                "g.baseline",
                self.baseline,
                "it changes no gradient of a parametric pi_q, no weights at "
                "pi_p.states='next', and needs a critic, so it must be 0",
            )
        if self.over_value:
            yield from self._of_value(config)

    def _of_value(self, config: Config) -> Iterator[Refusal]:
        """Where V is there to be taken off, and changes anything."""
        reason = ""
        if config.g_estimate.value is None:
            reason = "no V is learned beside Q; use g_estimate.value=Expectile"
        elif config.pi_q.parametric:
            reason = "it changes no gradient of a parametric pi_q, so it must be false"
        elif self.baseline:
            reason = "g.baseline is taken off already, so it must be false"
        if reason:
            yield Refusal("g.over_value", True, reason)

    @property
    def own_samples(self) -> int:
        return self.baseline

    @property
    def relative(self) -> bool:
        return self.over_value or self.baseline > 0

    @property
    def slow(self) -> bool:
        return self.critic == "target"

    def score_actions(
        self, view: View, obs: jax.Array, action: jax.Array, key: jax.Array
    ) -> jax.Array:
        critic = view.target_critic if self.slow else view.critic

        def score(a: jax.Array) -> jax.Array:
            return view.estimate.combine(view.q(critic, obs, a))

        value = score(action)
        if self.over_value:
            return value - view.state_value(obs)[None]
        if not self.baseline:
            return value
        own = view.pi.sample(view.policy(obs), key, self.baseline)
        return value - jnp.mean(score(own), axis=0)[None]


@config
class SoftQ(Objective):
    """The action value whose return counts -eta KL(pi_q || pi_p) as reward.

    With a uniform prior that is the policy's entropy, eta H; with a behaviour policy,
    BRAC's value penalty.
    """

    soft: ClassVar[bool] = True

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if not config.pi_q.parametric:
            reason = (
                "the entropy of Q_soft is a parametric pi_q's, so it needs "
                "pi_q=Parametric"
            )
            yield Refusal("g", type(self).__name__, reason)
        if not config.pi_p.counts:
            yield Refusal(
                "g",
                type(self).__name__,
                f"with pi_p={type(config.pi_p).__name__} there is no divergence to "
                "count as reward; use Q",
            )

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.next_value

    @property
    def symbol(self) -> str:
        return "Q_soft"

    def samples(self, view: View) -> int:
        return view.update.divergence_samples

    def next_value(
        self,
        view: View,
        value: jax.Array,
        dist: Dist,
        raw: jax.Array,
        obs: jax.Array,
        key: jax.Array,
    ) -> jax.Array:
        return value - view.eta * view.prior.divergence(view, dist, raw, obs, key)


@config
class Advantage(Objective):
    """The estimated return less a state value, the only critic that is learned."""

    reads_action: ClassVar[bool] = False

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.score

    @property
    def symbol(self) -> str:
        return "A"

    def score(
        self, view: View, episodes: Episodes, target: jax.Array, value: jax.Array
    ) -> jax.Array:
        return target - value


@config
class LogQ(Objective):
    """eta log Q, so that the weight exp(G / eta) is Q itself, and eta cancels.

    Q has to be positive: `shift` takes the least reward (or return) of the data off.
    Source: settings 3.1.
    """

    logarithmic: ClassVar[bool] = True
    cancels: ClassVar[bool] = True

    # whose minimum is subtracted: of the rewards, or of the returns
    shift: Literal["reward", "return"] = "reward"

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.score

    @property
    def symbol(self) -> str:
        return "eta log Q"

    def limits(self, config: Config) -> Iterator[Need | Refusal]:  # type: ignore[override]
        if not config.pi_q.in_stds:
            reason = "eta cancels in the weights"
            given = lambda rule: not rule.learned  # noqa: E731
            yield Need("pi_q_update.temperature", given, reason)

    def rewards(self, episodes: Episodes) -> jax.Array:
        reward = episodes.reward
        return reward if self.shift == "return" else _above_least(reward, episodes)

    def score(
        self, view: View, episodes: Episodes, target: jax.Array, value: jax.Array
    ) -> jax.Array:
        if self.shift == "return":
            target = _above_least(target, episodes)
        return view.eta * jnp.log(jnp.maximum(target, 1e-8))  # 0 is of no use


def _above_least(numbers: jax.Array, episodes: Episodes) -> jax.Array:
    return numbers - jnp.min(numbers, where=episodes.seen, initial=jnp.inf)


@config
class LogReward(Objective):
    """eta log u(r), u increasing: the weight exp(G / eta) is u, of what was received.

    u = exp(r / eta), r the reward of the step or the return that followed it.
    Source: settings 3.2.
    """

    of_policy: ClassVar[bool] = False
    logarithmic: ClassVar[bool] = True

    # r: the return from a step on, or its reward
    of: Literal["return", "reward"] = "return"

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.score

    @property
    def symbol(self) -> str:
        return "eta log r"

    @property
    def received(self) -> bool:
        return self.of == "reward"

    def score(
        self, view: View, episodes: Episodes, target: jax.Array, value: jax.Array
    ) -> jax.Array:
        return episodes.reward if self.of == "reward" else target


G = Q | SoftQ | Advantage | LogQ | LogReward
