"""Column pi_p: the prior. Where do candidate actions come from?

The interface of the column is `Prior`, that of a model of others' policy is `Model`;
the classes below are final.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp

from coadapt import networks
from coadapt.factors.rules import Combination, Config, Need, Refusal, Ruled
from coadapt.factors.view import Dist, View, concat_obs, lacks
from coadapt.networks import MLP, Torso
from coadapt.schema import Positive, Range, Size, config
from coadapt.types import Batch, EnvSpec, Episodes, Metrics, Support, Transition, Tree

Shape = tuple[Torso, int, int]  # a network, its inputs, its outputs


class Prior(Ruled, Protocol):
    """What a class of this column has."""

    collects: ClassVar[bool] = False  # the policy itself, and nothing else, has acted
    # the distribution at a state is known to be the policy's, or its slow copy's
    is_policy: ClassVar[bool] = False
    is_uniform: ClassVar[bool] = False
    by_others: ClassVar[bool] = False  # the data are a set that others made
    last_posterior: ClassVar[bool] = False  # it is what the iteration before found
    past_policies: ClassVar[bool] = False  # all of them have acted
    weighable: ClassVar[bool] = False  # an E-step weighs its actions
    draws_episodes: ClassVar[bool] = False  # whole ones, or is the base of them
    stays: ClassVar[bool] = False  # as it is, while a policy moves from it
    counts: ClassVar[bool] = True  # the divergence from it

    @property
    def has_density(self) -> bool:
        """Whether the divergence from it may be a KL."""
        return True

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if self.collects:
            reason = "the policy itself collects the data"
            yield Need("data", lambda data: data.newest, reason)

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    def update_symbol(self, symbol: str) -> str:
        """How Table 1 prints its update, given the update's own symbol."""
        return symbol

    @property
    def samples(self) -> int:
        """M, the fresh actions at a state; 1: the stored one."""
        return 1

    @property
    def at_next(self) -> bool:
        """Whether candidates are the actions that the critic's target has scored."""
        return False

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.stored if config.pi_q.parametric else self.support

    # ------------------------------------------------ a model of it, where it has one

    @property
    def pretrain_updates(self) -> int:
        """Updates that fit the model and nothing else, before all others start."""
        return 0

    @property
    def keep_fitting(self) -> bool:
        """Whether the model is fitted on with every update after."""
        return False

    def init(
        self, spec: EnvSpec, policy: Tree, key: jax.Array
    ) -> dict[str, Any] | None:
        """Parameters of the model, which may start as the policy's; None: no model."""
        return None

    def loss(
        self, view: View, params: Tree, transition: Transition, key: jax.Array
    ) -> jax.Array:
        """Of the model on transitions [B, ...]: scalar."""
        raise lacks(self, "model")

    def draw(
        self, view: View, obs: jax.Array, key: jax.Array, samples: int
    ) -> jax.Array:
        """Samples [M, B, A] at obs [B, O], before what bounds the policy's."""
        raise lacks(self, "samples")

    def fitted(self, policy: Shape, spec: EnvSpec) -> tuple[Shape, ...]:
        """The model's networks, `policy` being the policy's."""
        return ()

    def drawn(self, policy: Shape, spec: EnvSpec, samples: int) -> tuple[Shape, ...]:
        """The networks that a divergence reads, each as often as it does."""
        return ()

    def stored(self, view: View, obs: jax.Array) -> Dist:
        """The distribution that stored actions at obs [B, O] were drawn from."""
        return view.following(obs)

    # ------------------------------------------------ EM control

    def support(self, view: View, batch: Batch, key: jax.Array) -> Support:
        """Candidate actions, and their G."""
        obs, action = batch.transition.obs, batch.transition.action[None]
        if batch.score is not None:
            return Support(obs, action, batch.score[None], batch.prior)
        dist, (_, own) = view.following(obs), jax.random.split(key)
        return Support(obs, action, view.g.score_actions(view, obs, action, own), dist)

    def over_base(
        self,
        view: View,
        score: jax.Array,
        obs: jax.Array,
        episodes: Episodes,
        start: jax.Array,
    ) -> jax.Array:
        """The scores of whole episodes, over the base that they are drawn from: [C].

        Args:
            start: [C], the place of the first step of each step's episode.
        """
        return score

    # ------------------------------------------------ KL control

    def divergence(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        """D(pi_q, pi_p) at B states, from samples raw [M, B, A] of pi_q = dist: [B]."""
        return view.update.between(view, dist, raw, obs, key)

    def log_ratio(
        self, view: View, log_prob: jax.Array, obs: jax.Array, raw: jax.Array
    ) -> jax.Array:
        """log pi_q - log pi_p of samples raw [M, B, A], given log pi_q [M, B]."""
        raise lacks(self, "density")

    def told(self, divergence: jax.Array) -> Metrics:
        """Metrics of the divergence [B] from it."""
        return {"divergence": jnp.mean(divergence)}


# ---------------------------------------------------------------- the policy's own


@config
class Policy(Prior):
    """The policy (its target copy, where one is kept): M fresh actions a state."""

    is_policy: ClassVar[bool] = True
    weighable: ClassVar[bool] = True

    samples: Size = 20  # M
    # whose states the E-step stands on: those of the transition, or its successors,
    # where the critic's target has drawn and scored the same actions already
    states: Literal["next", "current"] = "next"

    @property
    def symbol(self) -> str:
        return "pi_theta"

    @property
    def at_next(self) -> bool:
        return self.states == "next"

    @classmethod
    def at(cls, point: Combination) -> "Policy":
        return cls(states="current")

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        name = type(self).__name__
        if not config.g.reads_action:
            yield Refusal(
                "pi_p",
                name,
                "a state value cannot score fresh actions; use g=Q, or stored actions "
                "(Mixture, OnPolicy)",
            )
        if not config.g_estimate.one_step:
            yield Refusal(
                "pi_p",
                name,
                "what was received cannot score fresh actions; use g_estimate=TD0 or "
                "Retrace, or stored actions (Mixture, OnPolicy)",
            )

    def limits(self, config: Config) -> Iterator[Refusal]:
        if self.at_next and not config.g_estimate.expects:
            reason = "the actions at next states are those of g_estimate=Retrace; use"
            yield Refusal("pi_p.states", "'next'", f"{reason} 'current'")

    def support(self, view: View, batch: Batch, key: jax.Array) -> Support:
        if batch.next is not None and self.at_next:
            return batch.next
        obs, (fresh, own) = batch.transition.obs, jax.random.split(key)
        dist = view.following(obs)
        action = view.pi.sample(dist, fresh, self.samples)
        return Support(obs, action, view.g.score_actions(view, obs, action, own), dist)


@config
class OnPolicy(Prior):
    """The policy that collected the data: one stored action a state."""

    collects: ClassVar[bool] = True
    weighable: ClassVar[bool] = True
    draws_episodes: ClassVar[bool] = True

    @property
    def symbol(self) -> str:
        return "pi_theta"


@config
class Posterior(Prior):
    """pi_q of the iteration before, which collected the data: a stored action a state.

    In iteration n + 1 the prior is what iteration n found.
    """

    collects: ClassVar[bool] = True
    last_posterior: ClassVar[bool] = True
    weighable: ClassVar[bool] = True

    @property
    def symbol(self) -> str:
        return "pi_q"


@config
class Mixture(Prior):
    """All past policies, as the replay holds them: one stored action a state."""

    past_policies: ClassVar[bool] = True
    weighable: ClassVar[bool] = True

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield Need("data", lambda data: not data.newest, "past policies made the data")

    @property
    def symbol(self) -> str:
        return "pi_theta"

    def update_symbol(self, symbol: str) -> str:
        return f"Mixture + {symbol}"


# ---------------------------------------------------------------- fixed ones


@config
class Uniform(Prior):
    """The uniform density on the box, whose log is a constant and left out."""

    is_uniform: ClassVar[bool] = True
    draws_episodes: ClassVar[bool] = True
    stays: ClassVar[bool] = True

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.log_ratio if config.pi_q.parametric else self.over_base

    @property
    def symbol(self) -> str:
        return "Fixed"

    def update_symbol(self, symbol: str) -> str:
        return symbol.replace("(Fixed)", "(Fixed to Unif.)")

    def over_base(
        self,
        view: View,
        score: jax.Array,
        obs: jax.Array,
        episodes: Episodes,
        start: jax.Array,
    ) -> jax.Array:
        """An episode's own log-probability under the policy that drew it is off."""
        dist = view.policy(obs[episodes.row])
        log_prob = view.pi.log_prob(dist, episodes.action)
        summed = jnp.cumsum(log_prob)
        return score - view.eta * (summed - summed[start] + log_prob[start])

    def log_ratio(
        self, view: View, log_prob: jax.Array, obs: jax.Array, raw: jax.Array
    ) -> jax.Array:
        return log_prob

    def told(self, divergence: jax.Array) -> Metrics:
        return {"entropy": -jnp.mean(divergence)}


@config
class Ignored(Prior):
    """Any fixed prior at all: a temperature of 0 leaves it out."""

    stays: ClassVar[bool] = True
    counts: ClassVar[bool] = False

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_q_update.counts_divergence:
            reason = "a temperature of 0 ignores it"
            yield Need("pi_q_update.temperature", lambda r: not r.learned, reason)

    def limits(self, config: Config) -> Iterator[Refusal]:
        value = config.pi_q_update.temperature.given
        if value != 0.0:
            yield Refusal(
                "pi_q_update.temperature.value",
                value,
                "a temperature of 0 ignores the prior, so with "
                f"pi_p={type(self).__name__} it must be 0",
            )

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.divergence

    @property
    def symbol(self) -> str:
        return "Fixed"

    def divergence(
        self, view: View, dist: Dist, raw: jax.Array, obs: jax.Array, key: jax.Array
    ) -> jax.Array:
        return jnp.zeros(obs.shape[0])


# ---------------------------------------------------------------- others' policy


class Model(Ruled, Protocol):
    """A model of the policy that made the data. Its parameters are a dict."""

    has_density: ClassVar[bool] = True

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
    latent: Size = 2  # dimensions of the latent for each of the action's; settings 3.10
    # of the latents' KL from N(0, 1), beside the squared error
    kl_weight: Positive = 0.5  # settings 3.10
    limit: Positive = 0.5  # of the latents that actions are drawn from

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
        latent = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        error = jnp.tanh(self._decode(view, params, seen, latent)) - action
        kl = jnp.square(mean) + jnp.exp(2 * log_std) - 1 - 2 * log_std
        return jnp.mean(jnp.square(error)) + self.kl_weight * jnp.mean(kl) / 2

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

    model: Clone | VAE = Clone()  # what is fitted to the data
    # updates that fit the model and nothing else, before all others start
    pretrain_updates: Annotated[int, Range(ge=0)] = 0
    keep_fitting: bool = True  # whether the model is fitted on with every update after

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


PiP = Policy | OnPolicy | Posterior | Mixture | Uniform | Ignored | Behavior
