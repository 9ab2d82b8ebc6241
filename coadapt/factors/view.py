"""What a factor's method sees of an agent: pure functions of its numbers.

A method is given a `View`, and gives numbers, or the view of the agent after a step.
It never asks which class another factor has: it calls what that column's interface,
on top of the column's file, says that every class has.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import jax
import jax.numpy as jnp

from coadapt import optim
from coadapt.networks import Torso
from coadapt.types import Metrics, Tree

if TYPE_CHECKING:
    from coadapt.factors.critic import Head
    from coadapt.factors.g import G
    from coadapt.factors.g_estimate import GEstimate
    from coadapt.factors.pi_p import PiP
    from coadapt.factors.pi_q_update import PiQUpdate
    from coadapt.factors.pi_theta import PiTheta

Dist = Any  # a NamedTuple of a distribution's parameters at B states: see pi_theta
Duals = dict[str, jax.Array]  # raw multipliers by name, scalars or [A]


class Descent(NamedTuple):
    """What a gradient step of the policy leaves beside the agent."""

    loss: jax.Array  # scalar
    aux: Any  # what the loss gave beside its value
    grads: Tree

    @property
    def metrics(self) -> Metrics:
        """Of the step. XLA computes the norm only where it is logged."""
        size = optim.norm(self.grads)
        return {"policy_loss": self.loss, "policy_gradient_norm": size}


def lacks(factor: object, what: str) -> TypeError:
    """Of a method that a class has no use for, and that is called all the same."""
    return TypeError(f"{type(factor).__name__} has no {what}")


def concat_obs(seen: jax.Array, other: jax.Array) -> jax.Array:
    """Rows of both: seen [B, O], other [..., B, X] -> [..., B, O + X]."""
    seen = jnp.broadcast_to(seen, (*other.shape[:-1], seen.shape[-1]))
    return jnp.concatenate([seen, other], axis=-1)


class View(Protocol):
    """One agent within an update. Letters of shapes are those of `types.py`."""

    # ------------------------------------------------ the other factors

    @property
    def pi(self) -> "PiTheta": ...

    @property
    def prior(self) -> "PiP": ...

    @property
    def g(self) -> "G": ...

    @property
    def estimate(self) -> "GEstimate": ...

    @property
    def update(self) -> "PiQUpdate": ...

    @property
    def head(self) -> "Head":
        """What the outputs of critics mean."""
        ...

    # ------------------------------------------------ what is learned

    @property
    def policy_params(self) -> Tree: ...

    @property
    def critic(self) -> Tree:
        """The critics that score actions, leaves [K, ...]."""
        ...

    @property
    def target_critic(self) -> Tree:
        """The critics that targets bootstrap from: a slow copy, where one is kept."""
        ...

    @property
    def prior_params(self) -> Tree:
        """Of the model that pi_p fits; None where it fits none."""
        ...

    @property
    def duals(self) -> Duals: ...

    @property
    def eta(self) -> jax.Array:
        """The temperature as it is now, scalar; 0 where pi_q_update has none."""
        ...

    # ------------------------------------------------ networks

    def inputs(self, obs: jax.Array) -> jax.Array:
        """Observations as networks read them: [..., O] -> [..., O]."""
        ...

    def policy(self, obs: jax.Array, params: Tree = None) -> Dist:
        """The policy at obs [B, O]; of other parameters than its own, where given."""
        ...

    def target_policy(self, obs: jax.Array) -> Dist:
        """The policy whose actions follow: its slow copy, where one is kept."""
        ...

    def features(self, obs: jax.Array) -> jax.Array:
        """What the policy's last layer reads: obs [B, O] -> [B, F + 1]."""
        ...

    def q(self, critic: Tree, obs: jax.Array, action: jax.Array) -> jax.Array:
        """Q of all critics: obs [B, O], action [..., B, A] -> [K, ..., B]."""
        ...

    def outputs(self, critic: Tree, obs: jax.Array, action: jax.Array) -> jax.Array:
        """As `q`, what the critics' heads make it of: [K, ..., B, n]."""
        ...

    def v(self, critic: Tree, obs: jax.Array) -> jax.Array:
        """V of all critics, in units of reward: obs [B, O] -> [K, B]."""
        ...

    def state_value(self, obs: jax.Array) -> jax.Array:
        """V of the state value beside Q: obs [B, O] -> [B]."""
        ...

    def network(self, spec: Torso, params: Tree, rows: jax.Array) -> jax.Array:
        """A network of a factor's own: rows [..., in] -> [..., out]."""
        ...

    def readout(self, features: jax.Array) -> jax.Array:
        """The policy's output layer: features [..., F + 1] -> [..., outputs]."""
        ...

    def f(self, params: Tree, obs: jax.Array, action: jax.Array) -> jax.Array:
        """A network like a critic: obs [B, O], action [..., B, A] -> [..., B]."""
        ...

    # ------------------------------------------------ bounds of actions

    def bound_loss(self, dist: Dist, action: jax.Array | None) -> jax.Array | float:
        """What leaving the box costs: the policy, and samples [M, B, A]. Scalar."""
        ...

    def bound_weights(self, action: jax.Array) -> tuple[Self, jax.Array | None]:
        """Weights [M, B] for staying in the box, of actions [M, B, A]; None: none."""
        ...

    def projected(self, params: Tree) -> Tree:
        """The policy's parameters, its network's as they are after a step."""
        ...

    # ------------------------------------------------ steps: the view after each

    def descend(
        self, loss: Callable[[Tree], tuple[jax.Array, Any]]
    ) -> tuple[Self, Descent]:
        """A step of the policy by its optimiser, on a loss of its parameters."""
        ...

    def step_dual(self, name: str, grad: jax.Array, *, project: bool) -> Self:
        """A gradient step of a raw multiplier by its optimiser."""
        ...

    def with_policy(self, params: Tree) -> Self: ...

    def with_critic(self, params: Tree) -> Self: ...

    def with_duals(self, **raw: jax.Array) -> Self: ...
