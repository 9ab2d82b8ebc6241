"""The interface of the column pi_theta."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import distrax
import jax
import jax.numpy as jnp

from coadapt.factors.noise import Added
from coadapt.factors.pi_theta.scales import Residual
from coadapt.factors.rules import Config, Refusal, Ruled
from coadapt.factors.view import lacks
from coadapt.types import Tree


def log_probs(dist: distrax.Distribution, value: jax.Array) -> jax.Array:
    """Of values with axes in front of its own: [..., B, A] -> [..., B], nats.

    What is of the parameters alone is so computed once at a state, and not for each of
    its values, and no rank is promoted.
    """
    log_prob = dist.log_prob
    for _ in range(value.ndim - len(dist.batch_shape) - len(dist.event_shape)):
        log_prob = jax.vmap(log_prob)
    return jnp.asarray(log_prob(value))


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
