"""Column pi_p update: how does the prior follow the posterior?

The interface of the column is `MStep`, that of what bounds its steps `TrustRegion`; the
classes below are final.
"""

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.pi_theta import Residual, normal_kls
from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.view import Dist, Duals, View, lacks
from coadapt.ops import lagrange, regression
from coadapt.schema import NonNegative, Positive, Scalar, config
from coadapt.types import Metrics, Support, Tree

# ---------------------------------------------------------------- trust regions


class TrustRegion(Ruled, Protocol):
    """What keeps the policy near its target copy: KLs, each with a multiplier."""

    needs_moments: ClassVar[bool] = False  # of pi_theta: a mean and a std
    # a field, of the raw variables: projected after a step, or clamped in the forward
    # pass
    floor_rule: Literal["project", "clamp"]

    def duals(self, action_size: int) -> dict[str, jax.Array]:
        """Raw multipliers by name, scalars or [A], as they start."""
        ...

    def epsilon(self) -> dict[str, jax.typing.ArrayLike]:
        """By the same names: what each KL may be, nats."""
        ...

    def kl(self, view: View, prior: Dist, dist: Dist) -> dict[str, jax.Array]:
        """By the same names and in their shapes, means over B states."""
        ...

    def log_prob(
        self, view: View, prior: Dist, dist: Dist, action: jax.Array
    ) -> list[jax.Array]:
        """Of actions [M, B, A]: the log-probabilities [M, B] that are fitted."""
        return [view.pi.log_prob(dist, action)]

    def multiplier(self, raw: jax.Array) -> jax.Array:
        """The multiplier of a raw variable."""
        return lagrange.multiplier(raw, clamp=self.floor_rule == "clamp")

    def penalty(self, duals: Duals, kl: dict[str, jax.Array]) -> list[jax.Array]:
        """What each KL costs, scalars."""
        return [
            jnp.sum(self.multiplier(duals[name]) * value) for name, value in kl.items()
        ]

    def step(self, view: View, kl: dict[str, jax.Array]) -> View:
        """A step of each multiplier, up where its KL exceeds epsilon."""
        epsilon, project = self.epsilon(), self.floor_rule == "project"
        for name, value in kl.items():

            def dual(raw: jax.Array, name: str = name, value: jax.Array = value):
                return lagrange.multiplier_loss(
                    self.multiplier(raw), epsilon[name], value
                )

            grad = jax.grad(dual)(view.duals[name])
            view = view.step_dual(name, grad, project=project)
        return view


@config
class DecoupledKL(TrustRegion):
    """KL(old || new) of the mean and of the std held apart.

    Source: Abdolmaleki et al. 2018a; settings 1.3. The multipliers are softplus of raw
    variables, raised while their KL is above epsilon.
    """

    needs_moments: ClassVar[bool] = True

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not config.pi_theta.has_moments:
            yield Refusal(
                "pi_p_update.trust_region",
                type(self).__name__,
                f"a {type(config.pi_theta).__name__} has no mean and no std to hold "
                f"apart; use {'JointKL' if config.pi_theta.has_kl else 'none'}",
            )

    # bound on the KL of the mean, nats, per dimension or for all
    epsilon_mean: Positive = 1e-3
    epsilon_std: Positive = 1e-6  # bound on the KL of the std, nats, as epsilon_mean
    init_mean: Scalar = 1.0  # initial raw multiplier of the KL of the mean
    init_std: Scalar = 10.0  # initial raw multiplier of the KL of the std
    # minimum of the raw multiplier: projected after a step, or clamped in the forward
    # pass; settings 2.11
    floor_rule: Literal["project", "clamp"] = "project"
    # an epsilon and a multiplier for each action dimension, as the authors' MPO has
    # them; or one for the sum over dimensions, as Song et al. 2020 (V-MPO)
    per_dimension: bool = True
    # of the actions that are fitted: the mean's under the old std plus the std's under
    # the old mean, as in MPO; or the policy's own, as in V-MPO
    likelihood: Literal["split", "joint"] = "split"

    def duals(self, action_size: int) -> dict[str, jax.Array]:
        ones = jnp.ones(action_size if self.per_dimension else ())
        return {"mean": ones * self.init_mean, "std": ones * self.init_std}

    def epsilon(self) -> dict[str, jax.typing.ArrayLike]:
        return {"mean": self.epsilon_mean, "std": self.epsilon_std}

    def kl(self, view: View, prior: Dist, dist: Dist) -> dict[str, jax.Array]:
        kl = {  # [A]
            name: jnp.mean(normal_kls(prior, part), axis=0)
            for name, part in _parts(prior, dist).items()
        }
        return kl if self.per_dimension else {n: jnp.sum(v) for n, v in kl.items()}

    def log_prob(
        self, view: View, prior: Dist, dist: Dist, action: jax.Array
    ) -> list[jax.Array]:
        if self.likelihood == "joint":
            return [view.pi.log_prob(dist, action)]
        parts = _parts(prior, dist).values()
        return [view.pi.log_prob(part, action) for part in parts]


def _parts(prior: Dist, dist: Dist) -> dict[str, Dist]:
    """The new mean under the old std, and the new std around the old mean."""
    return {
        "mean": dist._replace(std=prior.std),
        "std": dist._replace(mean=prior.mean),
    }


@config
class JointKL(TrustRegion):
    """KL(old || new) of the whole distribution held at epsilon: of any pi_theta.

    Source: V-MPO with discrete actions (Song et al. 2020), as DecoupledKL without the
    parts.
    """

    epsilon_joint: Positive = 1e-2  # bound on the KL, nats
    init_joint: Scalar = 1.0  # initial raw multiplier
    # minimum of the raw multiplier: projected after a step, or clamped in the forward
    # pass; settings 2.11
    floor_rule: Literal["project", "clamp"] = "project"

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not config.pi_theta.has_kl:
            reason = f"a {type(config.pi_theta).__name__} has no formula for its KL"
            name, field = type(self).__name__, "pi_p_update.trust_region"
            yield Refusal(field, name, f"{reason}, so it must be none")

    def duals(self, action_size: int) -> dict[str, jax.Array]:
        return {"joint": jnp.asarray(self.init_joint, jnp.float32)}

    def epsilon(self) -> dict[str, jax.typing.ArrayLike]:
        return {"joint": self.epsilon_joint}

    def kl(self, view: View, prior: Dist, dist: Dist) -> dict[str, jax.Array]:
        return {"joint": jnp.mean(view.pi.kl(prior, dist))}


# ---------------------------------------------------------------- the column


class MStep(Ruled, Protocol):
    """What a class of this column has."""

    moves: ClassVar[bool] = True  # the prior follows; else it stays as it is
    becomes: ClassVar[bool] = False  # the prior is the last posterior
    by_gradient: ClassVar[bool] = False  # of a weighted log-likelihood, and no more
    closed_form: ClassVar[bool] = False  # one step on all the data, without a gradient

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if self.becomes != config.pi_p.last_posterior:
            yield Refusal(
                "pi_p_update",
                type(self).__name__,
                "pi_p=Posterior is updated by Copy, and no other prior is; pi_p is "
                f"{type(config.pi_p).__name__}",
            )

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def reads_prior(self) -> bool:
        """Whether it reads the distributions that stored actions were drawn from."""
        return False

    @property
    def needs_moments(self) -> bool:
        """Whether pi_theta has to have a mean and a std."""
        return False

    def duals(self, action_size: int) -> dict[str, jax.Array]:
        """Raw multipliers of its own, by name, as they start."""
        return {}

    def multipliers(self, duals: Duals) -> dict[str, jax.Array]:
        """Those of its own by the same names, scalars, as they are now."""
        return {}

    def fit(
        self, view: View, support: Support, weight: jax.Array
    ) -> tuple[View, Metrics]:
        """Fit the policy to the support's actions: weight [M, B], detached."""
        raise lacks(self, "fit")


def _log_likelihood(log_prob: jax.Array, weight: jax.Array) -> jax.Array:
    """-mean_b sum_m w log pi, of [M, B]: scalar."""
    return -jnp.mean(jnp.sum(weight * log_prob, axis=0))


def _likeliest(view: View, support: Support, weight: jax.Array) -> tuple[View, Metrics]:
    """A gradient step of weighted maximum likelihood."""

    def loss(params: Tree) -> tuple[jax.Array, None]:
        dist = view.policy(support.obs, params)
        bound = view.bound_loss(dist, None)
        log_prob = view.pi.log_prob(dist, support.action)
        return _log_likelihood(log_prob, weight) + bound, None

    view, found = view.descend(loss)
    return view, found.metrics


@config
class Gradient(MStep):
    """Weighted maximum likelihood by stochastic gradient: the M-step."""

    by_gradient: ClassVar[bool] = True

    # how the policy is kept near its target copy
    trust_region: DecoupledKL | JointKL | None = None

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.fit

    @property
    def symbol(self) -> str:
        return "SG" if self.trust_region is None else "SG + TR"

    @property
    def reads_prior(self) -> bool:
        return self.trust_region is not None

    @property
    def needs_moments(self) -> bool:
        return self.trust_region is not None and self.trust_region.needs_moments

    def duals(self, action_size: int) -> dict[str, jax.Array]:
        return {} if self.trust_region is None else self.trust_region.duals(action_size)

    def multipliers(self, duals: Duals) -> dict[str, jax.Array]:
        trust = self.trust_region
        if trust is None:
            return {}
        names = trust.epsilon()
        return {name: jnp.mean(trust.multiplier(duals[name])) for name in names}

    def fit(
        self, view: View, support: Support, weight: jax.Array
    ) -> tuple[View, Metrics]:
        trust, prior = self.trust_region, support.prior
        if trust is None:
            return _likeliest(view, support, weight)

        def loss(params: Tree) -> tuple[jax.Array, dict[str, jax.Array]]:
            dist = view.policy(support.obs, params)
            bound, kl = view.bound_loss(dist, None), trust.kl(view, prior, dist)
            fitted = trust.log_prob(view, prior, dist, support.action)
            parts = [_log_likelihood(log_prob, weight) for log_prob in fitted]
            parts += trust.penalty(view.duals, kl)
            return functools.reduce(operator.add, parts) + bound, kl

        view, found = view.descend(loss)
        metrics = {f"kl_{name}": jnp.sum(value) for name, value in found.aux.items()}
        return trust.step(view, found.aux), metrics | found.metrics


@config
class ClosedForm(MStep):
    """Weighted maximum likelihood in closed form, of the policy's last layer.

    A ridge regression of the actions on the features below that layer, then the std of
    what is left. Source: settings 3.1.
    """

    closed_form: ClassVar[bool] = True

    ridge: NonNegative = 1e-3  # ridge of the regression; settings 3.1
    min_std: Positive = 1e-3**0.5  # Sigma is at least 1e-3; settings 3.1

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.fit

    @property
    def symbol(self) -> str:
        return "Analytic"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield from super().needs(config)
        unfit = config.pi_theta.unfit()
        if unfit is not None and unfit.field == "pi_theta":
            given = f"so with pi_p_update={type(self).__name__} it"
            yield unfit._replace(reason=unfit.reason.replace("so it", given))

    def limits(self, config: Config) -> Iterator[Refusal]:
        unfit = config.pi_theta.unfit()
        if unfit is not None:
            yield unfit
        if config.bounds is not None:
            reason = "a regression has no gradient to bend, so it must be none"
            yield Refusal("bounds", type(config.bounds).__name__, reason)

    def fit(
        self, view: View, support: Support, weight: jax.Array
    ) -> tuple[View, Metrics]:
        pi, old = view.pi, view.policy_params
        samples = support.action.shape[0]
        action = support.action.reshape(-1, support.action.shape[-1])  # [M B, A]
        weight = weight.reshape(-1)
        features = jnp.tile(view.features(support.obs), (samples, 1))
        head = view.readout(features)
        dist: Dist = pi.distribution(old, head, features)
        precision = weight[:, None] / jnp.square(dist.std)
        gain, condition = regression.weighted_ridge(
            features, action, precision, self.ridge
        )
        error = action - jnp.matmul(features, gain, precision="highest")
        residual = Residual(error, dist.std, weight, self.min_std)
        output = {"kernel": gain[:-1], "bias": gain[-1]}
        new = {
            "net": dict(old["net"]) | {"output": output},
            "scale": pi.fit_scale(old["scale"], features, residual),
        }
        return view.with_policy(new), {"condition": condition}


@config
class Copy(MStep):
    """The prior becomes the posterior, which is the policy, or is projected on it by
    stochastic gradient.

    Of a parametric posterior there is nothing to compute: it is the policy that acts
    next.
    """

    becomes: ClassVar[bool] = True

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return None if config.pi_q.parametric else self.fit

    @property
    def symbol(self) -> str:
        return "pi_q"

    def fit(
        self, view: View, support: Support, weight: jax.Array
    ) -> tuple[View, Metrics]:
        return _likeliest(view, support, weight)


@config
class Fixed(MStep):
    """The prior stays as it is: there is nothing to compute."""

    moves: ClassVar[bool] = False

    @property
    def symbol(self) -> str:
        return "(Fixed)"


PiPUpdate = Gradient | ClosedForm | Copy | Fixed
