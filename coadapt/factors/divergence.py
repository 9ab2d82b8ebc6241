"""How far a parametric posterior is from its prior, for column pi_q update.

The interface is `Divergence`; the classes below it are final.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.view import Dist, View
from coadapt.ops import divergences
from coadapt.schema import NonNegative, Positive, Size, config
from coadapt.types import Tree


class Divergence(Ruled, Protocol):
    """How far the policy is from a prior."""

    samples: int  # actions of the policy at a state that it takes, M
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

    samples: Size = 1  # M, the actions of the policy over which the KL is averaged

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not config.pi_p.counts and self.samples > 1:
            name = type(config.pi_p).__name__
            reason = f"with pi_p={name} no divergence counts, so it must be 1"
            yield Refusal("pi_q_update.divergence.samples", self.samples, reason)

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

    samples: Size = 10  # actions of either policy; settings 3.10
    # exponential of minus an L1 distance, or of minus a squared L2 distance; settings
    # 3.10
    kernel: Literal["laplacian", "gaussian"] = "laplacian"
    sigma: Positive = 20.0  # width of the kernel; settings 3.10

    def between(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        others = view.prior.draw(view, obs, key, self.samples)
        return divergences.mmd(raw, others, sigma=self.sigma, kernel=self.kernel)


class NetworkDivergence(Divergence, Protocol):
    """The best that a network f finds, which tells samples of the two apart."""

    by_network: ClassVar[bool] = True

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

    samples: Size = 4  # actions of either policy; settings 3.10
    # ratio of the densities as a function of f: softplus(f), or exp(f - 1); settings
    # 3.10
    ratio: Literal["softplus", "exp"] = "softplus"
    # weight of the penalty on slopes of f above 1; 0: no penalty; settings 3.10
    slope: NonNegative = 5.0

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

    samples: Size = 4  # actions of either policy; settings 3.10
    slope: Positive = 5.0  # weight of the penalty on the slope of f; settings 3.10
    # whether slopes below 1 are penalised too (two, Gulrajani et al. 2017)
    sided: Literal["one", "two"] = "one"  # settings 3.10

    def bound_of(self, own: jax.Array, others: jax.Array) -> jax.Array:
        return divergences.dual_wasserstein(own, others)

    def penalty(self, slope: jax.Array) -> jax.Array:
        one = self.sided == "one"
        return self.slope * divergences.slope_penalty(slope, one_sided=one)
