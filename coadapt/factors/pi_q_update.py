"""Column pi_q update: how is the E-step solved, and how is its temperature found?

The interface of the column is `Update`, and its classes below are final. Those of its
parts, `Temperature`, `Divergence` and `RatioBound`, are in files of their own.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.divergence import KL as KL
from coadapt.factors.divergence import MMD as MMD
from coadapt.factors.divergence import DualKL as DualKL
from coadapt.factors.divergence import Wasserstein as Wasserstein
from coadapt.factors.ratio_bound import ClippedRatio as ClippedRatio
from coadapt.factors.ratio_bound import KLPenalty as KLPenalty
from coadapt.factors.ratio_bound import KLStop as KLStop
from coadapt.factors.ratio_bound import RatioBound as RatioBound
from coadapt.factors.rules import Combination, Config, Need, Refusal, Ruled
from coadapt.factors.temperature import ConstantTemperature as ConstantTemperature
from coadapt.factors.temperature import DivergenceTemperature as DivergenceTemperature
from coadapt.factors.temperature import DualTemperature as DualTemperature
from coadapt.factors.temperature import EntropyTemperature as EntropyTemperature
from coadapt.factors.temperature import ExponentialTemperature as ExponentialTemperature
from coadapt.factors.temperature import KLTemperature as KLTemperature
from coadapt.factors.temperature import Temperature as Temperature
from coadapt.factors.view import Descent, Dist, Duals, View, lacks
from coadapt.ops import natural
from coadapt.schema import NonNegative, Positive, Range, Scalar, Size, config
from coadapt.types import Metrics, Tree


class Terms(NamedTuple):
    """What a parametric posterior is moved by, at B states."""

    gain: jax.Array  # [B], what is climbed
    divergence: jax.Array  # [B], from the prior
    dist: Dist  # the policy
    action: jax.Array | None  # [M, B, A], its actions, where the gain is of those


class Goal(NamedTuple):
    """What a parametric pi_q makes of a minibatch: see `pi_q.Parametric.goal`."""

    terms: Callable[[Tree], Terms]  # of the policy's parameters
    loss: Callable[[Terms, jax.Array], jax.Array]  # of the terms and eta: scalar
    divergence_metrics: Callable[[jax.Array], Metrics]  # of the divergence [B]
    prior: Dist  # the policy that took the batch's actions, where it is known
    action_size: int  # A


class Update(Ruled, Protocol):
    """What a class of this column has."""

    parametric: ClassVar[bool] = True  # it moves a policy, else it weighs actions
    own_length: ClassVar[bool] = False  # of its steps: nothing reads optim.policy
    has_temperature: ClassVar[bool] = False
    counts_divergence: ClassVar[bool] = False  # from a prior that stays as it is

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def passes(self) -> int:
        """Passes of the policy, forward and backward, that a step takes."""
        return 1

    @property
    def learned(self) -> bool:
        """Whether the temperature is a variable of the agent's."""
        return False

    @property
    def joint_with_value(self) -> bool:
        """Whether the search that finds V finds eta too."""
        return False

    @property
    def divergence_samples(self) -> int:
        """Of the policy's actions at a state, how many the divergence takes."""
        return 1

    @property
    def by_network(self) -> bool:
        """Whether a network f finds it: "dual" of the prior's parameters."""
        return False

    def duals(self) -> dict[str, jax.Array]:
        """Raw variables of its own, by name, as they start."""
        return {}

    def eta(self, duals: Duals) -> jax.Array:
        """The temperature as it is now; 0 where there is none. Scalar."""
        return jnp.zeros((), jnp.float32)

    def of_dual(
        self, duals: Duals, raw: jax.Array
    ) -> tuple[jax.Array, jax.typing.ArrayLike]:
        """As `Temperature.of_dual`."""
        return self.eta(duals), 0.0

    def between(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        """The divergence of pi_q = dist from the prior: raw [M, B, A] -> [B]."""
        return jnp.zeros(obs.shape[0])

    def fit(
        self, view: View, params: Tree, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        """The loss of what the divergence fits beside the prior's model. Scalar."""
        return jnp.zeros(())

    def gain(self, ratio: jax.Array, score: jax.Array) -> jax.Array:
        """What is climbed, of pi_theta / pi_p and G: [B], [B] -> [B]."""
        return ratio * score

    def move(self, view: View, goal: Goal) -> tuple[View, Metrics]:
        """A step of the policy, where it is parametric, and of eta."""
        raise lacks(self, "gradient")

    @property
    def stops_early(self) -> bool:
        """Whether an iteration's steps of the policy may end before the last."""
        return False

    def ends(self, told: Metrics) -> jax.Array:
        """Whether they end before the step that told this: scalar bool."""
        raise lacks(self, "early stop")

    def after_scores(self, view: View, score: jax.Array) -> View:
        """As `Temperature.after_scores`."""
        return view

    def after_iteration(
        self,
        view: View,
        score: jax.Array,
        where: jax.Array,
        kl: Callable[[], jax.Array],
    ) -> tuple[View, Metrics]:
        """What is set once an iteration, on all of its data, after the policy's steps.

        Args:
            score: [C], of the steps that count, `where` [C].
            kl: gives KL(pi_p || pi_theta) of these steps, scalar.
        """
        return view, {}


def _descend(view: View, goal: Goal) -> tuple[View, jax.Array, Metrics]:
    """A gradient step of the policy, the divergence [B] before it, and metrics."""
    eta = view.eta

    def loss(params: Tree) -> tuple[jax.Array, jax.Array]:
        terms = goal.terms(params)
        total = goal.loss(terms, eta) + view.bound_loss(terms.dist, terms.action)
        return total, terms.divergence

    view, found = view.descend(loss)
    metrics = {"temperature": eta} | found.metrics | goal.divergence_metrics(found.aux)
    return view, found.aux, metrics


class _Tempered(Update, Protocol):
    """An update with a temperature, which says itself how it is found."""

    has_temperature: ClassVar[bool] = True

    @property
    def temperature(self) -> Temperature: ...

    @property
    def learned(self) -> bool:
        return self.temperature.learned

    def duals(self) -> dict[str, jax.Array]:
        rule = self.temperature
        return {"temperature": rule.start()} if rule.learned else {}

    def eta(self, duals: Duals) -> jax.Array:
        return self.temperature.eta(duals)


@config
class Analytic(_Tempered):
    """pi_q has a closed form: weights on the prior's samples."""

    parametric: ClassVar[bool] = False

    # eta, and how it is found
    temperature: (
        ConstantTemperature | KLTemperature | DualTemperature | ExponentialTemperature
    ) = ConstantTemperature()

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.temperature.maths(config)

    @property
    def symbol(self) -> str:
        return "Analytic + TR" if self.temperature.bounds_kl else "Analytic"

    @classmethod
    def at(cls, point: Combination) -> "Analytic":
        joint = not point.g_estimate.by_gradient
        return cls(temperature=DualTemperature()) if joint else cls()

    def limits(self, config: Config) -> Iterator[Refusal]:
        value = self.temperature.given
        if value is not None and not value > 0:
            reason = "the weights exp(G / temperature) need one above 0"
            yield Refusal("pi_q_update.temperature.value", value, reason)

    @property
    def joint_with_value(self) -> bool:
        return self.temperature.joint_with_value

    def of_dual(
        self, duals: Duals, raw: jax.Array
    ) -> tuple[jax.Array, jax.typing.ArrayLike]:
        return self.temperature.of_dual(duals, raw)

    def after_scores(self, view: View, score: jax.Array) -> View:
        return self.temperature.after_scores(view, score)

    def after_iteration(
        self,
        view: View,
        score: jax.Array,
        where: jax.Array,
        kl: Callable[[], jax.Array],
    ) -> tuple[View, Metrics]:
        return self.temperature.after_iteration(view, score, where), {}


@config
class Gradient(_Tempered):
    """Stochastic gradient on E[G] - eta D(pi_q, pi_p)."""

    counts_divergence: ClassVar[bool] = True

    # eta, and how it is found
    temperature: ConstantTemperature | EntropyTemperature | DivergenceTemperature = (
        EntropyTemperature()
    )
    divergence: KL | MMD | DualKL | Wasserstein = KL()  # of the policy from the prior

    @classmethod
    def at(cls, point: Combination) -> "Gradient":
        eta = 0.1 if point.pi_p.counts else 0.0
        rule = ConstantTemperature(value=eta)
        by_samples = point.pi_p.by_others and not point.pi_theta.has_density
        return cls(
            temperature=EntropyTemperature() if point.pi_p.is_uniform else rule,
            divergence=MMD() if by_samples else KL(),
        )

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.move

    @property
    def symbol(self) -> str:
        return "SG"

    @property
    def divergence_samples(self) -> int:
        return self.divergence.samples

    @property
    def by_network(self) -> bool:
        return self.divergence.by_network

    def between(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        kind, own = self.divergence, jax.random.fold_in(key, 1)
        return kind.between(view, dist, raw[: kind.samples], obs, own)

    def fit(
        self, view: View, params: Tree, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        return self.divergence.loss(view, params, obs, key)

    def move(self, view: View, goal: Goal) -> tuple[View, Metrics]:
        view, divergence, metrics = _descend(view, goal)
        rule = self.temperature
        return rule.after_divergence(view, divergence, goal.action_size), metrics


@config
class Proximal(Update):
    """Stochastic gradient on E[G] that is kept near the prior."""

    # how the policy is kept near the prior
    trust_region: KLPenalty | ClippedRatio = KLPenalty()
    # when an iteration's policy steps end early; none: never
    early_stop: KLStop | None = None

    @classmethod
    def at(cls, point: Combination) -> "Proximal":
        bound = KLPenalty() if point.pi_theta.has_kl else ClippedRatio()
        return cls(trust_region=bound)

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.trust_region.maths(config)

    @property
    def symbol(self) -> str:
        return "SG + TR"

    def duals(self) -> dict[str, jax.Array]:
        return self.trust_region.duals()

    def eta(self, duals: Duals) -> jax.Array:
        return self.trust_region.eta(duals)

    @property
    def stops_early(self) -> bool:
        return self.early_stop is not None

    def ends(self, told: Metrics) -> jax.Array:
        assert self.early_stop is not None  # else nobody asks
        return self.early_stop.exceeded(told["kl"])

    def gain(self, ratio: jax.Array, score: jax.Array) -> jax.Array:
        return self.trust_region.gain(ratio, score)

    def move(self, view: View, goal: Goal) -> tuple[View, Metrics]:
        view, _, metrics = _descend(view, goal)
        return view, metrics

    def after_iteration(
        self,
        view: View,
        score: jax.Array,
        where: jax.Array,
        kl: Callable[[], jax.Array],
    ) -> tuple[View, Metrics]:
        return self.trust_region.after_iteration(view, kl)


@config
class NaturalGradient(Update):
    """One step to the border of KL <= max_kl, shortened until it is in.

    Source: Schulman et al. 2015a (settings 3.6).
    """

    own_length: ClassVar[bool] = True

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "its trust region needs the policy's KL in closed form"
        yield Need("pi_theta", lambda pi: pi.has_kl, reason)

    max_kl: Positive = 0.01  # bound on the KL, nats; settings 3.6
    # over the A action dimensions: the KL itself, or their mean, as in sb3-contrib,
    # which makes radius and damping A times as large
    kl: Literal["sum", "mean"] = "sum"
    # KL(pi_p || pi_theta), which a falling std takes out of the region before the step
    # is whole; or 'reverse', KL(pi_theta || pi_p), as sb3-contrib has it
    kl_direction: Literal["forward", "reverse"] = "forward"
    iterations: Size = 20  # iterations of conjugate gradients; settings 3.6
    # added to the diagonal of the Fisher matrix
    damping: NonNegative = 0.1  # settings 3.6
    # most backtracks of the line search, until the step is in the region and an
    # improvement; settings 3.6
    max_backtracks: Size = 10
    # factor of the step in each backtrack; settings 3.6
    backtrack_coeff: Annotated[Scalar, Range(gt=0, lt=1)] = 0.5

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.move

    @property
    def symbol(self) -> str:
        return "TR"

    @property
    def passes(self) -> int:
        # a product with the Fisher matrix is a gradient and its derivative
        return 1 + 2 * self.iterations

    def move(self, view: View, goal: Goal) -> tuple[View, Metrics]:
        old, over = view.policy_params, 1
        if self.kl == "mean":
            over = view.pi.dimensions(goal.prior)

        def terms_of(params: Tree) -> Terms:
            return goal.terms(view.projected(params))

        def gain(params: Tree) -> jax.Array:
            terms = terms_of(params)
            return jnp.mean(terms.gain) - view.bound_loss(terms.dist, terms.action)

        def kl(params: Tree) -> jax.Array:
            terms = terms_of(params)
            if self.kl_direction == "forward":
                return jnp.mean(terms.divergence) / over
            return jnp.mean(view.pi.kl(terms.dist, goal.prior)) / over

        before, gradient = jax.value_and_grad(gain)(old)
        step = natural.natural_step(
            kl, old, gradient,
            radius=self.max_kl, iterations=self.iterations, damping=self.damping,
        )  # fmt: skip
        new, fraction = natural.backtrack(
            lambda params: (gain(params) - before, kl(params)),
            old, step, radius=self.max_kl, trials=self.max_backtracks,
            shrink=self.backtrack_coeff,
        )  # fmt: skip
        metrics = {"kl": over * kl(new), "step_fraction": fraction}
        metrics |= Descent(-before, None, gradient).metrics
        return view.with_policy(view.projected(new)), metrics


PiQUpdate = Analytic | Gradient | Proximal | NaturalGradient
