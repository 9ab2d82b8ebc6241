"""What keeps actions in the box. The interface is `Bound`; the classes are final."""

from collections.abc import Iterator
from typing import Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Refusal, Ruled, several
from coadapt.factors.view import Dist, Duals, View
from coadapt.ops import bounds, lagrange, weights
from coadapt.schema import Positive, Scalar, config


class Bound(Ruled, Protocol):
    """What a class has."""

    def limits(self, config: Config) -> Iterator[Refusal]:
        pi, name = config.pi_theta, type(self).__name__
        if pi.bounded:
            reason = f"actions of a {type(pi).__name__} never leave the box, so it must"
            yield Refusal("bounds", name, f"{reason} be none")

    def duals(self) -> dict[str, jax.Array]:
        """Raw multipliers of its own, by name, as they start."""
        return {}

    def multipliers(self, duals: Duals) -> dict[str, jax.Array]:
        """Those of its own by the same names, scalars, as they are now."""
        return {}

    def loss(self, dist: Dist, action: jax.Array | None) -> jax.Array | float:
        """Of a policy, and of its actions [M, B, A] where it is moved by them."""
        return 0.0

    def weights(self, view: View, action: jax.Array) -> tuple[View, jax.Array | None]:
        """Weights [M, B] beside the E-step's, of actions [M, B, A]; None: none."""
        return view, None


@config
class BoundWeights(Bound):
    """A second set of E-step weights, for staying in the box, its temperature a dual.

    Source: the authors' MPO (settings 1.3, step 4). Weights then sum to 2 over M.
    """

    def limits(self, config: Config) -> Iterator[Refusal]:
        yield from super().limits(config)
        if not several(config):
            yield Refusal(
                "bounds",
                type(self).__name__,
                "its weights compare the actions of a state, and need pi_p=Policy with "
                "samples of 2 or more",
            )

    epsilon: Positive = 1e-3  # bound on the KL of the weights, nats
    init: Scalar = 1.0  # initial raw multiplier
    # minimum of the raw multiplier: projected after a step, or clamped in the forward
    # pass; settings 2.11
    floor_rule: Literal["project", "clamp"] = "project"

    def duals(self) -> dict[str, jax.Array]:
        return {"bound": jnp.asarray(self.init, jnp.float32)}

    def eta(self, raw: jax.Array) -> jax.Array:
        """The temperature of these weights."""
        return lagrange.multiplier(raw, clamp=self.floor_rule == "clamp")

    def multipliers(self, duals: Duals) -> dict[str, jax.Array]:
        return {"bound": self.eta(duals["bound"])}

    def weights(self, view: View, action: jax.Array) -> tuple[View, jax.Array | None]:
        """From a temperature that is stepped just before."""
        cost = -bounds.excess_norm(action)

        def dual(raw: jax.Array) -> jax.Array:
            return lagrange.temperature_dual(cost, self.eta(raw), self.epsilon)

        grad = jax.grad(dual)(view.duals["bound"])
        view = view.step_dual("bound", grad, project=self.floor_rule == "project")
        eta = self.eta(view.duals["bound"])
        return view, weights.boltzmann(cost, eta, per_batch=False)


@config
class BoundLoss(Bound):
    """scale * half the squared distance of the mean from the box. Settings 1.4."""

    def limits(self, config: Config) -> Iterator[Refusal]:
        yield from super().limits(config)
        if config.pi_theta.mean_in_box:
            yield Refusal(
                "bounds",
                type(self).__name__,
                "a mean under a tanh never leaves the box; use pi_theta.mean='free', "
                "or none",
            )

    scale: Positive = 10.0  # weight of the loss

    def loss(self, dist: Dist, action: jax.Array | None) -> jax.Array | float:
        return self.scale * jnp.mean(bounds.excess_squared(dist.mean))


@config
class BoundCost(Bound):
    """scale * the distance of sampled actions from the box, with its gradient.

    What takes tanh's place in SAC without it (settings 1.7).
    """

    def limits(self, config: Config) -> Iterator[Refusal]:
        yield from super().limits(config)
        if not config.pi_q.by_samples:
            yield Refusal(
                "bounds",
                type(self).__name__,
                "its gradient runs through the actions of pi_q=Parametric; use "
                "BoundLoss",
            )

    scale: Positive = 1.0  # weight of the cost

    def loss(self, dist: Dist, action: jax.Array | None) -> jax.Array | float:
        assert action is not None  # what moves the policy are its actions
        return self.scale * jnp.mean(bounds.excess_norm(action))


Bounds = BoundWeights | BoundLoss | BoundCost
