"""The interface of the column pi_p."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.view import Dist, View, lacks
from coadapt.networks import Torso
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
    def like_policy(self) -> bool:
        """Whether it fits a model with a network like the policy's."""
        return False

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
        return view.target_policy(obs)

    # ------------------------------------------------ EM control

    def support(self, view: View, batch: Batch, key: jax.Array) -> Support:
        """Candidate actions, and their G."""
        obs, action = batch.transition.obs, batch.transition.action[None]
        if batch.score is not None:
            return Support(obs, action, batch.score[None], batch.prior)
        dist, (_, own) = view.target_policy(obs), jax.random.split(key)
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

    def divergence_metrics(self, divergence: jax.Array) -> Metrics:
        """Metrics of the divergence [B] from it."""
        return {"divergence": jnp.mean(divergence)}
