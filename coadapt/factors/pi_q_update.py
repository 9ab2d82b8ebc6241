"""Column pi_q update: how is the E-step solved, and how is its temperature found?

The interface of the column is `Update`; of its parts, `Temperature`, `Divergence` and
`RatioBound` are. The classes below each are final.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Combination, Config, Need, Refusal, Ruled
from coadapt.factors.view import Descent, Dist, Duals, View, lacks
from coadapt.ops import divergences, lagrange, natural
from coadapt.schema import NonNegative, Positive, Range, Scalar, Size, config
from coadapt.types import Metrics, Tree

# ---------------------------------------------------------------- the temperature


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

    value: NonNegative = 1.0  # in units of G

    @property
    def given(self) -> float | None:
        return self.value

    def eta(self, duals: Duals) -> jax.Array:
        return jnp.asarray(self.value, jnp.float32)


@config
class KLTemperature(Temperature):
    """eta keeps KL(pi_q || pi_p) at epsilon: descent on the dual of Sec. 4.2.1."""

    bounds_kl: ClassVar[bool] = True

    epsilon: Positive = 0.1  # nats; settings 1.3
    init: Scalar = 1.0  # of the raw variable, eta = softplus(raw); settings 1.3
    # of the raw variable: projected after a step, or clamped in the forward pass
    floor: Literal["project", "clamp"] = "project"  # settings 2.11

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.after_scores

    def start(self) -> jax.Array:
        return jnp.asarray(self.init, jnp.float32)

    def value_of(self, raw: jax.Array) -> jax.Array:
        return lagrange.multiplier(raw, clamp=self.floor == "clamp")

    def after_scores(self, view: View, score: jax.Array) -> View:
        def dual(raw: jax.Array) -> jax.Array:
            return lagrange.temperature_dual(score, self.value_of(raw), self.epsilon)

        grad = jax.grad(dual)(view.duals["temperature"])
        return view.step_dual("temperature", grad, project=self.floor == "project")


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

    epsilon: Positive = 0.5  # nats; settings 3.3
    init: Positive = 1.0  # eta itself, where the first search starts
    floor: Positive = 1e-4  # in units of G

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

    init: Positive = 1.0  # eta itself

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the rule is for rewards as they were received"
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


@config
class EntropyTemperature(Temperature):
    """eta keeps the policy's entropy at a target (Haarnoja et al. 2018b)."""

    target: Scalar = -1.0  # nats for each action dimension; settings 1.1
    init: Positive = 1.0  # eta itself; settings 1.1

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "entropy is the KL from uniform"
        yield Need("pi_p", lambda prior: prior.is_uniform, reason)

    def start(self) -> jax.Array:
        return jnp.log(jnp.asarray(self.init, jnp.float32))

    def value_of(self, raw: jax.Array) -> jax.Array:
        return jnp.exp(raw)

    def after_divergence(
        self, view: View, divergence: jax.Array, action_size: int
    ) -> View:
        return _keep_below(view, divergence, self.target * action_size)


@config
class DivergenceTemperature(Temperature):
    """eta keeps the divergence from the prior at a limit, by ascent on log eta."""

    limit: Positive = 0.05  # what the divergence may be, in its units; settings 3.10
    init: Positive = 1.0  # eta itself
    low: Scalar = -5.0  # of log eta; settings 3.10
    high: Scalar = 10.0  # of log eta; settings 3.10

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "the divergence is from a model of the data's policy"
        yield Need("pi_p", lambda prior: prior.by_others, reason)

    def start(self) -> jax.Array:
        return jnp.log(jnp.asarray(self.init, jnp.float32))

    def value_of(self, raw: jax.Array) -> jax.Array:
        return jnp.exp(raw)

    def after_divergence(
        self, view: View, divergence: jax.Array, action_size: int
    ) -> View:
        # a divergence is kept below its limit just as -entropy is below its target's
        view = _keep_below(view, divergence, -self.limit)
        raw = jnp.clip(view.duals["temperature"], self.low, self.high)
        return view.with_duals(temperature=raw)


# ---------------------------------------------------------------- the divergence


class Divergence(Ruled, Protocol):
    """How far the policy is from a prior; the field `samples` among it."""

    by_network: ClassVar[bool] = False  # found by f, which is fitted with the prior
    needs_density: ClassVar[bool] = False  # of the policy and of the prior

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if not self.needs_density:
            reason = "it compares samples with those of a model"
            yield Need("pi_p", lambda prior: prior.by_others, reason)

    def between(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        """From samples raw [M, B, A] of pi_q = dist, before their bound: [B]."""
        ...

    def loss(self, view: View, params: Tree, obs: jax.Array, key: jax.Array):
        """Of f, at obs [B, O]: scalar. `params` are the prior's, f's among them."""
        return jnp.zeros(())


@config
class KL(Divergence):
    """KL(pi_q || pi_p), as the mean of log pi_q - log pi_p over samples of pi_q."""

    needs_density: ClassVar[bool] = True

    samples: Size = 1  # actions of the policy that it is averaged over, M

    def between(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        log_prob = view.pi.log_prob_of(dist, raw)
        return jnp.mean(view.prior.log_ratio(view, log_prob, obs, raw), axis=0)


@config
class MMD(Divergence):
    """The maximum mean discrepancy between actions of pi_q and of pi_p, untanhed.

    Source: Kumar et al. 2019 (settings 3.10).
    """

    samples: Size = 10  # of each; settings 3.10
    # of the exponential of a distance (L1) or a squared one (L2)
    kernel: Literal["laplacian", "gaussian"] = "laplacian"  # settings 3.10
    sigma: Positive = 20.0  # width of the kernel; settings 3.10

    def between(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        others = view.prior.draw(view, obs, key, self.samples)
        return divergences.mmd(raw, others, sigma=self.sigma, kernel=self.kernel)


class NetworkDivergence(Divergence, Protocol):
    """The best that a network f finds, which tells samples of the two apart."""

    by_network: ClassVar[bool] = True
    samples: int

    def bound_of(self, own: jax.Array, others: jax.Array) -> jax.Array:
        """The divergence by f at both policies' samples: [M, B] each -> [B]."""
        ...

    def penalty(self, slope: jax.Array) -> jax.Array:
        """Of the norms of f's gradients to actions: [M, B] -> [M, B]."""
        ...

    def between(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        params, bound = view.prior_params["dual"], view.pi.bound
        others = view.prior.draw(view, obs, key, raw.shape[0])
        own = view.f(params, obs, bound(raw))
        return self.bound_of(own, view.f(params, obs, bound(others)))

    def loss(self, view: View, params: Tree, obs: jax.Array, key: jax.Array):
        """-D, and the penalty on f's slope between the samples of the two policies."""
        pi, (draws, mixed) = view.pi, jax.random.split(key)
        own = pi.sample(view.policy(obs), draws, self.samples)
        fresh = jax.random.fold_in(draws, 1)
        others = pi.bound(view.prior.draw(view, obs, fresh, self.samples))
        f = params["dual"]
        value = self.bound_of(view.f(f, obs, own), view.f(f, obs, others))
        share = jax.random.uniform(mixed, (*own.shape[:-1], 1))
        between = share * own + (1 - share) * others

        def total(action: jax.Array) -> jax.Array:
            return jnp.sum(view.f(f, obs, action))

        squared = jnp.sum(jnp.square(jax.grad(total)(between)), axis=-1)
        slope = jnp.sqrt(squared + 1e-12)  # whose gradient is finite where f is flat
        return jnp.mean(self.penalty(slope)) - jnp.mean(value)


@config
class DualKL(NetworkDivergence):
    """KL(pi_q || pi_p) as the best lower bound that a critic-sized network f finds.

    Source: Wu et al. 2019 and its code (settings 3.10).
    """

    samples: Size = 4  # of each; settings 3.10
    # what f makes the ratio of the densities: softplus(f), or exp(f - 1)
    ratio: Literal["softplus", "exp"] = "softplus"  # settings 3.10
    # weight of the penalty on slopes of f above 1; 0: none
    slope: NonNegative = 5.0  # settings 3.10

    def bound_of(self, own: jax.Array, others: jax.Array) -> jax.Array:
        if self.ratio == "softplus":
            return divergences.softplus_dual_kl(own, others)
        return divergences.dual_kl(own, others)

    def penalty(self, slope: jax.Array) -> jax.Array:
        return self.slope * divergences.slope_penalty(slope, one_sided=True)


@config
class Wasserstein(NetworkDivergence):
    """The Wasserstein distance, as a network f finds it whose slope is held below 1.

    Source: Wu et al. 2019 and its code (settings 3.10).
    """

    samples: Size = 4  # of each; settings 3.10
    slope: Positive = 5.0  # weight of the penalty on f's slope; settings 3.10
    # whether slopes below 1 are penalised too (two, Gulrajani et al. 2017)
    sided: Literal["one", "two"] = "one"  # settings 3.10

    def bound_of(self, own: jax.Array, others: jax.Array) -> jax.Array:
        return divergences.dual_wasserstein(own, others)

    def penalty(self, slope: jax.Array) -> jax.Array:
        one = self.sided == "one"
        return self.slope * divergences.slope_penalty(slope, one_sided=one)


# ---------------------------------------------------------------- ratios near 1


class RatioBound(Ruled, Protocol):
    """What keeps a policy that is moved by ratios near the prior."""

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.gain

    def duals(self) -> dict[str, jax.Array]:
        """Raw variables of its own, by name, as they start."""
        return {}

    def eta(self, duals: Duals) -> jax.Array:
        """What multiplies KL(pi_p || pi_theta). Scalar."""
        return jnp.zeros((), jnp.float32)

    def gain(self, ratio: jax.Array, score: jax.Array) -> jax.Array:
        """What is climbed: [B], [B] -> [B]."""
        return ratio * score

    def after_iteration(
        self, view: View, kl: Callable[[], jax.Array]
    ) -> tuple[View, Metrics]:
        """A step, after all of an iteration's, by the KL that was made. Scalar."""
        return view, {}


@config
class KLPenalty(RatioBound):
    """eta KL(pi_p || pi_theta); eta doubles or halves to keep the KL near a target.

    Source: Schulman et al. 2017 (settings 3.7), where eta is called beta.
    """

    target: Positive = 0.01  # nats
    init: Positive = 1.0  # eta at the start
    factor: Annotated[Scalar, Range(ge=1)] = 2.0  # 1 leaves eta as it is
    # eta changes where the KL is beyond target times or over this
    tolerance: Annotated[Scalar, Range(ge=1)] = 1.5

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.after_iteration

    def duals(self) -> dict[str, jax.Array]:
        return {"penalty": jnp.asarray(self.init, jnp.float32)}

    def eta(self, duals: Duals) -> jax.Array:
        return duals["penalty"]

    def after_iteration(
        self, view: View, kl: Callable[[], jax.Array]
    ) -> tuple[View, Metrics]:
        made = kl()
        eta = lagrange.adapt(
            view.duals["penalty"], made, self.target,
            factor=self.factor, tolerance=self.tolerance,
        )  # fmt: skip
        return view.with_duals(penalty=eta), {"kl": made}


@config
class ClippedRatio(RatioBound):
    """min(r A, clip(r, 1 - epsilon, 1 + epsilon) A), r = pi_theta / pi_p."""

    # how far from 1 a ratio of probabilities counts
    epsilon: Annotated[Scalar, Range(gt=0, lt=1)] = 0.2  # Schulman et al. 2017

    def gain(self, ratio: jax.Array, score: jax.Array) -> jax.Array:
        clipped = jnp.clip(ratio, 1 - self.epsilon, 1 + self.epsilon)
        return jnp.minimum(ratio * score, clipped * score)


# ---------------------------------------------------------------- the column


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
    told: Callable[[jax.Array], Metrics]  # of the divergence [B]
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
    metrics = {"temperature": eta} | found.metrics | goal.told(found.aux)
    return view, found.aux, metrics


@config
class Analytic(Update):
    """pi_q has a closed form: weights on the prior's samples."""

    parametric: ClassVar[bool] = False
    has_temperature: ClassVar[bool] = True

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
    def learned(self) -> bool:
        return self.temperature.learned

    @property
    def joint_with_value(self) -> bool:
        return self.temperature.joint_with_value

    def duals(self) -> dict[str, jax.Array]:
        return _raw(self.temperature)

    def eta(self, duals: Duals) -> jax.Array:
        return self.temperature.eta(duals)

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


def _raw(rule: Temperature) -> dict[str, jax.Array]:
    return {"temperature": rule.start()} if rule.learned else {}


@config
class Gradient(Update):
    """Stochastic gradient on E[G] - eta D(pi_q, pi_p)."""

    has_temperature: ClassVar[bool] = True
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
    def learned(self) -> bool:
        return self.temperature.learned

    @property
    def divergence_samples(self) -> int:
        return self.divergence.samples

    @property
    def by_network(self) -> bool:
        return self.divergence.by_network

    def duals(self) -> dict[str, jax.Array]:
        return _raw(self.temperature)

    def eta(self, duals: Duals) -> jax.Array:
        return self.temperature.eta(duals)

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

    # what keeps the policy near the prior
    trust_region: KLPenalty | ClippedRatio = KLPenalty()

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.trust_region.maths(config)

    @property
    def symbol(self) -> str:
        return "SG + TR"

    def duals(self) -> dict[str, jax.Array]:
        return self.trust_region.duals()

    def eta(self, duals: Duals) -> jax.Array:
        return self.trust_region.eta(duals)

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
    """One step to the border of KL(pi_p || pi_theta) <= radius, halved until it is in.

    Source: Schulman et al. 2015a (settings 3.6).
    """

    own_length: ClassVar[bool] = True

    radius: Positive = 0.01  # nats; settings 3.6
    # over the A action dimensions: KL itself; or their mean, as sb3-contrib has it, so
    # that radius and damping are A times as large
    kl: Literal["sum", "mean"] = "sum"
    iterations: Size = 20  # of conjugate gradients; settings 3.6
    # added to the diagonal of the Fisher matrix
    damping: NonNegative = 0.1  # settings 3.6
    # of the step, at most, until it is in the region and an improvement
    halvings: Size = 10  # settings 3.6

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

        def gain(params: Tree) -> jax.Array:
            terms = goal.terms(params)
            return jnp.mean(terms.gain) - view.bound_loss(terms.dist, terms.action)

        def kl(params: Tree) -> jax.Array:
            return jnp.mean(goal.terms(params).divergence) / over

        before, gradient = jax.value_and_grad(gain)(old)
        step = natural.natural_step(
            kl, old, gradient,
            radius=self.radius, iterations=self.iterations, damping=self.damping,
        )  # fmt: skip
        new, fraction = natural.backtrack(
            lambda params: (gain(params) - before, kl(params)),
            old, step, radius=self.radius, halvings=self.halvings,
        )  # fmt: skip
        metrics = {"kl": over * kl(new), "step_fraction": fraction}
        return view.with_policy(new), metrics | Descent(-before, None, gradient).metrics


PiQUpdate = Analytic | Gradient | Proximal | NaturalGradient
