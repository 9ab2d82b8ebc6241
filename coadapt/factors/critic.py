"""Critics: what their outputs mean, and how they are fitted to a target.

The interfaces are `Head` and `Loss`; the classes below each are final. Everything that
reads a value reads its mean; a target is a number, or a distribution of returns.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Protocol, cast

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Need, Refusal, Ruled, critics
from coadapt.factors.view import lacks
from coadapt.ops import distributions
from coadapt.ops.distributions import Atoms
from coadapt.schema import Positive, Range, Scalar, Size, config

# ---------------------------------------------------------------- losses


class Loss(Ruled, Protocol):
    """What an error of a value costs."""

    usual: ClassVar[bool] = False  # as where nothing is said

    def each(self, error: jax.Array) -> jax.Array:
        """Of values less their targets, in units of the output: [K, B] -> [K, B]."""
        ...

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        estimate, head = config.g_estimate, config.critic.head
        if not self.usual and not (critics(config) and estimate.by_gradient):
            yield _no_critic("critic.loss", self, "Squared", config)
        if not self.usual and head.own_loss:
            yield Refusal(
                "critic.loss",
                type(self).__name__,
                f"critic.head={type(head).__name__} has a loss of its own, so it must "
                "be Squared",
            )


def _no_critic(field: str, part: object, usual: str, config: Config) -> Refusal:
    return Refusal(
        field,
        type(part).__name__,
        f"with g={type(config.g).__name__} and "
        f"g_estimate={type(config.g_estimate).__name__} no critic is fitted by SG, so "
        f"it must be {usual}",
    )


@config
class Squared(Loss):
    """Half the square."""

    usual: ClassVar[bool] = True

    def each(self, error: jax.Array) -> jax.Array:
        return 0.5 * jnp.square(error)


@config
class Huber(Loss):
    """Half the square, but linear beyond `limit`. Source: Huber 1964."""

    limit: Positive = 1.0  # error above which the loss is linear

    def each(self, error: jax.Array) -> jax.Array:
        return distributions.huber(error, self.limit)


@config
class LogCosh(Loss):
    """log cosh: half the square near 0, the absolute value less log 2 far away."""

    def each(self, error: jax.Array) -> jax.Array:
        return distributions.log_cosh(error)


Losses = Squared | Huber | LogCosh

# ---------------------------------------------------------------- heads


class Head(Ruled, Protocol):
    """What the outputs of a critic say of the return."""

    usual: ClassVar[bool] = False  # as where nothing is said
    distributional: ClassVar[bool] = False  # its target is a distribution
    quantiles: ClassVar[bool] = False  # of that, its outputs are the quantiles
    own_loss: ClassVar[bool] = True  # which critic.loss does not change

    @property
    def symbol(self) -> str:
        """What Table 1 adds to the estimate; '' for nothing."""
        return type(self).__name__

    @property
    def outputs(self) -> int:
        """n, the outputs of a critic."""
        ...

    def mean(self, outputs: jax.Array) -> jax.Array:
        """The value: [..., n] -> [...]."""
        ...

    def atoms(self, outputs: jax.Array) -> Atoms:
        """The distribution of returns, where it is one: [..., n]."""
        raise lacks(self, "distribution")

    def losses(
        self,
        outputs: jax.Array,
        target: jax.Array | Atoms,
        scale: jax.Array | float,
        loss: Loss,
    ) -> jax.Array:
        """What is descended, of each row: [K, B, n] -> [K, B].

        Args:
            target: [B], or of a distribution [B, m]; outputs are `scale` times it.
            loss: critic.loss, which a head of a loss of its own does not read.
        """
        ...

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        estimate, name = config.g_estimate, type(self).__name__
        if not self.usual and not (critics(config) and estimate.by_gradient):
            yield _no_critic("critic.head", self, "ScalarHead", config)
        if self.distributional and not estimate.distributes:
            yield Refusal(
                "critic.head",
                name,
                f"g_estimate={type(estimate).__name__} gives the expected return, and "
                f"no distribution of it{estimate.instead}; use HLGauss or TwoHot, "
                "whose target is a number",
            )


class OneOutput(Head, Protocol):
    """One output, which `critic.loss` compares with its target."""

    own_loss: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        return 1


@config
class ScalarHead(OneOutput):
    """One output, the value itself."""

    usual: ClassVar[bool] = True

    @property
    def symbol(self) -> str:
        return ""

    def mean(self, outputs: jax.Array) -> jax.Array:
        return outputs[..., 0]

    def losses(
        self,
        outputs: jax.Array,
        target: jax.Array | Atoms,
        scale: jax.Array | float,
        loss: Loss,
    ) -> jax.Array:
        value = self.mean(outputs) / scale
        return loss.each(scale * (value - cast(jax.Array, target)[None]))


@config
class SymlogHead(OneOutput):
    """One output, the symlog of the value. Source: Hafner et al. 2023, Sec. 2."""

    @property
    def symbol(self) -> str:
        return "symlog"

    def mean(self, outputs: jax.Array) -> jax.Array:
        return distributions.symexp(outputs[..., 0])

    def losses(
        self,
        outputs: jax.Array,
        target: jax.Array | Atoms,
        scale: jax.Array | float,
        loss: Loss,
    ) -> jax.Array:
        aim = distributions.symlog(scale * cast(jax.Array, target))
        return loss.each(outputs[..., 0] - aim[None])


class Categories(Head, Protocol):
    """Bins of returns from `low` to `high`, both among its fields, and a softmax."""

    low: Scalar
    high: Scalar
    bins: int

    @property
    def outputs(self) -> int:
        return self.bins

    @property
    def support(self) -> jax.Array:
        """The value that each bin stands for: [n]."""
        return jnp.linspace(self.low, self.high, self.bins)

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not self.low < self.high:
            reason = f"it must be below critic.head.high, which is {self.high}"
            yield Refusal("critic.head.low", self.low, reason)

    def mean(self, outputs: jax.Array) -> jax.Array:
        return distributions.mean(self.atoms(outputs))

    def atoms(self, outputs: jax.Array) -> Atoms:
        return Atoms(self.support, jax.nn.softmax(outputs))

    def weights(self, target: Atoms) -> jax.Array:
        """What the softmax is fitted to: [B, m] -> [B, n]."""
        return distributions.project(target, self.support)

    def losses(
        self,
        outputs: jax.Array,
        target: jax.Array | Atoms,
        scale: jax.Array | float,
        loss: Loss,
    ) -> jax.Array:
        if not isinstance(target, Atoms):
            target = Atoms((scale * target)[:, None], jnp.ones(1))
        return distributions.cross_entropy(outputs, self.weights(target)[None])


Bins = Annotated[int, Range(ge=2)]


@config
class C51(Categories):
    """A distribution on fixed atoms, fitted to the projected target by cross-entropy.

    Source: Bellemare et al. 2017; of continuous actions, Barth-Maron et al. 2018.
    """

    distributional: ClassVar[bool] = True

    low: Scalar = -150.0  # smallest return; Hoffman et al. 2020 (Acme's D4PG)
    high: Scalar = 150.0  # largest return; Hoffman et al. 2020 (Acme's D4PG)
    bins: Bins = 51  # number of atoms; Bellemare et al. 2017


@config
class HLGauss(Categories):
    """The value by classification: bins, fitted to a normal around the target.

    Source: Farebrother et al. 2024, Sec. 3.1.
    """

    low: Scalar = -150.0  # the lower edge of the first bin
    high: Scalar = 150.0  # the upper edge of the last bin
    bins: Bins = 51  # number of bins, all equally wide; Farebrother et al. 2024
    # std of the normal distribution, in bin widths; Farebrother et al. 2024
    std: Positive = 0.75

    @property
    def _width(self) -> jax.Array:
        return (jnp.asarray(self.high) - self.low) / self.bins

    @property
    def support(self) -> jax.Array:
        """The middles."""
        return self.low + self._width * (jnp.arange(float(self.bins)) + 0.5)

    def weights(self, target: Atoms) -> jax.Array:
        edges = self.low + self._width * jnp.arange(self.bins + 1.0)
        return distributions.smoothed(target.value[:, 0], edges, self.std * self._width)


@config
class TwoHot(Categories):
    """The value by classification: bins, the target shared by its two neighbours.

    With spacing="symlog" bins lie even in symlog, as in Hafner et al. 2023, Sec. 2;
    low and high are returns all the same.
    """

    low: Scalar = -150.0  # value of the first bin
    high: Scalar = 150.0  # value of the last bin
    bins: Bins = 51  # number of bins
    spacing: Literal["linear", "symlog"] = "linear"  # spacing of the bins

    @property
    def support(self) -> jax.Array:
        if self.spacing == "linear":
            return jnp.linspace(self.low, self.high, self.bins)
        low, high = (
            distributions.symlog(jnp.asarray(x)) for x in (self.low, self.high)
        )
        return distributions.symexp(jnp.linspace(low, high, self.bins))


@config
class Quantiles(Head):
    """Quantiles of the return, fitted by the quantile Huber loss.

    Source: Dabney et al. 2018 (QR-DQN).
    """

    distributional: ClassVar[bool] = True
    quantiles: ClassVar[bool] = True

    number: Size = 25  # number of quantiles; Kuznetsov et al. 2020
    kappa: Positive = 1.0  # error above which the loss is linear; Dabney et al. 2018

    @property
    def symbol(self) -> str:
        return "QR"

    @property
    def outputs(self) -> int:
        return self.number

    def mean(self, outputs: jax.Array) -> jax.Array:
        return jnp.mean(outputs, axis=-1)

    def atoms(self, outputs: jax.Array) -> Atoms:
        return Atoms(outputs, jnp.full(self.number, 1.0 / self.number))

    def losses(
        self,
        outputs: jax.Array,
        target: jax.Array | Atoms,
        scale: jax.Array | float,
        loss: Loss,
    ) -> jax.Array:
        return distributions.quantile_huber(outputs, cast(Atoms, target), self.kappa)


Heads = ScalarHead | SymlogHead | C51 | HLGauss | TwoHot | Quantiles


@config
class ValueClip(Ruled):
    """The larger of two losses: of an output, and of it near what it was before.

    Before is when the iteration began, as of a policy that is kept near its last one.
    Source: Huang et al. 2022 (PPO), detail 9; Engstrom et al. 2020, Sec. 3.
    """

    # largest change of an output within an iteration; Huang et al. 2022
    limit: Positive = 0.2

    def near(self, outputs: jax.Array, before: jax.Array) -> jax.Array:
        """Outputs [K, B, n], kept near those of before [B, n]."""
        moved = outputs - before[None]
        return before[None] + jnp.clip(moved, -self.limit, self.limit)

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        estimate, head = config.g_estimate, config.critic.head
        if estimate.one_step or not (critics(config) and estimate.by_gradient):
            yield Refusal(
                "critic.clip",
                type(self).__name__,
                "it is for critics that SG fits to returns along sequences, and "
                f"g_estimate={type(estimate).__name__} with "
                f"g={type(config.g).__name__} has none; use none",
            )
        elif head.own_loss:
            yield Refusal(
                "critic.clip",
                type(self).__name__,
                f"it clips a value, but critic.head={type(head).__name__} outputs bins "
                "or quantiles; use ScalarHead or SymlogHead",
            )


@config
class Critic:
    """What critics say, and how they are fitted."""

    head: Heads = ScalarHead()  # output of a critic
    loss: Losses = Squared()  # loss of the error of a value
    # bound on the change of outputs within an iteration; none: no bound
    clip: ValueClip | None = None

    def losses(
        self,
        outputs: jax.Array,
        target: jax.Array | Atoms,
        scale: jax.Array | float,
        before: jax.Array | None = None,
    ) -> jax.Array:
        """What is descended, of each row: [K, B, n] -> [K, B].

        Args:
            target: as of `Head.losses`.
            before: [B, n], the outputs when the iteration began, where `clip` is.
        """
        found = self.head.losses(outputs, target, scale, self.loss)
        if self.clip is None or before is None:
            return found
        near = self.clip.near(outputs, before)
        return jnp.maximum(found, self.head.losses(near, target, scale, self.loss))
