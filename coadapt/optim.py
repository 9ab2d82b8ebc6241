"""Optimisers: optax, with every number a traced field.

The interface of an optimiser is `Rule`; the classes below it are final.
"""

from typing import Annotated, Protocol

import jax
import jax.numpy as jnp
import optax

from coadapt.schema import NonNegative, Positive, Range, Scalar, config
from coadapt.types import Tree


@config
class Clip:
    """Gradients are scaled down to this global L2 norm."""

    norm: Positive = 40.0  # the largest norm; settings 1.3


class Rule(Protocol):
    """What an optimiser has; the field `rate`, the learning rate, among it."""

    @property
    def symbol(self) -> str:
        """As Table 4 prints it."""
        return type(self).__name__

    def direction(self) -> optax.GradientTransformation:
        """What a step takes `rate` times off, of the gradients."""
        ...


@config
class Adam(Rule):
    """Adam with betas 0.9, 0.999 and epsilon 1e-8 outside the root."""

    rate: Positive = 3e-4  # the learning rate

    def direction(self) -> optax.GradientTransformation:
        return optax.scale_by_adam()


@config
class SGD(Rule):
    """Gradient descent with heavy-ball momentum, no dampening."""

    rate: Positive = 1e-2  # the learning rate
    # the share of the last step that goes on
    momentum: Annotated[Scalar, Range(ge=0, lt=1)] = 0.9

    @property
    def symbol(self) -> str:
        return f"SGD, momentum {self.momentum:g}"

    def direction(self) -> optax.GradientTransformation:
        return optax.trace(decay=self.momentum)


Optimizer = Adam | SGD


@config
class Optim:
    """The optimisers; clipping and decay belong to the algorithm, not to them."""

    policy: Optimizer = Adam()  # of the policy
    critic: Optimizer = Adam()  # one for each critic
    dual: Optimizer = Adam()  # one for each multiplier
    prior: Optimizer = Adam()  # of a behaviour policy's model
    clip: Clip | None = None  # each of them, each critic and each multiplier apart
    # added to the gradients of policy and critics (coupled L2, not AdamW); settings 1.5
    weight_decay: NonNegative = 0.0


def _transform(
    optimizer: Optimizer, clip: Clip | None, weight_decay: jax.Array | float = 0.0
) -> optax.GradientTransformation:
    """Clip, then decay, then the optimiser: torch's order."""
    clipped = optax.identity() if clip is None else optax.clip_by_global_norm(clip.norm)
    decayed = optax.add_decayed_weights(weight_decay)
    return optax.chain(clipped, decayed, optimizer.direction())


def init(optimizer: Optimizer, clip: Clip | None, params: Tree) -> Tree:
    """The optimiser's state for these parameters."""
    return _transform(optimizer, clip).init(params)


def step(
    optimizer: Optimizer,
    clip: Clip | None,
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


__all__ = ["SGD", "Adam", "Clip", "Optim", "Optimizer", "Rule", "init", "norm", "step"]
