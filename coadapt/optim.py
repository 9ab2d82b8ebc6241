"""Optimisers: optax, with every number a traced field.

The interface of an optimiser is `Rule`; the classes below it are final.
"""

from collections.abc import Hashable
from typing import Annotated, ClassVar, Protocol

import jax
import jax.numpy as jnp
import optax

from coadapt.schema import (
    Count,
    Fraction,
    NonNegative,
    Positive,
    Range,
    Scalar,
    Size,
    config,
)
from coadapt.types import Tree

Momentum = Annotated[Scalar, Range(ge=0, lt=1)]

# ---------------------------------------------------------------- clipping


class Clipping(Protocol):
    """What is done to gradients before the optimiser reads them."""

    unnamed: ClassVar[str] = "Clip"  # of files older than the others

    def transform(self) -> optax.GradientTransformation: ...


@config
class Clip(Clipping):
    """Gradients are scaled down to this global L2 norm."""

    norm: Positive = 40.0  # the largest norm; settings 1.3

    def transform(self) -> optax.GradientTransformation:
        return optax.clip_by_global_norm(self.norm)


@config
class ClipValue(Clipping):
    """Each number of a gradient is clipped to [-limit, limit]."""

    limit: Positive = 1.0  # the largest magnitude

    def transform(self) -> optax.GradientTransformation:
        return optax.clip(self.limit)


# ---------------------------------------------------------------- schedules


class RateSchedule(Protocol):
    """What multiplies a learning rate.

    Lengths are traced numbers of the optimiser's own gradient steps. They are never the
    run's length, so a longer run begins as a shorter one.
    """

    warmup: int  # gradient steps of the rise from 0

    def decayed(self, steps: jax.Array) -> jax.Array | float:
        """The factor, so many steps after the warm-up. Scalar, float32."""
        ...

    def factor(self, steps: jax.typing.ArrayLike) -> jax.Array:
        """steps: scalar, int32, 0 at the first step -> scalar, float32."""
        taken = jnp.asarray(steps, jnp.float32)
        warmup = jnp.asarray(self.warmup, jnp.float32)
        rising = jnp.where(taken < warmup, taken / jnp.maximum(warmup, 1.0), 1.0)
        return rising * self.decayed(jnp.maximum(taken - warmup, 0.0))


Length = Annotated[Count, Range(ge=1)]
WarmUp = Annotated[Count, Range(ge=0)]


def _share(steps: jax.Array, length: int) -> jax.Array:
    return jnp.minimum(steps / jnp.asarray(length, jnp.float32), 1.0)


@config
class ConstantRate(RateSchedule):
    """A linear rise from 0, then the rate itself."""

    warmup: WarmUp = 1000  # gradient steps of the linear rise from 0

    def decayed(self, steps: jax.Array) -> jax.Array | float:
        return 1.0


@config
class LinearRate(RateSchedule):
    """After the rise a straight line down to `end`, where it stays."""

    length: Length = 1_000_000  # gradient steps of the decay
    end: Fraction = 0.0  # factor at the end
    warmup: WarmUp = 0  # gradient steps of the rise from 0

    def decayed(self, steps: jax.Array) -> jax.Array | float:
        return 1.0 - (1.0 - self.end) * _share(steps, self.length)


@config
class CosineRate(RateSchedule):
    """After the rise half a cosine down to `end`: Loshchilov and Hutter 2017."""

    length: Length = 1_000_000  # gradient steps of the decay
    end: Fraction = 0.0  # factor at the end
    warmup: WarmUp = 0  # gradient steps of the rise from 0

    def decayed(self, steps: jax.Array) -> jax.Array | float:
        wave = 0.5 * (1.0 + jnp.cos(jnp.pi * _share(steps, self.length)))
        return self.end + (1.0 - self.end) * wave


Schedules = ConstantRate | LinearRate | CosineRate

# ---------------------------------------------------------------- optimisers


class Rule(Protocol):
    """What an optimiser has."""

    rate: float  # the learning rate
    schedule: Schedules | None = None  # what multiplies the rate; none: nothing

    @property
    def symbol(self) -> str:
        """As Table 4 prints it."""
        return type(self).__name__

    def direction(self) -> optax.GradientTransformation:
        """What a step takes `rate` times off, of the gradients."""
        ...


@config
class Adam(Rule):
    """Adam: Kingma and Ba 2015, with epsilon outside the root."""

    rate: Positive = 3e-4  # the learning rate
    # decay of the mean of gradients; none: 0.9, as a number of the program, because 1 -
    # 0.9 of a traced number differs from 0.1 in its last bits
    beta1: Momentum | None = None
    beta2: Momentum | None = None  # decay of the mean of squared gradients; none: 0.999
    epsilon: Positive = 1e-8  # added to the root
    schedule: Schedules | None = None  # factor of the rate over time; none: 1

    def direction(self) -> optax.GradientTransformation:
        beta1 = 0.9 if self.beta1 is None else self.beta1
        beta2 = 0.999 if self.beta2 is None else self.beta2
        return optax.scale_by_adam(beta1, beta2, self.epsilon)


@config
class AdamW(Rule):
    """Adam with decoupled weight decay: Loshchilov and Hutter 2019."""

    rate: Positive = 3e-4  # the learning rate
    beta1: Momentum = 0.9  # decay of the mean of gradients
    beta2: Momentum = 0.999  # decay of the mean of squared gradients
    epsilon: Positive = 1e-8  # added to the root
    # weight decay: a step subtracts rate times this of a parameter
    decay: NonNegative = 0.01
    schedule: Schedules | None = None  # as of Adam

    def direction(self) -> optax.GradientTransformation:
        adam = optax.scale_by_adam(self.beta1, self.beta2, self.epsilon)
        return optax.chain(adam, optax.add_decayed_weights(self.decay))


@config
class SGD(Rule):
    """Gradient descent with heavy-ball momentum, no dampening."""

    rate: Positive = 1e-2  # the learning rate
    momentum: Momentum = 0.9  # share of the last step in the next
    schedule: Schedules | None = None  # as of Adam

    @property
    def symbol(self) -> str:
        return f"SGD, momentum {self.momentum:g}"

    def direction(self) -> optax.GradientTransformation:
        return optax.trace(decay=self.momentum)


@config
class RMSProp(Rule):
    """Gradients over the root of their squares' mean: Tieleman and Hinton 2012.

    Epsilon is outside the root, and momentum is of the quotients: torch's reading.
    """

    rate: Positive = 3e-4  # the learning rate
    beta: Momentum = 0.99  # decay of the mean of squared gradients
    epsilon: Positive = 1e-8  # added to the root
    momentum: Momentum = 0.0  # share of the last step in the next
    schedule: Schedules | None = None  # as of Adam

    def direction(self) -> optax.GradientTransformation:
        scaled = optax.scale_by_rms(self.beta, self.epsilon, eps_in_sqrt=False)
        return optax.chain(scaled, optax.trace(decay=self.momentum))


@config
class Lion(Rule):
    """The sign of a mean of gradients, with decoupled decay: Chen et al. 2023."""

    rate: Positive = 1e-4  # the learning rate
    beta1: Momentum = 0.9  # decay of the mean whose sign is the step
    beta2: Momentum = 0.99  # decay of the mean that is kept
    # weight decay: a step subtracts rate times this of a parameter
    decay: NonNegative = 0.0
    schedule: Schedules | None = None  # as of Adam

    def direction(self) -> optax.GradientTransformation:
        lion = optax.scale_by_lion(self.beta1, self.beta2)
        return optax.chain(lion, optax.add_decayed_weights(self.decay))


@config
class Muon(Rule):
    """Of a matrix the momentum made orthogonal, of all else Adam: Jordan et al. 2024.

    A matrix's step is scaled to the root mean square that Adam's has, so that one rate
    serves both: Liu et al. 2025.
    """

    rate: Positive = 3e-4  # the learning rate
    momentum: Momentum = 0.95  # Nesterov momentum of matrices
    size: Positive = 0.2  # the root mean square of a matrix's direction
    iterations: Size = 5  # iterations of Newton and Schulz
    # weight decay: a step subtracts rate times this of a parameter
    decay: NonNegative = 0.0
    schedule: Schedules | None = None  # as of Adam

    def _orthogonal(self, tree: Tree, params: Tree) -> Tree:
        def one(x: jax.Array) -> jax.Array:
            return self.size * max(x.shape) ** 0.5 * orthogonalized(x, self.iterations)

        return jax.tree.map(one, tree)

    def direction(self) -> optax.GradientTransformation:
        matrices = optax.chain(
            optax.trace(decay=self.momentum, nesterov=True),
            optax.stateless(self._orthogonal),
        )
        kinds: dict[Hashable, optax.GradientTransformation]
        kinds = {"matrix": matrices, "other": optax.scale_by_adam()}
        made = optax.partition(kinds, _kinds)
        return optax.chain(made, optax.add_decayed_weights(self.decay))


def _kinds(params: Tree) -> Tree:
    return jax.tree.map(lambda x: "matrix" if jnp.ndim(x) == 2 else "other", params)


def orthogonalized(matrix: jax.Array, iterations: int) -> jax.Array:
    """Near U V^T of U S V^T, with singular values of 0.7 to 1.2: [m, n] -> [m, n].

    The quintic of Newton and Schulz with the coefficients of Jordan et al. 2024.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(iterations):
        gram = jnp.matmul(x, x.T, precision="highest")
        inner = b * gram + c * jnp.matmul(gram, gram, precision="highest")
        x = a * x + jnp.matmul(inner, x, precision="highest")
    return x if wide else x.T


Optimizer = Adam | SGD | AdamW | RMSProp | Lion | Muon


@config
class Optim:
    """The optimisers; clipping and coupled decay belong to the algorithm."""

    policy: Optimizer = Adam()  # optimiser of the policy
    critic: Optimizer = Adam()  # optimiser of each critic
    dual: Optimizer = Adam()  # optimiser of each multiplier
    prior: Optimizer = Adam()  # optimiser of a behaviour policy's model
    # clip of gradients, separately for each optimiser, critic and multiplier; none: no
    # clip
    clip: Clip | ClipValue | None = None
    # added to the gradients of policy and critics (coupled L2, not AdamW); settings 1.5
    weight_decay: NonNegative = 0.0


def _transform(
    optimizer: Optimizer,
    clip: Clipping | None,
    weight_decay: jax.Array | float = 0.0,
) -> optax.GradientTransformation:
    """Clip, then decay, then the optimiser: torch's order."""
    clipped = optax.identity() if clip is None else clip.transform()
    decayed = optax.add_decayed_weights(weight_decay)
    parts = [clipped, decayed, optimizer.direction()]
    if optimizer.schedule is not None:
        parts.append(optax.scale_by_schedule(optimizer.schedule.factor))
    return optax.chain(*parts)


def init(optimizer: Optimizer, clip: Clipping | None, params: Tree) -> Tree:
    """The optimiser's state for these parameters."""
    return _transform(optimizer, clip).init(params)


def step(
    optimizer: Optimizer,
    clip: Clipping | None,
    grads: Tree,
    opt: Tree,
    params: Tree,
    weight_decay: jax.Array | float = 0.0,
) -> tuple[Tree, Tree]:
    """One descent step: new parameters, new optimiser state."""
    with jax.numpy_dtype_promotion("standard"):  # optax raises floats to int powers
        transform = _transform(optimizer, clip, weight_decay)
        updates, opt = transform.update(grads, opt, params)
    rate = jnp.asarray(optimizer.rate, jnp.float32)
    return jax.tree.map(lambda p, u: p - rate * u, params, updates), opt


def norm(tree: Tree) -> jax.Array:
    """The L2 norm of all numbers of a tree. Scalar."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree)))
