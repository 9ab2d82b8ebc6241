"""The policy that made the data as a prior, and models of it."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Protocol

import distrax
import jax
import jax.numpy as jnp

from coadapt import networks
from coadapt.factors.pi_p.base import Prior, Shape
from coadapt.factors.rules import Combination, Config, Need, Refusal, Ruled
from coadapt.factors.view import View, concat_obs, lacks
from coadapt.networks import MLP
from coadapt.schema import Positive, Range, Size, config
from coadapt.types import EnvSpec, Transition, Tree


class Model(Ruled, Protocol):
    """A model of the policy that made the data. Its parameters are a dict."""

    has_density: ClassVar[bool] = True
    like_policy: ClassVar[bool] = False  # its network is like the policy's

    def fitted(self, policy: Shape, spec: EnvSpec) -> tuple[Shape, ...]:
        """As `Prior.fitted`."""
        ...

    def drawn(self, policy: Shape, spec: EnvSpec, samples: int) -> tuple[Shape, ...]:
        """As `Prior.drawn`."""
        ...

    def init(self, spec: EnvSpec, policy: Tree, key: jax.Array) -> dict[str, Any]:
        """Parameters; those of a new policy are there to start as."""
        ...

    def loss(
        self, view: View, params: Tree, transition: Transition, key: jax.Array
    ) -> jax.Array:
        """On transitions [B, ...]: scalar."""
        ...

    def draw(
        self, view: View, obs: jax.Array, key: jax.Array, samples: int
    ) -> jax.Array:
        """Samples [M, B, A] at obs [B, O], before what bounds the policy's."""
        ...

    def log_prob(self, view: View, obs: jax.Array, raw: jax.Array) -> jax.Array:
        """log pi_b of bound(raw), raw [M, B, A], where it has a density: [M, B]."""
        raise lacks(self, "density")


@config
class Clone(Model):
    """A policy of pi_theta's own kind, fitted by maximum likelihood: BRAC's."""

    like_policy: ClassVar[bool] = True

    def maths(self, config: Config) -> Callable[..., Any] | None:
        density = config.pi_q_update.divergence.needs_density
        return self.log_prob if density else self.draw

    def fitted(self, policy: Shape, spec: EnvSpec) -> tuple[Shape, ...]:
        return (policy,)

    def drawn(self, policy: Shape, spec: EnvSpec, samples: int) -> tuple[Shape, ...]:
        return (policy,)

    def init(self, spec: EnvSpec, policy: Tree, key: jax.Array) -> dict[str, Any]:
        return jax.tree.map(jnp.copy, policy)  # starts as the policy does

    def loss(
        self, view: View, params: Tree, transition: Transition, key: jax.Array
    ) -> jax.Array:
        """-mean log pi_b(a|s)."""
        dist = view.policy(transition.obs, params)
        return -jnp.mean(view.pi.log_prob(dist, transition.action))

    def draw(
        self, view: View, obs: jax.Array, key: jax.Array, samples: int
    ) -> jax.Array:
        return view.pi.draw(view.policy(obs, view.prior_params), key, samples)

    def log_prob(self, view: View, obs: jax.Array, raw: jax.Array) -> jax.Array:
        return view.pi.log_prob_of(view.policy(obs, view.prior_params), raw)


@config
class VAE(Model):
    """A conditional variational auto-encoder: actions, but no density. BEAR's."""

    has_density: ClassVar[bool] = False

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        reason = "a VAE has samples but no density"
        fits = lambda kind: not kind.needs_density  # noqa: E731
        yield Need("pi_q_update.divergence", fits, reason)

    # hidden layers of encoder and decoder
    sizes: tuple[Size, ...] = (750, 750)  # settings 3.10
    latent: Size = 2  # latent dimensions per action dimension; settings 3.10
    # weight of the KL of the latents from N(0, 1), beside the squared error; settings
    # 3.10
    kl_weight: Positive = 0.5
    limit: Positive = 0.5  # clip of the latents from which actions are drawn

    @property
    def net(self) -> MLP:
        """Of the encoder, and of the decoder."""
        return MLP(sizes=self.sizes)

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.draw

    def fitted(self, policy: Shape, spec: EnvSpec) -> tuple[Shape, ...]:
        latent = self.latent * spec.action_size
        encoder = (self.net, spec.obs_size + spec.action_size, 2 * latent)
        return encoder, (self.net, spec.obs_size + latent, spec.action_size)

    def drawn(self, policy: Shape, spec: EnvSpec, samples: int) -> tuple[Shape, ...]:
        return (self.fitted(policy, spec)[1],) * samples

    def init(self, spec: EnvSpec, policy: Tree, key: jax.Array) -> dict[str, Any]:
        latent = self.latent * spec.action_size
        encoder, decoder = jax.random.split(key)
        joint, reads = spec.obs_size + spec.action_size, spec.obs_size + latent
        return {
            "encoder": networks.init(self.net, encoder, joint, 2 * latent),
            "decoder": networks.init(self.net, decoder, reads, spec.action_size),
        }

    def _decode(
        self, view: View, params: Tree, seen: jax.Array, latent: jax.Array
    ) -> jax.Array:
        """Actions before a tanh: seen [B, O], latent [..., B, Z] -> [..., B, A]."""
        return view.network(self.net, params["decoder"], concat_obs(seen, latent))

    def loss(
        self, view: View, params: Tree, transition: Transition, key: jax.Array
    ) -> jax.Array:
        """The mean square error of the action, and kl_weight times the latent's KL
        from N(0, 1), a dimension. Source: settings 3.10."""
        seen, action = view.inputs(transition.obs), transition.action
        rows = concat_obs(seen, action)
        head = view.network(self.net, params["encoder"], rows)
        mean, log_std = jnp.split(head, 2, axis=-1)
        log_std = jnp.clip(log_std, -4.0, 15.0)  # settings 3.10, the authors' code
        latents = distrax.LogStddevNormal(mean, log_std)
        unit = distrax.LogStddevNormal(jnp.zeros_like(mean), jnp.zeros_like(log_std))
        latent = jnp.asarray(latents.sample(seed=key))
        error = jnp.tanh(self._decode(view, params, seen, latent)) - action
        kl = jnp.asarray(latents.kl_divergence(unit))
        return jnp.mean(jnp.square(error)) + self.kl_weight * jnp.mean(kl)

    def draw(
        self, view: View, obs: jax.Array, key: jax.Array, samples: int
    ) -> jax.Array:
        params, seen = view.prior_params, view.inputs(obs)
        size = params["decoder"]["output"]["bias"].shape[-1] * self.latent
        latent = jax.random.normal(key, (samples, obs.shape[0], size))
        latent = jnp.clip(latent, -self.limit, self.limit)
        return view.pi.before_bound(self._decode(view, params, seen, latent))


@config
class Behavior(Prior):
    """The policy that made the data, pi_b, as a model fitted to them shows it."""

    by_others: ClassVar[bool] = True
    stays: ClassVar[bool] = True

    model: Clone | VAE = Clone()  # model that is fitted to the data set
    # first updates, which fit only the model
    pretrain_updates: Annotated[int, Range(ge=0)] = 0
    keep_fitting: bool = True  # whether later updates fit the model too

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.model.maths(config)

    @property
    def symbol(self) -> str:
        return "pi_b"

    @classmethod
    def at(cls, point: Combination) -> "Behavior":
        return cls(model=Clone() if point.pi_theta.has_density else VAE())

    @property
    def has_density(self) -> bool:
        return self.model.has_density

    @property
    def like_policy(self) -> bool:
        return self.model.like_policy

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield Need("data", lambda data: not data.stored, "others made the data")

    def limits(self, config: Config) -> Iterator[Refusal]:
        if not self.keep_fitting and config.pi_q_update.by_network:
            kind = type(config.pi_q_update.divergence).__name__
            yield Refusal(
                "pi_p.keep_fitting",
                False,
                f"the network of {kind} follows the policy, and is fitted with the "
                "model, so it must be true",
            )
        if not self.keep_fitting and not self.pretrain_updates:
            reason = "the model would never be fitted; use true, or "
            reason += "pi_p.pretrain_updates of 1 or more"
            yield Refusal("pi_p.keep_fitting", False, reason)

    def fitted(self, policy: Shape, spec: EnvSpec) -> tuple[Shape, ...]:
        return self.model.fitted(policy, spec)

    def drawn(self, policy: Shape, spec: EnvSpec, samples: int) -> tuple[Shape, ...]:
        return self.model.drawn(policy, spec, samples)

    def init(
        self, spec: EnvSpec, policy: Tree, key: jax.Array
    ) -> dict[str, Any] | None:
        return self.model.init(spec, policy, key)

    def loss(
        self, view: View, params: Tree, transition: Transition, key: jax.Array
    ) -> jax.Array:
        return self.model.loss(view, params, transition, key)

    def draw(
        self, view: View, obs: jax.Array, key: jax.Array, samples: int
    ) -> jax.Array:
        return self.model.draw(view, obs, key, samples)

    def log_ratio(
        self, view: View, log_prob: jax.Array, obs: jax.Array, raw: jax.Array
    ) -> jax.Array:
        return log_prob - self.model.log_prob(view, obs, raw)
