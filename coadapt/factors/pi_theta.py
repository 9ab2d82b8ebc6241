"""Column pi_theta: what distribution do the network's outputs make?

The interface of the column is `Distribution`, that of a std is `ScaleRule`; the classes
below them are final.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import distrax
import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, digamma

from coadapt.factors.noise import Added
from coadapt.factors.rules import Combination, Config, Need, Refusal, Ruled
from coadapt.factors.view import lacks
from coadapt.ops import divergences, squash
from coadapt.schema import Positive, Range, Scalar, config
from coadapt.types import Tree


class Normal(NamedTuple):
    """A diagonal Gaussian at each of B states; under a tanh, of what goes into it."""

    mean: jax.Array  # [B, A]
    std: jax.Array  # [B, A]


def _normal_log_prob(dist: Normal, value: jax.Array) -> jax.Array:
    """[B, A] parameters, value [..., B, A] -> [..., B], nats."""
    mean = jnp.broadcast_to(dist.mean, value.shape)
    std = jnp.broadcast_to(dist.std, value.shape)
    return jnp.asarray(distrax.MultivariateNormalDiag(mean, std).log_prob(value))


def _normal_kl(p: Normal, q: Normal) -> jax.Array:
    """[B, A] parameters -> [B], nats."""
    return jnp.sum(divergences.kl(p.mean, p.std, q.mean, q.std), axis=-1)


def _normal_sample(dist: Normal, key: jax.Array, samples: int) -> jax.Array:
    noise = jax.random.normal(key, (samples, *dist.mean.shape))
    return dist.mean[None] + dist.std[None] * noise


def _normal_explored(dist: Normal, key: jax.Array, noise: Added | None) -> jax.Array:
    """The action before `bound`, [B, A]: a sample, or of the noise that is given.

    Source: Eberhard et al. 2023, who put coloured noise where a sample has white.
    """
    if noise is None or noise.unit is None:
        return _normal_sample(dist, key, 1)[0]
    return dist.mean + dist.std * noise.unit


def clip_noise(dist: Normal, raw: jax.Array, limit: jax.typing.ArrayLike) -> jax.Array:
    """Samples [M, B, A] whose standard normal noise is held within +-limit.

    Source: the code of Kumar et al. 2019 (settings 3.10).
    """
    most = limit * dist.std
    return jnp.clip(raw, (dist.mean - most)[None], (dist.mean + most)[None])


class Residual(NamedTuple):
    """What a fitted mean leaves of B actions, for the closed form of a scale."""

    error: jax.Array  # [B, A]
    std: jax.Array  # [B, A], of the policy that drew the actions
    weight: jax.Array  # [B]
    min_std: jax.Array | float

    def variance(self) -> jax.Array:
        """The weighted variance of each dimension, at least the minimum. [A]."""
        total = jnp.sum(self.weight[:, None] * jnp.square(self.error), axis=0)
        return jnp.maximum(total / jnp.sum(self.weight), self.min_std**2)


class ScaleRule(Ruled, Protocol):
    """How a std is made."""

    symbol: ClassVar[str]  # as Table 1 prints it
    closed_form: ClassVar[bool] = False  # whether `fit` finds it

    def outputs(self, action_size: int) -> int:
        """Of the network, that it takes."""
        ...

    def init(self, action_size: int, features: int) -> Tree:
        """Parameters of its own, or None."""
        ...

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        """The std, [B, A] or what broadcasts to it.

        Args:
            own: its parameters.
            head: its outputs [B, outputs] of the network.
            features: [B, F], what the output layer reads, with a 1 for its bias.
        """
        ...

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> Tree:
        """Its parameters, by weighted maximum likelihood, where `closed_form`."""
        raise lacks(self, "closed form")


@config
class StateLogStd(ScaleRule):
    """std(s) = exp(clip(x, low, high)), x an output of the network: SAC's head."""

    low: Scalar = -20.0  # of log std; settings 1.1
    high: Scalar = 2.0  # of log std; settings 1.1

    symbol = "Sigma_theta(s)"

    def outputs(self, action_size: int) -> int:
        return action_size

    def init(self, action_size: int, features: int) -> None:
        return None

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not self.low < self.high:
            reason = "it must be below pi_theta.scale.high"
            yield Refusal("pi_theta.scale.low", self.low, reason)

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.exp(jnp.clip(head, self.low, self.high))


@config
class StateSoftplusStd(ScaleRule):
    """std(s) = init softplus(x) / log 2 + std_offset, x the network's output: MPO's."""

    init_std: Positive = 0.5  # at x = 0; settings 1.3, per task
    std_offset: Positive = 1e-6  # added to the std; settings 1.3

    symbol = "Sigma_theta(s)"

    def outputs(self, action_size: int) -> int:
        return action_size

    def init(self, action_size: int, features: int) -> None:
        return None

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        unit = jax.nn.softplus(head) / 0.6931  # the authors' rounded log 2
        return unit * self.init_std + self.std_offset


@config
class LearnedStd(ScaleRule):
    """One std for all states: its variance is softplus of a parameter: AWAC's."""

    raw: Scalar = 0.0  # at the start: variance 0.693; settings 1.5

    closed_form: ClassVar[bool] = True
    symbol = "Sigma_theta"

    def outputs(self, action_size: int) -> int:
        return 0

    def init(self, action_size: int, features: int) -> jax.Array:
        return jnp.full(action_size, self.raw, jnp.float32)

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.sqrt(jax.nn.softplus(own))

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> jax.Array:
        variance = residual.variance()
        return variance + jnp.log(-jnp.expm1(-variance))  # the inverse of softplus


@config
class LearnedLogStd(ScaleRule):
    """One std for all states, whose logarithm is a parameter: TRPO's and PPO's."""

    raw: Scalar = 0.0  # log std at the start; settings 3.6
    floor: Scalar | None = None  # log std is clipped to at least this; none: it is not
    ceiling: Scalar | None = None  # and to at most this

    closed_form: ClassVar[bool] = True
    symbol = "Sigma_theta"

    def outputs(self, action_size: int) -> int:
        return 0

    def init(self, action_size: int, features: int) -> jax.Array:
        return jnp.full(action_size, self.raw, jnp.float32)

    def limits(self, config: Config) -> Iterator[Refusal]:
        floor, ceiling = self.floor, self.ceiling
        if floor is not None and ceiling is not None and not floor < ceiling:
            reason = "it must be below pi_theta.scale.ceiling"
            yield Refusal("pi_theta.scale.floor", floor, reason)

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.exp(jnp.clip(own, self.floor, self.ceiling))

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> jax.Array:
        return jnp.log(residual.variance()) / 2


@config
class ConstantStd(ScaleRule):
    """One std for all states and all time: AWR's."""

    value: Positive = 0.4  # the std; settings 1.4, per task

    closed_form: ClassVar[bool] = True
    symbol = "Sigma"

    def outputs(self, action_size: int) -> int:
        return 0

    def init(self, action_size: int, features: int) -> None:
        return None

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        return jnp.asarray(self.value, jnp.float32)

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> None:
        return None


@config
class FeatureStd(ScaleRule):
    """Noise on the weights of the last layer: var(s) = sum_f phi_f(s)^2 v_f, PoWER's.

    Source: Kober and Peters 2008, state-dependent exploration (settings 3.1), with a
    diagonal covariance.
    """

    init_std: Positive = 0.5  # of the noise on each weight

    closed_form: ClassVar[bool] = True
    symbol = "Sigma_theta(s)"

    def outputs(self, action_size: int) -> int:
        return 0

    def init(self, action_size: int, features: int) -> jax.Array:
        log_variance = 2 * jnp.log(jnp.asarray(self.init_std, jnp.float32))
        return jnp.broadcast_to(log_variance, (features, action_size))

    def std(
        self, own: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> jax.Array:
        assert features is not None  # whoever reads a policy's head has them
        square, variance = jnp.square(features), jnp.exp(own)
        return jnp.sqrt(jnp.matmul(square, variance, precision="highest"))

    def fit(self, own: Tree, features: jax.Array, residual: Residual) -> jax.Array:
        """A step of expectation maximisation on the noise that was not observed."""
        prior = jnp.exp(own)[None]  # [1, F, A]
        gain = prior * features[:, :, None] / jnp.square(residual.std)[:, None]
        mean = gain * residual.error[:, None]  # [B, F, A], of the noise, given the rest
        left = prior * (1.0 - gain * features[:, :, None])
        moment = jnp.sum(residual.weight[:, None, None] * (mean**2 + left), axis=0)
        variance = moment / jnp.sum(residual.weight)
        return jnp.log(jnp.maximum(variance, residual.min_std**2))


Scale = (
    StateLogStd
    | StateSoftplusStd
    | LearnedStd
    | LearnedLogStd
    | ConstantStd
    | FeatureStd
)


def _parameters(
    scale: Scale, params: Tree, head: jax.Array, features: jax.Array | None, bound: bool
) -> Normal:
    """Mean and std from the network's outputs [B, A + scale's own]."""
    action_size = head.shape[-1] // (2 if scale.outputs(1) else 1)
    mean, rest = head[..., :action_size], head[..., action_size:]
    mean = jnp.tanh(mean) if bound else mean
    std = scale.std(params["scale"], rest, features)
    return Normal(mean, jnp.broadcast_to(std, mean.shape))


class Distribution(Ruled, Protocol):
    """What a class of this column has. `dist` is what `distribution` gave."""

    has_density: ClassVar[bool] = True  # else there is one action at a state
    continuous: ClassVar[bool] = True  # a sample has a gradient to the parameters
    bounded: ClassVar[bool] = False  # actions never leave the box
    has_moments: ClassVar[bool] = False  # a mean and a std, whose KL is a sum of both
    has_entropy: ClassVar[bool] = False  # a formula for it
    has_kl: ClassVar[bool] = True  # a formula for it, where there is a density
    adds_noise: ClassVar[bool] = False  # to a mean or an action: see `explore`

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.distribution

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def mean_in_box(self) -> bool:
        """Whether its mean never leaves the box, though its actions may."""
        return self.bounded

    @property
    def one_hot(self) -> bool:
        """Whether actions are the choices of a discrete task."""
        return False

    @property
    def kind(self) -> str:
        """What it is, in a sentence: 'pi_theta ...'."""
        return f"is {type(self).__name__}"

    def outputs(self, action_size: int) -> int:
        """Of the policy's network."""
        ...

    def init(self, action_size: int, features: int) -> Tree:
        """Parameters beside the network's, or None."""
        return None

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Any:
        """Outputs [B, ...] of the policy's network -> parameters, leaves [B, ...]."""
        ...

    def draw(self, dist: Any, key: jax.Array, samples: int) -> jax.Array:
        """Samples [M, B, A] of what `bound` makes actions of."""
        ...

    def bound(self, raw: jax.Array) -> jax.Array:
        """[..., A] -> actions [..., A]."""
        return raw

    def before_bound(self, x: jax.Array) -> jax.Array:
        """What `bound` makes tanh(x) of: [..., A] -> [..., A]."""
        return jnp.tanh(x)

    def mode(self, dist: Any) -> jax.Array:
        """The greedy action [B, A]."""
        ...

    def sample(self, dist: Any, key: jax.Array, samples: int) -> jax.Array:
        """Actions [M, B, A]."""
        return self.bound(self.draw(dist, key, samples))

    def explore(
        self, dist: Any, key: jax.Array, noise: Added | None = None
    ) -> jax.Array:
        """The action to act with while learning, [B, A].

        Args:
            noise: where `adds_noise`, in the place of what the key draws.
        """
        if noise is None:
            return self.sample(dist, key, 1)[0]
        raise lacks(self, "noise that is added")

    def uniform(self, key: jax.Array, action_size: int) -> tuple[jax.Array, jax.Array]:
        """A uniformly random action, [A], and its log-probability."""
        action = jax.random.uniform(key, (action_size,), minval=-1.0, maxval=1.0)
        return action, jnp.asarray(-action_size * jnp.log(2.0))

    # ------------------------------------------------ where there is a density

    def log_prob(self, dist: Any, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats."""
        raise lacks(self, "density")

    def log_prob_of(self, dist: Any, raw: jax.Array) -> jax.Array:
        """The log-probability of bound(raw). [..., B, A] -> [..., B]."""
        return self.log_prob(dist, raw)

    def kl(self, p: Any, q: Any) -> jax.Array:
        """KL(p || q) at each state, [B], nats."""
        raise lacks(self, "KL")

    def dimensions(self, dist: Any) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        raise lacks(self, "KL")

    def entropy(self, dist: Any) -> jax.Array:
        """In closed form, where `has_entropy`: [B], nats."""
        raise lacks(self, "formula for its entropy")

    # ------------------------------------------------ where a regression fits it

    def unfit(self) -> Refusal | None:
        """Why a regression can not find its mean and its std; None where it can."""
        name, reason = type(self).__name__, "it is a regression on actions"
        return Refusal("pi_theta", name, f"{reason}, so it must be Gaussian")

    def fit_scale(self, own: Tree, features: jax.Array, residual: Residual) -> Tree:
        """Parameters of its std, of what a regression leaves: see `ScaleRule.fit`."""
        raise lacks(self, "closed form")


@config
class Gaussian(Distribution):
    """N(mu, Sigma), diagonal; actions may leave the box."""

    has_moments: ClassVar[bool] = True
    has_entropy: ClassVar[bool] = True
    adds_noise: ClassVar[bool] = True

    mean: Literal["free", "tanh"] = (
        "free"  # tanh keeps the mean, not the action, inside
    )
    scale: Scale = StateSoftplusStd()  # how its std is made

    @classmethod
    def at(cls, point: Combination) -> "Gaussian":
        regression = point.pi_p_update.closed_form
        return cls(scale=LearnedLogStd() if regression else StateSoftplusStd())

    @property
    def symbol(self) -> str:
        return f"N(mu_theta(s), {self.scale.symbol})"

    @property
    def mean_in_box(self) -> bool:
        return self.mean == "tanh"

    def unfit(self) -> Refusal | None:
        if self.mean != "free":
            reason = "a mean under a tanh has no closed form; use 'free'"
            return Refusal("pi_theta.mean", f"{self.mean!r}", reason)
        if self.scale.closed_form:
            return None
        return Refusal(
            "pi_theta.scale",
            type(self.scale).__name__,
            "a std that is a network's output has no closed form; use FeatureStd, "
            "LearnedStd, LearnedLogStd or ConstantStd",
        )

    def fit_scale(self, own: Tree, features: jax.Array, residual: Residual) -> Tree:
        return self.scale.fit(own, features, residual)

    def outputs(self, action_size: int) -> int:
        return action_size + self.scale.outputs(action_size)

    def init(self, action_size: int, features: int) -> Tree:
        return self.scale.init(action_size, features)

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Normal:
        """Head [B, ...] of the policy network -> parameters [B, A]."""
        return _parameters(self.scale, params, head, features, self.mean == "tanh")

    def log_prob(self, dist: Normal, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats."""
        return _normal_log_prob(dist, action)

    def draw(self, dist: Normal, key: jax.Array, samples: int) -> jax.Array:
        """Samples [M, B, A] of what `bound` makes actions of."""
        return _normal_sample(dist, key, samples)

    def dimensions(self, dist: Normal) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.mean.shape[-1]

    def kl(self, p: Normal, q: Normal) -> jax.Array:
        """KL(p || q) at each state, [B], nats."""
        return _normal_kl(p, q)

    def entropy(self, dist: Normal) -> jax.Array:
        each = jnp.log(dist.std) + 0.5 * jnp.log(2 * jnp.pi * jnp.e)
        return jnp.sum(each, axis=-1)

    def explore(
        self, dist: Normal, key: jax.Array, noise: Added | None = None
    ) -> jax.Array:
        return self.bound(_normal_explored(dist, key, noise))

    def mode(self, dist: Normal) -> jax.Array:
        """The greedy action [B, A]."""
        return dist.mean


@config
class TanhGaussian(Distribution):
    """tanh(N(mu, Sigma)): actions stay inside the box."""

    bounded: ClassVar[bool] = True
    has_moments: ClassVar[bool] = True
    adds_noise: ClassVar[bool] = True

    scale: Scale = StateLogStd()  # how the std is made, before tanh
    # how a stored action is mapped back: clipped to +-(1 - 1e-6) first, or plain atanh,
    # which is infinite at +-1 and can end a run (settings 2.9)
    inverse: Literal["safe", "naive"] = "safe"

    @property
    def symbol(self) -> str:
        return f"Tanh(N(mu_theta(s), {self.scale.symbol}))"

    def outputs(self, action_size: int) -> int:
        return action_size + self.scale.outputs(action_size)

    def init(self, action_size: int, features: int) -> Tree:
        return self.scale.init(action_size, features)

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Normal:
        """Head [B, ...] of the policy network -> parameters [B, A] before the tanh."""
        return _parameters(self.scale, params, head, features, bound=False)

    def log_prob(self, dist: Normal, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; density on [-1, 1]^A."""
        raw = squash.inverse(action, safe=self.inverse == "safe")
        return self.log_prob_of(dist, raw)

    def draw(self, dist: Normal, key: jax.Array, samples: int) -> jax.Array:
        """Samples [M, B, A] of what `bound` makes actions of."""
        return _normal_sample(dist, key, samples)

    def bound(self, raw: jax.Array) -> jax.Array:
        return jnp.tanh(raw)

    def before_bound(self, x: jax.Array) -> jax.Array:
        return x

    def log_prob_of(self, dist: Normal, raw: jax.Array) -> jax.Array:
        """The log-probability of bound(raw), without inverting a tanh."""
        change = jnp.sum(squash.log_det(raw), axis=-1)
        return _normal_log_prob(dist, raw) - change

    def dimensions(self, dist: Normal) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.mean.shape[-1]

    def kl(self, p: Normal, q: Normal) -> jax.Array:
        """KL(p || q) at each state, [B], nats: the tanh does not change it."""
        return _normal_kl(p, q)

    def explore(
        self, dist: Normal, key: jax.Array, noise: Added | None = None
    ) -> jax.Array:
        return self.bound(_normal_explored(dist, key, noise))

    def mode(self, dist: Normal) -> jax.Array:
        """The greedy action [B, A]: tanh of the mean."""
        return jnp.tanh(dist.mean)


class Point(NamedTuple):
    """A single action at each of B states."""

    action: jax.Array  # [B, A]


@config
class Deterministic(Distribution):
    """tanh(mu(s)), which is given Gaussian noise to act. It has no density."""

    has_density: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    adds_noise: ClassVar[bool] = True

    noise: Positive = 0.1  # std in agent units; the sum is clipped; settings 3.8

    @property
    def symbol(self) -> str:
        return "mu_theta(s)"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        name = type(self).__name__
        if not config.pi_q.by_samples:
            yield Refusal(
                "pi_theta",
                name,
                "it has no likelihood, which weights and ratios need; use Gaussian, or "
                "pi_q.gradient=Pathwise",
            )
        if config.pi_p.counts and config.pi_p.has_density:
            reason = "its entropy and its KL are infinite; use pi_p=Ignored, or a VAE"
            yield Refusal("pi_theta", name, f"{reason} and MMD")
        if config.eval_policy.draws:
            reason = f"all actions that {name} draws are one, so it must be Mode"
            yield Refusal("eval_policy", type(config.eval_policy).__name__, reason)

    def outputs(self, action_size: int) -> int:
        return action_size

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Point:
        """Head [B, A] of the policy network -> the action."""
        return Point(jnp.tanh(head))

    def draw(self, dist: Point, key: jax.Array, samples: int) -> jax.Array:
        """The one action, [M, B, A]."""
        return jnp.broadcast_to(dist.action[None], (samples, *dist.action.shape))

    def explore(
        self, dist: Point, key: jax.Array, noise: Added | None = None
    ) -> jax.Array:
        action, (unit, std) = self.sample(dist, key, 1)[0], noise or Added(None, None)
        unit = jax.random.normal(key, action.shape) if unit is None else unit
        std = self.noise if std is None else std
        return jnp.clip(action + std * unit, -1.0, 1.0)

    def mode(self, dist: Point) -> jax.Array:
        """The greedy action [B, A]."""
        return dist.action


class Categorical(NamedTuple):
    """Independent choices at each of B states: one of a discrete task, else A."""

    logits: jax.Array  # [B, choices, options]


@config
class Softmax(Distribution):
    """A discrete choice: of a discrete task, or of a bin in each action dimension."""

    continuous: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    has_entropy: ClassVar[bool] = True

    # None on a discrete task, whose actions are one-hot; else the number of values from
    # -1 to 1 that each dimension may take
    bins: Annotated[int, Range(ge=2)] | None = None

    @classmethod
    def at(cls, point: Combination) -> "Softmax":
        return cls(bins=11)

    @property
    def symbol(self) -> str:
        return "Softmax"

    @property
    def one_hot(self) -> bool:
        return self.bins is None

    @property
    def kind(self) -> str:
        return f"has {self.bins} bins"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_q.by_samples:
            yield Refusal(
                "pi_theta",
                type(self).__name__,
                "a discrete choice has no pathwise gradient; use "
                "pi_q.gradient=LikelihoodRatio, or weights (pi_q=NonParametric)",
            )

    def outputs(self, action_size: int) -> int:
        return action_size * (self.bins or 1)

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Categorical:
        """Head [B, ...] of the policy network -> logits."""
        return Categorical(
            head.reshape(*head.shape[:-1], -1, self.bins or head.shape[-1])
        )

    def log_prob(self, dist: Categorical, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; of a bin, its probability, not a density."""
        log_probs = jax.nn.log_softmax(dist.logits)
        chosen = self._one_hot(action)
        log_probs = jnp.broadcast_to(log_probs, chosen.shape)
        return jnp.sum(chosen * log_probs, axis=(-2, -1))

    def draw(self, dist: Categorical, key: jax.Array, samples: int) -> jax.Array:
        """Actions [M, B, A]."""
        shape = (samples, *dist.logits.shape[:-1])
        index = jax.random.categorical(key, dist.logits, shape=shape)
        return self._action(index, dist.logits.shape[-1])

    def uniform(self, key: jax.Array, action_size: int) -> tuple[jax.Array, jax.Array]:
        dist = self.distribution({}, jnp.zeros((1, self.outputs(action_size))))
        action = self.draw(dist, key, 1)[0]
        return action[0], self.log_prob(dist, action)[0]

    def dimensions(self, dist: Categorical) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.logits.shape[-2]

    def kl(self, p: Categorical, q: Categorical) -> jax.Array:
        """KL(p || q) at each state, [B], nats."""
        return jnp.sum(divergences.kl_categorical(p.logits, q.logits), axis=-1)

    def entropy(self, dist: Categorical) -> jax.Array:
        log_p = jax.nn.log_softmax(dist.logits)
        return -jnp.sum(jnp.exp(log_p) * log_p, axis=(-2, -1))

    def mode(self, dist: Categorical) -> jax.Array:
        """The likeliest action [B, A]."""
        return self._action(jnp.argmax(dist.logits, axis=-1), dist.logits.shape[-1])

    def _one_hot(self, action: jax.Array) -> jax.Array:
        """[..., A] -> [..., choices, options]."""
        if self.bins is None:
            return action[..., None, :]
        index = jnp.round((action + 1.0) * ((self.bins - 1) / 2)).astype(jnp.int32)
        return jax.nn.one_hot(index, self.bins, dtype=action.dtype)

    def _action(self, index: jax.Array, options: int) -> jax.Array:
        """[..., choices] -> [..., A]."""
        if self.bins is None:
            return jax.nn.one_hot(index[..., 0], options, dtype=jnp.float32)
        return index.astype(jnp.float32) * (2 / (self.bins - 1)) - 1.0


class Concentrations(NamedTuple):
    """Of a Beta distribution of each dimension, at each of B states."""

    alpha: jax.Array  # [B, A], above 1
    beta: jax.Array  # [B, A], above 1


@config
class Beta(Distribution):
    """2 x - 1, each x of Beta(alpha, beta), both above 1: one mode, all of it inside.

    Source: Chou et al. 2017, alpha and beta = 1 + softplus of the network's outputs. A
    sample's gradient is the implicit one of the two gammas that it is made of, as JAX
    has it.
    """

    bounded: ClassVar[bool] = True
    has_entropy: ClassVar[bool] = True

    @property
    def symbol(self) -> str:
        return "Beta(s)"

    def outputs(self, action_size: int) -> int:
        return 2 * action_size

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Concentrations:
        """Head [B, 2 A] of the policy network -> parameters [B, A]."""
        alpha, beta = jnp.split(1.0 + jax.nn.softplus(head), 2, axis=-1)
        return Concentrations(alpha, beta)

    def log_prob(self, dist: Concentrations, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; density on [-1, 1]^A."""
        x = (_inside(action) + 1.0) / 2.0
        a, b = (jnp.broadcast_to(each, x.shape) for each in dist)
        each = (a - 1.0) * jnp.log(x) + (b - 1.0) * jnp.log1p(-x) - betaln(a, b)
        return jnp.sum(each - jnp.log(2.0), axis=-1)

    def draw(self, dist: Concentrations, key: jax.Array, samples: int) -> jax.Array:
        """Actions [M, B, A]."""
        shape = (samples, *dist.alpha.shape)
        a, b = (jnp.broadcast_to(each, shape) for each in dist)
        return _inside(2.0 * jax.random.beta(key, a, b) - 1.0)

    def dimensions(self, dist: Concentrations) -> int:
        """Of an action: how many independent parts `kl` sums over."""
        return dist.alpha.shape[-1]

    def kl(self, p: Concentrations, q: Concentrations) -> jax.Array:
        """KL(p || q) at each state, [B], nats."""
        return jnp.sum(divergences.kl_beta(*p, *q), axis=-1)

    def entropy(self, dist: Concentrations) -> jax.Array:
        a, b = dist
        each = betaln(a, b) - (a - 1.0) * digamma(a) - (b - 1.0) * digamma(b)
        each = each + (a + b - 2.0) * digamma(a + b) + jnp.log(2.0)
        return jnp.sum(each, axis=-1)

    def mode(self, dist: Concentrations) -> jax.Array:
        """The greedy action [B, A]; the middle where all are as likely."""
        a, b = (each - 1.0 + 1e-6 for each in dist)
        return 2.0 * a / (a + b) - 1.0


def _inside(action: jax.Array) -> jax.Array:
    """Away from the box's ends, where a density is 0 or a logarithm infinite."""
    return jnp.clip(action, -squash.SAFE_LIMIT, squash.SAFE_LIMIT)


class Components(NamedTuple):
    """Of a mixture at each of B states; under a tanh, of what goes into it."""

    logits: jax.Array  # [B, C]
    mean: jax.Array  # [B, C, A]
    std: jax.Array  # [B, C, A]


@config
class MixtureOfGaussians(Distribution):
    """tanh of a mixture of diagonal Gaussians, whose weights hang on the state too.

    Source: Bishop 1994 (mixture density networks), under the tanh of settings 1.1. It
    has no formula for its entropy or its KL, and the choice of a component has no
    pathwise gradient. The greedy action is the mean of the likeliest component.
    """

    bounded: ClassVar[bool] = True
    has_kl: ClassVar[bool] = False

    components: Annotated[int, Range(ge=2)] = 4  # Gaussians at a state
    scale: StateLogStd = StateLogStd()  # how the std of each is made, before tanh

    @property
    def symbol(self) -> str:
        return f"Tanh(sum_{self.components} w(s) N(mu(s), Sigma(s)))"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_q.by_samples:
            yield Refusal(
                "pi_theta",
                type(self).__name__,
                "the choice of a component has no pathwise gradient; use "
                "pi_q.gradient=LikelihoodRatio, or weights (pi_q=NonParametric)",
            )

    def outputs(self, action_size: int) -> int:
        return self.components * (1 + 2 * action_size)

    def distribution(
        self, params: Tree, head: jax.Array, features: jax.Array | None = None
    ) -> Components:
        """Head [B, C + 2 C A] of the policy network -> parameters before the tanh."""
        logits, rest = head[..., : self.components], head[..., self.components :]
        mean, raw = jnp.split(rest, 2, axis=-1)
        shape = (*logits.shape, -1)
        std = self.scale.std(None, raw)
        return Components(logits, mean.reshape(shape), std.reshape(shape))

    def log_prob(self, dist: Components, action: jax.Array) -> jax.Array:
        """[..., B, A] -> [..., B], nats; density on [-1, 1]^A."""
        return self.log_prob_of(dist, squash.inverse(action, safe=True))

    def log_prob_of(self, dist: Components, raw: jax.Array) -> jax.Array:
        """The log-probability of bound(raw), without inverting a tanh."""
        value = jnp.broadcast_to(
            raw[..., None, :], (*raw.shape[:-1], *dist.mean.shape[-2:])
        )
        each = _normal_log_prob(Normal(dist.mean, dist.std), value)  # [..., B, C]
        weight = jnp.broadcast_to(jax.nn.log_softmax(dist.logits), each.shape)
        change = jnp.sum(squash.log_det(raw), axis=-1)
        return jax.nn.logsumexp(each + weight, axis=-1) - change

    def draw(self, dist: Components, key: jax.Array, samples: int) -> jax.Array:
        """Samples [M, B, A] of what `bound` makes actions of."""
        which, noise = jax.random.split(key)
        shape = (samples, *dist.logits.shape[:-1])
        index = jax.random.categorical(which, dist.logits, shape=shape)
        mean, std = _component(dist, index)
        return mean + std * jax.random.normal(noise, mean.shape)

    def bound(self, raw: jax.Array) -> jax.Array:
        return jnp.tanh(raw)

    def before_bound(self, x: jax.Array) -> jax.Array:
        return x

    def mode(self, dist: Components) -> jax.Array:
        """The greedy action [B, A]."""
        index = jnp.argmax(dist.logits, axis=-1)[None]
        return jnp.tanh(_component(dist, index)[0][0])


def _component(dist: Components, index: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and std of the component of each number: index [M, B] -> [M, B, A]."""

    def take(x: jax.Array) -> jax.Array:
        x = jnp.broadcast_to(x[None], (index.shape[0], *x.shape))
        return jnp.take_along_axis(x, index[..., None, None], axis=-2)[..., 0, :]

    return take(dist.mean), take(dist.std)


PiTheta = Gaussian | TanhGaussian | Deterministic | Softmax | Beta | MixtureOfGaussians
